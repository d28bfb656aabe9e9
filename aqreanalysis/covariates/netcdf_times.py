"""Which hours each map of a NetCDF variable is of: dimensions, runs, leads, bounds and stamps -> time steps.

What differs from file to file and is understood here:
- time under any name whose units say "since" (or WRF's text ``Times``), or a run (``forecast_reference_time``) beside
  a lead (``forecast_period``, ``step``), with or without ``valid_time``; each may be a single number beside the
  dimensions. In files of the CAMS European ensemble hours are "since" a day that only the long name tells;
- bounds of time: a map counts for the hours between them, wherever in them its stamp lies;
- stamps at half past, as of MERRA-2: means of the hour around them (of three hours where they come three hours apart);
- times in single precision, which miss the hour by up to minutes: they are rounded as far as the type misses it;
- ``expver`` as a dimension (0001 and 0005 side by side, NaN where the other is) or as a coordinate along time;
- members of an ensemble and levels, of which one is taken.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from aqreanalysis.common.hours import decimal_hours, stamp_text
from aqreanalysis.common.units import linear_conversion
from aqreanalysis.configs import CovariatesConfig
from aqreanalysis.covariates.fields import Field
from aqreanalysis.covariates.report import CovariatesReport
from aqreanalysis.covariates.temporal_recipes import INSTANT, MEAN
from aqreanalysis.covariates.units import normal
from aqreanalysis.errors import CovariatesError, in_one_line

_VALID, _RUN = "valid_time", "forecast_reference_time"
_LEAD = ("forecast_period", "step", "leadtime", "lead_time")
_LEVEL = (
    *("level", "lev", "plev", "pressure", "pressure_level", "model_level", "hybrid", "height", "isobaricinhpa"),
    *("bottom_top", "heightaboveground"),
)
# How CDO calls days that are written as dates, and the calendars whose days are days.
_ABSOLUTE = "day as %y%m%d.%f"
_CALENDARS = {"standard", "gregorian", "proleptic_gregorian"}
_MEMBER = ("number", "member", "ensemble", "realization")
#: Stamps are rounded to whole and half hours that are so near, beside what their type misses; hours.
_NEAR = 5.0 / 3600.0
#: The most by which a type may miss the hour and still tell half hours apart.
_MOST_MISSED = 0.24
#: Of maps that are looked at together, bytes.
_LOOK_BYTES = 64 << 20

Hours = NDArray[np.float64]


@dataclass(frozen=True)
class MapVariable:
    """A variable of a file as a stack of maps.

    Attributes
    ----------
    name : str
    outer : tuple
        Dimensions that count the maps.
    place : tuple
        Dimensions of rows and columns; in the file all stand in any order.
    """

    name: str
    outer: tuple[Hashable, ...]
    place: tuple[Hashable, Hashable]


def time_steps_of(
    dataset: xr.Dataset,
    variable: MapVariable,
    field: Field,
    config: CovariatesConfig,
    report: CovariatesReport,
    where: str,
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Return the time steps of a variable and the index of each of its maps.

    Parameters
    ----------
    dataset : Dataset
    variable : MapVariable
    field : Field
    config : CovariatesConfig
    report : CovariatesReport
        Told what is left out.
    where : str
        File and variable, for messages.

    Returns
    -------
    tuple
        A row a map with the columns of `temporal_recipes.COLUMNS` but for ``file``, and ``bounded``: whether start and
        end are the file's own. And int64 (map, outer dimension).

    Raises
    ------
    CovariatesError
        If a dimension is not understood, or times cannot be read.
    """
    outer = variable.outer
    sizes = [dataset.sizes[dim] for dim in outer]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in sizes), indexing="ij"), axis=-1).reshape(-1, len(outer))
    usable = np.ones(len(index), np.bool_)
    for axis, dim in enumerate(outer):
        if dim != "expver" and not _is_time(dataset, dim):
            usable &= index[:, axis] == _chosen(dataset, dim, field, config, where)
    time_steps = _stamped(dataset, outer, index, report, where)
    time_steps["early"] = _early(dataset, outer, index)
    odd = (time_steps[["run", "start", "end"]] % 1 != 0).any(axis=1).to_numpy()
    if (usable & odd).any():
        first = float(time_steps["end"][usable & odd].iloc[0])
        report.leave_out(
            f"{field.key} between two full hours, the first at {stamp_text(int(first))} and {first % 1 * 60:.0f} min",
            int((usable & odd).sum()),
        )
    usable &= ~odd
    if "expver" in outer:
        usable &= _filled(dataset[variable.name], variable)
    time_steps["where"] = np.arange(len(index))
    time_steps["number"] = time_steps["where"] + 1
    time_steps = time_steps[usable].reset_index(drop=True)
    return time_steps.astype({"run": np.int64, "start": np.int64, "end": np.int64}), index


