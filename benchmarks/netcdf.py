"""NetCDF: from the command to the renamed file, beside the plain netCDF4 writer given the finished arrays.

    python benchmarks/netcdf.py --model outputs/models/north [--data ../shared/data/china_north_2019.parquet] [--short]

The plain writer is one process with zlib at level 1 and shuffle and the same chunks, fed block by block from memory.
Three times are set beside it for a month: the whole command (Python's start, model and readings included), its part
from the first block on, and the writing alone (chunks shuffled and compressed by the threads, joined to the file).
How to make a model: see benchmarks/producing.py.
"""

from __future__ import annotations

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import netCDF4
import numpy as np
from producing import MONTH, SHORT, machine, parser, produce_timed, record, run_watched, table, timed

from aqreanalysis.production.execute.schedule import default_threads


def arrays_of(cube: Path) -> dict[str, tuple[Any, ...]]:
    """Return name -> values, dimensions, chunks and fill of the layers of a finished cube."""
    arrays = {}
    with netCDF4.Dataset(cube) as file:
        file.set_auto_maskandscale(False)
        for name, variable in file.variables.items():
            if variable.dimensions[-2:] == ("lat", "lon"):
                fill = getattr(variable, "_FillValue", None)
                arrays[name] = (variable[...], variable.dimensions, variable.chunking(), fill)
    return arrays


def plain_writer(arrays: dict[str, tuple[Any, ...]], out: Path) -> Any:
    """Return the call that writes the arrays by netCDF4, a slab of chunks at a time."""
    sizes = {d: n for values, dims, *_ in arrays.values() for d, n in zip(dims, values.shape, strict=True)}

    def write() -> None:
        with netCDF4.Dataset(out, "w") as file:
            for name, size in sizes.items():
                file.createDimension(name, size)
            for name, (values, dims, chunks, fill) in arrays.items():
                form = {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": chunks, "fill_value": fill}
                variable = file.createVariable(name, values.dtype, dims, **form)
                variable.set_auto_maskandscale(False)
                for start in range(0, len(values), chunks[0]):
                    variable[start : start + chunks[0]] = values[start : start + chunks[0]]

    return write


def our_writer(arrays: dict[str, tuple[Any, ...]], work: Path) -> Any:
    """Return the call that compresses the same chunks in threads and joins them by copying."""
    import h5py

    from aqreanalysis.production.stores.netcdf import ChunkEncoding

    def write() -> None:
        plain = work / "ours.nc"
        with netCDF4.Dataset(plain, "w") as file:
            file.set_fill_off()
            for name, (values, dims, chunks, fill) in arrays.items():
                for d, n in zip(dims, values.shape, strict=True):
                    if d not in file.dimensions:
                        file.createDimension(d, n)
                form = {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": chunks, "fill_value": fill}
                file.createVariable(name, values.dtype, dims, **form)
        with h5py.File(plain, "r+") as file, ThreadPoolExecutor(default_threads()) as pool:
            for name, (values, _, chunks, fill) in arrays.items():
                form = ChunkEncoding(values.dtype.str, tuple(chunks), None if fill is None else fill.item(), 1)
                counts = [range(0, n, c) for n, c in zip(values.shape, chunks, strict=True)]
                starts = [tuple(s) for s in np.stack(np.meshgrid(*counts, indexing="ij"), -1).reshape(-1, len(chunks))]
                parts = [values[tuple(slice(a, a + c) for a, c in zip(s, chunks, strict=True))] for s in starts]
                for start, data in zip(starts, pool.map(form.encode, parts), strict=True):
                    file[name].id.write_direct_chunk(tuple(int(a) for a in start), data)

    return write


def main() -> None:
    """Run it all."""
    asked = parser(__doc__).parse_args()
    work, span = asked.work / "netcdf", SHORT if asked.short else MONTH
    grid, repeat = ("north-china-0.1", 1) if asked.short else ("north-china-0.05", asked.repeat)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    out = work / "month.nc"
    command = [sys.executable, "-m", "aqreanalysis.cli", "produce", "--model", str(asked.model), "--species", "pm25"]
    command += ["--observations", str(asked.data), "--grid", grid, "--start", span[0], "--end", span[1]]
    command += ["--device", "cpu", "--overwrite", "--out", str(out)]
    whole = median(run_watched(command)[1] for _ in range(repeat))
    job = {"model": asked.model, "observations": asked.data, "grid": grid, "start": span[0], "end": span[1]}
    runs = [produce_timed(**job, out=out, species=["pm25"], device="cpu") for _ in range(repeat)]
    sweep = median(r.sweep_seconds for r in runs)
    arrays = arrays_of(out)
    plain = timed(plain_writer(arrays, work / "plain.nc"), repeat)
    ours = timed(our_writer(arrays, work), repeat)
    sizes = [file.stat().st_size / 1e6 for file in (work / "plain.nc", out)]
    bar = "at most 1.5, aim 0.5"
    rows = [
        ("plain netCDF4 writer, arrays given", plain, "", ""),
        ("the command, to the renamed file", whole, whole / plain, bar),
        ("its part from the first block on", sweep, sweep / plain, ""),
        ("writing alone, arrays given", ours, ours / plain, ""),
    ]
    lines = [
        "# NetCDF",
        "",
        f"`benchmarks/netcdf.py`, {grid}, {runs[0].cell_hours / 1e6:.1f} million cell-hours; medians of {repeat}. "
        f"{machine()}.",
        "",
        *table(("what", "seconds", "ratio to the plain writer", "bar"), rows),
        "",
        f"The plain file has {sizes[0]:.1f} MB, the cube {sizes[1]:.1f} MB.",
    ]
    figures = {"plain": plain, "command": whole, "sweep": sweep, "writing": ours, "megabytes": sizes}
    record("netcdf", lines, figures, asked.short)


if __name__ == "__main__":
    main()
