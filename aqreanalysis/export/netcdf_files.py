"""CF NetCDF files from a cube: the writer of every NetCDF export, and a cube cut into monthly or yearly files."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.common.hours import TIME_UNITS, decimal_hours, stamped
from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import OutputError
from aqreanalysis.export.files import whole_file, whole_folder
from aqreanalysis.export.periods import Period, periods_of
from aqreanalysis.export.source import SLAB_VALUES, CubeSource
from aqreanalysis.production.layers import CUBE_DIMS, FILL, MAP_DIMS, QUANTIZATION, Layer
from aqreanalysis.production.template import GRID_MAPPING, crs_attributes, now_text

LAYOUTS = ("maps", "series")
SPLITS = ("month", "year", "none")
LEVEL = 1
# Steps in a chunk of time and its bounds.
_TIME_CHUNK = 24
_RESOLUTIONS = {"hour": "PT1H", "day": "P1D", "month": "P1M", "year": "P1Y"}
_GRID_VARIABLES = ("lat", "lat_bnds", "lon", "lon_bnds", GRID_MAPPING)


@dataclass(frozen=True)
class Shape:
    """What a file is created from.

    Attributes
    ----------
    layers : tuple of Layer
        Variables.
    bounds : datetime64[ns] (time, 2)
        Of each step, which is stamped where the cube stamps its own.
    chunks : tuple of int
        Time, latitude, longitude.
    attrs : dict
        Global attributes that differ from the cube's.
    period : str
        What a step is, for the ``long_name`` of time.
    """

    layers: tuple[Layer, ...]
    bounds: NDArray[np.datetime64]
    chunks: tuple[int, int, int]
    attrs: Mapping[str, Any]
    period: str = "period"


def create_file(path: Path, source: CubeSource, shape: Shape) -> netCDF4.Dataset:
    """Return a new NetCDF4 file (zlib and shuffle, fill -9999) with coordinates, attributes and empty layers."""
    file = netCDF4.Dataset(path, "w", format="NETCDF4")
    attrs = {**source.dataset.attrs, **coverage_attrs(shape.bounds, shape.period), **shape.attrs}
    rounded = any("quantization" in layer.attrs for layer in shape.layers)
    grid = [
        name for name in (*_GRID_VARIABLES, *((QUANTIZATION,) if rounded else ())) if name in source.dataset.variables
    ]
    attrs["coordinates"] = " ".join(["time_bnds", *(name for name in grid if name not in MAP_DIMS)])
    file.setncatts({k: v for k, v in attrs.items() if v is not None})
    sizes = {"time": len(shape.bounds), "lat": source.dataset.sizes["lat"], "lon": source.dataset.sizes["lon"]}
    for name, size in {**sizes, "bnds": 2}.items():
        # An unlimited time is the record dimension that NCO averages and joins over.
        file.createDimension(name, None if name == "time" else size)
    _write_time(file, source, shape)
    for name in grid:
        held = source.dataset[name]
        dims = tuple("bnds" if d not in sizes else str(d) for d in held.dims)
        variable = file.createVariable(name, held.dtype.newbyteorder("="), dims, fill_value=False)
        variable.setncatts(_plain(held.attrs))
        variable[...] = held.values
    if GRID_MAPPING not in grid:
        # A foreign cube without one is in degrees of WGS 84, as every other export takes it.
        file.createVariable(GRID_MAPPING, "i4", (), fill_value=False).setncatts(crs_attributes())
    for layer in shape.layers:
        _define(file, layer, shape.chunks)
    return file


def write_values(variable: Any, layer: Layer, index: Any, values: NDArray[Any]) -> None:
    """Write values, NaN as the layer's fill."""
    if layer.fill is not None and values.dtype.kind == "f":
        values = np.where(np.isnan(values), layer.fill, values)
    variable[index] = values.astype(layer.dtype)


