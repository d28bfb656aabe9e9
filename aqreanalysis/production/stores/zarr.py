"""Zarr stores: created from the template, filled by writes of whole chunks, put under their names by a swap."""

from __future__ import annotations

import base64
import os
import shutil
import struct
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numcodecs  # type: ignore[import-untyped]
import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec
from zarr.storage import LocalStore, WrapperStore

from aqreanalysis.common.publish import publish_folder, sync_file_system
from aqreanalysis.production.layers import CUBE_DIMS
from aqreanalysis.production.plan import HOURS_A_DAY, Block, Plan
from aqreanalysis.production.plan.timeline import HOURLY
from aqreanalysis.production.stores.chunk_digests import ChunkDigests, digests_of, put_into_store
from aqreanalysis.production.stores.existing import ExistingCube, Location, StoredHeader
from aqreanalysis.production.stores.store import (
    BlockSource,
    Checksums,
    Layers,
    Output,
    Store,
    StoredLayer,
    StoreSpec,
    Written,
    check_alike,
    damaged,
    file_checksums,
)
from aqreanalysis.production.stores.zarr_direct import ChunkFiles
from aqreanalysis.production.template import GRID_MAPPING, Template

if TYPE_CHECKING:
    from aqreanalysis.common.progress import Progress

# Chunks that hold nothing but the fill are written too: a missing file then always means a missing block. Told to each
# array, because zarr's own setting is one for all threads.
_WRITE_ALL: Any = {"write_empty_chunks": True}
# A chunk of 24 x 64 x 64 floats is compressed in one piece, bits of one weight beside each other: rounded values take
# two thirds of the bytes, and half of the time, that they took by whole bytes in pieces of Blosc's own choice.
_BLOSC_BLOCK = 1 << 19
# Chunks within a shard: small enough for a map and for a time series alike, many to a file.
SHARD_CHUNK = (24, 32, 32)
CRS_URL = "http://www.opengis.net/def/crs/EPSG/0/4326"


@dataclass(frozen=True)
class ZarrLayout:
    """How a store is laid out on the disk.

    Attributes
    ----------
    zarr_format : int
        2 (read by every client) or 3.
    shards : bool
        Of format 3: one file a block holds its chunks, which are smaller than the block.
    level : int
        Compression 0..9 of zstd (in Blosc, with bit shuffle).
    """

    zarr_format: int = 2
    shards: bool = False
    level: int = 1


