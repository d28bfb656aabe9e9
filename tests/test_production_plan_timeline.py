"""Frequencies: which periods a timeline holds, what a cut one is told, and where each cube goes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.common.hours import stamped
from aqreanalysis.configs import ProductionConfig
from aqreanalysis.errors import ConfigError, OutputError
from aqreanalysis.production.plan.blocks import hours_between, make_mean_plan, make_plan
from aqreanalysis.production.plan.timeline import FREQUENCIES, check_frequencies, period_edges


def edges(name, start, end, offset=0):
    found = period_edges(name, hours_between(start, end), offset)
    return [str(np.datetime64(edge, "h")) for edge in found]


def test_months_and_years_are_those_of_the_calendar():
    assert edges("monthly", "2020-01-01", "2020-04-01") == [
        "2020-01-01T00",
        "2020-02-01T00",
        "2020-03-01T00",
        "2020-04-01T00",
    ]
    assert edges("annual", "2019-01-01", "2021-01-01") == ["2019-01-01T00", "2020-01-01T00", "2021-01-01T00"]


def test_days_of_another_clock_begin_at_its_midnight():
    assert edges("daily", "2019-01-01T16:00", "2019-01-03T16:00", 8) == [
        "2019-01-01T16",
        "2019-01-02T16",
        "2019-01-03T16",
    ]
    assert edges("monthly", "2018-12-31T16:00", "2019-01-31T16:00", 8) == ["2018-12-31T16", "2019-01-31T16"]


@pytest.mark.parametrize(
    ("name", "start", "end", "words"),
    [
        (
            "daily",
            "2019-01-01T01:00",
            "2019-01-03",
            "start 2019-01-01T01:00 cuts a day.*2019-01-01T00:00 or 2019-01-02T00:00",
        ),
        (
            "monthly",
            "2019-01-01",
            "2019-03-15",
            "end 2019-03-15T00:00 cuts a month.*2019-03-01T00:00 or 2019-04-01T00:00",
        ),
        (
            "annual",
            "2019-01-01",
            "2019-12-31",
            "end 2019-12-31T00:00 cuts a year.*2019-01-01T00:00 or 2020-01-01T00:00",
        ),
        ("monthly", "2019-01-10", "2019-01-12", "start 2019-01-10T00:00 cuts a month"),
    ],
)
def test_a_period_that_the_timeline_cuts_is_refused_with_the_moments_to_give(name, start, end, words):
    with pytest.raises(OutputError, match=words):
        edges(name, start, end)


@settings(deadline=None)
@given(
    name=st.sampled_from(["daily", "monthly", "annual"]),
    first=st.integers(0, 40),
    count=st.integers(1, 5),
    offset=st.integers(-12, 14),
)
def test_periods_follow_each_other_and_fill_the_timeline(name, first, count, offset):
    unit = f"M8[{FREQUENCIES[name].unit}]"
    begin, end = (
        (np.datetime64("2010", "Y").astype(unit) + n).astype("M8[h]").astype(int) - offset
        for n in (first, first + count)
    )
    found = period_edges(name, (int(begin) + 1, int(end - begin)), offset)
    assert found[0] == begin and found[-1] == end and len(found) == count + 1
    assert (np.diff(found) > 0).all() and (np.diff(found) % 24 == 0).all()


def test_frequencies_are_sorted_and_taken_once_and_an_unknown_one_is_refused():
    assert check_frequencies(["monthly", "hourly", "monthly"]) == ("hourly", "monthly")
    with pytest.raises(ConfigError, match=r"no frequency 'dayly'.*did you mean 'daily'"):
        check_frequencies(["dayly"])
    with pytest.raises(ConfigError, match="no frequency is asked for"):
        check_frequencies([])


def test_a_plan_of_means_has_the_tiles_of_the_sweep_and_stamps_in_the_middle_of_each_period():
    sweep = make_plan(
        hours_between("2019-01-01", "2019-03-01"), (10, 20), ProductionConfig(block_days=1, tile_rows=4), 19
    )
    plan = make_mean_plan(sweep, "monthly", 24)
    assert plan.shape == (2, 10, 20) and plan.block == (2, 4, 20)
    assert plan.tiles == sweep.tiles and plan.raw_bytes == 2 * 10 * 20 * 24
    assert [str(np.datetime64(int(s), "h")) for s in plan.bounds[:, 1]] == ["2019-02-01T00", "2019-03-01T00"]
    middle = stamped(plan.bounds.astype(float), plan.stamp)
    assert [str(np.datetime64(int(s), "h")) for s in middle] == ["2019-01-16T12", "2019-02-15T00"]
    assert (plan.bounds[:, 1] - plan.bounds[:, 0]).tolist() == [31 * 24, 28 * 24]
