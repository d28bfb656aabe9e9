"""Hourly statistics of a day: running 8-hour means, maxima, and the bounds of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.common.hours import decimal_hours
from aqreanalysis.errors import OutputError
from aqreanalysis.export.means import statistic_text
from aqreanalysis.export.periods import MIN_SHARE, Period
from aqreanalysis.export.source import CubeSource, SpeciesLayers
from aqreanalysis.production.layers import FILL, Layer

Array = NDArray[np.float32]
#: Hours of a running mean, and how many of them must be there (EU 2008/50/EC annex XI; 40 CFR 50 appendix U).
WINDOW = 8
WINDOW_VALID = 6


@dataclass(frozen=True)
class DayRule:
    """Which 8-hour means belong to a day.

    Attributes
    ----------
    name : str
        What it is called.
    first_end, last_end : int
        End of the first and of the last mean of the day, hours after its beginning.
    needed : int
        How many of them must stand.
    source : str
        Where it is laid down.
    """

    name: str
    first_end: int
    last_end: int
    needed: int
    source: str


RULES = {
    "eu": DayRule("eu", 1, 24, 18, "each mean belongs to the day on which it ends (2008/50/EC annex XI)"),
    "us": DayRule("us", 15, 31, 13, "the 17 means that begin at 7:00 to 23:00 (40 CFR 50 appendix U)"),
    "cn": DayRule("cn", 8, 24, 14, "the 17 means that end at 8:00 to 24:00 (HJ 663-2013)"),
}


def check_hourly(source: CubeSource, what: str) -> None:
    """Refuse a cube that is not hourly.

    Raises
    ------
    OutputError
        Naming the step it has.
    """
    if source.step_hours != 1.0:
        step = "months or years" if np.isnan(source.step_hours) else f"{source.step_hours:g} h"
        raise OutputError(f"{source.path} has steps of {step}, and {what} needs an hourly cube: produce one")


def dense(source: CubeSource, name: str, first: int, hours: int) -> Array:
    """Return a layer (hour, lat, lon) for the stamps ``first .. first + hours - 1`` (hours since 1970-01-01).

    Hours that the cube does not hold are NaN.
    """
    shape = (hours, source.dataset.sizes["lat"], source.dataset.sizes["lon"])
    out = np.full(shape, np.nan, dtype=np.float32)
    stamps = np.rint(decimal_hours(source.bounds[:, 1])).astype(np.int64)
    begin, end = np.searchsorted(stamps, [first, first + hours])
    if begin < end:
        out[stamps[begin:end] - first] = source.read(name, slice(int(begin), int(end)))
    return out


def running_mean(values: Array) -> Array:
    """Return the means of every 8 hours in a row, (hour - 7, lat, lon), NaN where fewer than 6 of the 8 are there."""
    known = np.isfinite(values)
    filled = np.where(known, values, np.float32(0))
    hours = len(values) - WINDOW + 1
    total = np.zeros((hours, *values.shape[1:]), dtype=np.float32)
    count = np.zeros((hours, *values.shape[1:]), dtype=np.int8)
    for i in range(WINDOW):
        total += filled[i : i + hours]
        count += known[i : i + hours]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(count >= WINDOW_VALID, total / count, np.float32(np.nan))


def fmax(values: Array) -> Array:
    """Return the maximum over the first axis, NaN only where all are."""
    return np.asarray(np.fmax.reduce(values, axis=0))


def max_eight_hour(source: CubeSource, name: str, day: Period, rule: DayRule) -> Array:
    """Return the day's maximum 8-hour mean of one layer (lat, lon); NaN where too few means stand."""
    begin = round(float(decimal_hours(day.bounds[:1])[0]))
    first = begin + rule.first_end - WINDOW + 1
    means = running_mean(dense(source, name, first, rule.last_end - rule.first_end + WINDOW))
    enough = np.isfinite(means).sum(axis=0) >= rule.needed
    return np.where(enough, fmax(means), np.float32(np.nan))


def max_one_hour(source: CubeSource, name: str, day: Period) -> Array:
    """Return the day's maximum hourly mean of one layer (lat, lon); NaN with fewer than three quarters of the hours."""
    values = dense(source, name, round(float(decimal_hours(day.bounds[:1])[0])) + 1, round(day.hours))
    enough = np.isfinite(values).sum(axis=0) >= MIN_SHARE * day.hours
    return np.where(enough, fmax(values), np.float32(np.nan))


def mda8_layers(source: CubeSource, one: SpeciesLayers, rule: DayRule) -> tuple[Layer, ...]:
    """Return the layers of the maximum daily 8-hour mean of one pollutant."""
    layers = []
    for name in _carried(one):
        attrs = source.attrs_of_average(name)
        attrs["long_name"] = f"{attrs['long_name']}, maximum daily 8-hour mean"
        attrs["comment"] = rule.source
        if name == one.best:
            attrs["comment"] = f"{statistic_text(one, '8 hours')}; {rule.source}"
            # CF has "within days" for climatologies only; the interval is told in parentheses, as CF allows.
            attrs["cell_methods"] = "time: maximum (of running 8-hour means)"
            attrs["ancillary_variables"] = " ".join(mda8_name(one, n) for n in _carried(one) if n != name)
        else:
            attrs["comment"] += "; the largest of the running means of the hourly values: an upper bound of the spread"
        layers.append(Layer(mda8_name(one, name), "float32", FILL, attrs))
    return tuple(layers)


def mda8_name(one: SpeciesLayers, name: str) -> str:
    """Return ``o3_mda8_lower`` for ``o3_lower``."""
    return name.replace(one.best, f"{one.best}_mda8", 1)


def mda8(source: CubeSource, one: SpeciesLayers, day: Period, rule: DayRule) -> dict[str, NDArray[Any]]:
    """Return the maximum daily 8-hour mean of one pollutant with its error bars (lat, lon).

    Each bound is the maximum of the running means of the hourly bounds: for errors that go wholly together, quantiles
    pass through sums and maxima as they are; for others the interval is too wide. The standard error likewise.
    """
    return {
        mda8_name(one, name): max_eight_hour(source, read, day, rule) for name, read in averaged_layers(one).items()
    }


def averaged_layers(one: SpeciesLayers) -> dict[str, str]:
    """Return the layers that an average carries, each with the one that it is made from: the estimate is made from the
    expectation where the cube has it."""
    return {name: one.averaged if name == one.best else name for name in _carried(one)}


def _carried(one: SpeciesLayers) -> list[str]:
    return [name for name in (one.best, one.standard_error, one.lower, one.upper) if name is not None]
