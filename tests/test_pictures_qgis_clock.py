"""Every frame of the clock shows its own step by the rules of QGIS, whatever months a cube begins and ends with."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from aqreanalysis.pictures.qgis_clock import clock_of

_UNITS = {"min": pd.Timedelta(minutes=1), "h": pd.Timedelta(hours=1)}
_COUNTED = {"mon": pd.Timedelta(days=30), "y": pd.Timedelta(days=365.25)}
_PERIODS = {"mon": pd.DateOffset(months=1), "y": pd.DateOffset(years=1)}


def stamps_of(edges, stamp):
    first, last = edges[:-1], edges[1:]
    return {"start": first, "middle": first + (last - first) / 2, "end": last}[stamp]


def shown(edges, stamp):
    """Return which step QGIS shows in each frame, as its `QgsTemporalNavigationObject` and meshes count."""
    times = stamps_of(edges, stamp)
    bounds = np.stack([edges[:-1], edges[1:]], axis=1).astype("datetime64[ns]")
    clock = clock_of(times.to_numpy("datetime64[ns]"), bounds)
    length = clock.step * (_UNITS | _COUNTED)[clock.unit]
    count = math.ceil((clock.end - clock.begin) / length)
    period = _PERIODS.get(clock.unit, length)
    frames = [clock.begin + number * period for number in range(count)]
    assert all(frame < clock.end for frame in frames)
    moved = times - clock.behind
    inside = [moved[0] <= frame <= moved[-1] for frame in frames]
    return [int(np.abs(moved - f).argmin()) if there else None for f, there in zip(frames, inside, strict=True)], clock


@pytest.mark.parametrize("stamp", ["middle", "start", "end"])
def test_months_from_any_to_any_are_shown_once_each(stamp):
    for first in pd.date_range("2019-01-01", periods=14, freq="MS"):
        for months in (1, 2, 3, 5, 12, 13, 24, 59, 61, 200):
            edges = pd.date_range(first, periods=months + 1, freq="MS")
            numbers, clock = shown(edges, stamp)
            if months > 1:  # QGIS takes a mesh of one step for one that does not change
                assert numbers == list(range(months)), (first, months)
            assert clock.unit == ("mon" if months < 62 else "min")


@pytest.mark.parametrize("stamp", ["middle", "start", "end"])
def test_years_with_and_without_a_leap_day_are_shown_once_each(stamp):
    for first in range(2017, 2022):
        for years in (2, 3, 4, 5, 9, 30):
            edges = pd.date_range(f"{first}-01-01", periods=years + 1, freq="YS")
            assert shown(edges, stamp)[0] == list(range(years)), (first, years)


@pytest.mark.parametrize("stamp", ["middle", "start", "end"])
@pytest.mark.parametrize(("freq", "step"), [("h", 1), ("3h", 3), ("D", 24)])
def test_hours_and_days_begin_where_their_periods_do(freq, step, stamp):
    edges = pd.date_range("2019-12-30", periods=41, freq=freq)
    numbers, clock = shown(edges, stamp)
    assert numbers == list(range(40))
    assert (clock.begin, clock.end, clock.step, clock.unit) == (edges[0], edges[-1], step, "h")


def test_months_of_a_whole_year_begin_with_the_first_of_each():
    numbers, clock = shown(pd.date_range("2019-01-01", periods=13, freq="MS"), "middle")
    assert numbers == list(range(12)) and clock.begin == pd.Timestamp("2019-01-01")
