"""Whole chunks of a Zarr store of format 2 on a disk, written without zarr's event loop, byte for byte as zarr does.

Zarr hands each chunk through its event loop and two pools of threads, and most of that holds Python's lock, which the
threads of a sweep wait for. What it comes to is one call of the codec, one file and one rename, which `fused` does in
one call.
"""

from __future__ import annotations

import os
import tempfile
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numcodecs  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray
from zarr.storage import LocalStore


@dataclass(frozen=True)
class ChunkFiles:
    """The files of one array.

    Attributes
    ----------
    folder : str
        Where they lie.
    shape, chunk : tuple of int
        Of the array, and of each chunk, those at the ends of the axes too.
    dtype : numpy.dtype
        Of the values.
    fill : float or int
        What stands beyond the ends of the axes.
    codec : numcodecs codec or None
        Compresses; None keeps the values plain.
    separator : str
        Between the numbers of a file's name.
    """

    folder: str
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: np.dtype[Any]
    fill: float | int
    codec: Any
    separator: str

    @classmethod
    def of(cls, array: Any) -> ChunkFiles | None:
        """Return the files of a zarr array; None where only zarr itself can write it."""
        store, metadata = array.store_path.store, array.metadata
        if metadata.zarr_format != 2 or not isinstance(store, LocalStore) or metadata.filters or not array.ndim:
            return None
        if metadata.order != "C":
            return None
        fill = 0 if metadata.fill_value is None else metadata.fill_value
        folder = str(Path(store.root) / array.path)
        form = (array.shape, array.chunks, array.dtype, fill)
        return cls(folder, *form, metadata.compressor, metadata.dimension_separator)

    def put(self, region: tuple[slice, ...], values: NDArray[Any]) -> bool:
        """Write the chunk that is `region` of the array and return True; False where that is no single whole chunk."""
        sides = list(zip(region, self.shape, self.chunk, strict=True))
        if any(s.start % n or s.stop != min(s.start + n, length) for s, length, n in sides):
            return False
        values = np.ascontiguousarray(values, self.dtype)
        if values.shape != self.chunk:
            whole = np.full(self.chunk, self.fill, self.dtype)
            whole[tuple(slice(n) for n in values.shape)] = values
            values = whole
        path = f"{self.folder}/{self.separator.join(str(s.start // n) for s, _, n in sides)}"
        temporary = f"{path}.{uuid.uuid4().hex}.partial"
        if not write_fused(self.codec, values, (temporary, path)):
            file = Path(temporary)
            file.write_bytes(values.data if self.codec is None else self.codec.encode(values))
            file.replace(path)
        return True


def write_fused(codec: Any, values: NDArray[Any], paths: tuple[str, str]) -> bool:
    """Write a chunk in one compiled call under the first path, then the second; return whether that could be done.

    The bytes are those of ``codec.encode``. What fails here is left to the plain way, which tells why.
    """
    from aqreanalysis.production.stores import fused  # numba takes a while to load, and readers need none

    if type(codec) is not numcodecs.Blosc or codec.shuffle == numcodecs.Blosc.AUTOSHUFFLE:
        return False
    if not fused.can_fuse():
        return False
    room = getattr(_OWN, "room", None)
    if room is None or len(room) < values.nbytes + _OVERHEAD:
        room = _OWN.room = np.empty(values.nbytes + _OVERHEAD, np.uint8)
    form = np.array((codec.clevel, codec.shuffle, values.itemsize, codec.blocksize))
    names = _ended(paths[0]), _ended(paths[1])
    failed = fused.compress_and_write(
        values.reshape(-1).view(np.uint8), form, _ended(codec.cname), names, room[: values.nbytes + _OVERHEAD]
    )
    return bool(failed == 0)


_OVERHEAD = numcodecs.blosc.MAX_OVERHEAD
# Memory into which a thread compresses, kept from chunk to chunk.
_OWN = threading.local()


def _ended(text: str) -> NDArray[np.uint8]:
    """Return a text as the C library reads it."""
    return np.frombuffer(os.fsencode(text) + b"\0", np.uint8)


def warm_up() -> None:
    """Compile what writes chunks, or load what an earlier process compiled."""
    with tempfile.TemporaryDirectory() as folder:
        codec = numcodecs.Blosc("zstd", clevel=1, shuffle=numcodecs.Blosc.SHUFFLE)
        write_fused(codec, np.zeros(16, np.float32), (f"{folder}/a", f"{folder}/b"))
