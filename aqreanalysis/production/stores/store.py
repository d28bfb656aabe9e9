"""The blocks of a finished cube as they are stored, for the staging store of one that continues it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import zarr

from aqreanalysis.errors import CubeError, OutputError
from aqreanalysis.production.layers import CUBE_DIMS, Layer
from aqreanalysis.production.plan import Block
from aqreanalysis.production.stores import chunks
from aqreanalysis.production.stores.bucket import Place, keys_of, open_bucket, open_zarr, told
from aqreanalysis.production.stores.existing import Base
from aqreanalysis.production.template import Template


class Kept(Protocol):
    """What stays of a cube that grows."""

    def check(self, chunked_alike: bool) -> None:
        """Refuse a cube of another format, or in other chunks where they are to be copied."""

    def copy(self, block: Block) -> None:
        """Bring the chunks of a block to where the grown cube will have them."""

    def close(self) -> None:
        """Close the finished cube."""


def open_blocks(base: Base, store: Path, template: Template) -> Kept:
    """Return the blocks of a finished cube, for a staging store of the grown one.

    Parameters
    ----------
    base : Base
        The cube.
    store : Path
        The staging store.
    template : Template
        Of the grown cube.
    """
    if base.parts:
        return PartBlocks(base, store, template)
    if isinstance(base.path, Place):
        return BucketBlocks(base, store, template)
    return Blocks(base, store, template)


class Blocks:
    """Those of one file or store on a disk, in the same chunks."""

    def __init__(self, base: Base, store: Path, template: Template) -> None:
        self._path, self._store, self._template = Path(str(base.path)), store, template
        self._folder = None if store.suffix != chunks.SUFFIX else chunks.ChunkFolder(store)
        if self._folder is not None:
            import h5py

            self._theirs = h5py.File(base.path, "r")
        else:
            self._theirs, self._ours = (zarr.open_group(str(path), mode="r") for path in (base.path, store))

    def close(self) -> None:
        """Close the finished cube."""
        if self._folder is not None:
            self._theirs.close()

    def check(self, chunked_alike: bool) -> None:
        """Refuse a cube of another format, or in other chunks where they are to be copied.

        Raises
        ------
        OutputError
            With both values.
        """
        for layer in self._template.layers:
            theirs = _form(self._theirs[layer.name])
            ours = _form_of_chunks(self._folder.forms[layer.name]) if self._folder else _form(self._ours[layer.name])
            _compare(self._path, layer.name, (theirs, ours), chunked_alike)

    def copy(self, block: Block) -> None:
        """Bring the chunks of a block into the staging store.

        Raises
        ------
        CubeError
            If the cube lacks one.
        """
        for layer in self._template.layers:
            if layer.dims == CUBE_DIMS or block.time[0] == 0:
                if self._folder is None:
                    self._link(layer, block)
                else:
                    self._copy_chunk(layer, block, self._folder)

    def _link(self, layer: Layer, block: Block) -> None:
        """Give the chunk a second name where the disk has such, which costs neither time nor room.

        Chunks are never changed in place, only replaced.
        """
        key = _chunk_key(self._ours[layer.name], block)
        source, goal = (folder / layer.name / key for folder in (self._path, self._store))
        if goal.exists():
            return
        goal.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, goal)
        except FileNotFoundError:
            raise _damaged(self._path, layer, block) from None
        except OSError:  # no second names on this file system
            temporary = goal.with_name(goal.name + ".partial")
            shutil.copyfile(source, temporary)
            temporary.replace(goal)

    def _copy_chunk(self, layer: Layer, block: Block, folder: chunks.ChunkFolder) -> None:
        offset = tuple(s.start for s in block.region[len(block.region) - len(layer.dims) :])
        try:
            skipped, data = self._theirs[layer.name].id.read_direct_chunk(offset)
        except (OSError, RuntimeError, ValueError):
            raise _damaged(self._path, layer, block) from None
        if skipped:
            raise _damaged(self._path, layer, block)
        folder.put(layer.name, block, data)


class BucketBlocks:
    """Those of a store in a bucket: they stay where they are, since the grown cube has them under the same names."""

    def __init__(self, base: Base, store: Path, template: Template) -> None:
        self._base, self._template, place = base, template, str(base.path)
        self._theirs, self._ours = open_zarr(place), zarr.open_group(str(store), mode="r")
        with told(place):
            self._there = set(keys_of(open_bucket(place)))

    def close(self) -> None:
        """Nothing is open."""

    def check(self, chunked_alike: bool) -> None:
        """Refuse a cube of another format, or in other chunks where they are to stay.

        Raises
        ------
        OutputError
            With both values.
        """
        for layer in self._template.layers:
            forms = _form(self._theirs[layer.name]), _form(self._ours[layer.name])
            # What is added lies in the same chunks as what was there, be it kept or not.
            _compare(self._base.path, layer.name, forms, chunked_alike=True)

    def copy(self, block: Block) -> None:
        """Make sure that the chunks of a block are there.

        Raises
        ------
        CubeError
            If one is missing.
        """
        for layer in self._template.layers:
            has_one = layer.dims == CUBE_DIMS or block.time[0] == 0
            if has_one and f"{layer.name}/{_chunk_key(self._ours[layer.name], block)}" not in self._there:
                raise _damaged(self._base.path, layer, block)


class PartBlocks:
    """Those of the files of months or years, whose chunks are not those of the whole: each is put together anew."""

    def __init__(self, base: Base, store: Path, template: Template) -> None:
        import h5py

        self._base, self._template, self._folder = base, template, chunks.ChunkFolder(store)
        self._files = [h5py.File(str(part.path), "r") for part in base.parts]
        edges = np.cumsum([0, *(len(part.bounds) for part in base.parts)])
        self._steps = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def check(self, chunked_alike: bool) -> None:
        """Nothing is copied as it is, and types were compared with the layers."""

    def copy(self, block: Block) -> None:
        """Bring the values of a block into the staging folder.

        Raises
        ------
        CubeError
            If a file cannot be read.
        """
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
                        raise _damaged(Path(file.filename), layer, block) from None
            values = np.concatenate(pieces) if layer.dims == CUBE_DIMS else pieces[0]
            self._folder.put(layer.name, block, self._folder.forms[layer.name].encode(values))


def _chunk_key(array: Any, block: Block) -> str:
    """Return the name of the chunk of a block within its array."""
    sizes = array.shards or array.chunks
    starts = [s.start for s in block.region[len(block.region) - len(sizes) :]]
    return str(array.metadata.encode_chunk_key(tuple(a // n for a, n in zip(starts, sizes, strict=True))))


def _compare(path: Path | Place, name: str, forms: tuple[dict[str, str], dict[str, str]], chunked_alike: bool) -> None:
    theirs, ours = forms
    for key in ours if chunked_alike else [k for k in ("Zarr format",) if k in ours]:
        if theirs[key] != ours[key]:
            raise OutputError(
                f"{path} cannot be continued by another run: {key} of {name} is {theirs[key]} there and {ours[key]} "
                "here; give the same options and config, or produce it anew"
            )


def _damaged(path: Path | Place, layer: Layer, block: Block) -> CubeError:
    where = f"{layer.name} at step {block.time[0]}, row {block.rows[0]}, column {block.columns[0]}"
    return CubeError(f"{path} is damaged: the chunk of {where} cannot be read; produce it anew")


def _form(array: Any) -> dict[str, str]:
    """Return what of an array or of a dataset of HDF5 decides the bytes of its chunks."""
    if not hasattr(array, "metadata"):
        codecs = f"zlib {array.compression_opts}" if array.compression == "gzip" and array.shuffle else "none"
        return {"chunk": str(array.chunks), "compression": codecs, "type": array.dtype.str}
    return {
        "Zarr format": str(array.metadata.zarr_format),
        "shard": str(array.shards),
        "chunk": str(array.chunks),
        "compression": str((array.filters, array.compressors)),
        "type": array.dtype.str,
    }


def _form_of_chunks(form: chunks.Form) -> dict[str, str]:
    return {
        "chunk": str(form.chunk),
        "compression": f"zlib {form.level}" if form.level else "none",
        "type": np.dtype(form.dtype).str,
    }
