"""Model windows are anchored to absolute hours and never invent a reading."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.common.hours import hours_since_epoch
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import Observations, from_frame, window

HOURS = 60


def _observations() -> Observations:
    times = pd.date_range("2021-03-01 01:00", periods=HOURS, freq="h")
    rng = np.random.default_rng(3)
    rows = [
        pd.DataFrame({"station_id": name, "time": times, "lat": lat, "lon": 10.0, "pm25": rng.gamma(4, 5, HOURS)})
        for name, lat in (("b", 50.0), ("a", 51.0))
    ]
    frame = pd.concat(rows, ignore_index=True)
    frame.loc[7, "pm25"] = -30.0
    return from_frame(frame)


OBSERVATIONS = _observations()


@given(begin=st.integers(-90, 90), hours=st.integers(1, 100))
@settings(max_examples=60, deadline=None)
def test_a_window_equals_a_reindexed_table_wherever_it_lies(begin: int, hours: int) -> None:
    first = OBSERVATIONS.first_hour + begin
    values, stamps = window(OBSERVATIONS, ("no2", "pm25"), first, hours)
    table = pd.DataFrame(OBSERVATIONS.values("pm25"), index=OBSERVATIONS.hours).reindex(stamps)
    np.testing.assert_array_equal(values[:, :, 1], table.to_numpy(np.float32))
    assert np.isnan(values[:, :, 0]).all()
    assert values.dtype == np.float32 and stamps.dtype == np.int64
    assert stamps[0] == first and len(stamps) == hours


def test_a_flagged_reading_is_nan_in_a_window() -> None:
    first = int(hours_since_epoch(pd.DatetimeIndex(["2021-03-01 08:00"]))[0])
    values, _ = window(OBSERVATIONS, ["pm25"], first, 1)
    assert np.isnan(values[0, OBSERVATIONS.stations.index("b"), 0])
    assert np.isfinite(values[0, OBSERVATIONS.stations.index("a"), 0])


def test_changing_a_window_leaves_the_observations_alone() -> None:
    before = OBSERVATIONS.digest()
    values, _ = window(OBSERVATIONS, ["pm25"], OBSERVATIONS.first_hour, HOURS)
    values[:] = 0.0
    again, _ = window(OBSERVATIONS, ["pm25"], OBSERVATIONS.first_hour, HOURS)
    assert np.nanmin(again) > 0
    assert OBSERVATIONS.digest() == before


def test_a_window_without_hours_is_refused() -> None:
    with pytest.raises(ObservationsError, match="at least one"):
        window(OBSERVATIONS, ["pm25"], 0, 0)
