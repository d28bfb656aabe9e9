"""From the full staging store to the cube under its own name: a rename for Zarr, one writer and a rename for NetCDF."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from aqreanalysis.production.layers import CUBE_DIMS, Layer
from aqreanalysis.production.options import Progress
from aqreanalysis.production.plan import Block
from aqreanalysis.production.store import forget, read_region
from aqreanalysis.production.template import Template


def finalise_zarr(store: Path, out: Path, trash: Path) -> None:
    """Move the finished and synced store to `out`; what was there goes to `trash` first and is deleted after."""
    forget()
    if out.exists():
        shutil.rmtree(trash, ignore_errors=True)
        out.rename(trash)
    store.rename(out)
    _sync_folder(out.parent)
    shutil.rmtree(trash, ignore_errors=True)


def write_netcdf(store: Path, template: Template, path: Path, level: int, progress: Progress) -> None:
    """Write the NetCDF file from the finished store, and sync it; `rename_file` then gives it its name.

    HDF5 has one writer, and a file killed in the middle of a write opens with no records: so the file gets its name
    only when it is whole. Memory holds one block of one layer at a time.

    Parameters
    ----------
    store : Path
        The staging store.
    template : Template
        What it was created from.
    path : Path
        A temporary name on the file system of the output; what is there is replaced.
    level : int
        Compression level of zlib, with byte shuffle. No other codec: zstd breaks GDAL, QGIS, CDO, NCO and R.
    progress : callable
        Told of each layer and block; what it raises ends the writing.
    """
    path.unlink(missing_ok=True)
    with netCDF4.Dataset(path, "w", format="NETCDF4") as file:
        file.set_fill_off()  # every chunk is written whole
        file.setncatts(template.attrs)
        for name, size in template.sizes.items():
            file.createDimension(name, size)
        for name, coordinate in template.coordinates.items():
            variable = file.createVariable(name, coordinate.values.dtype, coordinate.dims, fill_value=False)
            variable.setncatts(coordinate.attrs)
            variable[...] = coordinate.values
        for layer in template.layers:
            _define(file, template, layer, level)
        for number, layer in enumerate(template.layers):
            _copy_layer(file[layer.name], store, template, layer, (number, progress))
    sync_file(path)


def rename_file(path: Path, out: Path) -> None:
    """Give a finished file its name, in one step, replacing what was there."""
    path.replace(out)
    _sync_folder(out.parent)


def _define(file: Any, template: Template, layer: Layer, level: int) -> None:
    variable = file.createVariable(
        layer.name,
        layer.dtype,
        layer.dims,
        compression="zlib" if level else None,
        complevel=level,
        shuffle=True,
        chunksizes=template.chunks(layer),
        fill_value=False if layer.fill is None else np.dtype(layer.dtype).type(layer.fill),
    )
    variable.setncatts(layer.attrs)
    variable.set_auto_maskandscale(False)


def _copy_layer(variable: Any, store: Path, template: Template, layer: Layer, told: tuple[int, Progress]) -> None:
    """Copy one layer block by block; `told` is its place among the layers and whom to tell."""
    plan = template.plan
    place, progress = told
    total = plan.blocks * len(template.layers)
    numbers = range(plan.blocks) if layer.dims == CUBE_DIMS else range(plan.tiles)
    for number in numbers:
        block: Block = plan.get_block(number)
        values = read_region(store, layer, block)
        if values.dtype.kind == "f":
            values = np.where(np.isnan(values), values.dtype.type(layer.fill), values)
        variable[block.region[len(block.region) - len(layer.dims) :]] = values
        progress(place * plan.blocks + number + 1, total, f"NetCDF: {layer.name}")


def sync_file(path: Path) -> None:
    """Wait until the file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