@dataclass(frozen=True)
class ZarrStore(Store):
    """A Zarr store on a disk.

    Attributes
    ----------
    outputs : tuple of Output
        Its final name; none of the names of a cube that is not written.
    path : Path
        The folder of the store while it is filled.
    form : ZarrLayout
        How it is laid out.
    """

    outputs: tuple[Output, ...]
    path: Path
    form: ZarrLayout = ZarrLayout()

    @classmethod
    def open(cls, spec: StoreSpec) -> Store:
        """Return the store of a cube; nothing is written yet."""
        name = "store" if spec.frequency == HOURLY else spec.frequency
        return cls(spec.outputs, spec.part / f"{name}.zarr", ZarrLayout(spec.zarr_format, spec.shards, spec.level))

    @classmethod
    def open_dataset(cls, where: str) -> xr.Dataset:
        """Return a finished cube as xarray reads it, lazily."""
        return xr.open_dataset(Path(where), engine="zarr")

    @property
    def layout(self) -> str:
        """Kind and form, for people and for the fingerprint of the run."""
        return f"Zarr {self.form.zarr_format}{', shards' * self.form.shards}"

    def sample(self, folder: Path) -> Store:
        """Return a store of the same form in a folder of this machine, for a trial."""
        return ZarrStore((), folder / self.path.name, self.form)

    def zarr_store(self) -> Any:
        """Return what zarr opens for writing."""
        return LocalStore(self.path)

    def limited_to(self, outputs: Sequence[Output]) -> Store:
        """Return the store that leaves some of its outputs only; see `Store.limited_to`."""
        return replace(self, outputs=tuple(outputs))

    def create(self, template: Template) -> None:
        """Make the empty store; what is left of another is replaced."""
        close_cached_arrays()
        self._identity.unlink(missing_ok=True)
        create_group(self.path, template, self.form)

    def is_created(self) -> bool:
        """Tell whether it is there, empty or filled."""
        return self.path.exists()

    def write(self, block: Block, layers: Layers) -> Written:
        """Write layers of one block, whole chunks; see `Store.write`."""
        writer, stored = _writer(self), {}
        for name, values in layers.items():
            stored[name] = writer.put(name, block.region[len(block.region) - values.ndim :], values)
        return Written(sum(values.nbytes for values in layers.values()), stored)

    def read_checksums(self, name: str, block: Block) -> Checksums | None:
        """Return the CRC-32 of the chunks of a layer of a block as they lie there now; see `Store.read_checksums`."""
        return file_checksums(_writer(self).files(self.path / name, block.region))

    def discard(self, name: str, block: Block) -> None:
        """Take away damaged chunks: zarr reads a shard before it writes some of it; see `Store.discard`."""
        for file in _writer(self).files(self.path / name, block.region):
            file.unlink(missing_ok=True)

    def existing(self) -> ExistingCube:
        """Return the finished cube that stands under the name; see `Store.existing`."""
        path = Path(str(self.outputs[0].path))
        return ExistingCube.read(path, path.exists(), lambda: read_header(zarr.open_group(str(path), mode="r")))

    def open_source(self, older: ExistingCube, template: Template) -> BlockSource:
        """Return the blocks of a finished cube, of which this store adopts some."""
        return LinkedBlocks(Path(str(older.path)), self.path, template)

    def complete(
        self, templates: Mapping[str, Template], blocks: Mapping[int, Mapping[str, Checksums]], progress: Progress
    ) -> None:
        """Make the store whole, with the digests of its chunks, and put it on the disk."""
        discard_partial_files(self.path)  # of this run before it was killed, or of a worker that was
        for template in templates.values():
            put_into_store(self.path, ChunkDigests.of_blocks(template, blocks, self.form.shards))
        # Noted before the names are swapped: after a crash it tells whether that was done.
        self._identity.write_text(str(self.path.stat().st_ino), encoding="ascii")
        sync_file_system(self.path)

    def is_staged(self, output: Output) -> bool:
        """Tell whether the store has not got its name yet."""
        return self.path.exists()

    def finalise(self, output: Output) -> None:
        """Give the store its name; see `Store.finalise`."""
        close_cached_arrays()
        trash = self.path.with_suffix(".replaced")
        publish_folder(self.path, Path(str(output.path)), trash, int(self._identity.read_text(encoding="ascii")))

    @property
    def _identity(self) -> Path:
        return self.path.with_suffix(".identity")


