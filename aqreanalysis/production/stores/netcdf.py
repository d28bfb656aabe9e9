"""From what the workers wrote to the finished NetCDF file: one writer, then a rename."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from aqreanalysis.common.progress import Progress
from aqreanalysis.production.layers import CUBE_DIMS, Layer
from aqreanalysis.production.plan import Block
from aqreanalysis.production.stores.chunks import ChunkFolder, Form
from aqreanalysis.production.stores.publish import sync_folder
from aqreanalysis.production.stores.split import ChunkPart
from aqreanalysis.production.template import Template


def write_netcdf(folder: Path, template: Template, path: Path, progress: Progress, first_step: int = 0) -> None:
    """Write the NetCDF file from its full staging folder, and sync it; `rename_file` then gives it its name.

    HDF5 has one writer, and a file killed in the middle of a write opens with no records: so the file gets its name
    only when it is whole. netCDF4 writes all but the layers' numbers; their chunks come ready for the disk and are
    copied as they are, which takes a tenth of the time of compressing them here. Memory holds one chunk at a time.

    Parameters
    ----------
    folder : Path
        Of `chunks.create_chunks`.
    template : Template
        What it was created from.
    path : Path
        A temporary name on the file system of the output; what is there is replaced.
    progress : callable
        Told of each layer and block; what it raises ends the writing.
    first_step : int
        Where the template is of a part of what is staged, the step at which it begins.
    """
    staged = ChunkPart(ChunkFolder(folder), template, first_step)
    path.unlink(missing_ok=True)
    _write_structure(path, template, staged.forms)
    import h5py

    with h5py.File(path, "r+") as file:
        for number, layer in enumerate(template.layers):
            _check_form(file[layer.name], staged.forms[layer.name])
            _copy_layer(file[layer.name], staged, template, layer, (number, progress))
    sync_file(path)


def rename_file(path: Path, out: Path) -> None:
    """Give a finished file its name, in one step, replacing what was there."""
    path.replace(out)
    sync_folder(out.parent)


def _write_structure(path: Path, template: Template, forms: Mapping[str, Form]) -> None:
    """Write the file without the numbers of its layers."""
    file: Any
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
                fill_value=False if layer.fill is None else np.dtype(layer.dtype).type(layer.fill),
            )
            variable.setncatts(layer.attrs)


def _check_form(dataset: Any, form: Form) -> None:
    """Make sure that HDF5 will read the chunks as they were written."""
    filters = (True, "gzip", form.level) if form.level else (False, None, None)
    found = (dataset.shuffle, dataset.compression, dataset.compression_opts)
    if (dataset.dtype, dataset.chunks) != (np.dtype(form.dtype), form.chunk) or found != filters:
        raise AssertionError(f"{dataset.name} is {dataset.dtype} {dataset.chunks} {found}, its chunks are {form}")


def _copy_layer(dataset: Any, staged: ChunkPart, template: Template, layer: Layer, told: tuple[int, Progress]) -> None:
    """Copy one layer chunk by chunk; `told` is its place among the layers and whom to tell."""
    plan = template.plan
    place, progress = told
    total = plan.blocks * len(template.layers)
    numbers = range(plan.blocks) if layer.dims == CUBE_DIMS else range(plan.tiles)
    for number in numbers:
        block: Block = plan.get_block(number)
        offset = tuple(s.start for s in block.region[len(block.region) - len(layer.dims) :])
        dataset.id.write_direct_chunk(offset, staged.read(layer.name, block))
        progress(place * plan.blocks + number + 1, total, f"NetCDF: {layer.name}")


def sync_file(path: Path) -> None:
    """Wait until the file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