def _is_time(dataset: xr.Dataset, dim: Hashable) -> bool:
    """Return whether a dimension is of times, runs or leads."""
    if str(dim).lower() in {"time", _VALID, _RUN, *_LEAD}:
        return True
    return dim in dataset.variables and " since " in str(dataset[dim].attrs.get("units", ""))


def _chosen(dataset: xr.Dataset, dim: Hashable, field: Field, config: CovariatesConfig, where: str) -> int:
    """Return which index of a dimension that is no time is taken: of a member, a level, or the only one."""
    size, name = dataset.sizes[dim], str(dim).lower()
    known = dataset[dim].values if dim in dataset.variables and dataset[dim].ndim == 1 else np.arange(size)
    attrs = dataset[dim].attrs if dim in dataset.variables else {}
    if name in _MEMBER or attrs.get("standard_name") == "realization":
        if config.member is None and size > 1:
            raise CovariatesError(
                f"{where}: dimension {dim!r} of size {size} is of members of an ensemble; covariates.member={known[0]} "
                "takes one"
            )
        return 0 if config.member is None else _position(known, config.member, f"{where}: member", "covariates.member")
    if name in _LEVEL or attrs.get("axis") == "Z" or attrs.get("positive") in {"up", "down"}:
        level = config.levels.get(field.key)
        if level is not None:
            return _position(known, level, f"{where}: level", f"covariates.levels.{field.key}")
        levels = np.asarray(known, np.float64)
        # Heights are counted from the ground, pressures and the levels of a model from above.
        upwards = name in {"height", "bottom_top", "heightaboveground"} or normal(str(attrs.get("units", ""))) == "m"
        return int(levels.argmin() if upwards else levels.argmax())
    if size != 1:
        raise CovariatesError(
            f"{where}: dimension {dim!r} of size {size} is neither time, level, member nor expver; take one of it out "
            f"(ncks -d {dim},0)"
        )
    return 0


def _position(known: NDArray[np.generic], wanted: float, what: str, setting: str) -> int:
    """Return where a value stands in a coordinate."""
    at = np.flatnonzero(np.isclose(np.asarray(known, np.float64), wanted))
    if not at.size:
        raise CovariatesError(f"{what} {wanted:g} is not in the file, which has {_few(known)}; set {setting} to one")
    return int(at[0])


def _few(values: NDArray[np.generic]) -> str:
    return ", ".join(f"{float(value):g}" for value in values[:8]) + (" ..." if len(values) > 8 else "")


def _stamped(
    dataset: xr.Dataset, outer: tuple[Hashable, ...], index: NDArray[np.int64], report: CovariatesReport, where: str
) -> pd.DataFrame:
    """Return run, start and end (hours of any fraction), kind, forecast and bounded of each map."""

    def along(variable: xr.DataArray, values: Hours) -> Hours:
        return np.broadcast_to(values[tuple(index[:, outer.index(dim)] for dim in variable.dims)], len(index))

    run_time, lead, valid = _time_variables(dataset, outer)
    if run_time is None and valid is None:
        dims = ", ".join(map(str, outer)) or "none beside the place"
        raise CovariatesError(f"{where}: no time (dimensions: {dims}); a static map is a raster")
    run = None if run_time is None else along(run_time, _times(run_time, report, where, _file(dataset, where)))
    ahead = np.zeros(len(index)) if lead is None else along(lead, _durations(lead, where))
    if valid is not None:
        end = along(valid, _times(valid, report, where, _file(dataset, where)))
        run = end - ahead if run is None and lead is not None and lead.ndim else run
    else:
        assert run is not None
        end = run + ahead
    start, kind, bounded = end, np.full(len(index), INSTANT), np.zeros(len(index), np.bool_)
    edges = None if valid is None else _bounds(dataset, valid, report, where)
    half = end % 1 == 0.5
    if edges is not None and valid is not None:
        start, end = (along(valid, edges[..., side]) for side in (0, 1))
        kind, bounded = np.full(len(index), MEAN), np.ones(len(index), np.bool_)
    elif half.any():
        apart = np.diff(np.unique(end[half])).min(initial=np.inf)
        width = 3.0 if apart == 3.0 else 1.0
        start, end = np.where(half, end - width / 2, end), np.where(half, end + width / 2, end)
        kind, bounded = np.where(half, MEAN, INSTANT), half
        around = "hour" if width == 1.0 else f"{width:g} hours"
        report.note(f"{_file(dataset, where)}: stamps at half past are taken as means of the {around} around them")
    run = end if run is None else run
    table = {"run": run, "start": start, "end": end, "kind": kind, "forecast": end > run, "bounded": bounded}
    return pd.DataFrame(table)


