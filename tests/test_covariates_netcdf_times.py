from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from covariates_case import LAT, LON, hour, plane

from aqreanalysis.configs import CovariatesConfig
from aqreanalysis.covariates import Covariates
from aqreanalysis.errors import CovariatesError

DIMS = ("latitude", "longitude")
AXES = {"latitude": ("latitude", LAT), "longitude": ("longitude", LON)}
PLACE = np.array([50.0]), np.array([7.0])


def temperatures(*levels: float) -> np.ndarray:
    """Return one even map a level."""
    return np.stack([plane(level) for level in levels]).astype(np.float32)


def save(path: Path, variables: dict[str, tuple], coords: dict[str, object]) -> Path:
    xr.Dataset(variables, {**AXES, **coords}).to_netcdf(path, engine="netcdf4")
    return path


def series(covariates: Covariates, key: str = "t2m") -> dict[str, float]:
    """Return hour -> value at one place, of every hour that there is."""
    hours = covariates.hours(key)
    values = covariates.select([key]).at(*PLACE, hours)[:, 0, 0]
    return {str(np.datetime64(int(h), "h")): round(float(v), 3) for h, v in zip(hours, values, strict=True)}


@pytest.mark.parametrize("order", [("time", "longitude", "latitude"), ("latitude", "longitude", "time")])
def test_dimensions_come_in_any_order(tmp_path: Path, order: tuple[str, ...]) -> None:
    times = pd.date_range("2020-01-01T00:00", periods=3, freq="h")
    values = np.stack([plane(280.0 + i, 1.0, 0.25) for i in range(3)])
    array = xr.DataArray(values, {"time": times, **AXES}, ("time", *DIMS), attrs={"units": "K"})
    array.transpose(*order).to_dataset(name="t2m").to_netcdf(tmp_path / "t.nc")
    lat, lon = np.array([49.5, 50.25]), np.array([6.5, 8.0])
    got = Covariates.open(tmp_path / "t.nc").at(lat, lon, np.array([hour("2020-01-01T02:00")]))[0, :, 0]
    assert got == pytest.approx(282.0 + (lat - 50.0) + 0.25 * (lon - 7.0), abs=1e-4)


@pytest.mark.parametrize("since", ["1900-01-01", "2020-01-01"])
def test_hours_that_single_precision_misses_are_rounded_and_told(tmp_path: Path, since: str) -> None:
    hours = np.arange(72)
    days = (hours / 24 + (pd.Timestamp("2020-01-01") - pd.Timestamp(since)).days).astype(np.float32)
    time = ("time", days, {"units": f"days since {since}"})
    variable = (("time", *DIMS), temperatures(*(270.0 + hours / 10)), {"units": "K"})
    covariates = Covariates.open(save(tmp_path / "t.nc", {"t2m": variable}, {"time": time}))
    assert list(series(covariates).values()) == pytest.approx(270.0 + hours / 10, abs=1e-3)
    assert covariates.hours("t2m").tolist() == (hour("2020-01-01T00:00") + hours).tolist()
    told = [note for note in covariates.report.notes if "rounded to the hour" in note]
    assert len(told) == (since == "1900-01-01") and not any("interpolated" in n for n in covariates.report.notes)


def test_stamps_at_half_past_are_means_of_their_hour(tmp_path: Path) -> None:
    times = pd.date_range("2020-01-01T00:30", periods=3, freq="h")
    variable = (("time", *DIMS), temperatures(280.0, 281.0, 282.0), {"units": "K"})
    covariates = Covariates.open(save(tmp_path / "t.nc", {"T2M": variable}, {"time": times}))
    assert series(covariates) == {"2020-01-01T01": 280.0, "2020-01-01T02": 281.0, "2020-01-01T03": 282.0}
    assert [note.partition(": ")[2] for note in covariates.report.notes] == [
        "stamps at half past are taken as means of the hour around them"
    ]


def test_those_three_hours_apart_are_means_of_three_hours(tmp_path: Path) -> None:
    times = pd.date_range("2020-01-01T01:30", periods=2, freq="3h")
    variable = (("time", *DIMS), temperatures(280.0, 290.0), {"units": "K"})
    covariates = Covariates.open(save(tmp_path / "t.nc", {"T2M": variable}, {"time": times}))
    assert list(series(covariates).values()) == [280.0] * 3 + [290.0] * 3
    assert next(iter(series(covariates))) == "2020-01-01T01"


def test_other_stamps_off_the_hour_are_counted_with_the_first_of_them(tmp_path: Path) -> None:
    times = pd.date_range("2020-01-01T00:00", periods=7, freq="10min")
    variable = (("time", *DIMS), temperatures(*range(280, 287)), {"units": "K"})
    covariates = Covariates.open(save(tmp_path / "t.nc", {"t2m": variable}, {"time": times}))
    assert "2020-01-01T01" in series(covariates)
    assert covariates.report.left_out == {
        "t2m between two full hours, the first at 2020-01-01T00:00 and 10 min": 4,
    }


def test_bounds_tell_the_hours_wherever_in_them_the_stamp_lies(tmp_path: Path) -> None:
    start = pd.date_range("2020-01-01T00:00", periods=2, freq="3h")
    edges = (np.stack([start, start + pd.Timedelta("3h")], axis=1) - np.datetime64("1970-01-01")) / np.timedelta64(
        1, "h"
    )
    units = {"units": "hours since 1970-01-01"}
    for where, stamps in (("begin", edges[:, 0]), ("middle", edges.mean(axis=1)), ("end", edges[:, 1])):
        coords = {"time": ("time", stamps, {**units, "bounds": "b"}), "b": (("time", "n"), edges)}
        variables = {
            "t2m": (("time", *DIMS), temperatures(280.0, 290.0), {"units": "K"}),
            "tp": (("time", *DIMS), temperatures(3.0, 6.0), {"units": "mm"}),
        }
        covariates = Covariates.open(save(tmp_path / f"{where}.nc", variables, coords))
        assert list(series(covariates).values()) == [280.0] * 3 + [290.0] * 3
        # An amount of three hours is a third in each.
        assert list(series(covariates, "tp").values()) == [1.0] * 3 + [2.0] * 3
        assert next(iter(series(covariates))) == "2020-01-01T01"


