"""Rules of time, latitude and longitude, their bounds, and what the attributes say of the extent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.common.hours import STAMPS, TIME_UNITS, stamp_within, stamped
from aqreanalysis.production.layers import CONVENTIONS_VERSION, VERSION_ATTRIBUTE
from aqreanalysis.validation.raw_cube import RawCube
from aqreanalysis.validation.rules import rule

_AXES = {"lat": ("latitude", "degrees_north", "Y"), "lon": ("longitude", "degrees_east", "X")}
# Of a step: float64 degrees rounded to ten digits are exact to far less.
_TOLERANCE = 1e-6


@rule("axes", "error", "lat and lon of another type or with a fill are packed, shifted or refused by clients")
def axes(cube: RawCube) -> Iterator[str]:
    for name, (standard, units, axis) in _AXES.items():
        values, attrs = cube.raw[name], {**cube.raw[name].attrs}
        if values.dtype != np.float64:
            yield f"{name} is {values.dtype}; it is float64"
        for key, wanted in (("standard_name", standard), ("units", units), ("axis", axis)):
            if attrs.get(key) != wanted:
                yield f"{name} has {key} {attrs.get(key)!r}; it is {wanted!r}"
        for key in ("_FillValue", "actual_range", "valid_range"):
            if key in attrs or (key in values.encoding and cube.is_netcdf):
                yield f"{name} has {key}; leave it out"


@rule("regular", "error", "GDAL, QGIS and GeoTIFF know equal cells only, and a south-up map is drawn upside down")
def regular(cube: RawCube) -> Iterator[str]:
    for name in _AXES:
        values = cube.numbers(name).astype(np.float64)
        if not np.isfinite(values).all():
            yield f"{name} holds a value that is no number"
            continue
        steps = np.diff(values)
        if steps.size and (steps <= 0).any():
            yield f"{name} does not ascend"
        elif steps.size and np.ptp(steps) > _TOLERANCE * abs(steps.mean()):
            at = int(np.abs(steps - np.median(steps)).argmax())
            usual = f"{np.median(steps):.10g}"
            yield f"{name} is not regular: a step of {steps[at]:.10g} after {values[at]:.10g}, else {usual}"


@rule("range", "error", "a coordinate outside the globe is a swapped axis or another projection")
def coordinate_range(cube: RawCube) -> Iterator[str]:
    lat, lon = cube.numbers("lat"), cube.numbers("lon")
    if np.abs(lat).max() > 90:
        yield f"lat reaches {lat[np.abs(lat).argmax()]:g}"
    if lon.min() < -180 or lon.max() >= 540 or lon.max() - lon.min() > 360:
        yield f"lon runs from {lon.min():g} to {lon.max():g}; begin within -180..180"


@rule(
    "cell-bounds",
    "error",
    "bounds that do not enclose their centre or leave gaps give wrong areas; netCDF-Java refuses them",
)
def cell_bounds(cube: RawCube) -> Iterator[str]:
    for name in _AXES:
        bounds_name = cube.attrs(name).get("bounds", "")
        if not bounds_name or bounds_name not in cube.raw.variables:
            yield f"{name} has no bounds"
            continue
        centres, bounds = cube.numbers(name), cube.numbers(bounds_name)
        if bounds.shape != (len(centres), 2):
            yield f"{bounds_name} has shape {bounds.shape}; it is ({len(centres)}, 2)"
            continue
        yield from _enclosing(name, centres, bounds)


def _enclosing(name: str, centres: NDArray[Any], bounds: NDArray[Any]) -> Iterator[str]:
    low, high = bounds.min(axis=1), bounds.max(axis=1)
    outside = (centres < low) | (centres > high)
    if outside.any():
        at = int(outside.argmax())
        yield f"{name} {centres[at]:g} lies outside its bounds {bounds[at, 0]:g}..{bounds[at, 1]:g}"
    # Each row of the bounds runs the way of the axis; the checker does not look, netCDF-Java does.
    ways = np.sign(bounds[:, 1] - bounds[:, 0])
    if len(centres) > 1 and (ways != np.sign(centres[1] - centres[0])).any():
        yield f"bounds of {name} run the other way than {name}"
    elif len(centres) > 1 and np.abs(bounds[1:, 0] - bounds[:-1, 1]).max() > _TOLERANCE * np.ptp(centres):
        yield f"bounds of {name} leave a gap or overlap"


@rule("time-encoding", "error", "int64 nanoseconds fail in 7 of 14 clients, 'days since' loses the hours in terra")
def time_encoding(cube: RawCube) -> Iterator[str]:
    attrs = cube.attrs("time")
    if cube.raw["time"].dtype != np.float64:
        yield f"time is {cube.raw['time'].dtype}; it is float64"
    for key, wanted in (("units", TIME_UNITS), ("calendar", "standard"), ("standard_name", "time"), ("axis", "T")):
        if attrs.get(key) != wanted:
            yield f"time has {key} {attrs.get(key)!r}; it is {wanted!r}"


@rule("time-bounds", "error", "a stamp without bounds does not say whether it begins or ends its hour")
def time_bounds(cube: RawCube) -> Iterator[str]:
    bounds_name = cube.attrs("time").get("bounds", "")
    if not bounds_name or bounds_name not in cube.raw.variables:
        yield "time has no bounds"
        return
    stamps, bounds = cube.numbers("time"), cube.numbers(bounds_name)
    if bounds.shape != (len(stamps), 2) or not np.isfinite(bounds.astype(np.float64)).all():
        yield f"{bounds_name} has shape {bounds.shape} or values that are no number; it is ({len(stamps)}, 2)"
        return
    if (bounds[:, 1] <= bounds[:, 0]).any():
        yield f"step {int((bounds[:, 1] <= bounds[:, 0]).argmax())} of {bounds_name} has no length"
    if stamp_within(stamps, bounds) is None:
        usual = max(STAMPS, key=lambda stamp: int((stamped(bounds, stamp) == stamps).sum()))
        other = stamps != stamped(bounds, usual)
        first = _moment(stamps[other.argmax()])
        yield f"{int(other.sum())} stamps are not the {usual} of their bounds, the first {first}"


@rule("stamps", "advice", "clients average by stamps, and a stamp at the end is of the next day, month or year")
def stamps_in_the_middle(cube: RawCube) -> Iterator[str]:
    bounds_name = cube.attrs("time").get("bounds", "")
    if bounds_name in cube.raw.variables and cube.numbers(bounds_name).shape == (cube.raw.sizes["time"], 2):
        stamp = stamp_within(cube.numbers("time"), cube.numbers(bounds_name))
        if stamp == "end":
            yield "steps are stamped at their end; produce stamps them in the middle (--stamp middle)"


@rule("conventions-version", "advice", "what a layer and a stamp mean has changed from one version to the next")
def conventions_version(cube: RawCube) -> Iterator[str]:
    version = str(cube.raw.attrs.get(VERSION_ATTRIBUTE, "1"))
    if version != CONVENTIONS_VERSION:
        yield f"the cube follows conventions {version} of this program, which now writes {CONVENTIONS_VERSION}"


@rule("gaps", "error", "a missing hour shifts every series and mean that counts on a step")
def gaps(cube: RawCube) -> Iterator[str]:
    stamps = cube.numbers("time").astype(np.float64)
    if (np.diff(stamps) <= 0).any():
        yield "time does not ascend"
        return
    bounds_name = cube.attrs("time").get("bounds", "")
    if bounds_name in cube.raw.variables and cube.numbers(bounds_name).shape == (len(stamps), 2):
        bounds = cube.numbers(bounds_name)
        holes = np.flatnonzero(bounds[1:, 0] > bounds[:-1, 1])
        for at in holes[:5]:
            yield f"nothing between {_moment(bounds[at, 1])} and {_moment(bounds[at + 1, 0])}"
        if len(holes) > 5:
            yield f"{len(holes) - 5} more holes in the timeline"
        if (bounds[1:, 0] < bounds[:-1, 1]).any():
            yield f"steps overlap after {_moment(bounds[int((bounds[1:, 0] < bounds[:-1, 1]).argmax()), 1])}"


@rule("extent", "error", "ACDD's extent is that of the cell centres; catalogues show the cube where it says it is")
def extent(cube: RawCube) -> Iterator[str]:
    for axis in _AXES:
        values = cube.numbers(axis)
        for end, value in (("min", values.min()), ("max", values.max())):
            key = f"geospatial_{axis}_{end}"
            stated = cube.raw.attrs.get(key)
            if stated is None or abs(float(stated) - float(value)) > 1e-9:
                yield f"{key} is {stated}; the centres reach {value:.10g}"


@rule("time-coverage", "error", "a catalogue finds the cube by the time that its attributes say")
def time_coverage(cube: RawCube) -> Iterator[str]:
    name = cube.attrs("time").get("bounds", "")
    if name not in cube.raw.variables or cube.attrs("time").get("units") != TIME_UNITS:
        return
    bounds = cube.numbers(name)
    for key, value in (("time_coverage_start", bounds[0, 0]), ("time_coverage_end", bounds[-1, -1])):
        stated = cube.raw.attrs.get(key)
        if stated is None or pd.Timestamp(stated).tz_localize(None) != pd.Timestamp(_moment(value)):
            yield f"{key} is {stated}; the bounds say {_moment(value)}"


def _moment(hours: float) -> str:
    return f"{pd.Timestamp(0) + pd.Timedelta(hours=float(hours)):%Y-%m-%dT%H:%M}"