def _time_variables(
    dataset: xr.Dataset, outer: tuple[Hashable, ...]
) -> tuple[xr.DataArray | None, xr.DataArray | None, xr.DataArray | None]:
    """Return the variables of runs, of leads, and of the times for which maps are, as far as there are such."""

    of_bounds = {variable.attrs.get("bounds") for variable in dataset.variables.values()}
    within = [
        dataset[name]
        for name, variable in dataset.variables.items()
        if set(variable.dims) <= set(outer) and name not in of_bounds and name != "expver"
    ]
    lead = _first(within, _LEAD, "forecast_period")
    times = [one for one in within if lead is None or one.name != lead.name]
    run = _first(times, (_RUN,), _RUN)
    times = [one for one in times if run is None or one.name != run.name]
    valid = _first(times, ("times", _VALID, "time"), "time")
    if valid is None:
        valid = next((one for one in times if " since " in str(one.attrs.get("units", ""))), None)
    if lead is not None and valid is not None and not set(lead.dims) <= set(valid.dims):
        return (valid if run is None else run), lead, None
    return run, lead, valid


def _first(variables: list[xr.DataArray], names: tuple[str, ...], standard_name: str) -> xr.DataArray | None:
    """Return the first variable of these names, in any case, else of this standard name."""
    for name in names:
        for one in variables:
            if str(one.name).lower() == name:
                return one
    return next((one for one in variables if one.attrs.get("standard_name") == standard_name), None)