def coverage_attrs(bounds: NDArray[np.datetime64], period: str = "period") -> dict[str, Any]:
    """Return the attributes of a timeline, and those of the moment of writing."""
    first, last = pd.Timestamp(bounds[0, 0]), pd.Timestamp(bounds[-1, 1])
    lengths = np.unique((bounds[:, 1] - bounds[:, 0]) / np.timedelta64(1, "h"))
    now = now_text()
    return {
        "time_coverage_start": f"{first:%Y-%m-%dT%H:%M:%SZ}",
        "time_coverage_end": f"{last:%Y-%m-%dT%H:%M:%SZ}",
        "time_coverage_duration": f"PT{(last - first) // pd.Timedelta(hours=1)}H",
        # A single month is 31 days, and a month.
        "time_coverage_resolution": _RESOLUTIONS.get(period) or _resolution(lengths),
        "date_modified": now,
        "date_metadata_modified": now,
    }


def _resolution(lengths: NDArray[np.float64]) -> str:
    if lengths.size == 1:
        return f"PT{lengths[0]:g}H" if lengths[0] % 24 else f"P{lengths[0] / 24:g}D"
    return "P1M" if lengths.max() <= 31 * 24 else "P1Y"


def history(source: CubeSource, what: str) -> str:
    """Return the cube's history with a line for this export before it: the newest comes first."""
    version = importlib.metadata.version("aqreanalysis")
    line = f"{now_text()} aqreanalysis {version}: {what}"
    before = str(source.dataset.attrs.get("history", ""))
    return f"{line}\n{before}" if before else line


def _write_time(file: netCDF4.Dataset, source: CubeSource, shape: Shape) -> None:
    attrs = {
        **{k: v for k, v in source.dataset["time"].attrs.items() if k not in ("bounds", "long_name")},
        "long_name": f"{source.stamp} of the averaging {shape.period}",
        "units": TIME_UNITS,
        "calendar": "standard",
        "bounds": "time_bnds",
    }
    steps = max(1, min(_TIME_CHUNK, len(shape.bounds)))
    variable = file.createVariable("time", "f8", ("time",), fill_value=False, chunksizes=(steps,))
    variable.setncatts(attrs)
    bounds = decimal_hours(shape.bounds)
    variable[:] = stamped(bounds, source.stamp)
    file.createVariable("time_bnds", "f8", ("time", "bnds"), fill_value=False, chunksizes=(steps, 2))[:] = bounds


def _define(file: Any, layer: Layer, chunks: tuple[int, int, int]) -> None:
    variable = file.createVariable(
        layer.name,
        layer.dtype,
        layer.dims,
        compression="zlib",
        complevel=LEVEL,
        shuffle=True,
        chunksizes=chunks[len(chunks) - len(layer.dims) :],
        fill_value=False if layer.fill is None else np.dtype(layer.dtype).type(layer.fill),
    )
    # What a statistic makes of estimates is an estimate; a layer that is something else says so itself.
    attributes = {"coverage_content_type": "modelResult", **_plain(layer.attrs)}
    # A layer that names no coordinates has those of the file to CF, which are none but to xarray.
    located = {"grid_mapping": GRID_MAPPING, "coordinates": "time" if "time" in layer.dims else ""}
    variable.setncatts({**attributes, **_flag_attrs(layer), **located})
    variable.set_auto_maskandscale(False)


def _flag_attrs(layer: Layer) -> dict[str, Any]:
    """Return the flag attributes in the type of the variable, as CF wants them, and how many bits are significant as
    a plain int; Zarr keeps them as numbers of no type."""
    types = {"flag_masks": layer.dtype, "flag_values": layer.dtype, "quantization_nsb": "int32"}
    return {key: np.asarray(layer.attrs[key], dtype=dtype) for key, dtype in types.items() if key in layer.attrs}


def _plain(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(k): v for k, v in attrs.items() if k not in ("_FillValue", "coordinates")}


def existing_layers(source: CubeSource) -> tuple[Layer, ...]:
    """Return the layers of the cube as it holds them, with the fills of NetCDF."""
    layers = []
    for name in [*source.layers, *source.maps]:
        held = source.dataset[name]
        dims = CUBE_DIMS if "time" in held.dims else MAP_DIMS
        stored = np.dtype(held.encoding.get("dtype", held.dtype))
        fill = FILL if stored.kind == "f" else held.encoding.get("_FillValue")
        layers.append(
            Layer(name, stored.name, None if fill is None else stored.type(fill).item(), dict(held.attrs), dims)
        )
    return tuple(layers)


