from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from covariates_case import LAT, LON, hour, plane

from aqreanalysis.configs import CovariatesConfig
from aqreanalysis.covariates import Covariates
from aqreanalysis.errors import CovariatesError

PLACE = np.array([49.6]), np.array([6.3])


def write(path: Path, variables: dict[str, tuple], coords: dict[str, object], **encoding: dict) -> Path:
    """Write a NetCDF file on the small grid."""
    axes = {"latitude": ("latitude", LAT), "longitude": ("longitude", LON)}
    xr.Dataset(variables, {**axes, **coords}).to_netcdf(path, engine="netcdf4", encoding=encoding)
    return path


def maps(levels: np.ndarray) -> np.ndarray:
    """Return one map a level, of any shape, with a slope to the north."""
    return np.asarray(levels)[..., None, None] + plane(0.0, 1.0)


def at(covariates: Covariates, *hours: str) -> np.ndarray:
    """Return values (hour, field) at one place."""
    return covariates.at(*PLACE, np.array([hour(h) for h in hours]))[:, 0]


DIMS = ("latitude", "longitude")


def test_era5_of_the_new_store_with_valid_time_and_expver_along_it(tmp_path: Path) -> None:
    times = pd.date_range("2020-01-01T00:00", periods=4, freq="h")
    coords = {"valid_time": times, "expver": ("valid_time", ["0001", "0001", "0005", "0005"])}
    variable = (("valid_time", *DIMS), maps([280.0, 281.0, 282.0, 283.0]), {"units": "K"})
    covariates = Covariates.open(write(tmp_path / "era5.nc", {"t2m": variable}, coords))
    assert at(covariates, "2020-01-01T02:00", "2020-01-01T03:00")[:, 0] == pytest.approx([281.6, 282.6], abs=1e-3)


def test_era5_of_the_old_store_with_both_issues_side_by_side(tmp_path: Path) -> None:
    times = pd.date_range("2020-01-01T00:00", periods=3, freq="h")
    held = np.array([[280.0, np.nan], [281.0, 270.0], [np.nan, 282.0]])
    variable = (("time", "expver", *DIMS), maps(held), {"units": "K"})
    path = write(tmp_path / "old.nc", {"t2m": variable}, {"time": times, "expver": [1, 5]})
    values = at(Covariates.open(path), *(f"2020-01-01T0{h}:00" for h in range(3)))
    assert values[:, 0] == pytest.approx([279.6, 280.6, 281.6], abs=1e-3)


@pytest.mark.parametrize("since_midnight", [True, False])
def test_what_a_sum_without_a_period_holds_is_told_by_its_values(tmp_path: Path, since_midnight: bool) -> None:
    times = pd.date_range("2020-01-01T01:00", periods=48, freq="h")
    rain = np.random.default_rng(0).gamma(0.5, 1.0, 48)
    held = rain.reshape(2, 24).cumsum(axis=1).ravel() if since_midnight else rain
    held = np.broadcast_to(held[:, None, None] / 1000, (48, LAT.size, LON.size))
    path = write(tmp_path / "tp.nc", {"tp": (("time", *DIMS), held, {"units": "m"})}, {"time": times})
    covariates = Covariates.open(path)
    values = covariates.at(*PLACE, covariates.hours("tp"))[:, 0, 0]
    assert values == pytest.approx(rain, abs=1e-4)
    assert any("since 00 UTC" in note for note in covariates.report.notes) == since_midnight


def test_hourly_means_with_bounds_count_for_their_hours(tmp_path: Path) -> None:
    times = pd.date_range("2020-01-01T03:00", periods=2, freq="3h")
    bounds = np.stack([times - pd.Timedelta(hours=3), times], axis=1)
    variable = (("time", *DIMS), maps([280.0, 290.0]), {"units": "K"})
    coords = {"time": ("time", times, {"bounds": "time_bnds"}), "time_bnds": (("time", "n"), bounds)}
    values = at(
        Covariates.open(write(tmp_path / "m.nc", {"t2m": variable}, coords)), "2020-01-01T01:00", "2020-01-01T04:00"
    )
    assert values[:, 0] == pytest.approx([279.6, 289.6], abs=1e-3)


def test_cams_global_forecasts_by_run_and_lead_with_levels(tmp_path: Path) -> None:
    runs = pd.DatetimeIndex(["2020-01-01T00:00", "2020-01-01T12:00"])
    held = np.array([[10.0, 13.0, 16.0], [20.0, 23.0, 26.0]]) * 1e-9
    variable = (("forecast_reference_time", "forecast_period", *DIMS), maps(held) * 0 + held[..., None, None])
    coords = {
        "forecast_reference_time": runs,
        "forecast_period": ("forecast_period", [9.0, 12.0, 15.0], {"units": "hours"}),
    }
    path = write(tmp_path / "cams.nc", {"pm2p5": (*variable, {"units": "kg m**-3"})}, coords)
    values = at(Covariates.open(path), "2020-01-01T10:00", "2020-01-01T12:00", "2020-01-02T00:00")
    assert values[:, 0] == pytest.approx([11.0, 13.0, 23.0], rel=1e-3)