def test_a_lead_beside_the_dimensions_moves_the_run_to_the_hour_of_the_map(tmp_path: Path) -> None:
    # What cfgrib leaves of one step of several runs, and of one run.
    runs = pd.date_range("2020-01-01T00:00", periods=2, freq="12h")
    variable = (("time", *DIMS), temperatures(280.0, 281.0), {"units": "K"})
    named = {"standard_name": "forecast_reference_time"}
    coords = {"time": ("time", runs, named), "step": ((), 6, {"units": "hours", "standard_name": "forecast_period"})}
    assert series(Covariates.open(save(tmp_path / "a.nc", {"t2m": variable}, coords))) == {
        "2020-01-01T06": 280.0,
        "2020-01-01T18": 281.0,
    }
    variable = (("step", *DIMS), temperatures(280.0, 281.0), {"units": "K"})
    steps = ("step", [1.0, 2.0], {"units": "hours", "standard_name": "forecast_period"})
    valid = ("step", runs[:1].append(runs[:1]) + pd.to_timedelta([1, 2], "h"), {"standard_name": "time"})
    coords = {"time": ((), runs[0], named), "step": steps, "valid_time": valid}
    assert series(Covariates.open(save(tmp_path / "b.nc", {"t2m": variable}, coords))) == {
        "2020-01-01T01": 280.0,
        "2020-01-01T02": 281.0,
    }


def test_both_issues_of_an_island_that_a_coarse_look_would_miss(tmp_path: Path) -> None:
    lat, lon = np.round(np.arange(42.0, 36.0, -0.1), 1), np.round(np.arange(110.0, 118.05, 0.1), 1)
    values = np.full((4, 2, lat.size, lon.size), np.nan, np.float32)
    values[:2, 0, 31:33, 40:42], values[2:, 1, 31:33, 40:42] = 280.0, 281.0
    times = pd.date_range("2020-01-01T00:00", periods=4, freq="h")
    coords = {"time": times, "expver": [1, 5], "latitude": lat, "longitude": lon}
    dataset = xr.Dataset({"t2m": (("time", "expver", *DIMS), values, {"units": "K"})}, coords)
    dataset.to_netcdf(tmp_path / "island.nc")
    covariates = Covariates.open(tmp_path / "island.nc")
    place = np.array([lat[31]]), np.array([lon[40]])
    assert covariates.at(*place, covariates.hours("t2m"))[:, 0, 0].tolist() == [280.0, 280.0, 281.0, 281.0]


def test_a_member_and_a_level_are_chosen_by_a_setting(tmp_path: Path) -> None:
    times = pd.date_range("2020-01-01T00:00", periods=1, freq="h")
    held = np.stack([np.stack([plane(10.0 * m + 1.0 * z) for z in range(3)]) for m in range(2)])[None]
    dims = ("time", "number", "level", *DIMS)
    coords = {"time": times, "number": [0, 1], "level": ("level", [0.0, 50.0, 250.0], {"units": "m"})}
    path = save(tmp_path / "cams.nc", {"no2_conc": (dims, held, {"units": "ug m-3"})}, coords)
    with pytest.raises(CovariatesError, match=r"members of an ensemble; covariates.member=0 takes one"):
        Covariates.open(path)
    config = CovariatesConfig(member=1)
    assert series(Covariates.open(path, config), "no2_background") == {"2020-01-01T00": 10.0}
    config = CovariatesConfig(member=1, levels={"no2_background": 250})
    assert series(Covariates.open(path, config), "no2_background") == {"2020-01-01T00": 12.0}
    with pytest.raises(CovariatesError, match=r"level 70 is not in the file, which has 0, 50, 250; set covariates.lev"):
        Covariates.open(path, CovariatesConfig(member=1, levels={"no2_background": 70}))


def test_days_that_are_written_as_dates_are_read(tmp_path: Path) -> None:
    """As ``cdo -a`` writes them: 20200101.25 is six in the morning."""
    times = pd.date_range("2020-01-31T20:00", periods=6, freq="h")
    days = np.array([int(f"{time:%Y%m%d}") + time.hour / 24 for time in times])
    variable = (("time", *DIMS), temperatures(*(280.0 + np.arange(6))), {"units": "K"})
    time = ("time", days, {"units": "day as %Y%m%d.%f"})
    covariates = Covariates.open(save(tmp_path / "t.nc", {"t2m": variable}, {"time": time}))
    assert series(covariates)["2020-02-01T01"] == 285.0
    assert covariates.hours("t2m").tolist() == (hour("2020-01-31T20:00") + np.arange(6)).tolist()


@pytest.mark.parametrize("calendar", ["noleap", "360_day"])
def test_a_calendar_of_a_models_own_is_refused_in_a_line(tmp_path: Path, calendar: str) -> None:
    variable = (("time", *DIMS), temperatures(280.0), {"units": "K"})
    time = ("time", np.array([0.0]), {"units": "days since 2020-01-01", "calendar": calendar})
    with pytest.raises(CovariatesError, match=f"its calendar is '{calendar}', a model's own"):
        Covariates.open(save(tmp_path / "t.nc", {"t2m": variable}, {"time": time}))
