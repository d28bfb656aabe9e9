"""What a run has worked out besides its blocks, kept in its folder so that a run that goes on need not do it again."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

T = TypeVar("T")


@dataclass(frozen=True)
class SavedResults:
    """Objects of arrays and tensors, each in a file of its own; any thread or process may save and read.

    Attributes
    ----------
    folder : Path
        Of the files; it is there, and goes with the run.
    owner : str
        Names the run and the boot of the machine: what another saved, or a failing machine cut short, is not read.
    """

    folder: Path
    owner: str

    def get(self, name: str, key: str, make: Callable[[], T]) -> T:
        """Return what was saved under `name` for `key`, or what `make` gives, which then takes the place of that name.

        Parameters
        ----------
        name : str
            Of the file.
        key : str
            What it holds.
        make : callable
            Makes it, if the file holds something else.
        """
        path = self.folder / f"{name}.pickle"
        if path.exists():
            with path.open("rb") as file:
                if pickle.load(file) == (self.owner, key):
                    saved: T = pickle.load(file)
                    return saved
        made = make()
        temporary = path.with_suffix(f".{uuid.uuid4().hex}")
        with temporary.open("wb") as file:
            for thing in ((self.owner, key), made):
                _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(thing)
        temporary.replace(path)
        return made


class _Pickler(pickle.Pickler):
    """Writes tensors as the arrays that they are: torch's own form of one takes a hundred times as long."""

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, torch.Tensor) and thing.device.type == "cpu" and thing.layout == torch.strided:
            return torch.from_numpy, (thing.numpy(),)
        return NotImplemented
