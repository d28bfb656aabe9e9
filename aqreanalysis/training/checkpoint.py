"""Where an interrupted training goes on: weights and optimiser as safetensors, the rest as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


def save_checkpoint(
    folder: Path, network: nn.Module, best: dict[str, Tensor], optimiser: torch.optim.Optimizer, state: dict[str, Any]
) -> None:
    """Write a checkpoint into `folder`; ``state.json`` comes last and by rename, so a torn one is never read."""
    folder.mkdir(parents=True, exist_ok=True)
    tag = f"{state['epoch']:05d}"
    tensors = {f"now.{k}": v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    tensors |= {f"best.{k}": v.cpu().contiguous() for k, v in best.items()}
    for index, entry in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{k}": torch.as_tensor(v).cpu().contiguous() for k, v in entry.items()}
    save_file(tensors, folder / f"{tag}.safetensors")
    temporary = folder / "state.json.tmp"
    temporary.write_text(json.dumps(state), encoding="utf-8")
    temporary.replace(folder / "state.json")
    for old in folder.glob("*.safetensors"):
        if old.stem != tag:
            old.unlink()


def load_checkpoint(
    folder: Path, network: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Put the checkpoint in `folder` into `network` and `optimiser`; return its state and the best weights."""
    state: dict[str, Any] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    tensors = load_file(folder / f"{state['epoch']:05d}.safetensors")
    network.load_state_dict({k.removeprefix("now."): v for k, v in tensors.items() if k.startswith("now.")})
    restored: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".", 2)
            restored.setdefault(int(index), {})[name] = value
    whole = optimiser.state_dict()
    whole["state"] = restored
    optimiser.load_state_dict(whole)
    return state, {k.removeprefix("best."): v for k, v in tensors.items() if k.startswith("best.")}
