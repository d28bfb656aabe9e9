"""Where an interrupted training goes on: weights and optimiser as safetensors, the rest as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from isal import isal_zlib
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn

from aqreanalysis.common.files import replacing
from aqreanalysis.errors import OutputError, in_one_line

_STATE = "state.json"
# Entries of it: the CRC-32 of all that it says beside, and of the file of weights.
_SEAL, _WEIGHTS_SEAL = "crc32", "weights_crc32"


def has_checkpoint(folder: Path) -> bool:
    """Return whether an interrupted training left one in `folder`."""
    return (folder / _STATE).is_file()


def save_checkpoint(
    folder: Path, network: nn.Module, best: dict[str, Tensor], optimiser: torch.optim.Optimizer, state: dict[str, Any]
) -> None:
    """Write a checkpoint into `folder`; ``state.json`` comes last and by rename, so a torn one is never read.

    Raises
    ------
    OutputError
        If the disk is full or the folder forbidden; the checkpoint before stays as it was.
    """
    name = f"{state['epoch']:05d}.safetensors"
    tensors = {f"now.{k}": v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    tensors |= {f"best.{k}": v.cpu().contiguous() for k, v in best.items()}
    for index, entry in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{k}": torch.as_tensor(v).cpu().contiguous() for k, v in entry.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / name) as part:
            save_file(tensors, part)
            sealed = state | {_WEIGHTS_SEAL: isal_zlib.crc32(part.read_bytes())}
        sealed[_SEAL] = _checksum(sealed)
        with replacing(folder / _STATE) as part:
            part.write_text(json.dumps(sealed), encoding="utf-8")
    except (OSError, SafetensorError) as error:
        before = "the one before it is kept: " if has_checkpoint(folder) else ""
        raise OutputError(
            f"the checkpoint of epoch {state['epoch']} cannot be written into {folder}: {_reason(error)}; {before}free "
            "some space and run the same command again"
        ) from None
    for old in folder.glob("*.safetensors*"):
        if old.name != name:
            old.unlink()


def load_checkpoint(
    folder: Path, network: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Put the checkpoint in `folder` into `network` and `optimiser`; return its state and the best weights.

    Raises
    ------
    OutputError
        If it is torn, or of another network.
    """
    try:
        state: dict[str, Any] = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        if state.pop(_SEAL) != _checksum(state):
            raise ValueError(f"{_STATE} is damaged: it is not what was written")
        data = (folder / f"{state['epoch']:05d}.safetensors").read_bytes()
        if isal_zlib.crc32(data) != state.pop(_WEIGHTS_SEAL):
            raise ValueError("its weights are damaged: they are not what was written")
        tensors = load(data)
        network.load_state_dict(_named(tensors, "now."))
    except (OSError, ValueError, TypeError, KeyError, SafetensorError, RuntimeError) as error:
        raise OutputError(
            f"the checkpoint in {folder} cannot be read ({_reason(error)}): begin anew with --fresh"
        ) from None
    restored: dict[int, dict[str, Tensor]] = {}
    for key, value in _named(tensors, "optimiser.").items():
        index, name = key.split(".", 1)
        restored.setdefault(int(index), {})[name] = value
    whole = optimiser.state_dict()
    whole["state"] = restored
    optimiser.load_state_dict(whole)
    return state, _named(tensors, "best.")


def _named(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _checksum(state: dict[str, Any]) -> int:
    return isal_zlib.crc32(json.dumps(state).encode())


def _reason(error: Exception) -> str:
    """Return in one line what the system or the reader said."""
    return getattr(error, "strerror", None) or in_one_line(error)
