"""What a run has worked out besides its blocks, kept in its folder so that a run that goes on need not do it again."""

from __future__ import annotations

import os
import pickle
import uuid
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import torch
from isal import isal_zlib
from numpy.typing import NDArray

T = TypeVar("T")

_SEAL_BYTES = 4
_READ_BYTES = 1 << 20

_SWEEP, _MODEL = "aqreanalysis.production.sweep", "aqreanalysis.model."
_PLAIN = {
    ("builtins", "range"),
    ("builtins", "slice"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    (__name__, "_tensor"),
}


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
            try:
                with path.open("rb") as file:
                    if _is_whole(file) and _Unpickler(file).load() == (self.owner, key):
                        saved: T = _Unpickler(file).load()
                        return saved
            except Exception:  # damaged, or not ours: what it held can be made again, and its place is taken below
                pass
        made = make()
        temporary = path.with_suffix(f".{uuid.uuid4().hex}")
        with temporary.open("wb") as file:
            sealed = _Sealing(file)
            for thing in ((self.owner, key), made):
                _Pickler(sealed, pickle.HIGHEST_PROTOCOL).dump(thing)
            file.write(sealed.checksum.to_bytes(_SEAL_BYTES, "little"))
        temporary.replace(path)
        return made


class _Sealing:
    """A file that is written, and the CRC-32 of what went into it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.checksum = file, 0

    def write(self, data: bytes) -> int:
        self.checksum = isal_zlib.crc32(data, self.checksum)
        return self._file.write(data)


def _is_whole(file: BinaryIO) -> bool:
    """Tell whether a file ends with the CRC-32 of all before it, and go back to its beginning."""
    left, checksum = file.seek(-_SEAL_BYTES, os.SEEK_END), 0
    file.seek(0)
    while left and (part := file.read(min(left, _READ_BYTES))):
        checksum, left = isal_zlib.crc32(part, checksum), left - len(part)
    seal = file.read(_SEAL_BYTES)
    file.seek(0)
    return seal == checksum.to_bytes(_SEAL_BYTES, "little")


class _Unpickler(pickle.Unpickler):
    """Builds arrays, tensors and the records of the model and the sweep, and nothing else.

    The folder of a run may lie where others can write, and a pickle may name any function to be called.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Return a class or function that a file names, or refuse it."""
        known = (module, name) in _PLAIN
        if not known and (module == _SWEEP or module.startswith(_MODEL)) and "." not in name:
            known = is_dataclass(getattr(import_module(module), name, None))
        if not known:
            raise pickle.UnpicklingError(f"{module}.{name} is none of what a run saves")
        return super().find_class(module, name)


class _Pickler(pickle.Pickler):
    """Writes tensors as the arrays that they are: torch's own form of one takes a hundred times as long."""

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, torch.Tensor) and thing.device.type == "cpu" and thing.layout == torch.strided:
            return _tensor, (thing.numpy(),)
        return NotImplemented


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    # A name of our own: that of torch's function is found by `getattr`, which would find anything.
    return torch.from_numpy(array)
