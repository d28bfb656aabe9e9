"""Whole chunks of a Zarr store of format 2 on a disk, written without zarr's event loop, byte for byte as zarr does.

Zarr hands each chunk through its event loop and two pools of threads, and most of that holds Python's lock, which the
threads of a sweep wait for. What it comes to is one call of the codec, one file and one rename.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from zarr.storage import LocalStore

from aqreanalysis.production.stores.store import StoredLayer

if TYPE_CHECKING:
    import zarr
    from zarr.abc.store import Store


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
    def of(cls, array: zarr.Array, store: Store) -> ChunkFiles | None:
        """Return the files of an array of a store of zarr; None where only zarr itself can write it."""
        metadata = array.metadata
        if metadata.zarr_format != 2 or not isinstance(store, LocalStore) or metadata.filters or not array.ndim:
            return None
        if metadata.order != "C":
            return None
        fill: Any = 0 if metadata.fill_value is None else metadata.fill_value
        folder = str(Path(store.root) / array.path)
        form = (array.shape, array.chunks, array.dtype, fill)
        return cls(folder, *form, metadata.compressor, metadata.dimension_separator)

    def put(self, region: tuple[slice, ...], values: NDArray[Any]) -> StoredLayer | None:
        """Write the chunks that are `region` of the array, several along its first axis at most; return None, and write
        nothing, where these are none whole."""
        sides = list(zip(region, self.shape, self.chunk, strict=True))
        first, length, steps = sides[0]
        if first.start % steps or (first.stop % steps and first.stop != length) or first.stop > length:
            return None
        if any(s.start % n or s.stop != min(s.start + n, whole) for s, whole, n in sides[1:]):
            return None
        others = [s.start // n for s, _, n in sides[1:]]
        stored = []
        for at in range(first.start, first.stop, steps):
            part = np.ascontiguousarray(values[at - first.start : at - first.start + steps], self.dtype)
            if part.shape != self.chunk:
                whole = np.full(self.chunk, self.fill, self.dtype)
                whole[tuple(slice(n) for n in part.shape)] = part
                part = whole
            data = part.tobytes() if self.codec is None else self.codec.encode(part)
            path = f"{self.folder}/{self.separator.join(str(n) for n in (at // steps, *others))}"
            temporary = f"{path}.{uuid.uuid4().hex}.partial"
            with open(temporary, "wb") as file:  # noqa: PTH123 (a third of the time that Path takes)
                file.write(data)
            os.replace(temporary, path)  # noqa: PTH105
            stored.append(data)
        return StoredLayer.of(*stored)
