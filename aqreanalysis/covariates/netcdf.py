"""NetCDF files as layers, through xarray: ERA5 and ERA5-Land of the CDS, CAMS global and European of the ADS, and CF.

What differs from file to file and is understood here:
- time under ``time`` or ``valid_time``, or a run (``forecast_reference_time``, ``time``) beside a ``forecast_period``
  or ``step``; in files of the CAMS European ensemble, hours "since" a day that only the long name tells;
- ``expver`` as a dimension (0001 and 0005 side by side, NaN where the other is) or as a coordinate along time;
- hourly means with ``time_bnds``: they count for the hours of their bounds;
- sums that say neither period nor start. In a file of ERA5 they are of the hour before the stamp, in one of ERA5-Land
  they run from 00 UTC. `covariates.accumulation=auto` looks at the values of two days: a sum since midnight never
  falls between 01 and 24 UTC, and hourly rain does.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from aqreanalysis.common.hours import decimal_hours
from aqreanalysis.common.progress import Progress
from aqreanalysis.configs import CovariatesConfig
from aqreanalysis.covariates.fields import BY_NAME, BY_STANDARD_NAME, Field
from aqreanalysis.covariates.gribfile import file_state
from aqreanalysis.covariates.gridded import GriddedSource, Variable, with_hours
from aqreanalysis.covariates.interpolation import Axes, Stencil
from aqreanalysis.covariates.report import CovariatesReport
from aqreanalysis.covariates.temporal_recipes import COLUMNS, INSTANT, MEAN, SUM, make_hourly_weights
from aqreanalysis.covariates.units import Conversion, conversion, normal
from aqreanalysis.errors import CovariatesError

_LAT, _LON = ("latitude", "lat"), ("longitude", "lon")
_RUN, _LEAD = ("forecast_reference_time", "time"), ("forecast_period", "step", "leadtime")
_LEVEL = ("level", "pressure_level", "model_level", "hybrid", "height", "isobaricInhPa")
#: A sum since midnight may fall by the rounding of packing, in mm.
_ROUNDING = 0.02
#: Points along an axis, and days at a time, that are looked at to tell a sum since midnight from an hourly one.
_LOOK_POINTS, _LOOK_DAYS = 24, 2
#: The HDF5 library is not safe for threads, and xarray's lock leaves out the attributes that opening a file reads: two
#: blocks that read at once ended the process, or found a damaged file.
_ONE_READER = threading.RLock()


@dataclass(frozen=True)
class _FileVariable:
    """A variable of a file: name, dimensions before (lat, lon), and which index of each dimension holds a time_step."""

    name: str
    outer: tuple[Hashable, ...]


@dataclass(frozen=True)
class NetcdfMaps:
    """Values of one field in NetCDF files; `names` and `indices` are by file, an index (time step, outer dimension)."""

    paths: tuple[Path, ...]
    states: tuple[tuple[int, int], ...]
    variables: dict[int, _FileVariable]
    indices: dict[int, NDArray[np.int64]]

    def read(self, time_steps: pd.DataFrame, stencil: Stencil, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return values of time steps at the points, float32 (time step, point), neighbours in one go."""
        out = np.empty((len(time_steps), stencil.points.size), np.float32)
        done = 0
        for file, group in time_steps.groupby("file", sort=False):
            number = int(str(file))
            path, variable = self.paths[number], self.variables[number]
            if not path.is_file() or file_state(path) != self.states[number]:
                raise CovariatesError(f"{path} was changed or moved while it was in use; begin again")
            index = self.indices[number][group["where"].to_numpy(np.int64)]
            with _ONE_READER, _opened(path) as dataset:
                array = dataset[variable.name]
                for run in _runs(index):
                    values = _slab(array, variable, index[run], stencil, path)
                    out[done + run.start : done + run.stop] = values
            done += len(group)
        return out

    def name(self, time_step: pd.Series) -> str:
        """Return file, variable and position of a time_step."""
        file = int(time_step["file"])
        variable = self.variables[file]
        where = zip(variable.outer, self.indices[file][int(time_step["where"])], strict=True)
        return f"{self.paths[file]}, {variable.name} at {', '.join(f'{dim} {i}' for dim, i in where)}"


