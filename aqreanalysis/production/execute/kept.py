"""Station states kept beside the ledger: a run that goes on reads those of the time block it was in.

Encoding a week takes as long as three blocks of it. A file holds one line of JSON, the form of the states with a
checksum, and then the bytes of their arrays; whatever is wrong with it, the states are made again. On a GPU they are
made sooner than read, and are not kept.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.production.sweep import BlockStates

# Time blocks whose states stay: blocks of one may be in hand while the next are encoded.
KEPT = 3
_SUFFIX = ".states"
_PACKAGE = "aqreanalysis."


@dataclass(frozen=True)
class KeptStates:
    """The states of the last time blocks of a run.

    Attributes
    ----------
    folder : Path or None
        Where they lie; None keeps nothing.
    token : str
        Names the run: states of another are not taken.
    """

    folder: Path | None
    token: str

    def hold(self, time: tuple[int, int]) -> bool:
        """Return whether there is a file of a time block, good or not."""
        return self.folder is not None and self._path(self.folder, time).exists()

    def get(self, time: tuple[int, int], make: Callable[[], BlockStates]) -> BlockStates:
        """Return the states of a time block: those that were kept, or else what `make` returns, which then is kept."""
        if self.folder is None:
            return make()
        path = self._path(self.folder, time)
        found = _read(path, self.token)
        if found is not None:
            return found
        made = make()
        arrays: list[NDArray[Any]] = []
        try:
            tree = _take_apart(made, arrays)
            # As a run that goes on will have them: the last digits of a product may depend on how its factors lie.
            states: BlockStates = _put_together(tree, iter(arrays))
        except TypeError:
            return made
        with suppress(OSError):  # the states are a convenience; what a full disk stops says so itself
            self.folder.mkdir(exist_ok=True)
            _write(path, self.token, tree, arrays)
            self._drop_old(path)
        return states

    @staticmethod
    def _path(folder: Path, time: tuple[int, int]) -> Path:
        return folder / f"{time[0]:09d}-{time[1]:09d}{_SUFFIX}"

    def _drop_old(self, last: Path) -> None:
        assert self.folder is not None
        for path in sorted(self.folder.glob(f"*{_SUFFIX}"))[:-KEPT]:
            if path != last:
                path.unlink(missing_ok=True)


def _take_apart(thing: Any, arrays: list[NDArray[Any]]) -> Any:
    """Return the form of a tree of dataclasses as JSON holds it; its arrays are appended to `arrays`.

    Raises
    ------
    TypeError
        If something in it is of a kind that is not known here, or on a GPU.
    """
    if thing is None or isinstance(thing, (bool, int, float, str)):
        return {"plain": thing}
    if isinstance(thing, np.ndarray):
        arrays.append(thing)
        return {"array": [thing.dtype.str, list(thing.shape)]}
    if isinstance(thing, (list, tuple)):
        return {type(thing).__name__: [_take_apart(part, arrays) for part in thing]}
    if isinstance(thing, dict) and all(isinstance(key, str) for key in thing):
        return {"dict": {key: _take_apart(part, arrays) for key, part in thing.items()}}
    kind = type(thing)
    if is_dataclass(thing) and kind.__module__.startswith(_PACKAGE):
        parts = {field.name: _take_apart(getattr(thing, field.name), arrays) for field in fields(thing)}
        return {"class": [kind.__module__, kind.__qualname__], "parts": parts}
    import torch

    if isinstance(thing, torch.Tensor) and thing.device.type == "cpu" and thing.layout is torch.strided:
        return {"tensor": _take_apart(thing.detach().numpy(), arrays)}
    raise TypeError(f"{kind.__name__} is not kept")


def _put_together(tree: Any, arrays: Any) -> Any:
    """Return what was taken apart; `arrays` is an iterator of its arrays."""
    (form, held), *more = tree.items()
    if form == "plain":
        return held
    if form == "array":
        return np.array(next(arrays), order="C")
    if form == "tensor":
        import torch

        given = torch.from_numpy(np.array(next(arrays), order="C"))
        return torch.empty(given.shape, dtype=given.dtype).copy_(given)  # which lies in memory as torch likes it
    if form == "class":
        return _class_of(*held)(**{key: _put_together(part, arrays) for key, part in more[0][1].items()})
    if form == "dict":
        return {key: _put_together(part, arrays) for key, part in held.items()}
    parts = [_put_together(part, arrays) for part in held]
    return tuple(parts) if form == "tuple" else parts


def _class_of(module: str, name: str) -> Any:
    found = getattr(import_module(module), name) if module.startswith(_PACKAGE) else None
    if not (isinstance(found, type) and is_dataclass(found)):
        raise TypeError(f"{module}.{name} is no dataclass of this package")
    return found


def _write(path: Path, token: str, tree: Any, arrays: list[NDArray[Any]]) -> None:
    """Write a file whole or not at all."""
    described = json.dumps({"token": token, "tree": tree})
    head = {"described": described, "checksum": _checksum(described, arrays)}
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with temporary.open("wb") as file:
            file.write(json.dumps(head).encode() + b"\n")
            for array in arrays:
                file.write(array.tobytes())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _read(path: Path, token: str) -> BlockStates | None:
    """Return the states in a file; None if there is none, it is of another run, or damaged."""
    try:
        with path.open("rb") as file:
            head = json.loads(file.readline())
            told = json.loads(head["described"])
            if told["token"] != token:
                return None
            shapes = list(_shapes(told["tree"]))
            arrays = [np.fromfile(file, dtype, int(np.prod(shape))).reshape(shape) for dtype, shape in shapes]
            if file.read(1) or head["checksum"] != _checksum(head["described"], arrays):
                return None
        states = _put_together(told["tree"], iter(arrays))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError):
        return None
    return states if isinstance(states, BlockStates) else None


def _shapes(tree: Any) -> Any:
    """Yield type and shape of each array of a form, in their order."""
    for form, held in tree.items():
        if form == "array":
            yield np.dtype(held[0]), tuple(held[1])
        elif form == "tensor":
            yield from _shapes(held)
        elif form in ("dict", "parts"):
            for part in held.values():
                yield from _shapes(part)
        elif form in ("list", "tuple"):
            for part in held:
                yield from _shapes(part)


def _checksum(described: str, arrays: list[NDArray[Any]]) -> str:
    digest = hashlib.sha256(described.encode())
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()
