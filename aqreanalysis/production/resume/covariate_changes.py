"""Covariates of a cube that grows: a record of them by day, and whether newer files still tell what older ones did."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.errors import OutputError
from aqreanalysis.grids import Grid
from aqreanalysis.model import Predictor
from aqreanalysis.model.network.scaling import FieldSource
from aqreanalysis.observations import Observations
from aqreanalysis.production.plan import HOURS_A_DAY, Plan, stamp_text
from aqreanalysis.production.resume.record import CHECKSUM_BYTES, Readings

WEATHER = "aqreanalysis_covariates"
# A day of which the files have no hour. A checksum comes out like this by chance once in four thousand million.
MISSING = bytes(CHECKSUM_BYTES)
# Covariates are compared at the stations and at so many rows and columns of the grid, from edge to edge: files
# made anew differ everywhere, and to read all cells would take as long as the sweep does.
_ROWS = 16
# Days read at a time.
_SLAB_DAYS = 7


def record_weather(predictor: Predictor, observations: Observations, grid: Grid, plan: Plan) -> Readings | None:
    """Return a checksum of the covariates of each UTC day that a run reads; None for a model without covariates."""
    source = predictor.covariates
    if source is None:
        return None
    before, after = days_reached(predictor)
    first, end = plan.days((0, plan.hours))
    first, end = first - before, end + after
    lat, lon = _places(observations, grid)
    checksums = []
    for begin in range(first, end, _SLAB_DAYS):
        count = min(_SLAB_DAYS, end - begin)
        hours = np.arange(begin * HOURS_A_DAY + 1, (begin + count) * HOURS_A_DAY + 1, dtype=np.int64)
        there = _hours_there(source, hours)
        values = source.at(lat, lon, hours)
        for day in range(count):
            span = slice(day * HOURS_A_DAY, (day + 1) * HOURS_A_DAY)
            checksums.append(_checksum(values[span]) if there[span].any() else MISSING)
    return Readings(first, tuple(checksums))


def days_reached(predictor: Predictor) -> tuple[int, int]:
    """Return of how many days before and after a day the model reads covariates for it."""
    before, after = (-(-hours // HOURS_A_DAY) for hours in predictor.covariate_reach())
    return before, after


def with_older(weather: Readings, older: Readings) -> Readings:
    """Return a record with days of which the newer files have no hour as the older ones had them."""
    kept = [
        (older.get(day) or MISSING) if own == MISSING else own
        for day, own in enumerate(weather.checksums, weather.first_day)
    ]
    return Readings(weather.first_day, tuple(kept))


def check_weather(weather: Readings, older: Readings, computed: Iterable[int], reach: tuple[int, int]) -> None:
    """Refuse covariates that no longer have what days to be computed read: they would come out worse than they were.

    Parameters
    ----------
    weather, older : Readings
        Of the covariates that are given, and of those from which the cube was made.
    computed : iterable of int
        UTC days.
    reach : tuple of int
        Of `days_reached`.

    Raises
    ------
    OutputError
        With the day to reach back to.
    """
    computed = sorted(computed)
    read = {near for day in computed for near in range(day - reach[0], day + reach[1] + 1)}
    lost = [day for day in read if weather.get(day) == MISSING and older.get(day) not in (None, MISSING)]
    if lost:
        raise OutputError(
            f"the covariates have no hour of {stamp_text(min(lost) * HOURS_A_DAY)[:10]}, from which the cube was made, "
            f"but hours from {stamp_text(computed[0] * HOURS_A_DAY)} on are to be computed and read it; give the files "
            "of that day with --covariates too"
        )


def _hours_there(source: FieldSource, hours: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return at which hours any field that changes by the hour has values; at all where none changes."""
    if not source.hourly:
        return np.ones(len(hours), dtype=bool)
    return np.any([np.isin(hours, source.hours(key)) for key in source.hourly], axis=0)


def _places(observations: Observations, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows, columns = (
        axis[np.unique(np.linspace(0, len(axis) - 1, _ROWS).round().astype(int))] for axis in (grid.lat, grid.lon)
    )
    lat, lon = (part.ravel() for part in np.meshgrid(rows, columns, indexing="ij"))
    return np.concatenate([observations.lat, lat]), np.concatenate([observations.lon, lon])


def _checksum(values: NDArray[np.float32]) -> bytes:
    plain = np.where(np.isnan(values), np.float32(np.nan), values).astype("<f4")
    return hashlib.sha256(np.ascontiguousarray(plain).tobytes()).digest()[:CHECKSUM_BYTES]