@dataclass(frozen=True)
class DaySums:
    """The sums of days, which means are joined from: an array (day, lat, lon, value) a name, deleted at the end.

    Attributes
    ----------
    path : Path
        Folder of the store.
    """

    path: Path

    def zarr_store(self) -> Any:
        """Return what zarr opens for writing."""
        return LocalStore(self.path)

    def create(self, plan: Plan, widths: Mapping[str, int], level: int) -> None:
        """Make the empty store; what is there is replaced.

        Parameters
        ----------
        plan : Plan
            Of the sweep, whose blocks become the chunks.
        widths : mapping
            Name -> values a day and cell.
        level : int
            Compression level.
        """
        close_cached_arrays()
        group = zarr.open_group(str(self.path), mode="w", zarr_format=2)
        days = -(-plan.hours // HOURS_A_DAY), -(-plan.block[0] // HOURS_A_DAY)
        for name, width in widths.items():
            shape, chunks = (days[0], plan.rows, plan.columns, width), (days[1], *plan.block[1:], width)
            form = (("day", "lat", "lon", "value"), np.dtype(np.float32), chunks)
            _create(group, name, shape, form, (np.nan, level))

    def is_created(self) -> bool:
        """Tell whether it is there."""
        return self.path.exists()

    def write(self, block: Block, sums: Layers) -> Written:
        """Write the sums of the days of one block, whole chunks; see `Store.write`."""
        writer = _writer(self)
        stored = {name: writer.put(name, (*block.region, slice(0, v.shape[-1])), v) for name, v in sums.items()}
        return Written(sum(values.nbytes for values in sums.values()), stored)

    def read_checksums(self, name: str, block: Block) -> Checksums | None:
        """Return the CRC-32 of the sums of a block of days as they lie there now; see `Store.read_checksums`."""
        width = _writer(self).arrays(name).shape[-1]
        return file_checksums(_writer(self).files(self.path / name, (*block.region, slice(0, width))))

    def read(self, name: str, block: Block) -> NDArray[np.float32]:
        """Return the sums of a block of days, float32 (day, row, column, value)."""
        return np.asarray(_writer(self).arrays(name)[block.region], dtype=np.float32)


def create_group(path: Path, template: Template, form: ZarrLayout) -> None:
    """Create a store with its coordinates and empty layers; what is at `path` is replaced."""
    group = zarr.open_group(str(path), mode="w", zarr_format=form.zarr_format)  # type: ignore[arg-type]
    group.attrs.update(template.attrs)
    for name, coordinate in template.coordinates.items():
        values, step = coordinate.values, template.plan.chunk[0]
        # Along time as the layers, so that stores of months can be joined.
        chunks = tuple(min(n, step) if d == "time" else n for d, n in zip(coordinate.dims, values.shape, strict=True))
        _create(group, name, values.shape, (coordinate.dims, values.dtype, chunks), (None, form.level))
        array = _array(group, name)
        _describe(array, coordinate.dims, coordinate.attrs)
        array[...] = coordinate.values
    # Where GDAL before 3.8, which reads no format 3, looks for the coordinate system of an array.
    crs: dict[str, Any] = {}
    if form.zarr_format == 2:
        crs = {"_CRS": {"url": CRS_URL, "wkt": template.coordinates[GRID_MAPPING].attrs["crs_wkt"]}}
    for layer in template.layers:
        fill = np.nan if layer.dtype.startswith("float") else layer.fill
        chunks = template.chunks(layer)
        if form.shards:
            block = template.plan.block[len(CUBE_DIMS) - len(layer.dims) :]
            chunks = ShardedChunks.of(template.shape(layer), block)
        spec = (layer.dims, np.dtype(layer.dtype), chunks)
        _create(group, layer.name, template.shape(layer), spec, (fill, form.level))
        _describe(group[layer.name], layer.dims, {**layer.attrs, **crs}, fill)
    with warnings.catch_warnings():
        # Zarr 3 has not specified it yet, but xarray looks for it and readers that do not know it pass over it.
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        zarr.consolidate_metadata(group.store)


class ShardedChunks(tuple[int, ...]):
    """The shape of chunks, with that of the shard that holds them.

    Attributes
    ----------
    shard : tuple of int
        A multiple of the chunk, and the block of one task.
    """

    shard: tuple[int, ...]

    @classmethod
    def of(cls, shape: tuple[int, ...], block: tuple[int, ...]) -> ShardedChunks:
        """Return chunks of about `SHARD_CHUNK` for shards of one block.

        Where several blocks lie along an axis a shard must be exactly the block, so the chunk divides it; a single one
        may reach beyond the end.
        """
        sizes, shards = [], []
        for length, whole, wanted in zip(shape, block, SHARD_CHUNK[len(SHARD_CHUNK) - len(shape) :], strict=True):
            if whole >= length:
                size = -(-length // -(-length // wanted))
                shards.append(size * -(-length // size))
            else:
                size = max(n for n in range(1, min(wanted, whole) + 1) if whole % n == 0)
                size = size if 4 * size >= min(wanted, whole) else whole  # a prime block is not cut to slices
                shards.append(whole)
            sizes.append(size)
        chunks = cls(sizes)
        chunks.shard = tuple(shards)
        return chunks


def discard_partial_files(path: Path) -> int:
    """Delete what a killed writer left beside the chunks, and return how many files that were."""
    left = list(path.rglob("*.partial"))  # in format 3 chunks lie in folders of their own
    for file in left:
        file.unlink()
    return len(left)


class _HasZarrStore(Protocol):
    def zarr_store(self) -> Any: ...


class _Recording(WrapperStore[Any]):
    """A store of zarr that keeps the size and checksum of what goes into it, until they are asked for."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.chunks: dict[str, StoredLayer] = {}

    async def set(self, key: str, value: Any) -> None:
        """Store and note."""
        self.chunks[key] = StoredLayer.of(value.to_bytes())
        await self._store.set(key, value)


class _Writer:
    """An open store: its arrays are opened once a process, since opening one reads its metadata.

    Attributes
    ----------
    arrays : callable
        Name -> array.
    """

    def __init__(self, store: Any) -> None:
        # Blosc joins the pieces of a chunk in the order in which its own threads finish: the bytes of two equal runs
        # would differ. Blocks are compressed in parallel instead.
        numcodecs.blosc.use_threads = False
        recording = _Recording(store)
        group = zarr.open_group(recording, mode="r+")
        self._recorded = recording.chunks
        self.arrays: Callable[[str], Any] = cache(lambda name: _array(group, name))
        # Only where chunks go to this disk can zarr's own way be spared.
        self._files = cache(lambda name: ChunkFiles.of(self.arrays(name), store))

    def put(self, name: str, region: tuple[slice, ...], values: NDArray[Any]) -> StoredLayer:
        """Write one region of an array, whole chunks along time or a shard."""
        files = self._files(name)
        stored = None if files is None else files.put(region, values)
        if stored is None:
            array = self.arrays(name)
            array[region] = values
            stored = StoredLayer.joined([self._recorded.pop(f"{name}/{key}") for key in chunk_keys(array, region)])
        return stored

    def files(self, folder: Path, region: tuple[slice, ...]) -> list[Path]:
        """Return the files of the chunks of a region of an array, which are in `folder` on this disk."""
        return [folder / key for key in chunk_keys(self.arrays(folder.name), region)]


@lru_cache(maxsize=8)
def _writer(store: _HasZarrStore) -> _Writer:
    return _Writer(store.zarr_store())


def close_cached_arrays() -> None:
    """Close the stores that are open: one is about to be replaced or moved."""
    _writer.cache_clear()


def _array(group: Any, name: str) -> Any:
    return group[name].with_config(_WRITE_ALL)


def chunk_keys(array: zarr.Array, region: tuple[slice, ...]) -> list[str]:
    """Return the names within its array of the chunks, or the shard, of a block's region over (..., lat, lon): those
    along its first axis."""
    sizes = array.shards or array.chunks
    first, *rest = region[len(region) - len(sizes) :]
    others = [s.start // n for s, n in zip(rest, sizes[1:], strict=True)]
    numbers = range(first.start // sizes[0], -(-first.stop // sizes[0]))
    return [str(array.metadata.encode_chunk_key((number, *others))) for number in numbers]


def _create(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    form: tuple[tuple[str, ...], np.dtype[Any], tuple[int, ...]],
    fill_and_level: tuple[float | int | None, int],
) -> None:
    """Create an array; `form` is its dimensions, type and chunks."""
    (dims, dtype, chunks), (fill, level) = form, fill_and_level
    options: dict[str, Any] = {"compressors": None}
    if shape:
        options["compressors"] = (
            numcodecs.Blosc(cname="zstd", clevel=level, shuffle=numcodecs.Blosc.BITSHUFFLE, blocksize=_BLOSC_BLOCK)
            if group.metadata.zarr_format == 2
            else BloscCodec(
                cname="zstd", clevel=level, shuffle="bitshuffle", typesize=dtype.itemsize, blocksize=_BLOSC_BLOCK
            )
        )
        if isinstance(chunks, ShardedChunks):
            options["shards"] = chunks.shard
        options["chunks"] = tuple(chunks)
    # Zarr 3 wants a fill of every array; xarray does not read it there, so 0 hides no value.
    if group.metadata.zarr_format == 3:
        options["dimension_names"] = dims
        fill = 0 if fill is None else fill
    group.create_array(name, shape=shape, dtype=dtype, fill_value=fill, config=_WRITE_ALL, **options)


def _describe(array: Any, dims: tuple[str, ...], attrs: Mapping[str, Any], fill: float | int | None = None) -> None:
    plain = {k: v.tolist() if isinstance(v, (np.ndarray, np.generic)) else v for k, v in attrs.items()}
    if array.metadata.zarr_format == 2:
        plain["_ARRAY_DIMENSIONS"] = list(dims)
    elif fill is not None:
        # The form in which xarray looks for a missing value in Zarr 3.
        plain["_FillValue"] = (
            base64.standard_b64encode(struct.pack("<d", fill)).decode() if isinstance(fill, float) else fill
        )
    array.attrs.update(plain)


class LinkedBlocks:
    """The blocks of a finished store on a disk, in the same chunks: a `BlockSource` of another on that disk."""

    def __init__(self, finished: Path, path: Path, template: Template) -> None:
        self._finished, self._path, self._template = finished, path, template
        self._theirs, self._ours = (zarr.open_group(str(folder), mode="r") for folder in (finished, path))
        self._digests = digests_of(finished)

    def close(self) -> None:
        """Nothing is open."""

    def check(self, chunked_alike: bool) -> None:
        """Refuse a cube of another layout; see `BlockSource.check`."""
        check_groups(self._finished, (self._theirs, self._ours), self._template, chunked_alike)

    def adopt(self, block: Block) -> Mapping[str, Checksums]:
        """Give the chunks of a block a second name where the disk has such, which costs neither time nor room.

        Chunks are never changed in place, only replaced.
        """
        checksums: dict[str, Checksums] = {}
        for layer in self._template.layers:
            if layer.dims != CUBE_DIMS and block.time[0] != 0:
                continue
            array = self._ours[layer.name]
            assert isinstance(array, zarr.Array)
            keys = chunk_keys(array, block.region)
            current = file_checksums([self._finished / layer.name / key for key in keys])
            if self._digests is not None and current != self._digests.of_region(layer.name, block.region):
                raise damaged(self._finished, layer, block)  # else it would be handed on as what was written
            checksums[layer.name] = current
            for key in keys:
                source, goal = (folder / layer.name / key for folder in (self._finished, self._path))
                if goal.exists():
                    continue
                goal.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(source, goal)
                except FileNotFoundError:
                    raise damaged(self._finished, layer, block) from None
                except OSError:  # no second names on this file system
                    temporary = goal.with_name(goal.name + ".partial")
                    shutil.copyfile(source, temporary)
                    temporary.replace(goal)
        return checksums


def check_groups(where: Location, groups: tuple[Any, Any], template: Template, chunked_alike: bool) -> None:
    """Refuse a finished store whose layers are stored otherwise than those of one that continues it; see `check_alike`.

    Raises
    ------
    OutputError
        With both values.
    """
    for layer in template.layers:
        theirs, ours = (_form(group[layer.name]) for group in groups)
        check_alike(where, layer.name, (theirs, ours), chunked_alike)


def _form(array: Any) -> dict[str, str]:
    """Return what of an array decides the bytes of its chunks."""
    return {
        "Zarr format": str(array.metadata.zarr_format),
        "shard": str(array.shards),
        "chunk": str(array.chunks),
        "compression": str((array.filters, array.compressors)),
        "type": array.dtype.str,
    }


def read_header(group: zarr.Group) -> StoredHeader:
    """Return what a finished store says of itself."""
    layers, arrays = {}, dict(group.arrays())
    for name, array in arrays.items():
        # Zarr 2 has no place for the names of dimensions but an attribute.
        dims: Any = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS", ())
        layers[name] = array.dtype.str, tuple(dims)
    bounds = np.asarray(arrays["time_bnds"][:]).round().astype(np.int64)
    return StoredHeader(dict(group.attrs), bounds, layers)
