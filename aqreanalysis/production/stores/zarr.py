"""The Zarr store of a cube: created from the template, filled by region writes of whole chunks."""

from __future__ import annotations

import base64
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numcodecs  # type: ignore[import-untyped]
import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from aqreanalysis.production.layers import CUBE_DIMS, Layer
from aqreanalysis.production.plan import HOURS_A_DAY, Block, Plan
from aqreanalysis.production.stores.bucket import pointed, split_store
from aqreanalysis.production.stores.zarr_direct import ChunkFiles
from aqreanalysis.production.template import GRID_MAPPING, Template

# Chunks that hold nothing but the fill are written too: a missing file then always means a missing block. Told to each
# array, because zarr's own setting is one for all threads.
_WRITE_ALL: Any = {"write_empty_chunks": True}
# Chunks within a shard: small enough for a map and for a time series alike, many to a file.
SHARD_CHUNK = (24, 32, 32)
CRS_URL = "http://www.opengis.net/def/crs/EPSG/0/4326"


@dataclass(frozen=True)
class StoreForm:
    """How a store is laid out on the disk.

    Attributes
    ----------
    zarr_format : int
        2 (read by every client) or 3.
    shards : bool
        Of format 3: one file a block holds its chunks, which are smaller than the block.
    """

    zarr_format: int = 2
    shards: bool = False


def create_store(path: Path, template: Template, level: int, form: StoreForm | int = 2) -> None:
    """Create the store with its coordinates and empty layers.

    Parameters
    ----------
    path : Path
        Folder of the store; what is there is replaced.
    template : Template
        Coordinates, layers, attributes.
    level : int
        Compression level 0..9 of zstd (in Blosc, with byte shuffle).
    form : StoreForm or int
        Or its Zarr format alone.
    """
    form = StoreForm(form) if isinstance(form, int) else form
    group = zarr.open_group(str(path), mode="w", zarr_format=form.zarr_format)  # type: ignore[arg-type]
    group.attrs.update(template.attrs)
    for name, coordinate in template.coordinates.items():
        values = coordinate.values
        _create(group, name, values.shape, (coordinate.dims, values.dtype, values.shape), (None, level))
        array = _array(group, name)
        _describe(array, coordinate.dims, coordinate.attrs)
        array[...] = coordinate.values
    for layer in template.layers:
        fill = np.nan if layer.dtype.startswith("float") else layer.fill
        chunks = template.chunks(layer)
        if form.shards:
            chunks = ShardedChunks.of(template.shape(layer), chunks)
        _create(group, layer.name, template.shape(layer), (layer.dims, np.dtype(layer.dtype), chunks), (fill, level))
        _describe(group[layer.name], layer.dims, {**layer.attrs, **_crs_attribute(template)}, fill)
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


