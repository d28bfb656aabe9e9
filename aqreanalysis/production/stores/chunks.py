"""The staging folder of a NetCDF file: its chunks, in the very bytes in which HDF5 stores them.

Whoever computes a block also shuffles and compresses it, so that all processors share what would be nine tenths of the
writer's time; the one writer that HDF5 allows then copies bytes (`netcdf.write_netcdf`).
"""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from aqreanalysis.production.plan import Block
from aqreanalysis.production.template import Template

SUFFIX = ".chunks"
_FORMS = "forms.json"
# Up to here ISA-L compresses: the same format as zlib's at some six times its speed, 1 % larger than by zlib's level 1.
# Its bytes (never the values) may depend on the kind of processor.
FAST_LEVELS = 3
# Of ISA-L's own levels. What its first two make of the same bytes can differ from one process to another, once in some
# ten thousand small chunks (seen in isal 1.9): still right, but a resumed run must end with the bytes of a whole one.
_REPEATABLE = 3


@dataclass(frozen=True)
class Form:
    """How the chunks of one layer look.

    Attributes
    ----------
    dtype : str
        NumPy type, little-endian.
    chunk : tuple of int
        Shape of every chunk, those at the ends of the axes too.
    fill : float, int or None
        Missing value; NaN becomes it.
    level : int
        Of compression; 0 keeps the chunks plain, neither shuffled nor compressed.
    """

    dtype: str
    chunk: tuple[int, ...]
    fill: float | int | None
    level: int

    def encode(self, values: NDArray[Any]) -> bytes:
        """Return a chunk as HDF5 stores it: fill for NaN and beyond the end of the axes, byte shuffle, zlib."""
        values = np.ascontiguousarray(values, dtype=self.dtype)
        fill = 0 if self.fill is None else self.fill
        if values.dtype.kind == "f":
            values = np.where(np.isnan(values), values.dtype.type(fill), values)
        if values.shape != self.chunk:
            whole = np.full(self.chunk, fill, dtype=self.dtype)
            whole[tuple(slice(n) for n in values.shape)] = values
            values = whole
        if self.level == 0:
            return values.tobytes()
        shuffled = values.reshape(-1).view(np.uint8).reshape(-1, values.itemsize).T.tobytes()
        return compress(shuffled, self.level)

    def decode(self, stored: bytes) -> NDArray[Any]:
        """Return the values of a whole chunk, missing ones as the fill."""
        if self.level == 0:
            return np.frombuffer(stored, self.dtype).reshape(self.chunk)
        shuffled = np.frombuffer(zlib.decompress(stored), np.uint8).reshape(np.dtype(self.dtype).itemsize, -1)
        return np.ascontiguousarray(shuffled.T).view(self.dtype).reshape(self.chunk)


def compress(data: bytes, level: int) -> bytes:
    """Return `data` in zlib's format, compressed with the GIL released."""
    return isal_zlib.compress(data, _REPEATABLE) if level <= FAST_LEVELS else zlib.compress(data, level)


def forms_of(template: Template, level: int) -> dict[str, Form]:
    """Return the form of each layer of a template."""
    return {
        layer.name: Form(np.dtype(layer.dtype).newbyteorder("<").str, template.chunks(layer), layer.fill, level)
        for layer in template.layers
    }


def create_chunks(path: Path, template: Template, level: int) -> None:
    """Create the staging folder of a NetCDF file; it must not exist."""
    path.mkdir(parents=True)
    forms = forms_of(template, level)
    for name in forms:
        (path / name).mkdir()
    text = json.dumps({name: vars(form) for name, form in forms.items()})
    (path / _FORMS).write_text(text, encoding="utf-8")


class ChunkFolder:
    """A staging folder, opened.

    Attributes
    ----------
    path : Path
        Of `create_chunks`.
    forms : dict
        Name of each layer -> `Form`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        found = json.loads((path / _FORMS).read_text(encoding="utf-8"))
        self.forms = {name: Form(**{**form, "chunk": tuple(form["chunk"])}) for name, form in found.items()}

    def file(self, name: str, block: Block) -> Path:
        """Return the file of one layer of a block."""
        chunk = self.forms[name].chunk
        starts = (s.start for s in block.region[len(block.region) - len(chunk) :])
        return self.path / name / ".".join(str(start // size) for start, size in zip(starts, chunk, strict=True))

    def write(self, block: Block, layers: Mapping[str, NDArray[Any]]) -> int:
        """Write the layers of one block, and return their raw bytes.

        A file appears under its name only when it is complete, so blocks may be written by threads and processes at
        once, and again after a crash.
        """
        for name, values in layers.items():
            self.put(name, block, self.forms[name].encode(values))
        return sum(values.nbytes for values in layers.values())

    def put(self, name: str, block: Block, stored: bytes) -> None:
        """Write one layer of a block that is encoded already."""
        file = self.file(name, block)
        temporary = file.with_name(f"{file.name}.{uuid.uuid4().hex}.partial")
        temporary.write_bytes(stored)
        temporary.replace(file)

    def read(self, name: str, block: Block) -> bytes:
        """Return the stored chunk of one layer of a block."""
        return self.file(name, block).read_bytes()
