"""A long record stays in its file: what is read of it in blocks is what reading it at once gives."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from aqreanalysis.common import memory
from aqreanalysis.errors import ObservationsError, OutputError
from aqreanalysis.observations import (
    Observations,
    ReadOptions,
    StationPlaces,
    backing,
    check_observations,
    dataset,
    read_observations,
    window,
)

HOURS, STATIONS = 2000, 7


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(3)
    values = rng.gamma(4, 10, (HOURS, STATIONS)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    values[:30], values[100, 2], values[900:960, 4] = np.nan, -4.0, 55.5  # a fault, and a stuck instrument
    places = StationPlaces(
        [f"S{i}" for i in range(STATIONS)], np.linspace(40, 41, STATIONS), np.linspace(116, 117, STATIONS)
    )
    times = pd.date_range("2019-01-01 05:00", periods=HOURS, freq="h")
    ozone = np.full_like(values, np.nan)
    ozone[50:70] = 80.0 + rng.random((20, STATIONS)).astype(np.float32)
    observations = Observations.from_arrays(times, places, {"pm25": values, "o3": ozone}, {"source": "made up"})
    return observations.to_netcdf(tmp_path_factory.mktemp("stored") / "obs.nc")


@pytest.fixture
def whole(path: Path) -> Observations:
    return read_observations(path)


@pytest.fixture
def backed(path: Path, monkeypatch: pytest.MonkeyPatch) -> Observations:
    """The same record, read as if it were long, in parts shorter than it is and into mapped files."""
    monkeypatch.setattr(backing, "READINGS_IN_MEMORY", 100)
    monkeypatch.setattr(backing, "BLOCK_HOURS", 300)
    monkeypatch.setattr(dataset, "BLOCK_HOURS", 170)
    monkeypatch.setattr(memory, "MAPPED_BYTES", 1000)
    observations = read_observations(path)
    assert not observations.in_memory
    return observations


def test_all_that_can_be_asked_is_the_same(whole: Observations, backed: Observations) -> None:
    assert backed.digest() == whole.digest() and backed.summary() == whole.summary()
    assert (
        backed.stations == whole.stations and backed.times.equals(whole.times) and backed.attributes == whole.attributes
    )
    assert backed.observed_span() == whole.observed_span() and set(backed.observed_span()) == {"pm25", "o3"}
    assert backed.report.lines() == whole.report.lines()
    for key in whole.species:
        np.testing.assert_array_equal(backed.flag_counts(key), whole.flag_counts(key))
    assert not backed._usable and "dataset" not in vars(backed), "none of this needs all readings at once"
    for key in whole.species:
        np.testing.assert_array_equal(backed.values(key), whole.values(key))
        np.testing.assert_array_equal(backed.flags(key), whole.flags(key))
        assert whole.flag_counts(key).sum() == HOURS * STATIONS
    assert backed.held_bytes() == 0 and whole.held_bytes() >= 4 * 3 * HOURS * STATIONS
    xr.testing.assert_identical(backed.dataset, whole.dataset)
    np.testing.assert_array_equal(backed.to_array(("o3", "no2", "pm25")), whole.to_array(("o3", "no2", "pm25")))


@pytest.mark.parametrize(("first", "hours"), [(-50, 90), (0, HOURS), (1990, 40), (7, 1), (-9, HOURS + 30), (5000, 3)])
def test_windows_are_the_same_and_read_no_more_than_they_need(
    whole: Observations, backed: Observations, monkeypatch: pytest.MonkeyPatch, first: int, hours: int
) -> None:
    expected = window(whole, ("o3", "so2", "pm25"), whole.first_hour + first, hours)
    read = []
    real = backing.FileBacking.read
    monkeypatch.setattr(
        backing.FileBacking, "read", lambda self, key, a, b: read.append(b - a) or real(self, key, a, b)
    )
    part = window(backed, ("o3", "so2", "pm25"), whole.first_hour + first, hours)
    np.testing.assert_array_equal(part[0], expected[0])
    np.testing.assert_array_equal(part[1], expected[1])
    assert sum(read) == 2 * max(min(first + hours, HOURS) - max(first, 0), 0)


def test_a_selection_and_a_second_file_are_the_same(
    whole: Observations, backed: Observations, path: Path, tmp_path: Path
) -> None:
    for chosen in ({"stations": ["S3", "S1"]}, {"start": "2019-01-09", "end": "2019-01-20"}):
        assert backed.select(**chosen).digest() == whole.select(**chosen).digest()
    with xr.open_dataset(backed.to_netcdf(tmp_path / "a.nc")) as one, xr.open_dataset(path) as other:
        xr.testing.assert_equal(one, other)


def test_some_hours_of_it_know_how_far_the_whole_reaches(whole: Observations, backed: Observations, path: Path) -> None:
    span = whole.first_hour + 400, whole.first_hour + 1500
    part = read_observations(path, None, ReadOptions(span=span))
    assert not part.in_memory and (part.first_hour, len(part.times)) == (
        span[0],
        1101,
    )
    assert part.observed_span() == whole.observed_span()
    np.testing.assert_array_equal(part.values("pm25"), whole.values("pm25")[400:1501])


def test_a_change_and_damage_are_told(backed: Observations, path: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.nc"
    changed.write_bytes(path.read_bytes())
    with netCDF4.Dataset(changed, "a") as file:
        file["pm25"][0, 1200] = 12.5
    assert "was changed after this program wrote it" in read_observations(changed).report.warnings[0]
    with netCDF4.Dataset(changed, "a") as file:
        file["pm25_flag"][0, 1200] = 77
    with pytest.raises(ObservationsError, match=r"pm25_flag holds values outside 0\.\.12"):
        read_observations(changed)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3 : len(raw) // 3 + 2000] = bytes(2000)
    changed.write_bytes(raw)
    with pytest.raises(ObservationsError, match=r"no readable NetCDF file"):
        read_observations(changed)


def test_a_large_table_goes_through_a_temporary_file_that_is_removed(
    whole: Observations, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = whole.dataset[["pm25", "o3"]].to_dataframe().reset_index().rename(columns={"station": "station_id"})
    table = tmp_path / "obs.parquet"
    frame.to_parquet(table, row_group_size=1000)
    at_once, checked = read_observations(table), check_observations(table)
    monkeypatch.setattr(backing, "READINGS_IN_MEMORY", 100)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    through = read_observations(table)
    assert not through.in_memory
    assert through.digest() == at_once.digest() and through.report.lines() == at_once.report.lines()
    assert len(list(tmp_path.glob("aqreanalysis-*"))) == 1
    again = check_observations(table)
    assert {k: v for k, v in again.items() if k != "report"} == {k: v for k, v in checked.items() if k != "report"}
    del through
    assert not list(tmp_path.glob("aqreanalysis-*"))
    table.write_bytes(table.read_bytes()[:-3000])
    with pytest.raises(ObservationsError, match="Parquet"):
        read_observations(table)
    assert not list(tmp_path.glob("aqreanalysis-*"))


def test_a_full_disk_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAPPED_BYTES", 1000)

    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OutputError, match=r"no room for 0\.1 GB of readings in .*No space left.*set TMPDIR"):
        memory.zeros_mapped((10_000, 2500), np.float32)