def create_sums(path: Path, plan: Plan, widths: Mapping[str, int], level: int) -> None:
    """Create the store of the sums of days: an array (day, lat, lon, value) a name.

    Parameters
    ----------
    path : Path
        Folder of the store; what is there is replaced.
    plan : Plan
        Of the sweep, whose blocks become the chunks.
    widths : mapping
        Name -> values a day and cell.
    level : int
        Compression level.
    """
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    days = -(-plan.hours // HOURS_A_DAY), -(-plan.block[0] // HOURS_A_DAY)
    for name, width in widths.items():
        shape, chunks = (days[0], plan.rows, plan.columns, width), (days[1], *plan.block[1:], width)
        form = (("day", "lat", "lon", "value"), np.dtype(np.float32), chunks)
        _create(group, name, shape, form, (np.nan, level))


def write_sums(path: Path, block: Block, sums: Mapping[str, NDArray[Any]]) -> int:
    """Write the sums of the days of one block, whole chunks, and return the raw bytes written."""
    for name, values in sums.items():
        _put(path, name, (*block.region, slice(0, values.shape[-1])), values)
    return sum(values.nbytes for values in sums.values())


def read_sums(path: Path, name: str, block: Block) -> NDArray[np.float32]:
    """Return the sums of a block of days, float32 (day, row, column, value)."""
    return np.asarray(_arrays(str(path))(name)[block.region], dtype=np.float32)


def write_block(path: Path, block: Block, layers: Mapping[str, NDArray[Any]]) -> int:
    """Write the layers of one block, whole chunks, and return the raw bytes written.

    Each chunk is a file of its own that appears under its name only when it is complete, so blocks may be written at
    the same time by threads and processes, and again after a crash.
    """
    for name, values in layers.items():
        _put(path, name, block.region[len(block.region) - values.ndim :], values)
    return sum(values.nbytes for values in layers.values())


def _put(path: Path, name: str, region: tuple[slice, ...], values: NDArray[Any]) -> None:
    """Write one region of an array, which is a chunk where zarr's own way can be spared."""
    files = _chunk_files(str(path))(name)
    if files is None or not files.put(region, values):
        _arrays(str(path))(name)[region] = values


def read_region(path: Path, layer: Layer, block: Block) -> NDArray[Any]:
    """Return the values of one layer in one block, missing floats as NaN."""
    region = block.region if layer.dims == CUBE_DIMS else block.region[1:]
    return np.asarray(_arrays(str(path))(layer.name)[region])


def discard_partial_files(path: Path) -> int:
    """Delete what a killed writer left beside the chunks, and return how many files that were."""
    left = list(path.rglob("*.partial"))  # in format 3 chunks lie in folders of their own
    for file in left:
        file.unlink()
    return len(left)


def quiet_codecs() -> None:
    """Make compression independent of the thread it runs in.

    Blosc joins the pieces of a chunk in the order in which its own threads finish: the bytes of two equal runs would
    differ. Blocks are compressed in parallel instead.
    """
    numcodecs.blosc.use_threads = False


@lru_cache(maxsize=8)
def _arrays(path: str) -> Any:
    """Return a look-up of the arrays of a store; opening one reads its metadata, so each is opened once a process."""
    quiet_codecs()
    url = pointed(path)
    group = zarr.open_group(path if url is None else split_store(path, url), mode="r+")

    @cache
    def look_up(name: str) -> Any:
        return _array(group, name)

    return look_up


@lru_cache(maxsize=8)
def _chunk_files(path: str) -> Any:
    """Return a look-up of the files of a store's arrays; of one whose chunks go to a bucket there are none."""
    arrays = _arrays(path)
    return cache(lambda name: ChunkFiles.of(arrays(name)))


def _array(group: Any, name: str) -> Any:
    return group[name].with_config(_WRITE_ALL)


def forget() -> None:
    """Forget open arrays: a store is about to be replaced or moved."""
    _arrays.cache_clear()
    _chunk_files.cache_clear()


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
            numcodecs.Blosc(cname="zstd", clevel=level, shuffle=numcodecs.Blosc.SHUFFLE)
            if group.metadata.zarr_format == 2
            else BloscCodec(cname="zstd", clevel=level, shuffle="shuffle", typesize=dtype.itemsize)
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
    plain = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in attrs.items()}
    if array.metadata.zarr_format == 2:
        plain["_ARRAY_DIMENSIONS"] = list(dims)
    elif fill is not None:
        # The form in which xarray looks for a missing value in Zarr 3.
        plain["_FillValue"] = (
            base64.standard_b64encode(struct.pack("<d", fill)).decode() if isinstance(fill, float) else fill
        )
    array.attrs.update(plain)


def _crs_attribute(template: Template) -> dict[str, Any]:
    """Return the attribute in which GDAL before 3.8 looks for the coordinate system of a Zarr array."""
    return {"_CRS": {"url": CRS_URL, "wkt": template.coordinates[GRID_MAPPING].attrs["crs_wkt"]}}
