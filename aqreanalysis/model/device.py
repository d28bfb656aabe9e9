"""Every choice that depends on the device: which one, and in which precision."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from aqreanalysis.errors import ConfigError, wrong_type


def choose_device(name: str = "auto") -> torch.device:
    """Return the device called `name`: ``auto`` (CUDA where there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Where it is CUDA, float32 is float32 from then on: by itself cuDNN multiplies in LSTMs with ten bits of mantissa
    (TF32), a relative error of one in a thousand, and estimates are to be those of the CPU to one in ten thousand.

    Raises
    ------
    ConfigError
        If CUDA is asked for and not there, or the name is unknown.
    """
    if not isinstance(name, str):
        raise wrong_type("device", name, "auto, cpu, cuda or cuda:N")
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
    except RuntimeError:
        raise ConfigError(f"--device {name!r}: choose auto, cpu, cuda or cuda:N") from None
    if device.type not in {"cpu", "cuda"}:
        raise ConfigError(f"--device {name!r}: choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"--device {name}: torch sees no CUDA device here; use --device cpu or auto")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"--device {name}: torch sees {torch.cuda.device_count()} CUDA device(s), counted from cuda:0"
        )
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
    return device


def as_array(tensor: torch.Tensor) -> NDArray[Any]:
    """Return a tensor of the CPU as an array without gaps."""
    return np.ascontiguousarray(tensor.numpy())


def to_device(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Return an array as a tensor on `device`, without waiting there for what was asked before."""
    tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))
    if device.type == "cpu":
        return tensor
    # From ordinary memory the driver copies when the GPU is done with all before, and keeps us waiting. Torch keeps
    # pinned memory from one call to the next, and gives it to no other before the copy is done.
    return tensor.pin_memory().to(device, non_blocking=True)


def load_linear_algebra(device: torch.device) -> None:
    """Let torch load what solves systems on a GPU, which it does at the first call and not for two threads at once.

    Threads that come to it together end in ``RuntimeError: lazy wrapper should be called at most once``.
    """
    if device.type == "cuda":
        torch.linalg.inv(torch.ones((1, 1), device=device))


@contextlib.contextmanager
def mixed_precision(device: torch.device, wanted: bool) -> Iterator[None]:
    """Run the block in bfloat16 where `device` is CUDA and `wanted`; in float32 elsewhere."""
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted and device.type == "cuda"):
        yield


def flatten_recurrent(network: nn.Module) -> None:
    """Lay the weights of LSTMs out as cuDNN wants them, which a copy of a network forgets; nothing on the CPU."""
    for part in network.modules():
        if isinstance(part, nn.LSTM):
            part.flatten_parameters()
