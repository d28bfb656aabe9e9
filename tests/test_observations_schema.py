"""A dataset that breaks a rule of `Observations` is refused where one is built from it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import Observations, StationPlaces
from aqreanalysis.observations.schema import validated


def _dataset() -> xr.Dataset:
    rng = np.random.default_rng(5)
    values = {key: rng.gamma(4, 5, (50, 3)).astype(np.float32) for key in ("no2", "pm25")}
    places = StationPlaces(["b", "a", "c"], np.array([40.0, 41.0, 42.0]), np.array([116.0, 117.0, 118.0]))
    times = pd.date_range("2020-01-01 01:00", periods=50, freq="h")
    return Observations.from_arrays(times, places, values).dataset


def test_a_right_dataset_passes_unchanged_and_sorted() -> None:
    dataset = _dataset()
    xr.testing.assert_identical(validated(dataset), dataset)
    xr.testing.assert_identical(validated(dataset.isel(station=[2, 0, 1])), dataset)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (lambda d: d.drop_vars("lat"), "no 'lat'"),
        (lambda d: d.drop_vars("pm25_flag"), "pm25 has no pm25_flag"),
        (lambda d: d[["pm25_flag"]], "no known pollutant"),
        (lambda d: d.isel(time=[0, 1, 3]), "goes from 2020-01-01 02:00:00 to 2020-01-01 04:00:00"),
        (lambda d: d.isel(time=[1, 0]), "every hour once, in order"),
        (lambda d: d.isel(time=[]), "empty"),
        (lambda d: d.isel(station=[0, 0]), "station 'a' is there twice"),
        (lambda d: d.assign_coords(lat=d["lat"] + 60), "'a' stands at lat 101"),
        (lambda d: d.assign_coords(lon=d["lon"] + 100), "write it in -180..180"),
        (lambda d: d.assign_coords(time=d["time"] + np.timedelta64(30, "m")), "not on a full hour"),
        (lambda d: d.assign(pm25=d["pm25"].astype(float)), "pm25 is float64"),
        (lambda d: d.transpose("station", "time"), "must be float32"),
        (lambda d: d.assign(no2_flag=d["no2_flag"] + np.int8(70)), "no2_flag holds values outside 0..12"),
        (lambda d: d.assign(no2=d["no2"].where(d["no2"] < 0)), "no2 is NaN where no2_flag says good"),
    ],
)
def test_a_dataset_that_breaks_a_rule_is_refused(dataset, message: str) -> None:
    with pytest.raises(ObservationsError, match=message):
        Observations(dataset(_dataset()))
