from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from covariates_case import LAT, LON

from aqreanalysis.configs import CovariatesConfig
from aqreanalysis.covariates import Covariates
from aqreanalysis.errors import CovariatesError

PLACE = np.array([50.0]), np.array([7.0])
RAIN = np.random.default_rng(0).gamma(0.5, 0.4, (4, 12))


def forecast(path: Path, held: np.ndarray) -> Path:
    """Write what xarray writes of ERA5's GRIB: runs at 06 and 18 UTC, each with steps 1 to 12; m."""
    runs = pd.date_range("2018-12-31T18:00", periods=4, freq="12h")
    steps = ("step", np.arange(1, 13), {"units": "hours", "standard_name": "forecast_period"})
    coords = {"time": ("time", runs, {"standard_name": "forecast_reference_time"}), "step": steps}
    values = np.broadcast_to(held[..., None, None] / 1000, (*held.shape, LAT.size, LON.size)).astype(np.float32)
    variable = (("time", "step", "latitude", "longitude"), values, {"units": "m", "GRIB_stepType": "accum"})
    xr.Dataset({"tp": variable}, {**coords, "latitude": LAT, "longitude": LON}).to_netcdf(path)
    return path


def hourly(covariates: Covariates) -> np.ndarray:
    return covariates.at(*PLACE, covariates.hours("tp"))[:, 0, 0]


@pytest.mark.parametrize("accumulation", ["auto", "hourly"])
def test_hourly_sums_by_run_and_step_are_told_by_their_values_or_the_setting(tmp_path: Path, accumulation: str) -> None:
    covariates = Covariates.open(
        forecast(tmp_path / "tp.nc", RAIN), CovariatesConfig.model_validate({"accumulation": accumulation})
    )
    assert hourly(covariates) == pytest.approx(RAIN.ravel(), abs=1e-5)
    assert any("sums since the step before" in note for note in covariates.report.notes) == (accumulation == "auto")


def test_sums_since_the_start_of_a_run_are_broken_up(tmp_path: Path) -> None:
    path = forecast(tmp_path / "tp.nc", RAIN.cumsum(axis=1))
    for config in (CovariatesConfig(), CovariatesConfig(accumulation="from-start")):
        assert hourly(Covariates.open(path, config)) == pytest.approx(RAIN.ravel(), abs=1e-4)


def test_the_setting_holds_where_values_look_like_the_other_layout(tmp_path: Path) -> None:
    rising = np.sort(RAIN, axis=1)
    path = forecast(tmp_path / "tp.nc", rising)
    covariates = Covariates.open(path, CovariatesConfig(accumulation="hourly"))
    assert hourly(covariates).sum() == pytest.approx(rising.sum(), rel=1e-5)


def test_hourly_sums_taken_for_others_by_the_setting_end_in_a_line(tmp_path: Path) -> None:
    covariates = Covariates.open(forecast(tmp_path / "tp.nc", RAIN), CovariatesConfig(accumulation="from-start"))
    with pytest.raises(CovariatesError, match=r"falls from one step to the next: set covariates.accumulation=hourly"):
        hourly(covariates)


def test_rates_are_no_sums_and_six_hours_in_a_name_are_six(tmp_path: Path) -> None:
    times = pd.date_range("2020-01-01T00:30", periods=3, freq="h")
    axes = {"latitude": LAT, "longitude": LON}
    held = np.full((3, LAT.size, LON.size), 1 / 3600) * np.array([1.0, 0.5, 2.0])[:, None, None]
    dims = ("time", "latitude", "longitude")
    dataset = xr.Dataset({"PRECTOTCORR": (dims, held, {"units": "kg m-2 s-1"})}, {"time": times, **axes})
    dataset["PRECTOT"] = dataset["PRECTOTCORR"] * 9
    dataset.to_netcdf(tmp_path / "merra.nc")
    covariates = Covariates.open(tmp_path / "merra.nc")
    assert hourly(covariates) == pytest.approx([1.0, 0.5, 2.0], rel=1e-5)
    assert covariates.report.left_out == {"variable PRECTOT is tp, which is taken from PRECTOTCORR": 1}
    times = pd.date_range("2020-01-01T06:00", periods=2, freq="6h")
    name = "total_precipitation_6hr"
    dataset = xr.Dataset({name: (dims, held[:2] * 3.6 * 6, {"units": "m"})}, {"time": times, **axes})
    dataset.to_netcdf(tmp_path / "wb2.nc")
    covariates = Covariates.open(tmp_path / "wb2.nc", CovariatesConfig(max_step_hours=6))
    assert hourly(covariates) == pytest.approx([1.0] * 6 + [0.5] * 6, rel=1e-5)