def _runs(index: NDArray[np.int64]) -> list[slice]:
    """Return slices of rows whose last index goes up by one and whose others are equal."""
    if not len(index):
        return []
    step = np.diff(index, axis=0)
    breaks = np.flatnonzero((step[:, -1] != 1) | (step[:, :-1] != 0).any(axis=1)) + 1
    edges = [0, *breaks.tolist(), len(index)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def _slab(
    array: xr.DataArray, variable: _FileVariable, index: NDArray[np.int64], stencil: Stencil, path: Path
) -> NDArray[np.float32]:
    picked: dict[Hashable, Any] = dict(zip(variable.outer[:-1], index[0, :-1].tolist(), strict=True))
    if variable.outer:
        picked[variable.outer[-1]] = slice(int(index[0, -1]), int(index[-1, -1]) + 1)
    lat, lon = array.dims[-2:]
    picked |= {lat: stencil.rows, lon: stencil.columns}
    try:
        block = np.asarray(array.isel(picked).values, np.float32)
    except (OSError, RuntimeError, ValueError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise CovariatesError(
            f"{path}: the values of {variable.name} cannot be read ({reason}); get it again"
        ) from None
    return block.reshape(len(index), -1)[:, stencil.points]


def _opened(path: Path) -> xr.Dataset:
    try:
        return xr.open_dataset(path, engine="netcdf4", decode_times=False, chunks=None, cache=False)
    except Exception as error:  # the engines raise whatever their libraries do
        reason = " ".join(str(error).split())
        raise CovariatesError(f"{path} is no NetCDF file that can be read ({reason}); get it again") from None


def read_netcdf(
    paths: Sequence[Path], config: CovariatesConfig, report: CovariatesReport, progress: Progress | None = None
) -> list[GriddedSource]:
    """Return the layers of NetCDF files; only coordinates are read, and for sums a few values.

    Raises
    ------
    CovariatesError
        As the module says; with ``skip_broken`` such a file is left out and told.
    """
    grids: dict[str, _Grid] = {}
    for number, path in enumerate(paths):
        with report.skipping(path, config.skip_broken):
            _scan(path, number, config, report, grids)
        if progress is not None:
            progress(number + 1, len(paths), "coordinates of NetCDF files")
    states = tuple(file_state(path) for path in paths)
    layers = []
    for grid in grids.values():
        variables = {}
        for key, parts in grid.parts.items():
            time_steps = pd.concat([part.time_steps for part in parts], ignore_index=True)
            hourly_weights = make_hourly_weights(time_steps, config.max_step_hours)
            report.tell(parts[0].field, hourly_weights)
            maps = NetcdfMaps(
                tuple(paths),
                states,
                {part.file: part.variable for part in parts},
                {part.file: part.index for part in parts},
            )
            if len({part.conversion for part in parts}) > 1:
                raise CovariatesError(f"{key} comes in different units in {paths[parts[0].file].name} and other files")
            variables[key] = Variable(parts[0].field, time_steps, hourly_weights, parts[0].conversion, maps)
        layers.append(GriddedSource("NetCDF", grid.axes, with_hours(variables, "NetCDF", report)))
    return layers


@dataclass
class _Part:
    """A field in one file."""

    file: int
    field: Field
    variable: _FileVariable
    time_steps: pd.DataFrame
    index: NDArray[np.int64]
    conversion: Conversion


@dataclass
class _Grid:
    axes: Axes
    parts: dict[str, list[_Part]]


def _scan(path: Path, number: int, config: CovariatesConfig, report: CovariatesReport, grids: dict[str, _Grid]) -> None:
    with _ONE_READER, _opened(path) as dataset:
        lat, lon = (_first_of(dataset, names, path) for names in (_LAT, _LON))
        axes = Axes.checked(dataset[lat].values, dataset[lon].values, str(path))
        used = False
        for name, array in dataset.data_vars.items():
            if tuple(array.dims[-2:]) != (lat, lon):
                continue
            field = BY_NAME.get(str(name)) or BY_STANDARD_NAME.get(str(array.attrs.get("standard_name", "")))
            if field is None:
                report.leave_out(f"variable {name} is no known field")
                continue
            part = _part(dataset, str(name), field, path, number, config, report)
            grid = grids.setdefault(axes.digest(), _Grid(axes, {}))
            grid.parts.setdefault(field.key, []).append(part)
            report.add("maps", len(part.time_steps))
            used = True
    if not used:
        report.warnings.append(f"{path} holds no field that is known here")


def _first_of(dataset: xr.Dataset, names: Sequence[str], path: Path) -> str:
    for name in names:
        if name in dataset.variables and dataset[name].ndim == 1:
            return name
    raise CovariatesError(
        f"{path}: no {names[0]} of one dimension; a regular grid with {' or '.join(names)} is needed "
        f"(there are {', '.join(str(v) for v in list(dataset.variables)[:8]) or 'no variables'})"
    )


def _part(
    dataset: xr.Dataset,
    name: str,
    field: Field,
    path: Path,
    number: int,
    config: CovariatesConfig,
    report: CovariatesReport,
) -> _Part:
    array = dataset[name]
    where = f"{path}, {name}"
    outer = tuple(array.dims[:-2])
    time_steps, index = _time_steps_of(dataset, array, outer, where)
    converted = conversion(str(array.attrs.get("units", "")), field, where)
    if field.accumulated and (time_steps["kind"] == INSTANT).all():
        _set_sums(time_steps, array, index, converted, config, report, where)
    time_steps["file"] = number
    return _Part(number, field, _FileVariable(name, outer), time_steps[list(COLUMNS)], index, converted)


def _time_steps_of(
    dataset: xr.Dataset, array: xr.DataArray, outer: tuple[Hashable, ...], where: str
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Return the time steps of a variable and the index (time step, outer dimension) of each, the lowest level."""
    sizes = [array.sizes[dim] for dim in outer]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in sizes), indexing="ij"), axis=-1).reshape(-1, len(outer))
    usable = np.ones(len(index), np.bool_)
    end = run = None
    early = np.zeros(len(index), np.bool_)
    lead = None
    for axis, dim in enumerate(outer):
        at = index[:, axis]
        if dim in _LEVEL:
            usable &= at == _lowest(dataset, dim, sizes[axis])
        elif dim == "expver":
            early = np.char.lstrip(np.asarray(dataset[dim].values).astype(str), "0")[at] == "5"
        elif dim in _LEAD:
            lead = _durations(dataset[dim], where)[at]
        elif dim in {"time", "valid_time", "forecast_reference_time"}:
            run = _times(dataset[dim], where)[at]
        elif sizes[axis] != 1:
            raise CovariatesError(f"{where}: dimension {dim!r} of size {sizes[axis]} is neither time, level nor expver")
    if run is None:
        raise CovariatesError(
            f"{where}: no time (dimensions {', '.join(map(str, array.dims))}); a static map is a raster"
        )
    end = run if lead is None else run + lead
    if "expver" in dataset.variables and "expver" not in outer and dataset["expver"].dims == outer[:1]:
        early = np.char.lstrip(np.asarray(dataset["expver"].values).astype(str), "0")[index[:, 0]] == "5"
    start, kind = _periods(dataset, outer, index, end, where)
    odd = (end % 1 != 0) | (run % 1 != 0)
    usable &= ~odd
    if "expver" in outer:
        usable &= _filled(array, outer)
    time_steps = pd.DataFrame(
        {
            "where": np.arange(len(index)),
            "number": np.arange(len(index)) + 1,
            "run": run.astype(np.int64),
            "start": start.astype(np.int64),
            "end": end.astype(np.int64),
            "kind": kind,
            "early": early,
            "forecast": end > run,
        }
    )
    return time_steps[usable].reset_index(drop=True), index


def _lowest(dataset: xr.Dataset, dim: Hashable, size: int) -> int:
    """Return which level is nearest the ground: the smallest height, or the largest number of level or pressure."""
    if dim not in dataset.variables:
        return size - 1
    levels = np.asarray(dataset[dim].values, np.float64)
    upwards = dim == "height" or normal(str(dataset[dim].attrs.get("units", ""))) == "m"
    return int(levels.argmin() if upwards else levels.argmax())


def _filled(array: xr.DataArray, outer: tuple[Hashable, ...]) -> NDArray[np.bool_]:
    """Return whether each time step holds any value: of two issues side by side, one is NaN at each hour."""
    some = array.isel({dim: _every(array.sizes[dim]) for dim in array.dims[len(outer) :]})
    return np.isfinite(np.asarray(some.values, np.float32)).any(axis=(-2, -1)).ravel()


def _every(size: int) -> slice:
    """Return a slice that takes some points of an axis."""
    return slice(None, None, max(1, size // _LOOK_POINTS))


def _periods(
    dataset: xr.Dataset, outer: tuple[Hashable, ...], index: NDArray[np.int64], end: NDArray[np.float64], where: str
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return where the period of each time step starts, and its kind: a mean where bounds say so, else an instant."""
    for axis, dim in enumerate(outer):
        bounds = dataset[dim].attrs.get("bounds") if dim in dataset.variables else None
        if bounds in dataset.variables and dim in {"time", "valid_time"}:
            array = dataset[bounds].copy()
            array.attrs = {**dataset[dim].attrs, **array.attrs}
            edges = _times(array, where)[index[:, axis]]
            if not np.allclose(edges[:, 1], end) or (edges[:, 0] >= end).any():
                raise CovariatesError(
                    f"{where}: {bounds} do not end at {dim}; stamps at the END of their period are needed"
                )
            return edges[:, 0], np.full(len(index), MEAN)
    return end, np.full(len(index), INSTANT)


def _times(variable: xr.DataArray, where: str) -> NDArray[np.float64]:
    """Return hours since 1970-01-01 UTC."""
    units = str(variable.attrs.get("units", ""))
    if "since" not in units:
        # CAMS European ensemble: units "hours", long name "ANALYSIS time from 20190101" (or FORECAST).
        day = re.search(r"from (\d{4})(\d{2})(\d{2})", str(variable.attrs.get("long_name", "")))
        if day is None or not units.startswith("hour"):
            raise CovariatesError(f"{where}: times in {units!r} are since no date; 'hours since 1970-01-01' is needed")
        units = f"hours since {day[1]}-{day[2]}-{day[3]}"
    try:
        from xarray.coding.times import decode_cf_datetime

        times = decode_cf_datetime(variable.values, units, variable.attrs.get("calendar", "standard"), use_cftime=False)
        return decimal_hours(np.asarray(times))
    except Exception as error:  # pandas, cftime and numpy each have their own
        raise CovariatesError(f"{where}: times in {units!r} cannot be read ({' '.join(str(error).split())})") from None


def _durations(variable: xr.DataArray, where: str) -> NDArray[np.float64]:
    """Return leads in hours."""
    units = str(variable.attrs.get("units", "")).split(" since")[0].strip().lower()
    factor = {"hours": 1.0, "hour": 1.0, "h": 1.0, "minutes": 1 / 60, "seconds": 1 / 3600, "days": 24.0}.get(units)
    if factor is None or not np.issubdtype(variable.dtype, np.number):
        raise CovariatesError(f"{where}: lead times {variable.name!r} in {units!r}; hours are needed")
    return np.asarray(variable.values, np.float64) * factor


def _set_sums(
    time_steps: pd.DataFrame,
    array: xr.DataArray,
    index: NDArray[np.int64],
    converted: Conversion,
    config: CovariatesConfig,
    report: CovariatesReport,
    where: str,
) -> None:
    """Make sums of instants, in place: from the start of the run, from midnight, or of the hour before the stamp."""
    end = time_steps["end"].to_numpy(np.int64)
    time_steps["kind"] = SUM
    if time_steps["forecast"].any():
        time_steps["start"] = time_steps["run"]
        time_steps.drop(time_steps.index[time_steps["start"] >= time_steps["end"]], inplace=True)
        return
    from_midnight = config.accumulation == "from-start"
    if config.accumulation == "auto":
        from_midnight = _never_falls(time_steps, array, index, converted)
        report.notes.append(
            f"{where}: taken as sums {'since 00 UTC' if from_midnight else 'of one hour'}, by its values"
        )
    time_steps["start"] = (end - 1) // 24 * 24 if from_midnight else end - 1
    time_steps["run"] = time_steps["start"]


def _never_falls(
    time_steps: pd.DataFrame, array: xr.DataArray, index: NDArray[np.int64], converted: Conversion
) -> bool:
    """Return whether the sums only ever rise from 01 to 24 UTC, in the first days in which they rise at all."""
    ordered = time_steps.sort_values("end")
    days = (ordered["end"].to_numpy(np.int64) - 1) // 24
    outer, every = array.dims[:-2], {dim: _every(array.sizes[dim]) for dim in array.dims[-2:]}
    for day in np.unique(days)[::_LOOK_DAYS]:
        look = (days >= day) & (days < day + _LOOK_DAYS)
        where = ordered["where"].to_numpy()[look]
        picked = [dict(zip(outer, index[i].tolist(), strict=True)) for i in where]
        values = np.stack([np.asarray(array.isel({**at, **every}).values, np.float64) for at in picked])
        rise = np.diff(values * converted.factor, axis=0)[np.diff(days[look]) == 0]
        if np.nanmax(rise, initial=-np.inf) > _ROUNDING:
            return bool(np.nanmin(rise, initial=np.inf) > -_ROUNDING)
    return False
