"""The plan: which hours lie between two moments, how the cube is cut, what does not fit."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.common.hours import stamp_text
from aqreanalysis.configs import ProductionConfig
from aqreanalysis.errors import ConfigError, OutputError
from aqreanalysis.production.plan.blocks import (
    Plan,
    check_timeline,
    hours_between,
    make_plan,
)

JANUARY_7 = int(np.datetime64("2019-01-07T00", "h").astype(int))


def test_a_week_is_168_hours_the_first_stamped_at_one():
    assert hours_between("2019-01-07", "2019-01-14") == (JANUARY_7 + 1, 168)
    assert stamp_text(JANUARY_7 + 1) == "2019-01-07T01:00"


def test_an_hour_counts_only_if_all_of_it_lies_between():
    assert hours_between("2019-01-07T00:30", "2019-01-07T03:59") == (JANUARY_7 + 2, 2)
    with pytest.raises(OutputError, match="no whole hour"):
        hours_between("2019-01-07T00:30", "2019-01-07T01:29")


@pytest.mark.parametrize(
    "start",
    [
        datetime(2019, 1, 7),
        date(2019, 1, 7),
        np.datetime64("2019-01-07"),
        datetime(2019, 1, 7, tzinfo=UTC),
        datetime(2019, 1, 7, 8, tzinfo=timezone(timedelta(hours=8))),
        "2019-01-07T08:00+08:00",
    ],
)
def test_moments_may_be_of_any_kind_and_zones_are_converted(start):
    assert hours_between(start, "2019-01-08") == (JANUARY_7 + 1, 24)


@pytest.mark.parametrize("wrong", ["yesterday week", "2019-13-01", "", float("nan")])
def test_what_is_no_date_is_refused_with_its_name(wrong):
    with pytest.raises(OutputError, match=r"start .* is no date"):
        hours_between(wrong, "2019-01-08")
    with pytest.raises(OutputError, match="end None is no date"):
        hours_between("2019-01-08", None)
    with pytest.raises(ConfigError, match="start is missing"):
        hours_between(None, "2019-01-08")


@settings(deadline=None)
@given(
    hours=st.integers(1, 200),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    days=st.integers(1, 3),
    tile=st.tuples(st.integers(1, 50), st.integers(1, 50)),
)
def test_blocks_cover_every_cell_and_hour_once(hours, shape, days, tile):
    config = ProductionConfig(block_days=days, tile_rows=tile[0], tile_columns=tile[1])
    plan = make_plan((5, hours), shape, config, 10)
    seen = np.zeros(plan.shape, dtype=int)
    for number in range(plan.blocks):
        block = plan.get_block(number)
        assert block.number == number
        seen[block.region] += 1
        # A block is whole chunks: it begins at multiples of the chunk.
        assert all(s.start % size == 0 for s, size in zip(block.region, plan.block, strict=True))
    assert (seen == 1).all()
    numbers = [b.number for t in range(plan.counts[0]) for b in plan.blocks_of(t)]
    assert numbers == list(range(plan.blocks))
    assert plan.raw_bytes == hours * shape[0] * shape[1] * 10


def test_a_day_holds_the_stamps_from_one_to_midnight():
    plan = Plan(JANUARY_7 + 1, 168, 1, 1, (24, 1, 1), 1)
    day = JANUARY_7 // 24
    assert plan.days((0, 24)) == (day, day + 1)
    assert plan.days((0, 25)) == (day, day + 2)
    late = Plan(JANUARY_7 + 6, 24, 1, 1, (24, 1, 1), 1)
    assert late.days((0, 24)) == (day, day + 2)


def test_a_timeline_must_lie_within_what_is_observed_and_forecast():
    observed = (JANUARY_7 + 1, JANUARY_7 + 48)

    def plan(first: int, hours: int) -> Plan:
        return Plan(JANUARY_7 + first, hours, 1, 1, (24, 1, 1), 1)

    check_timeline(plan(1, 48), observed, observed)
    check_timeline(plan(1, 72), observed, (observed[0], observed[1] + 24))
    check_timeline(plan(60, 10), observed, (observed[0], observed[1] + 24))
    with pytest.raises(OutputError, match=r"ends too late.*2019-01-07T00:00 to 2019-01-09T00:00.*at most 24 h"):
        check_timeline(plan(1, 73), observed, (observed[0], observed[1] + 24))
    with pytest.raises(OutputError, match=r"begins before.*start at 2019-01-07T00:00"):
        check_timeline(plan(0, 48), observed, (observed[0], observed[1] + 24))
    for first in (-100, 200):
        with pytest.raises(OutputError, match="wholly outside the observations"):
            check_timeline(plan(first, 20), observed, (observed[0], observed[1] + 24))
