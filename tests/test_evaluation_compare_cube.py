from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from export_case import Cubes
from production_case import make_frame, make_observations

from aqreanalysis.errors import CubeError
from aqreanalysis.evaluation import compare_cube as comparison
from aqreanalysis.evaluation.compare_cube import compare, comparison_table, feeding_text
from aqreanalysis.observations import Observations, StationPlaces, from_frame
from aqreanalysis.production import open_cube

TIMES = pd.date_range("2021-03-01 01:00", periods=48, freq="h")
LAT, LON = np.array([35.0, 35.5, 36.0]), np.array([110.0, 110.5, 111.0, 111.5])


def _cube(times: pd.DatetimeIndex = TIMES) -> xr.Dataset:
    """A cube whose value tells its hour, row and column: 100 * hour + 10 * row + column."""
    hour, row, column = np.meshgrid(np.arange(len(times)), np.arange(3), np.arange(4), indexing="ij")
    best = (100 * hour + 10 * row + column).astype(np.float32)
    dims = ("time", "lat", "lon")
    units = {"units": "ug m-3"}
    return xr.Dataset(
        {
            "pm2p5": (dims, best, units),
            "pm2p5_standard_error": (dims, np.ones_like(best), units),
            "pm2p5_lower": (dims, best - 2, {**units, "coverage_probability": 0.9}),
            "pm2p5_upper": (dims, best + 2, units),
            "nearest_station_distance": (("lat", "lon"), np.array([[1, 7, 30, 70]] * 3, np.float32), {"units": "km"}),
            "lat_bnds": (("lat", "bnds"), np.column_stack([LAT - 0.25, LAT + 0.25])),
            "lon_bnds": (("lon", "bnds"), np.column_stack([LON - 0.25, LON + 0.25])),
        },
        {"time": times, "lat": LAT, "lon": LON},
    )


def _observations(
    values: np.ndarray, lat: list[float], lon: list[float], times: pd.DatetimeIndex = TIMES
) -> Observations:
    places = StationPlaces([f"s{i}" for i in range(len(lat))], np.array(lat), np.array(lon))
    dataset = Observations.from_arrays(times, places, {"pm25": np.full(values.shape, 5.0, np.float32)}).dataset
    # The readings are set after quality control: ramps of this size are not air quality.
    flags = np.where(np.isfinite(values), 0, dataset["pm25_flag"].values.max() * 0 + 1).astype(np.int8)
    dataset["pm25"].values[:] = values
    dataset["pm25_flag"].values[:] = flags
    return Observations(dataset)


def _at_two_stations(offset: float = 0.0) -> Observations:
    hours = 100.0 * np.arange(48)[:, None]
    # (35.2, 110.2) lies in row 0, column 0; (35.8, 111.3) in row 2, column 3.
    return _observations((hours + np.array([[0.0, 23.0]]) + offset).astype(np.float32), [35.2, 35.8], [110.2, 111.3])


def test_stations_on_both_sides_of_the_antimeridian_stand_in_a_grid_across_it() -> None:
    west = 179.0 - LON[0]
    cube = _cube().assign_coords(lon=LON + west)
    cube["lon_bnds"] += west
    values = np.full((48, 2), 7.0, np.float32)
    result = compare(cube, _observations(values, [35.5, 35.5], [179.5, -179.5]))
    assert result["stations"]["inside"] == 2 and result["species"]["pm25"]["n"] == 96


@pytest.mark.parametrize("suffix", [".nc", ".zarr", ""])
def test_a_reading_meets_the_cell_and_hour_that_contain_it(tmp_path: Path, suffix: str) -> None:
    cube: xr.Dataset | Path = _cube()
    if suffix:
        path = tmp_path / f"cube{suffix}"
        _cube().to_netcdf(path) if suffix == ".nc" else _cube().to_zarr(path, zarr_format=2, consolidated=True)
        cube = path
    found = compare(cube, _at_two_stations(1.5))
    scores = found["species"]["pm25"]
    assert scores["n"] == 96 and scores["stations"] == 2
    assert scores["mae"] == pytest.approx(1.5) and scores["bias"] == pytest.approx(-1.5)
    assert scores["coverage"] == 1.0 and scores["width"] == pytest.approx(4.0)
    assert found["coverage_probability"] == {"pm25": 0.9}


def test_coverage_falls_when_readings_leave_the_interval() -> None:
    assert compare(_cube(), _at_two_stations(2.5))["species"]["pm25"]["coverage"] == 0.0


def test_what_lies_outside_is_counted_and_told() -> None:
    times = TIMES + pd.Timedelta(hours=12)
    values = np.full((48, 3), 50.0, np.float32)
    values[5, 0] = np.nan
    found = compare(_cube(), _observations(values, [35.2, 35.8, 40.0], [110.2, 111.3, 111.0], times))
    scores = found["species"]["pm25"]
    assert (found["stations"]["inside"], found["stations"]["outside_grid"]) == (2, 1)
    assert found["hours"]["common"] == 36
    assert scores["readings"] == 143
    assert scores["readings_outside_timeline"] == 36
    assert scores["readings_outside_grid"] == 36
    assert scores["n"] == 71
    text = comparison_table(found).text()
    assert "2 stations in the grid, 1 outside it" in text
    assert "of 143 readings 36 lie outside the cube's hours, 36 outside its grid" in text


