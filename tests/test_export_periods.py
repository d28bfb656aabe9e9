"""Calendar periods: every step in exactly one, in UTC and in local time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.errors import OutputError
from aqreanalysis.export import CubeSource
from aqreanalysis.export.periods import periods_of


def held(start: str, hours: int, step: int = 1) -> CubeSource:
    """Return a source that has nothing but a timeline."""
    ends = pd.date_range(start, periods=hours + 1, freq=f"{step}h").to_numpy("datetime64[ns]")
    one = CubeSource.__new__(CubeSource)
    one.path, one.bounds = "cube.nc", np.stack([ends[:-1], ends[1:]], axis=1)
    return one


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 2000), st.sampled_from(["day", "month", "year"]), st.integers(-12, 14))
def test_every_step_belongs_to_exactly_one_period_that_contains_it(hours, period, offset):
    one = held("2019-12-20T05:00", hours)
    periods = periods_of(one, period, offset)
    assert [i for p in periods for i in range(p.steps.start, p.steps.stop)] == list(range(hours))
    for p in periods:
        inside = one.bounds[p.steps]
        assert (inside[:, 0] >= p.bounds[0]).all() and (inside[:, 1] <= p.bounds[1]).all()
        assert p.share == pytest.approx(len(inside) / p.hours)


def test_days_of_local_time_begin_at_its_midnight():
    (first, second, *_) = periods_of(held("2019-01-01", 72), "day", 8)
    assert str(first.bounds[0])[:13] == "2018-12-31T16" and first.share == pytest.approx(16 / 24)
    assert first.label == "20190101" and second.share == 1


def test_a_leap_february_has_29_days():
    (february,) = periods_of(held("2020-02-01", 29, 24), "month")
    assert february.hours == 29 * 24 and february.share == 1 and february.label == "202002"


def test_what_cannot_be_is_refused():
    with pytest.raises(OutputError, match="UTC offset 20"):
        periods_of(held("2019-01-01", 24), "day", 20)
    with pytest.raises(OutputError, match="steps of 48 h, longer than a day"):
        periods_of(held("2019-01-01", 3, 48), "day")
    with pytest.raises(OutputError, match="covers no month by 75%"):
        periods_of(held("2019-01-01", 24), "month", 0, 0.75)