def test_cams_european_files_whose_times_are_since_a_day_in_the_long_name(tmp_path: Path) -> None:
    time = ("time", np.arange(3.0), {"units": "hours", "long_name": "ANALYSIS time from 20200101"})
    level = ("level", [0.0, 50.0], {"units": "m"})
    held = np.stack([np.full((2, *plane(0).shape), 10.0 + h) for h in range(3)])
    held[:, 1] = 99.0
    variable = (("time", "level", *DIMS), held, {"units": "µg/m3"})
    path = write(tmp_path / "cams.nc", {"no2_conc": variable}, {"time": time, "level": level})
    assert at(Covariates.open(path), "2020-01-01T02:00")[0, 0] == pytest.approx(12.0)


def test_wrong_units_missing_axes_and_odd_dimensions_are_named(tmp_path: Path) -> None:
    times = {"time": pd.date_range("2020-01-01", periods=2, freq="h")}
    wrong = write(tmp_path / "u.nc", {"t2m": (("time", *DIMS), maps([1.0, 2.0]), {"units": "furlong"})}, times)
    with pytest.raises(CovariatesError, match=r"u.nc, t2m: t2m .* is in 'furlong'"):
        Covariates.open(wrong)
    member = (("number", "time", *DIMS), maps([[280.0, 281.0]] * 3), {"units": "K"})
    with pytest.raises(CovariatesError, match=r"dimension 'number' of size 3"):
        Covariates.open(write(tmp_path / "n.nc", {"t2m": member}, times))
    xr.Dataset({"t2m": (("y", "x"), plane(280.0))}).to_netcdf(tmp_path / "yx.nc")
    with pytest.raises(CovariatesError, match=r"yx.nc: no latitude"):
        Covariates.open(tmp_path / "yx.nc")


def test_degrees_celsius_are_converted_and_mislabelled_ones_refused(tmp_path: Path) -> None:
    times = {"time": pd.date_range("2020-01-01", periods=2, freq="h")}
    for units in ("degC", "K"):
        write(tmp_path / f"{units}.nc", {"t2m": (("time", *DIMS), maps([10.0, 12.0]), {"units": units})}, times)
    assert at(Covariates.open(tmp_path / "degC.nc"), "2020-01-01T01:00")[0, 0] == pytest.approx(284.75, abs=1e-3)
    with pytest.raises(CovariatesError, match=r"K.nc, t2m at time 1: t2m is .* outside 180 to 340"):
        at(Covariates.open(tmp_path / "K.nc"), "2020-01-01T01:00")


def test_damaged_netcdf_gives_one_line_or_is_skipped(tmp_path: Path) -> None:
    times = {"time": pd.date_range("2020-01-01", periods=2, freq="h")}
    good = write(tmp_path / "good.nc", {"t2m": (("time", *DIMS), maps([280.0, 281.0]), {"units": "K"})}, times)
    data = good.read_bytes()
    for share in (0.0, 0.1, 0.5, 0.9):
        (tmp_path / "bad.nc").write_bytes(data[: int(len(data) * share)])
        with pytest.raises(CovariatesError, match=r"bad.nc") as caught:
            at(Covariates.open(tmp_path / "bad.nc"), "2020-01-01T01:00")
        assert "\n" not in str(caught.value)
    opened = Covariates.open(tmp_path, CovariatesConfig(skip_broken=True))
    assert list(opened.report.skipped) == [str(tmp_path / "bad.nc")] and opened.fields == ("t2m",)


def test_two_blocks_that_read_at_once_open_one_file_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The HDF5 library is not safe for threads: read side by side, files looked damaged or the process ended.
    times = pd.date_range("2020-01-01T00:00", periods=48, freq="h")
    variable = (("time", *DIMS), maps(280 + np.arange(48.0)), {"units": "K"})
    covariates = Covariates.open(write(tmp_path / "a.nc", {"t2m": variable}, {"time": times}))
    opened, most, real = [0], [0], xr.open_dataset

    class Counted:
        def __init__(self, *args: object, **how: object) -> None:
            opened[0] += 1
            most[0] = max(most[0], opened[0])
            time.sleep(0.02)
            self.dataset = real(*args, **how)

        def __enter__(self) -> xr.Dataset:
            return self.dataset

        def __exit__(self, *why: object) -> None:
            self.dataset.close()
            opened[0] -= 1

    monkeypatch.setattr(xr, "open_dataset", Counted)
    hours = [hour(f"2020-01-0{1 + h // 24}T{h % 24:02d}:00") for h in range(48)]
    with ThreadPoolExecutor(4) as pool:
        values = list(pool.map(lambda h: covariates.at(*PLACE, np.array([h]))[0, 0, 0], hours))
    assert most[0] == 1
    assert np.diff(values) == pytest.approx(np.ones(47), abs=1e-3)