def export_netcdf(
    source: CubeSource,
    out: str | Path,
    layout: str = "maps",
    split: str = "month",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Return the NetCDF files written: into the folder `out`, one a month or year, or the one file `out`.

    Parameters
    ----------
    source : CubeSource
        The cube, of either format.
    out : str or Path
        A folder; a name that ends in ``.nc`` where `split` is ``none``.
    layout : str
        ``maps``: a chunk is one hour of the whole grid, fast for pictures; ``series``: a chunk is the whole file's time
        of some cells, fast for time series.
    split : str
        ``month``, ``year`` (UTC) or ``none``.
    overwrite : bool
        Replace what an earlier export wrote.
    progress : callable or None
        Told of each slab.

    Raises
    ------
    OutputError
        If the output exists, or an option is none of those.
    """
    for name, value, known in (("layout", layout, LAYOUTS), ("split", split, SPLITS)):
        if value not in known:
            raise OutputError(f"{name} {value!r}: give {', '.join(known)}")
    stem = source.path.stem
    if split == "none":
        whole = Period("", source.bounds[[0, -1], [0, 1]], slice(0, len(source.times)), 1.0)
        with whole_file(out, (".nc",), overwrite) as temporary:
            _copy(source, temporary, whole, layout, progress)
        return [Path(out)]
    periods = periods_of(source, split)
    with whole_folder(out, (".nc",), overwrite) as folder:
        for number, period in enumerate(periods):
            _copy(source, folder / f"{stem}_{period.label}.nc", period, layout, None)
            if progress is not None:
                progress(number + 1, len(periods), f"NetCDF {period.label}")
    return [Path(out) / f"{stem}_{p.label}.nc" for p in periods]


def _copy(source: CubeSource, path: Path, period: Period, layout: str, progress: Progress | None) -> None:
    layers = existing_layers(source)
    hours, rows, columns = period.steps.stop - period.steps.start, *(source.dataset.sizes[d] for d in MAP_DIMS)
    # About a million values a chunk of a series: some 4 MB, which a reader holds in its cache.
    side = max(1, int(np.sqrt(1_000_000 / hours)))
    chunks = (1, rows, columns) if layout == "maps" else (hours, min(side, rows), min(side, columns))
    attrs = {"history": history(source, f"written as NetCDF for {layout}")}
    said = str(source.dataset["time"].attrs.get("long_name", "")).rsplit("of the averaging ", 1)
    shape = Shape(layers, source.bounds[period.steps], chunks, attrs, said[1] if len(said) == 2 else "period")
    with create_file(path, source, shape) as file:
        for number, layer in enumerate(layers):
            if layer.dims == MAP_DIMS:
                write_values(file[layer.name], layer, ..., source.read(layer.name, slice(0, 1)))
            else:
                for steps, band in _pieces(source, period, layout, chunks):
                    values = source.read(layer.name, steps, band)
                    at = slice(steps.start - period.steps.start, steps.stop - period.steps.start)
                    write_values(file[layer.name], layer, (at, band), values)
            if progress is not None:
                progress(number + 1, len(layers), f"NetCDF {layer.name}")


def _pieces(
    source: CubeSource, period: Period, layout: str, chunks: tuple[int, int, int]
) -> Iterator[tuple[slice, slice]]:
    """Yield ranges of steps and rows that hold whole chunks of the file, of at most some `SLAB_VALUES`."""
    rows, columns = (source.dataset.sizes[d] for d in MAP_DIMS)
    if layout == "maps":
        for slab in source.slabs():
            part = slice(max(slab.start, period.steps.start), min(slab.stop, period.steps.stop))
            if part.start < part.stop:
                yield part, slice(0, rows)
        return
    high = max(1, SLAB_VALUES // (chunks[0] * columns) // chunks[1]) * chunks[1]
    for begin in range(0, rows, high):
        yield period.steps, slice(begin, min(begin + high, rows))
