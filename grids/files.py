"""Grids that are described by a file: CDO grid descriptions, and NetCDF or Zarr with one-dimensional coordinates."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.errors import GridError, in_one_line
from aqreanalysis.grids.axes import FloatArray
from aqreanalysis.grids.grid import MAX_CELLS, Grid

if TYPE_CHECKING:
    import xarray as xr

_AXES: dict[str, tuple[str, set[str], tuple[str, ...]]] = {
    # What CF tells a coordinate by: standard_name, units; and the names that files use where they tell neither.
    "latitude": (
        "latitude",
        {"degrees_north", "degree_north", "degrees_N", "degree_N", "degreesN", "degreeN"},
        ("lat", "latitude", "y"),
    ),
    "longitude": (
        "longitude",
        {"degrees_east", "degree_east", "degrees_E", "degree_E", "degreesE", "degreeE"},
        ("lon", "longitude", "x"),
    ),
}


def grid_from_griddes(text: str, name: str, where: str) -> Grid:
    """Return the grid of a CDO grid description (the output of ``cdo griddes``).

    Read are ``gridtype = lonlat``, ``xsize, xfirst, xinc`` or ``xvals``, the same for y, and ``mask``; other keys
    (names, units, ...) do not change the places and are passed over.

    Parameters
    ----------
    text, name, where : str
        The description, the grid's name, and the file for messages.

    Raises
    ------
    GridError
        If it is no grid description, of another type, contradicts itself, or breaks a rule of `Grid`.
    """
    keys = _griddes_keys(text, where)
    kind = keys.get("gridtype", "").strip("'\"").lower()
    if kind != "lonlat":
        raise GridError(
            f"grid {where}: gridtype {kind or 'missing'}; only lonlat grids are regular in latitude and longitude "
            "(cdo remapbil makes one)"
        )
    lon, lat = _griddes_axis(keys, "x", where), _griddes_axis(keys, "y", where)
    size = _griddes_numbers(keys, "gridsize", where) if "gridsize" in keys else None
    if size is not None and (size.size != 1 or size[0] != lon.size * lat.size):
        raise GridError(f"grid {where}: gridsize = {keys['gridsize']}, but xsize x ysize = {lon.size * lat.size}")
    mask = None
    if "mask" in keys:
        flat = _griddes_numbers(keys, "mask", where)
        if flat.size != lon.size * lat.size:
            raise GridError(f"grid {where}: mask has {flat.size} values, wanted {lon.size * lat.size}")
        mask = flat.reshape(lat.size, lon.size) > 0.5
    steps = [abs(_griddes_numbers(keys, key, where)[0]) if key in keys else np.nan for key in ("yinc", "xinc")]
    spacing = (float(steps[0]), float(steps[1])) if 1 in (lat.size, lon.size) else None
    return Grid(name, lat, lon, mask, title=f"from the grid description {Path(where).name}", spacing=spacing)


def _griddes_keys(text: str, where: str) -> dict[str, str]:
    keys: dict[str, str] = {}
    last = ""
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.partition("#")[0].strip()
        if not line:
            continue
        left, equals, right = line.partition("=")
        if equals:
            last = left.strip().lower()
            keys[last] = right.strip()
        elif last:
            keys[last] += " " + line  # a list of values goes on over lines
        else:
            raise GridError(f"grid {where}: line {number} is no 'key = value' of a CDO grid description: {line[:60]!r}")
    return keys


def _griddes_numbers(keys: dict[str, str], key: str, where: str) -> FloatArray:
    try:
        return np.array([float(part) for part in keys[key].split()])
    except ValueError:
        raise GridError(f"grid {where}: {key} = {keys[key][:60]!r} is not all numbers") from None


def _griddes_axis(keys: dict[str, str], axis: str, where: str) -> FloatArray:
    units = keys.get(f"{axis}units", "degrees").strip("'\"").lower()
    if not units.startswith("degree"):
        raise GridError(f"grid {where}: {axis}units = {units!r}; only degrees are read")
    wanted = (f"{axis}size", f"{axis}first", f"{axis}inc")
    if f"{axis}vals" in keys:
        values = _griddes_numbers(keys, f"{axis}vals", where)
        if wanted[0] in keys and _griddes_numbers(keys, wanted[0], where).tolist() != [values.size]:
            raise GridError(f"grid {where}: {wanted[0]} = {keys[wanted[0]]}, but {axis}vals has {values.size} values")
        return values
    for key in wanted:
        if key not in keys:
            raise GridError(f"grid {where}: {key} is missing ({axis}size, {axis}first, {axis}inc, or {axis}vals)")
        if _griddes_numbers(keys, key, where).size != 1:
            raise GridError(f"grid {where}: {key} = {keys[key]!r} is not one number")
    size, first, inc = (float(_griddes_numbers(keys, key, where)[0]) for key in wanted)
    if size != int(size) or not 1 <= size <= MAX_CELLS:
        raise GridError(f"grid {where}: {axis}size = {size:g}; a grid needs at least one cell along each axis")
    if inc == 0 or not np.isfinite([first, inc]).all():
        raise GridError(f"grid {where}: {axis}first = {first:g}, {axis}inc = {inc:g}; the increment must not be 0")
    return first + np.arange(int(size), dtype=np.float64) * inc


def grid_from_netcdf(path: Path, variable: str | None = None) -> Grid:
    """Return the grid of a NetCDF file or Zarr store.

    Parameters
    ----------
    path : Path
        The file or store.
    variable : str, optional
        Variable over latitude and longitude that is above 0.5 where a value is wanted; without it ``mask`` is taken
        if there is one.

    Raises
    ------
    GridError
        If the file cannot be opened, has no one-dimensional latitude and longitude, lacks the variable, or breaks a
        rule of `Grid`.
    """
    where = str(path)
    import xarray as xr  # here, so that a grid's name is known without it

    try:
        # The engine is named, so that no other one (cfgrib, say) is asked what it thinks of the file.
        dataset = xr.open_dataset(path, engine="zarr" if path.is_dir() else "netcdf4", decode_times=False, chunks=None)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise GridError(f"grid file {where!r} cannot be read: {in_one_line(error, 200)}") from None
    with dataset:
        lat, lon = (_coordinate(dataset, kind, where) for kind in _AXES)
        mask = _mask(dataset, variable, (lat, lon), where)
        spacing = _spacing(dataset, (lat, lon)) if 1 in (lat.size, lon.size) else None
        title = f"from the coordinates of {path.name}"
        return Grid(path.stem, lat.values, lon.values, mask, title=title, spacing=spacing)


def _spacing(dataset: xr.Dataset, axes: tuple[xr.DataArray, xr.DataArray]) -> tuple[float, float]:
    """Return height and width of a cell of axes of which one has a single cell: from its bounds, NaN without any."""
    sizes = []
    for axis in axes:
        bounds = axis.attrs.get("bounds", "")
        step = np.nan
        if axis.size > 1:
            step = abs(float(np.diff(axis.values[[0, -1]])[0])) / (axis.size - 1)
        elif bounds in dataset.variables:
            step = abs(float(np.diff(np.asarray(dataset[bounds].values, np.float64).ravel()[:2])[0]))
        sizes.append(step)
    return sizes[0], sizes[1]


def coordinates_of(dataset: xr.Dataset, kind: str) -> list[Hashable]:
    """Return the variables that are latitudes or longitudes: by standard name or units, else by the usual names.

    Parameters
    ----------
    dataset : Dataset
    kind : {"latitude", "longitude"}
    """
    standard_name, units, names = _AXES[kind]
    by_attributes = [
        key
        for key, value in dataset.variables.items()
        if value.attrs.get("standard_name") == standard_name or value.attrs.get("units") in units
    ]
    return by_attributes or [key for key in names if key in dataset.variables]


def _coordinate(dataset: xr.Dataset, kind: str, where: str) -> xr.DataArray:
    names = _AXES[kind][2]
    known = coordinates_of(dataset, kind)
    flat = [key for key in known if dataset[key].ndim == 1 and dataset[key].dims == (key,)]
    candidates = flat or known
    if not candidates:
        raise GridError(
            f"grid file {where!r} has no {kind} (no variable with that standard_name or units, none {names})"
        )
    values = dataset[candidates[0]]
    if values.ndim != 1:
        raise GridError(
            f"grid file {where!r}: {kind} {candidates[0]!r} has the dimensions {values.dims}; only regular grids with "
            "one-dimensional coordinates are read (cdo remapbil makes one)"
        )
    return values


def _mask(
    dataset: xr.Dataset, variable: str | None, axes: tuple[xr.DataArray, xr.DataArray], where: str
) -> NDArray[np.bool_] | None:
    key = variable or "mask"
    if key not in dataset.variables:
        if variable is not None:
            known: Any = sorted(str(k) for k in dataset.data_vars)
            raise GridError(f"grid file {where!r} has no variable {variable!r}; it has {', '.join(known) or 'none'}")
        return None
    dims = (axes[0].dims[0], axes[1].dims[0])
    values = dataset[key].squeeze(drop=True)
    if set(values.dims) != set(dims):
        raise GridError(f"grid file {where!r}: mask {key!r} has the dimensions {values.dims}, wanted {dims}")
    # A missing value compares false: not wanted.
    return np.asarray(values.transpose(*dims).values > 0.5)
