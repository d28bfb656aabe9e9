"""Observations written to a CF file come back equal, and the file passes the checker."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from compliance_checker.runner import CheckSuite, ComplianceChecker
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aqreanalysis.errors import ObservationsError, OutputError
from aqreanalysis.observations import Observations, ReadOptions, StationPlaces, read_observations

READING = st.one_of(st.floats(-50, 3000, width=32), st.just(float("nan")))


def _observations(values: np.ndarray | None = None, ids: tuple[str, ...] = ("1001A", "Zürich", "002")) -> Observations:
    if values is None:
        values = np.random.default_rng(8).gamma(4, 10, (40, 3)).astype(np.float32)
        values[3, 1], values[5, 0] = np.nan, -4.0
    places = StationPlaces(
        list(ids),
        np.array([47.123456789, 47.4, -0.1]),
        np.array([8.0, 8.5, -179.9]),
        ["北京", "Zürich", ""],
        ["u", "v", "w"],
    )
    times = pd.date_range("1969-12-30 05:00", periods=len(values), freq="h")
    attributes = {"synthetic": "true", "comment": "Zürich, nature run", "source": "model"}
    return Observations.from_arrays(times, places, {"pm25": values, "co": values[::-1] / 100}, attributes)


def test_everything_comes_back_and_so_does_a_second_trip(tmp_path: Path) -> None:
    first = _observations()
    first.report.count("text_values", 3)
    again = read_observations(first.to_netcdf(tmp_path / "a.nc"))
    assert again.digest() == first.digest()
    xr.testing.assert_equal(again.dataset, first.dataset)
    assert again.stations == sorted(["1001A", "Zürich", "002"]) and again.city == first.city
    assert again.attributes["synthetic"] == "true" and again.attributes["comment"].isascii()
    assert again.report.lines()[1:] == first.report.lines()[1:]
    third = read_observations(again.to_netcdf(tmp_path / "b.nc"))
    xr.testing.assert_identical(third.dataset, again.dataset)


@given(values=hnp.arrays(np.float32, st.tuples(st.integers(1, 30), st.just(3)), elements=READING))
@settings(max_examples=25, deadline=None)
def test_any_readings_come_back_with_the_same_digest(
    tmp_path_factory: pytest.TempPathFactory, values: np.ndarray
) -> None:
    path = tmp_path_factory.mktemp("trip") / "a.nc"
    observations = _observations(values)
    again = read_observations(observations.to_netcdf(path))
    assert again.digest() == observations.digest()
    for key in observations.species:
        np.testing.assert_array_equal(again.dataset[key].values, observations.dataset[key].values)
        np.testing.assert_array_equal(again.flags(key), observations.flags(key))


def test_the_same_observations_make_the_same_bytes(tmp_path: Path) -> None:
    one = _observations().to_netcdf(tmp_path / "a.nc").read_bytes()
    assert one == _observations().to_netcdf(tmp_path / "b.nc").read_bytes()


def test_the_file_is_a_cf_time_series_with_ascii_attributes(tmp_path: Path) -> None:
    path = _observations().to_netcdf(tmp_path / "a.nc")
    with netCDF4.Dataset(path) as file:
        assert file.featureType == "timeSeries" and file.Conventions == "CF-1.11"
        assert file["station_id"].cf_role == "timeseries_id"
        assert file["time"].dtype == np.float64 and file["time"].units == "hours since 1970-01-01 00:00:00"
        np.testing.assert_array_equal(file["time_bounds"][:, 1], file["time"][:])
        np.testing.assert_array_equal(file["time_bounds"][:, 1] - file["time_bounds"][:, 0], 1.0)
        assert file["pm25"].dimensions == ("station", "time")
        filters = file["pm25"].filters()
        assert filters["zlib"] and filters["shuffle"] and filters["complevel"] == 1
        for owner in (file, *file.variables.values()):
            for name in owner.ncattrs():
                assert str(owner.getncattr(name)).isascii(), (owner, name)


def test_the_checker_of_cf_finds_nothing(tmp_path: Path) -> None:
    path = _observations().to_netcdf(tmp_path / "a.nc")
    CheckSuite.load_all_available_checkers()
    passed, errors = ComplianceChecker.run_checker(
        str(path), ["cf:1.11"], 0, "strict", output_filename=str(tmp_path / "r")
    )
    assert passed and not errors, (tmp_path / "r").read_text()


def test_an_existing_file_is_kept_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists"):
        _observations().to_netcdf(path)
    assert path.read_bytes() == b"precious"
    _observations().to_netcdf(path, overwrite=True)
    assert read_observations(path).stations
    with pytest.raises(OutputError, match="make it first"):
        _observations().to_netcdf(tmp_path / "none" / "a.nc")
    assert [p.name for p in tmp_path.iterdir()] == ["a.nc"]


@pytest.mark.parametrize("share", [0.0005, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = _observations().to_netcdf(tmp_path / "a.nc")
    raw = path.read_bytes()
    path.write_bytes(raw[: int(share * len(raw)) + 1])
    with pytest.raises(ObservationsError, match="truncated"):
        read_observations(path)


def test_a_changed_file_is_told(tmp_path: Path) -> None:
    path = _observations().to_netcdf(tmp_path / "a.nc")
    assert not read_observations(path).report.warnings
    with netCDF4.Dataset(path, "a") as file:
        file["pm25"][0, 0] = 12.5
    again = read_observations(path)
    assert again.values("pm25")[0, 0] == np.float32(12.5)
    assert "was changed after this program wrote it" in again.report.warnings[0]


def test_a_cube_is_no_station_file(tmp_path: Path) -> None:
    path = tmp_path / "cube.nc"
    xr.Dataset({"pm2p5": (("time", "lat", "lon"), np.zeros((1, 2, 2)))}).to_netcdf(path)
    with pytest.raises(ObservationsError, match=r"time, lat, lon \(a grid, it seems\)"):
        read_observations(path)


def test_a_file_without_flags_passes_quality_control(tmp_path: Path) -> None:
    first = _observations()
    with xr.open_dataset(first.to_netcdf(tmp_path / "a.nc"), decode_times=False, decode_coords=False) as opened:
        plain = opened.load().drop_vars(["pm25_flag", "co_flag"])
    for key in ("pm25", "co"):
        plain[key].attrs = {}
    plain.to_netcdf(tmp_path / "plain.nc")
    assert read_observations(tmp_path / "plain.nc").digest() == first.digest()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.drop_vars("lat"), "no variable 'lat'"),
        (lambda d: d.drop_vars("station_id"), "no variable 'station_id'"),
        (lambda d: d[["lat", "lon", "station_id", "time"]], "no known pollutant"),
        (lambda d: d.assign_coords(time=d["time"] + 0.5), "not on a full hour"),
        (lambda d: d.assign_coords(time=d["time"].assign_attrs(units="days since 1970-01-01")), "time has units"),
        (lambda d: d.isel(time=[0, 2, 3]), "every hour once"),
    ],
)
def test_a_file_that_breaks_a_rule_is_refused(tmp_path: Path, change, message: str) -> None:
    path = _observations().to_netcdf(tmp_path / "a.nc")
    with xr.open_dataset(path, decode_times=False, decode_coords=False) as opened:
        changed = change(opened.load().drop_vars("time_bounds"))
    changed["time"].attrs.pop("bounds", None)
    changed.to_netcdf(tmp_path / "b.nc")
    with pytest.raises(ObservationsError, match=message):
        read_observations(tmp_path / "b.nc")


def _long(hours: int) -> Observations:
    """Return a record that begins and ends with silent hours."""
    values = np.random.default_rng(9).gamma(4, 10, (hours, 3)).astype(np.float32)
    values[:3] = values[-5:] = np.nan
    return _observations(values)


def test_of_a_long_record_only_the_hours_that_are_needed_are_read(tmp_path: Path) -> None:
    whole = _long(2000)
    path = whole.to_netcdf(tmp_path / "long.nc")
    first = whole.first_hour
    part = read_observations(path, options=ReadOptions(span=(first + 900, first + 999)))
    assert part.hours.tolist() == list(range(first + 900, first + 1000))
    for key in whole.species:
        np.testing.assert_array_equal(part.values(key), whole.values(key)[900:1000])
        heard = np.flatnonzero(np.isfinite(whole.values(key)).any(axis=1))
        assert part.full_span is not None and part.full_span[key] == (
            first + heard[0],
            first + heard[-1],
        )
    assert not [line for line in part.report.lines() if "changed after" in line]


def test_a_span_that_holds_the_whole_record_reads_it_as_ever(tmp_path: Path) -> None:
    whole = _long(100)
    path = whole.to_netcdf(tmp_path / "short.nc")
    read = read_observations(path, options=ReadOptions(span=(-(10**6), 10**6)))
    assert read.full_span is None and read.digest() == whole.digest()


def test_a_span_outside_the_record_reads_it_whole_so_that_a_check_can_say_how_far_it_reaches(tmp_path: Path) -> None:
    whole = _long(100)
    read = read_observations(whole.to_netcdf(tmp_path / "short.nc"), options=ReadOptions(span=(10**5, 10**5 + 9)))
    assert read.digest() == whole.digest()