def test_cells_without_an_estimate_are_counted(tmp_path: Path) -> None:
    cube = _cube()
    cube["pm2p5"].values[:, 0, 0] = np.nan
    scores = compare(cube, _at_two_stations())["species"]["pm25"]
    assert (scores["n"], scores["readings_without_estimate"]) == (48, 48)


def test_reading_in_small_slabs_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compare(_cube(), _at_two_stations(1.0))
    monkeypatch.setattr(comparison, "_SLAB_VALUES", 30)
    assert compare(_cube(), _at_two_stations(1.0)) == whole


def test_a_descending_grid_without_bounds_gives_the_same() -> None:
    turned = _cube().isel(lat=slice(None, None, -1)).drop_vars(["lat_bnds", "lon_bnds"])
    assert compare(turned, _at_two_stations(1.0)) == compare(_cube(), _at_two_stations(1.0))


def test_nothing_in_common_is_refused_with_both_sides(tmp_path: Path) -> None:
    far = _observations(np.full((48, 1), 5.0, np.float32), [50.0], [10.0])
    with pytest.raises(CubeError, match=r"none of the 1 stations stands in the cube, which spans 35\.\.36 N"):
        compare(_cube(), far)
    late = _observations(np.full((48, 1), 5.0, np.float32), [35.2], [110.2], TIMES + pd.Timedelta(days=30))
    with pytest.raises(CubeError, match="no hour is common"):
        compare(_cube(), late)
    with pytest.raises(CubeError, match="the cube holds o3 and the observations pm25"):
        compare(_cube()[["pm2p5"]].rename(pm2p5="o3"), _at_two_stations())
    with pytest.raises(CubeError, match="no cube"):
        compare(tmp_path / "absent.nc", _at_two_stations())
    (tmp_path / "text.nc").write_text("not a cube")
    with pytest.raises(CubeError, match="cannot be read as a cube"):
        compare(tmp_path / "text.nc", _at_two_stations())


def _daily_cube() -> xr.Dataset:
    """Four days from 2021-02-28 on; the readings are of the second and the third."""
    days = pd.date_range("2021-03-01", periods=4, freq="D")
    bounds = np.stack([(days - pd.Timedelta(days=1)).to_numpy(), days.to_numpy()], axis=1)
    return _cube(days).assign(time_bnds=(("time", "bnds"), bounds))


def test_a_cube_of_daily_means_is_scored_by_means_of_the_readings() -> None:
    values = np.random.default_rng(0).uniform(5, 50, (48, 2)).astype(np.float32)
    values[3:9, 0] = np.nan  # 18 of 24 hours are left: enough
    values[24:31, 1] = np.nan  # 17 are not
    found = compare(_daily_cube(), _observations(values, [35.2, 35.8], [110.2, 111.3]))
    means = [np.nanmean(values[:24, 0]), np.nanmean(values[:24, 1]), np.nanmean(values[24:, 0])]
    estimates = [100.0, 123.0, 200.0]
    scores = found["species"]["pm25"]
    assert (scores["n"], scores["stations"], scores["readings_outside_timeline"]) == (3, 2, 0)
    assert scores["bias"] == pytest.approx(np.mean(np.subtract(estimates, means)), rel=1e-5)
    assert (found["hours"]["common"], found["hours"]["of_cube"], found["hours"]["longest"]) == (2, 4, 24)
    assert "2 common steps of up to 24 h" in comparison_table(found).text()


def test_a_cube_that_does_not_tell_what_its_steps_hold_and_other_units_are_refused() -> None:
    with pytest.raises(CubeError, match=r"step is 1 days 00:00:00 and it has no time_bnds"):
        compare(_daily_cube().drop_vars("time_bnds"), _at_two_stations())
    cube = _cube()
    cube["pm2p5"].attrs["units"] = "kg m-3"
    with pytest.raises(CubeError, match="'kg m-3', expected 'ug m-3'"):
        compare(cube, _at_two_stations())


def with_a_station_of_its_own(cube: xr.Dataset) -> Observations:
    """Return the readings that the cube was made from, and those of a station in the cell farthest from all of them."""
    frame, far = make_frame(), cube["nearest_station_distance"].isel(time=0)
    row, column = np.unravel_index(int(far.argmax()), far.shape)
    other = frame[frame["station_id"] == "s00"].assign(
        station_id="mine", lat=float(cube["lat"][row]), lon=float(cube["lon"][column])
    )
    return from_frame(pd.concat([frame, other]))


def test_stations_that_fed_the_cube_are_counted_and_can_be_left_out(cubes: Cubes) -> None:
    with open_cube(cubes.one) as cube:
        both = with_a_station_of_its_own(cube)
        whole, held_out = compare(cube, both), compare(cube, both, held_out=True)
        inside = whole["stations"]["inside"]
        assert whole["stations"]["fed_the_cube"] == inside - 1
        assert feeding_text(whole).startswith(f"{inside - 1} of the {inside} stations in the grid fed the cube")
        assert held_out["stations"]["inside"] == 1 and held_out["stations"]["fed_the_cube"] == 0
        assert held_out["species"]["pm25"]["stations"] == 1 and feeding_text(held_out) == ""
        with pytest.raises(CubeError, match="stations in the grid fed the cube: produce one from records without"):
            compare(cube, make_observations(), held_out=True)
        silent = cube.drop_vars("nearest_station_distance")
        assert compare(silent, both)["stations"]["fed_the_cube"] is None
        with pytest.raises(CubeError, match="by which stations that fed it are told"):
            compare(silent, both, held_out=True)
