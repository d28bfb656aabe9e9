"""NetCDF: chunks staged in the very bytes in which HDF5 stores them, then copied into files by one writer.

Whoever computes a block also shuffles and compresses it, so that all processors share what would be nine tenths of the
writer's time; the one writer that HDF5 allows then copies bytes. A cube may be cut into a file a month or year: their
chunks are put together out of those of the whole.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import netCDF4
import numpy as np
import xarray as xr
from isal import isal_zlib
from numpy.typing import NDArray

from aqreanalysis.common.publish import sync_folder
from aqreanalysis.errors import CubeError, OutputError
from aqreanalysis.production.layers import CUBE_DIMS, Layer
from aqreanalysis.production.plan.timeline import HOURLY
from aqreanalysis.production.stores.chunk_digests import ChunkDigests, digests_of, put_into_file
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

if TYPE_CHECKING:
    from aqreanalysis.common.progress import Progress
    from aqreanalysis.production.plan import Block
    from aqreanalysis.production.template import Template

_ENCODINGS = "forms.json"
# Up to here ISA-L compresses: the same format as zlib's at some six times its speed, 1 % larger than by zlib's level 1.
# Its bytes (never the values) may depend on the kind of processor.
FAST_LEVELS = 3
# Of ISA-L's own levels. What its first two make of the same bytes can differ from one process to another, once in some
# ten thousand small chunks (seen in isal 1.9): still right, but a resumed run must end with the bytes of a whole one.
_REPEATABLE = 3


@dataclass(frozen=True)
class NetcdfStore(Store):
    """A NetCDF file, or one a month or year, made of a folder of chunks.

    Attributes
    ----------
    outputs : tuple of Output
        The files that are written.
    whole : Path
        The name that those of the files are made from; of a single one its own.
    path : Path
        The folder of the chunks.
    level : int
        Of compression.
    split : str
        ``none``, ``month`` or ``year``.
    """

    outputs: tuple[Output, ...]
    whole: Path
    path: Path
    level: int
    split: str = "none"
    copies = True

    @classmethod
    def locate(cls, out: str) -> Location:
        """Return the place that a name says; see `Store.locate`."""
        path = Path(out)
        if path.is_dir():
            raise OutputError(f"output {path} is a folder; choose another name")
        return path

    @classmethod
    def check_split(cls, whole: Location) -> None:
        """A file can be cut."""

    @classmethod
    def open(cls, spec: StoreSpec) -> Store:
        """Return the store of a cube; nothing is written yet."""
        name = "store" if spec.frequency == HOURLY else spec.frequency
        return cls(spec.outputs, Path(str(spec.whole)), spec.part / f"{name}.chunks", spec.level, spec.split)

    @classmethod
    def open_dataset(cls, where: str) -> xr.Dataset:
        """Return a finished cube as xarray reads it, lazily."""
        return xr.open_dataset(_on_disk(where), engine="netcdf4")

    @classmethod
    def stored_bytes(cls, where: str) -> int:
        """Return the bytes of the file of a finished cube, wherever it is."""
        return _on_disk(where).stat().st_size

    @property
    def layout(self) -> str:
        """Kind and form, for people and for the fingerprint of the run."""
        return "NetCDF" if self.split == "none" else f"NetCDF, a file a {self.split}"

    @property
    def disk(self) -> Path | None:
        """The folder that the files come to."""
        return self.whole.parent

    def sample(self, folder: Path) -> Store:
        """Return a store of the same form in a folder of this machine, for a trial."""
        return NetcdfStore((), folder / self.whole.name, folder / self.path.name, self.level)

    def limited_to(self, outputs: Sequence[Output]) -> Store:
        """Return the store that leaves some of its outputs only; see `Store.limited_to`."""
        return replace(self, outputs=tuple(outputs))

    def create(self, template: Template) -> None:
        """Make the empty folder; what is left of another is replaced."""
        _folder.cache_clear()
        shutil.rmtree(self.path, ignore_errors=True)
        create_chunks(self.path, template, self.level)

    def is_created(self) -> bool:
        """Tell whether it is there, empty or filled."""
        return self.path.exists()

    def write(self, block: Block, layers: Layers) -> Written:
        """Write layers of one block; see `Store.write`."""
        return _folder(self.path).write(block, layers)

    def read_checksums(self, name: str, block: Block) -> Checksums | None:
        """Return the CRC-32 of the chunks of a layer of a block as they lie there now; see `Store.read_checksums`."""
        return _folder(self.path).checksums(name, block)

    def existing(self) -> ExistingCube:
        """Return the finished cube of the file, or of the files; see `Store.existing`.

        Files from the beginning may have been taken away: the cube then begins with the first one that is left.
        """
        if self.split == "none":
            return _read_existing(self.whole)
        files = part_files(self.whole, self.split)
        if not files:
            names = self.whole.with_name(f"{self.whole.stem}_*{self.whole.suffix}")
            raise OutputError(
                f"there is no cube {names} with a file a {self.split} to append to; produce it without --append first"
            )
        return ExistingCube.joined(tuple(_read_existing(file) for file in files))

    def open_source(self, older: ExistingCube, template: Template) -> BlockSource:
        """Return the blocks of a finished cube, of which this store adopts some."""
        kind = StoredBlocks if older.parts else StoredChunks
        return kind(older, ChunkFolder(self.path), template)

    def complete(
        self, templates: Mapping[str, Template], blocks: Mapping[int, Mapping[str, Checksums]], progress: Progress
    ) -> None:
        """Write the files under names that they have until all are whole; those from before a crash anew."""
        for output in self.outputs:
            first, template = output.steps[0] if output.steps else 0, templates[output.name]
            # Of a part the chunks are others than those of the whole, and put together as they are written.
            known = None if output.steps else ChunkDigests.of_blocks(template, blocks)
            write_netcdf(self.path, template, self._file(output), progress, first, known)
        # The chunks that the files were copied from are deleted next: what of them has never reached the disk need not
        # be written, and takes no time to delete (0.6 s of a week's NetCDF).
        sync_folder(self.path.parent)

    def is_staged(self, output: Output) -> bool:
        """Tell whether a file is written and has not got its name yet."""
        return self._file(output).exists()

    def finalise(self, output: Output) -> None:
        """Give a file its name."""
        rename_file(self._file(output), Path(str(output.path)))

    def _file(self, output: Output) -> Path:
        return self.path.with_name("cube.nc" if output.name == HOURLY else f"{output.name}.nc")


@lru_cache(maxsize=8)
def _folder(path: Path) -> ChunkFolder:
    return ChunkFolder(path)


@dataclass(frozen=True)
class ChunkEncoding:
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


def encodings_of(template: Template, level: int) -> dict[str, ChunkEncoding]:
    """Return the form of each layer of a template."""
    return {
        layer.name: ChunkEncoding(
            np.dtype(layer.dtype).newbyteorder("<").str, template.chunks(layer), layer.fill, level
        )
        for layer in template.layers
    }


def create_chunks(path: Path, template: Template, level: int) -> None:
    """Create the staging folder of a NetCDF file; it must not exist."""
    path.mkdir(parents=True)
    forms = encodings_of(template, level)
    for name in forms:
        (path / name).mkdir()
    text = json.dumps({name: vars(form) for name, form in forms.items()})
    (path / _ENCODINGS).write_text(f"{zlib.crc32(text.encode()):08x} {text}", encoding="utf-8")


class ChunkFolder:
    """A staging folder, opened.

    Attributes
    ----------
    path : Path
        Of `create_chunks`.
    forms : dict
        Name of each layer -> `ChunkEncoding`.

    Raises
    ------
    OutputError
        If the forms of its chunks are not those that were written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        checksum, _, text = (path / _ENCODINGS).read_text(encoding="utf-8", errors="replace").partition(" ")
        if checksum != f"{zlib.crc32(text.encode()):08x}":
            raise OutputError(
                f"{path / _ENCODINGS} is damaged, without which the chunks beside it cannot be read: begin anew with "
                "--overwrite"
            )
        stored = json.loads(text)
        self.forms = {name: ChunkEncoding(**{**form, "chunk": tuple(form["chunk"])}) for name, form in stored.items()}

    def file(self, name: str, block: Block) -> Path:
        """Return the file of one layer of a chunk."""
        chunk = self.forms[name].chunk
        starts = (s.start for s in block.region[len(block.region) - len(chunk) :])
        return self.path / name / ".".join(str(start // size) for start, size in zip(starts, chunk, strict=True))

    def write(self, block: Block, layers: Layers) -> Written:
        """Write layers of one block, as of `Store.write`."""
        stored = {name: self.put_values(name, block, values) for name, values in layers.items()}
        return Written(sum(values.nbytes for values in layers.values()), stored)

    def checksums(self, name: str, block: Block) -> Checksums:
        """Return the CRC-32 of the chunks of a layer of a block; those that cannot be read are left out."""
        chunk = self.forms[name].chunk
        parts = [block] if len(chunk) < len(block.region) else block.cut(chunk[0])
        return file_checksums([self.file(name, part) for part in parts])

    def put_values(self, name: str, block: Block, values: NDArray[Any]) -> StoredLayer:
        """Write one layer of a block, chunk by chunk."""
        form, stored = self.forms[name], []
        if len(form.chunk) < len(block.region):  # a map, of one chunk a tile
            return self.put(name, block, form.encode(values))
        for part in block.cut(form.chunk[0]):
            begin, end = (step - block.time[0] for step in part.time)
            stored.append(self.put(name, part, form.encode(values[begin:end])))
        return StoredLayer.joined(stored)

    def put(self, name: str, block: Block, stored: bytes) -> StoredLayer:
        """Write one layer of a chunk that is encoded already."""
        file = self.file(name, block)
        temporary = file.with_name(f"{file.name}.{uuid.uuid4().hex}.partial")
        temporary.write_bytes(stored)
        temporary.replace(file)
        return StoredLayer.of(stored)

    def read(self, name: str, block: Block) -> bytes:
        """Return one layer of a chunk as it is stored."""
        return self.file(name, block).read_bytes()


class ChunkPart:
    """Some steps of a staging folder, read as if they were a folder of their own.

    Chunks that lie whole in the part, at a place where it has one too, are given as they are; others are put together
    anew.

    Attributes
    ----------
    forms : dict
        Name of each layer -> `ChunkEncoding` of its chunks in the part.
    """

    def __init__(self, whole: ChunkFolder, template: Template, first_step: int) -> None:
        level = next(iter(whole.forms.values())).level
        self.forms: dict[str, ChunkEncoding] = encodings_of(template, level)
        self._whole, self._first = whole, first_step

    def read(self, name: str, block: Block) -> bytes:
        """Return one layer of a chunk of the part, as HDF5 stores it."""
        ours, theirs = self.forms[name], self._whole.forms[name]
        if len(ours.chunk) < 3:  # a map, the same in every part
            return self._whole.read(name, block)
        start, stop = (self._first + step for step in block.time)
        size = theirs.chunk[0]
        if ours.chunk == theirs.chunk and start % size == 0 and stop - start == size:
            return self._whole.read(name, replace(block, time=(start, stop)))
        pieces = [self._piece(name, block, index, (start, stop)) for index in range(start // size, -(-stop // size))]
        return ours.encode(np.concatenate(pieces))

    def _piece(self, name: str, block: Block, index: int, steps: tuple[int, int]) -> NDArray[np.generic]:
        """Return what chunk `index` of the whole along time holds of some steps."""
        size = self._whole.forms[name].chunk[0]
        held = replace(block, time=(index * size, (index + 1) * size))
        values = self._whole.forms[name].decode(self._whole.read(name, held))
        begin, end = max(steps[0] - index * size, 0), min(steps[1] - index * size, size)
        return values[begin:end, : block.rows[1] - block.rows[0], : block.columns[1] - block.columns[0]]


def write_netcdf(
    folder: Path,
    template: Template,
    path: Path,
    progress: Progress,
    first_step: int = 0,
    known: ChunkDigests | None = None,
) -> None:
    """Write the NetCDF file from its full staging folder, and sync it; `rename_file` then gives it its name.

    HDF5 has one writer, and a file killed in the middle of a write opens with no records: so the file gets its name
    only when it is whole. netCDF4 writes all but the layers' numbers; their chunks come ready for the disk and are
    copied as they are, which takes a tenth of the time of compressing them here. Memory holds one chunk at a time.

    Parameters
    ----------
    folder : Path
        Of `create_chunks`.
    template : Template
        What it was created from.
    path : Path
        A temporary name on the file system of the output; what is there is replaced.
    progress : callable
        Told of each layer and block; what it raises ends the writing.
    first_step : int
        Where the template is of a part of what is staged, the step at which it begins.
    known : ChunkDigests or None
        What was noted of the chunks when they were staged.

    Raises
    ------
    CubeError
        If one is not what was noted.
    """
    staged = ChunkPart(ChunkFolder(folder), template, first_step)
    path.unlink(missing_ok=True)
    _write_structure(path, template, staged.forms)
    import h5py

    written = ChunkDigests.of_blocks(template, {})
    with h5py.File(path, "r+") as file:
        for number, layer in enumerate(template.layers):
            file[layer.name].resize(template.shape(layer))  # along time nothing is there yet
            _check_form(file[layer.name], staged.forms[layer.name])
            written.checksums[layer.name][...] = _copy_layer(
                file[layer.name], staged, template, layer, (number, progress)
            )
            if known is not None and not np.array_equal(written.checksums[layer.name], known.checksums[layer.name]):
                raise CubeError(
                    f"a chunk of {layer.name} in {folder} is damaged: it is not what was written; run the same command "
                    "again, which computes it anew"
                )
    put_into_file(path, written)
    sync_file(path)


def rename_file(path: Path, out: Path) -> None:
    """Give a finished file its name, in one step, replacing what was there."""
    path.replace(out)
    sync_folder(out.parent)


def _write_structure(path: Path, template: Template, forms: Mapping[str, ChunkEncoding]) -> None:
    """Write the file without the numbers of its layers."""
    file: Any
    with netCDF4.Dataset(path, "w", format="NETCDF4") as file:
        file.setncatts(template.attrs)
        for name, size in template.sizes.items():
            # The record dimension that NCO averages and joins over.
            file.createDimension(name, None if name == "time" else size)
        for name, coordinate in template.coordinates.items():
            dtype, dims, shape = coordinate.values.dtype, coordinate.dims, coordinate.values.shape
            # Along time as the layers, so that files of months can be joined.
            chunks = (min(shape[0], template.plan.chunk[0]), *shape[1:]) if "time" in dims else None
            variable = file.createVariable(name, dtype, dims, fill_value=False, chunksizes=chunks)
            variable.setncatts(coordinate.attrs)
            variable[tuple(slice(0, size) for size in coordinate.values.shape)] = coordinate.values
        for layer in template.layers:
            form = forms[layer.name]
            # No other codec: zstd breaks GDAL, QGIS, CDO, NCO and R.
            variable = file.createVariable(
                layer.name,
                form.dtype,
                layer.dims,
                compression="zlib" if form.level else None,
                complevel=form.level,
                shuffle=form.level > 0,
                chunksizes=form.chunk,
                # HDF5 is told it too: 0, which it takes where it is told nothing, VirtualiZarr hands on as missing.
                fill_value=None if layer.fill is None else np.dtype(layer.dtype).type(layer.fill),
            )
            variable.setncatts(layer.attrs)


def _check_form(dataset: Any, form: ChunkEncoding) -> None:
    """Make sure that HDF5 will read the chunks as they were written."""
    filters = (True, "gzip", form.level) if form.level else (False, None, None)
    filed = (dataset.shuffle, dataset.compression, dataset.compression_opts)
    if (dataset.dtype, dataset.chunks) != (np.dtype(form.dtype), form.chunk) or filed != filters:
        raise AssertionError(f"{dataset.name} is {dataset.dtype} {dataset.chunks} {filed}, its chunks are {form}")


def _copy_layer(
    dataset: Any, staged: ChunkPart, template: Template, layer: Layer, step: tuple[int, Progress]
) -> NDArray[np.uint32]:
    """Copy one layer chunk by chunk and return the CRC-32 of each; `step` is its place among the layers, and whom to
    report to."""
    plan, chunk = template.plan, staged.forms[layer.name].chunk
    counts = tuple(-(-n // c) for n, c in zip(template.shape(layer), chunk, strict=True))
    checksums = np.zeros(counts, dtype="<u4")
    place, progress = step
    total = plan.blocks * len(template.layers)
    numbers = range(plan.blocks) if layer.dims == CUBE_DIMS else range(plan.tiles)
    for number in numbers:
        block: Block = plan.get_block(number)
        for part in block.cut(plan.chunk[0]) if layer.dims == CUBE_DIMS else [block]:
            offset = tuple(s.start for s in part.region[len(part.region) - len(layer.dims) :])
            data = staged.read(layer.name, part)
            dataset.id.write_direct_chunk(offset, data)
            checksums[tuple(start // c for start, c in zip(offset, chunk, strict=True))] = isal_zlib.crc32(data)
        progress(place * plan.blocks + number + 1, total, f"NetCDF: {layer.name}")
    return checksums


def sync_file(path: Path) -> None:
    """Wait until the file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def part_files(path: Path, split: str) -> list[Path]:
    """Return the files of months or years that stand beside `path`, in their order: ``x_201901.nc`` for ``x.nc``."""
    label = re.compile(rf"{re.escape(path.stem)}_\d{{{6 if split == 'month' else 4}}}{re.escape(path.suffix)}")
    return sorted(file for file in path.parent.glob(f"*{path.suffix}") if label.fullmatch(file.name))


def _read_existing(path: Path) -> ExistingCube:
    return ExistingCube.read(path, path.exists(), lambda: _read_header(path))


def _read_header(path: Path) -> StoredHeader:
    with netCDF4.Dataset(str(path)) as file:
        file.set_auto_maskandscale(False)
        layers = {name: (variable.dtype.str, variable.dimensions) for name, variable in file.variables.items()}
        bounds = np.asarray(file["time_bnds"][:]).round().astype(np.int64)
        return StoredHeader({key: file.getncattr(key) for key in file.ncattrs()}, bounds, layers)


class StoredChunks:
    """The blocks of one finished file, in the same chunks, which are copied as they are: a `BlockSource`."""

    def __init__(self, older: ExistingCube, folder: ChunkFolder, template: Template) -> None:
        import h5py

        self._path, self._folder, self._template = older.path, folder, template
        self._digests = digests_of(Path(str(older.path)))
        self._file = h5py.File(str(older.path), "r")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def check(self, chunked_alike: bool) -> None:
        """Refuse a cube in other chunks where they are to be copied; see `BlockSource.check`."""
        for layer in self._template.layers:
            theirs, ours = self._file[layer.name], self._folder.forms[layer.name]
            codecs = f"zlib {theirs.compression_opts}" if theirs.compression == "gzip" and theirs.shuffle else "none"
            forms = (
                {"chunk": str(theirs.chunks), "compression": codecs, "type": theirs.dtype.str},
                {
                    "chunk": str(ours.chunk),
                    "compression": f"zlib {ours.level}" if ours.level else "none",
                    "type": np.dtype(ours.dtype).str,
                },
            )
            check_alike(self._path, layer.name, forms, chunked_alike)

    def adopt(self, block: Block) -> Mapping[str, Checksums]:
        """Copy the chunks of a block; see `BlockSource.adopt`."""
        stored: dict[str, list[StoredLayer]] = {}
        for layer in self._template.layers:
            if layer.dims != CUBE_DIMS and block.time[0] != 0:
                continue
            for part in block.cut(self._template.plan.chunk[0]) if layer.dims == CUBE_DIMS else [block]:
                offset = tuple(s.start for s in part.region[len(part.region) - len(layer.dims) :])
                try:
                    skipped, data = self._file[layer.name].id.read_direct_chunk(offset)
                except (OSError, RuntimeError, ValueError):
                    raise damaged(self._path, layer, block) from None
                if skipped:
                    raise damaged(self._path, layer, block)
                stored.setdefault(layer.name, []).append(self._folder.put(layer.name, part, data))
        checksums = {name: StoredLayer.joined(ones).checksums for name, ones in stored.items()}
        for layer in self._template.layers:
            current = checksums.get(layer.name)
            if current is None or self._digests is None:
                continue
            if current != self._digests.of_region(layer.name, block.region):
                raise damaged(self._path, layer, block)  # else it would be handed on as what was written
        return checksums


def _on_disk(where: str) -> Path:
    """Return the file of a finished cube; one at a URL is brought to this machine."""
    if "://" not in where:
        return Path(where)
    from aqreanalysis.common.remote import RemotePath, fetch

    return fetch(RemotePath.of(where))


class StoredBlocks:
    """The blocks of files of months or years, whose chunks are not those of the whole: each is put together anew."""

    def __init__(self, older: ExistingCube, folder: ChunkFolder, template: Template) -> None:
        import h5py

        self._folder, self._template = folder, template
        self._files = [h5py.File(str(part.path), "r") for part in older.parts]
        edges = np.cumsum([0, *(len(part.bounds) for part in older.parts)])
        self._steps = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def check(self, chunked_alike: bool) -> None:
        """Nothing is copied as it is, and types were compared with the layers."""

    def adopt(self, block: Block) -> Mapping[str, Checksums]:
        """Bring the values of a block into the staging folder; see `BlockSource.adopt`."""
        checksums: dict[str, Checksums] = {}
        start, stop = block.time
        for layer in self._template.layers:
            if layer.dims != CUBE_DIMS and start > 0:
                continue
            pieces = []
            for file, (begin, end) in zip(self._files, self._steps, strict=True):
                if begin < stop and start < end:
                    steps = slice(max(start - begin, 0), min(stop, end) - begin)
                    region = (steps, *block.region[1:]) if layer.dims == CUBE_DIMS else block.region[1:]
                    try:
                        pieces.append(file[layer.name][region])
                    except (OSError, RuntimeError, ValueError):
                        raise damaged(Path(file.filename), layer, block) from None
            values = np.concatenate(pieces) if layer.dims == CUBE_DIMS else pieces[0]
            checksums[layer.name] = self._folder.put_values(layer.name, block, values).checksums
        return checksums