def _early(dataset: xr.Dataset, outer: tuple[Hashable, ...], index: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each map is of ERA5T, issued early."""
    if "expver" not in dataset.variables or not set(dataset["expver"].dims) <= set(outer):
        return np.zeros(len(index), np.bool_)
    of_file = np.char.lstrip(np.asarray(dataset["expver"].values).astype(str), "0") == "5"
    at = tuple(index[:, outer.index(dim)] for dim in dataset["expver"].dims)
    return np.broadcast_to(of_file[at], len(index))


def _filled(array: xr.DataArray, variable: MapVariable) -> NDArray[np.bool_]:
    """Return whether each map holds any value: of two issues side by side, one is NaN at each hour.

    Every point is looked at: of an island the others say nothing.
    """
    first = variable.outer[0]
    step = max(1, _LOOK_BYTES * array.sizes[first] // max(array.size * array.dtype.itemsize, 1))
    parts = []
    for begin in range(0, array.sizes[first], step):
        piece = array.isel({first: slice(begin, begin + step)}).load()
        parts.append(np.asarray(piece.notnull().any(variable.place).transpose(*variable.outer).values).ravel())
    return np.concatenate(parts)


def _bounds(dataset: xr.Dataset, valid: xr.DataArray, report: CovariatesReport, where: str) -> Hours | None:
    """Return start and end of the period of each stamp (..., 2); None where the file tells of none."""
    name = valid.attrs.get("bounds")
    if name not in dataset.variables:
        return None
    bounds = dataset[name].copy()
    if bounds.dims[:-1] != valid.dims or bounds.shape[-1] != 2:
        raise CovariatesError(f"{where}: {name} has the dimensions {bounds.dims}, and not a start and an end a stamp")
    bounds.attrs = {**valid.attrs, **bounds.attrs}
    edges = _times(bounds, report, where, _file(dataset, where))
    if (edges[..., 0] > edges[..., 1]).any():
        raise CovariatesError(f"{where}: {name} has a period that ends before it starts")
    return None if (edges[..., 0] == edges[..., 1]).all() else edges


def _file(dataset: xr.Dataset, where: str) -> str:
    """Return the name of a file, for what holds of all its variables."""
    return str(dataset.encoding.get("source", where))


def _times(variable: xr.DataArray, report: CovariatesReport, where: str, file: str) -> Hours:
    """Return hours since 1970-01-01 UTC, whole and half ones exact; what was rounded is told once of a file."""
    units = str(variable.attrs.get("units", ""))
    try:
        if variable.dtype.kind in "SU":  # WRF: 2020-01-01_00:00:00
            texts = pd.Series(np.asarray(variable.values).astype(str).ravel()).str.replace("_", " ")
            return decimal_hours(pd.to_datetime(texts).to_numpy()).reshape(variable.shape)
        if units.lower() == _ABSOLUTE:  # CDO -a
            return _absolute(np.asarray(variable.values, np.float64))
        if "since" not in units:
            # CAMS European ensemble: units "hours", long name "ANALYSIS time from 20190101" (or FORECAST).
            day = re.search(r"from (\d{4})(\d{2})(\d{2})", str(variable.attrs.get("long_name", "")))
            if day is None or not units.startswith("hour"):
                raise CovariatesError(
                    f"{where}: times in {units!r} are since no date; 'hours since 1970-01-01' is needed"
                )
            units = f"hours since {day[1]}-{day[2]}-{day[3]}"
        from xarray.coding.times import decode_cf_datetime

        times = decode_cf_datetime(variable.values, units, variable.attrs.get("calendar", "standard"), use_cftime=False)
        hours = decimal_hours(np.asarray(times))
    except CovariatesError:
        raise
    except Exception as error:  # pandas, cftime and numpy each have their own
        calendar = str(variable.attrs.get("calendar", "standard"))
        if calendar not in _CALENDARS:
            raise CovariatesError(
                f"{where}: its calendar is {calendar!r}, a model's own, whose days are not those of the "
                "stations' readings"
            ) from None
        raise CovariatesError(f"{where}: times in {units!r} cannot be read ({in_one_line(error)})") from None
    missed = _missed(np.asarray(variable.values), units)
    exact, moved = _rounded(hours, missed)
    if moved.any():
        report.note(
            f"{file}: {moved.size} stamps of {variable.name}, in single precision, rounded to the hour by up to "
            f"{moved.max() * 3600:.0f} s"
        )
    return exact


def _absolute(numbers: NDArray[np.float64]) -> Hours:
    """Return hours since 1970-01-01 UTC of days as 20230601.25, to the minute."""
    days = np.floor(numbers + 1e-6).astype(np.int64)
    dates = pd.to_datetime(pd.Series(days.ravel().astype(str)), format="%Y%m%d").to_numpy()
    hours = decimal_hours(dates).reshape(numbers.shape) + 24.0 * (numbers - days)
    return np.asarray(np.round(hours * 60.0) / 60.0)


def _missed(values: NDArray[np.generic], units: str) -> float:
    """Return by how much single precision misses times, in hours; 0 if they are stored in another type."""
    single = np.asarray(values, np.float32)
    if values.dtype.kind != "f" or not values.size or not np.array_equal(single, values):
        return 0.0
    unit = linear_conversion(units.split(" since")[0].strip(), "hour")
    return min(float(np.spacing(np.abs(single).max())) * (unit[0] if unit is not None else 0.0), _MOST_MISSED)


def _rounded(hours: Hours, missed: float = 0.0) -> tuple[Hours, Hours]:
    """Return hours, those near a whole or half one moved to it, and by how much those were off that only a type that
    misses the hour explains."""
    near = np.round(hours * 2) / 2
    off = np.abs(hours - near)
    return np.where(off <= max(_NEAR, missed), near, hours), off[(off > _NEAR) & (off <= missed)]


def _durations(variable: xr.DataArray, where: str) -> Hours:
    """Return leads in hours, whole and half ones exact."""
    units = str(variable.attrs.get("units", "")).split(" since")[0].strip().lower()
    factor = {"nanoseconds": (1 / 3.6e12, 0.0), "h": (1.0, 0.0)}.get(units) or linear_conversion(units, "hour")
    if factor is None or not np.issubdtype(variable.dtype, np.number):
        raise CovariatesError(f"{where}: lead times {variable.name!r} in {units!r}; hours are needed")
    return _rounded(np.asarray(variable.values, np.float64) * factor[0])[0]
