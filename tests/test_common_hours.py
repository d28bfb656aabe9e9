"""Hours since 1970 become times and text, and come back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqreanalysis.common.hours import decimal_hours, hours_since_epoch, stamp_text, times_from_hours
from aqreanalysis.errors import ObservationsError


@given(st.lists(st.integers(-100_000, 1_000_000), min_size=1, max_size=50))
def test_hours_become_times_and_come_back(hours: list[int]) -> None:
    times = times_from_hours(hours)
    assert times.dtype == np.dtype("M8[ns]")
    np.testing.assert_array_equal(hours_since_epoch(times), hours)


def test_the_epoch_is_hour_zero() -> None:
    assert times_from_hours([0])[0] == pd.Timestamp("1970-01-01")
    assert hours_since_epoch(pd.DatetimeIndex(["1970-01-02 08:00"], tz="Asia/Shanghai"))[0] == 24


def test_a_time_off_the_full_hour_or_missing_is_refused() -> None:
    with pytest.raises(ObservationsError, match="2019-01-01 10:30:00 is not on a full hour"):
        hours_since_epoch(pd.DatetimeIndex(["2019-01-01 10:30"]))
    with pytest.raises(ObservationsError, match="NaT"):
        hours_since_epoch(pd.DatetimeIndex(["NaT"]))


def test_a_stamp_is_written_to_the_minute_and_a_moment_counts_by_fractions() -> None:
    assert stamp_text(429_529) == "2019-01-01T01:00"
    assert decimal_hours(np.array(["1970-01-01T01:30", "1969-12-31T23:00"], "datetime64[s]")).tolist() == [1.5, -1.0]
