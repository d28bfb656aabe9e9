"""A finished cube as the beginning of a longer one: what it says of itself, and its blocks as they are stored."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import zarr
from numpy.typing import NDArray

from aqreanalysis.errors import CubeError, OutputError
from aqreanalysis.production.growth.record import READINGS, RUN, Readings
from aqreanalysis.production.layers import CUBE_DIMS, Layer
from aqreanalysis.production.plan import Block
from aqreanalysis.production.stores import chunks
from aqreanalysis.production.template import Template

# What the history keeps of a cube that grows, and the moment it was first made.
_KEPT = ("history", "date_created")


@dataclass(frozen=True)
class Base:
    """A cube that exists and is to grow.

    Attributes
    ----------
    path : Path
        A ``.nc`` file or ``.zarr`` store.
    bounds : int64 (step, 2)
        Of its steps, hours since 1970-01-01 00:00 UTC.
    run : dict
        Of the run that made it; see `record.run_of`.
    readings : Readings
        From which.
    kept : dict
        Attributes that the grown cube carries on.
    layers : dict
        Name -> NumPy type and dimensions.
    """

    path: Path
    bounds: NDArray[np.int64]
    run: dict[str, Any]
    readings: Readings
    kept: dict[str, str]
    layers: dict[str, tuple[str, tuple[str, ...]]]

    @classmethod
    def of(cls, path: Path) -> Base:
        """Return the cube at `path`.

        Raises
        ------
        OutputError
            If there is none, or it does not say how it was made.
        CubeError
            If it cannot be read.
        """
        if not path.exists():
            raise OutputError(f"there is no cube {path} to append to; produce it without --append first")
        try:
            attrs, bounds, layers = _read_zarr(path) if path.is_dir() else _read_netcdf(path)
        except (OSError, KeyError, ValueError) as error:
            raise CubeError(f"{path} cannot be read as a cube: {' '.join(str(error).split())}") from None
        if RUN not in attrs or READINGS not in attrs:
            raise OutputError(
                f"{path} does not say from which readings it was made: an older version or another program wrote it; "
                "produce it anew, then it can grow"
            )
        kept = {key: str(attrs[key]) for key in _KEPT if key in attrs}
        readings = Readings.from_text(attrs[READINGS])
        return cls(path, bounds, json.loads(attrs[RUN]), readings, kept, layers)

    @property
    def hours(self) -> tuple[int, int]:
        """Where it begins and ends, hours since 1970-01-01 00:00 UTC."""
        return int(self.bounds[0, 0]), int(self.bounds[-1, 1])

    @property
    def identity(self) -> str:
        """What tells this state of the cube from the one before and after it has grown."""
        return f"{self.hours[1]} {self.kept.get('history', '')}"

    def check_fits(self, template: Template) -> None:
        """Refuse a template that does not continue this cube.

        Raises
        ------
        OutputError
            If its layers differ, or its steps are not those of the template, which goes on after them.
        """
        wanted = {layer.name: (np.dtype(layer.dtype).str, layer.dims) for layer in template.layers}
        if self.layers != wanted:
            theirs, ours = (
                ", ".join(name for name in one if one[name] != other.get(name)) or "none more"
                for one, other in ((self.layers, wanted), (wanted, self.layers))
            )
            raise OutputError(
                f"{self.path} has other layers than this run: {theirs} there, {ours} here; produce it anew"
            )
        count = len(self.bounds)
        if count > template.plan.steps or not np.array_equal(template.plan.bounds[:count], self.bounds):
            raise OutputError(
                f"the steps of {self.path} are not those of this run from the same beginning: it was cut or resampled, "
                "or its periods begin at another clock (--utc-offset); produce it anew"
            )


class Blocks:
    """The blocks of a finished cube, for the staging store of one that continues it in the same chunks."""

    def __init__(self, base: Base, store: Path, template: Template) -> None:
        self._path, self._store, self._template = base.path, store, template
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
            for key in ours if chunked_alike else [k for k in ("Zarr format",) if k in ours]:
                if theirs[key] != ours[key]:
                    raise OutputError(
                        f"{self._path} cannot be continued by another run: {key} of {layer.name} is {theirs[key]} "
                        f"there and {ours[key]} here; give the same options and config, or produce it anew"
                    )

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
        array: Any = self._ours[layer.name]
        sizes = array.shards or array.chunks
        starts = [s.start for s in block.region[len(block.region) - len(layer.dims) :]]
        key = array.metadata.encode_chunk_key(tuple(a // n for a, n in zip(starts, sizes, strict=True)))
        source, goal = (folder / layer.name / key for folder in (self._path, self._store))
        if goal.exists():
            return
        goal.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, goal)
        except FileNotFoundError:
            raise self._damaged(layer, block) from None
        except OSError:  # no second names on this file system
            temporary = goal.with_name(goal.name + ".partial")
            shutil.copyfile(source, temporary)
            temporary.replace(goal)

    def _copy_chunk(self, layer: Layer, block: Block, folder: chunks.ChunkFolder) -> None:
        offset = tuple(s.start for s in block.region[len(block.region) - len(layer.dims) :])
        try:
            skipped, data = self._theirs[layer.name].id.read_direct_chunk(offset)
        except (OSError, RuntimeError, ValueError):
            raise self._damaged(layer, block) from None
        if skipped:
            raise self._damaged(layer, block)
        folder.put(layer.name, block, data)

    def _damaged(self, layer: Layer, block: Block) -> CubeError:
        where = f"{layer.name} at step {block.time[0]}, row {block.rows[0]}, column {block.columns[0]}"
        return CubeError(f"{self._path} is damaged: the chunk of {where} cannot be read; produce it anew")


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


def _read_zarr(path: Path) -> tuple[dict[str, Any], NDArray[np.int64], dict[str, tuple[str, tuple[str, ...]]]]:
    group: Any = zarr.open_group(str(path), mode="r")
    layers = {}
    for name, array in group.arrays():
        # Zarr 2 has no place for the names of dimensions but an attribute.
        dims: Any = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS", ())
        layers[name] = array.dtype.str, tuple(dims)
    bounds = np.asarray(group["time_bnds"][:]).round().astype(np.int64)
    return dict(group.attrs), bounds, _layers(layers)


def _read_netcdf(path: Path) -> tuple[dict[str, Any], NDArray[np.int64], dict[str, tuple[str, tuple[str, ...]]]]:
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        layers = {name: (variable.dtype.str, variable.dimensions) for name, variable in file.variables.items()}
        bounds = np.asarray(file["time_bnds"][:]).round().astype(np.int64)
        return {key: file.getncattr(key) for key in file.ncattrs()}, bounds, _layers(layers)


def _layers(found: dict[str, tuple[str, tuple[str, ...]]]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the layers among the variables: those over both latitude and longitude."""
    return {name: form for name, form in found.items() if {"lat", "lon"} <= set(form[1])}
