"""What a finished cube says of its own chunks: the CRC-32 of each, by which a damaged one is known and named.

They are attributes alone: in a store of a group beside the layers, which whoever writes the cube anew with xarray
leaves behind, and in a NetCDF file of a variable without dimensions, since R's stars reads no file that holds a group.
There they count only while the chunks lie where they lay.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from aqreanalysis.errors import OutputError
from aqreanalysis.production.layers import CHUNK_DIGESTS
from aqreanalysis.production.stores.store import Checksums

if TYPE_CHECKING:
    from aqreanalysis.production.plan import Plan
    from aqreanalysis.production.stores.existing import ExistingCube
    from aqreanalysis.production.template import Template

# The group or variable, and what its attributes say of themselves.
GROUP = CHUNK_DIGESTS
_COMMENT = (
    "CRC-32 of the stored bytes of each chunk, or shard where there are any, by layer: shape of a chunk, numbers a "
    "dimension, then all in C order, little-endian, base64, in pieces; aqreanalysis validate compares them"
)
# An attribute of NetCDF holds 64 kB.
_PIECE = 48_000
_LAYOUT = "layout"

Index = tuple[int, ...]
# Layer, index and shape of a chunk.
DamagedChunk = tuple[str, Index, tuple[int, ...]]


@dataclass(frozen=True)
class ChunkDigests:
    """The CRC-32 of every chunk of a cube.

    Attributes
    ----------
    chunks : dict
        Layer -> shape of a chunk, or of a shard where there are any.
    checksums : dict
        Layer -> uint32 array, one number a chunk along each axis.
    layout : int
        CRC-32 of where in the file the chunks lie; 0 of a store, where each is a file.
    """

    chunks: dict[str, tuple[int, ...]]
    checksums: dict[str, NDArray[np.uint32]]
    layout: int = 0

    @classmethod
    def of_blocks(
        cls, template: Template, blocks: Mapping[int, Mapping[str, Checksums]], shards: bool = False
    ) -> ChunkDigests:
        """Return those of blocks as they were noted when they were written, by their numbers in the plan."""
        plan, chunks, checksums = template.plan, {}, {}
        for layer in template.layers:
            size = len(layer.dims)
            chunks[layer.name] = plan.block[len(plan.block) - size :] if shards else template.chunks(layer)
            counts = tuple(-(-n // c) for n, c in zip(template.shape(layer), chunks[layer.name], strict=True))
            checksums[layer.name] = np.zeros(counts, dtype="<u4")
        for number, written in blocks.items():
            region = plan.get_block(number).region
            for name, ones in written.items():
                if name in checksums:
                    part = region[len(region) - checksums[name].ndim :]
                    first, *others = (s.start // c for s, c in zip(part, chunks[name], strict=True))
                    checksums[name][(slice(first, first + len(ones)), *others)] = ones
        return cls(chunks, checksums)

    @classmethod
    def from_attributes(cls, attrs: Mapping[str, Any]) -> ChunkDigests | None:
        """Return what the attributes say; None if they are those of no such thing, or damaged."""
        chunks, checksums = {}, {}
        try:
            for name in sorted({key.rpartition("__")[0] for key in attrs if "__" in key}):
                shape, counts, text = "".join(_pieces(attrs, name)).split()
                chunks[name] = tuple(map(int, shape.split("x")))
                numbers = np.frombuffer(base64.b64decode(text, validate=True), dtype="<u4")
                checksums[name] = numbers.reshape(tuple(map(int, counts.split("x"))))
            return cls(chunks, checksums, int(attrs[_LAYOUT])) if chunks else None
        except (KeyError, ValueError):
            return None

    @property
    def attributes(self) -> dict[str, str]:
        """What the attributes say, in plain letters."""
        attrs = {"comment": _COMMENT, _LAYOUT: str(self.layout)}
        for name, numbers in self.checksums.items():
            sizes = ("x".join(map(str, shape)) for shape in (self.chunks[name], numbers.shape))
            text = f"{' '.join(sizes)} {base64.b64encode(numbers.astype('<u4').tobytes()).decode('ascii')}"
            attrs |= {f"{name}__{i}": text[i * _PIECE : (i + 1) * _PIECE] for i in range(-(-len(text) // _PIECE))}
        return attrs

    def of_region(self, name: str, region: tuple[slice, ...]) -> Checksums:
        """Return those of the chunks of a block's region over (..., lat, lon), along their first axis."""
        numbers, chunk = self.checksums[name], self.chunks[name]
        first, *rest = (slice(s.start // n, -(-s.stop // n)) for s, n in zip(region[-len(chunk) :], chunk, strict=True))
        return tuple(numbers[(first, *(s.start for s in rest))].tolist())

    def damaged(self, read: Callable[[str, Index], bytes | None]) -> Iterator[DamagedChunk]:
        """Yield layer, index and shape of each chunk that is not what was written; `read` gives None for none."""
        for name, numbers in self.checksums.items():
            for index in np.ndindex(numbers.shape):
                data = read(name, index)
                if data is None or isal_zlib.crc32(data) != numbers[index]:
                    yield name, index, self.chunks[name]


def _pieces(attrs: Mapping[str, Any], name: str) -> Iterator[str]:
    number = 0
    while (piece := attrs.get(f"{name}__{number}")) is not None:
        yield str(piece)
        number += 1


def put_into_store(path: Path, digests: ChunkDigests) -> None:
    """Write the group into a store of Zarr on a disk."""
    import zarr

    group = zarr.open_group(str(path), mode="r+")
    group.create_group(GROUP, overwrite=True, attributes=digests.attributes)


def put_into_file(path: Path, digests: ChunkDigests) -> None:
    """Write the variable into a NetCDF file whose chunks are all there."""
    import h5py
    import netCDF4

    with h5py.File(path, "r") as file:
        layout = _layout(file, digests.checksums)
    with netCDF4.Dataset(str(path), "a") as file:
        attributes = ChunkDigests(digests.chunks, digests.checksums, layout).attributes
        long_name = {"long_name": "checksums of the stored chunks of each layer"}
        file.createVariable(GROUP, "i1").setncatts(long_name | attributes)
        # As the bounds and the grid mapping: what joins files by xarray then gives it no time.
        file.setncattr("coordinates", f"{getattr(file, 'coordinates', '')} {GROUP}".strip())


def digests_of(path: Path) -> ChunkDigests | None:
    """Return those that a finished cube on this machine carries; None if it has none.

    A file that another program has written anew since, attributes and all, has none either.
    """
    if path.is_dir():
        import zarr

        group = zarr.open_group(str(path), mode="r", use_consolidated=False)
        return ChunkDigests.from_attributes(dict(group[GROUP].attrs)) if GROUP in group else None
    import h5py

    with h5py.File(path, "r") as file:
        if GROUP not in file:
            return None
        digests = ChunkDigests.from_attributes({key: _text(value) for key, value in file[GROUP].attrs.items()})
        return digests if digests is not None and digests.layout == _layout(file, digests.checksums) else None


def damaged_chunks(path: Path) -> list[DamagedChunk] | None:
    """Return layer, index and shape of each damaged chunk of a cube on this machine; None if it carries no digests."""
    digests = digests_of(path)
    if digests is None:
        return None
    return (_damaged_in_store if path.is_dir() else _damaged_in_file)(path, digests)


def damaged_blocks(file: ExistingCube, plan: Plan, first_step: int = 0) -> set[int]:
    """Return the numbers of the blocks of a plan that have a damaged chunk in a finished cube or a file of it.

    Parameters
    ----------
    file : ExistingCube
        What is there.
    plan : Plan
        Of the whole cube.
    first_step : int
        The step of the whole at which the file begins.

    Raises
    ------
    OutputError
        If it carries no digests, or lies in object storage.
    """
    where = file.path
    if not isinstance(where, Path):
        raise OutputError(f"{where} is in object storage: copy it to a disk, repair it there, and put it back")
    damaged = damaged_chunks(where)
    if damaged is None:
        raise OutputError(
            f"{where} carries no digests of its chunks: an older version or another program wrote it; produce it anew"
        )
    numbers = set()
    for _, index, chunk in damaged:
        starts = [i * n for i, n in zip(index, chunk, strict=True)]
        starts = [first_step, *starts] if len(starts) == 2 else [starts[0] + first_step, *starts[1:]]
        time, row, column = (start // size for start, size in zip(starts, plan.block, strict=True))
        numbers.add((time * plan.counts[1] + row) * plan.counts[2] + column)
        # A chunk of a file of a month may lie in two blocks of the whole.
        if len(index) == 3 and (last := (starts[0] + chunk[0] - 1) // plan.block[0]) != time < plan.counts[0] - 1:
            numbers.add((min(last, plan.counts[0] - 1) * plan.counts[1] + row) * plan.counts[2] + column)
    return numbers


def _damaged_in_store(path: Path, digests: ChunkDigests) -> list[DamagedChunk]:
    import zarr

    group = zarr.open_group(str(path), mode="r", use_consolidated=False)

    def read(name: str, index: Index) -> bytes | None:
        array = group[name]
        assert isinstance(array, zarr.Array)
        file = path / name / str(array.metadata.encode_chunk_key(index))
        return file.read_bytes() if file.is_file() else None

    return list(digests.damaged(read))


def _damaged_in_file(path: Path, digests: ChunkDigests) -> list[DamagedChunk]:
    import h5py

    with h5py.File(path, "r") as file:

        def read(name: str, index: Index) -> bytes | None:
            offset = tuple(i * n for i, n in zip(index, digests.chunks[name], strict=True))
            try:
                data: bytes = file[name].id.read_direct_chunk(offset)[1]
            except (OSError, RuntimeError, ValueError):
                return None
            return data

        return list(digests.damaged(read))


def _text(value: Any) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _layout(file: Any, layers: Mapping[str, Any]) -> int:
    """Return the CRC-32 of where the chunks of some layers lie in a file: a copy has them there, one written anew not.

    An editor of attributes leaves them where they are.
    """
    places: list[int] = []
    for name in sorted(layers):
        if name in file:
            file[name].id.chunk_iter(lambda chunk: places.append(chunk.byte_offset))
    return isal_zlib.crc32(np.array(sorted(places), dtype="<i8").tobytes())
