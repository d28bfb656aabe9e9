from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from compliance_checker.runner import CheckSuite, ComplianceChecker
from threadpoolctl import threadpool_limits

from aqreanalysis.errors import ObservationsError, OutputError
from aqreanalysis.nature import Nature, nature_run
from aqreanalysis.observations import read_observations
from aqreanalysis.species import SPECIES

DAYS = 6


@pytest.fixture(scope="module")
def run() -> Nature:
    return nature_run(seed=1, days=DAYS)


def towns(run: Nature, layer: str) -> np.ndarray:
    """The truth where stations of the towns stand, (time, station)."""
    stations = run.stations[run.stations["kind"] != "rural"]
    rows = np.abs(run.grid.lat[:, None] - stations["lat"].to_numpy()).argmin(axis=0)
    columns = np.abs(run.grid.lon[:, None] - stations["lon"].to_numpy()).argmin(axis=0)
    return run.truth[layer].values[:, rows, columns]


def test_all_six_pollutants_are_known_at_every_cell_and_hour(run: Nature) -> None:
    assert set(run.truth.data_vars) == {s.layer for s in SPECIES.values()}
    for species in SPECIES.values():
        values = run.truth[species.layer]
        assert values.dims == ("time", "lat", "lon")
        assert values.shape == (24 * DAYS, *run.grid.shape)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert float(values.min()) >= 0
        assert float(values.max()) < species.plausible_max
        assert values.attrs["units"] == species.units


def test_time_is_hourly_and_stamped_at_the_end(run: Nature) -> None:
    assert str(run.truth["time"].values[0]) == "2001-03-01T01:00:00.000000000"
    assert (run.observations.times == run.truth.indexes["time"]).all()
    bounds = run.truth["time_bnds"].values
    assert (bounds[:, 1] == run.truth["time"].values).all()


def test_levels_and_ratios_are_those_of_real_air(run: Nature) -> None:
    pm25, pm10, o3, no2, co = (towns(run, layer) for layer in ("pm2p5", "pm10", "o3", "no2", "co"))
    assert 20 < pm25.mean() < 60
    assert 0.4 < np.log(pm25).std() < 0.9
    assert 0.5 < (pm25 / pm10).mean() < 0.75
    assert (pm25 < pm10).all()
    assert 15 < no2.mean() < 60
    assert 25 < o3.mean() < 90
    assert 0.3 < co.mean() < 1.5


def test_ozone_and_no2_go_against_each_other(run: Nature) -> None:
    o3, no2 = towns(run, "o3"), towns(run, "no2")
    each = [np.corrcoef(o3[:, i], no2[:, i])[0, 1] for i in range(o3.shape[1])]
    assert np.median(each) < -0.5
    by_hour = o3.mean(axis=1).reshape(-1, 24).mean(axis=0)
    assert by_hour[11:16].mean() > 1.5 * by_hour[0:5].mean()


def test_neighbours_agree_more_than_strangers(run: Nature) -> None:
    table = run.stations
    values = np.log(np.stack([run.observations.values("pm25")[:, i] for i in range(len(table))], axis=1))
    seen = np.isfinite(values).all(axis=1)
    correlation = np.corrcoef(values[seen].T)
    east = (table["lon"].to_numpy()[:, None] - table["lon"].to_numpy()) * 76.0
    north = (table["lat"].to_numpy()[:, None] - table["lat"].to_numpy()) * 111.2
    km = np.hypot(east, north)
    near = np.median(correlation[(km > 0) & (km < 15)])
    middle = np.median(correlation[(km > 50) & (km < 120)])
    far = np.median(correlation[km > 250])
    assert near > 0.75
    assert near > middle + 0.1
    assert middle > far


def test_the_network_reports_the_truth_with_its_noise_bias_and_gaps(run: Nature) -> None:
    readings = run.observations.values("pm25")
    rows = np.abs(run.grid.lat[:, None] - run.observations.lat).argmin(axis=0)
    columns = np.abs(run.grid.lon[:, None] - run.observations.lon).argmin(axis=0)
    truth = run.truth["pm2p5"].values[:, rows, columns]
    seen = np.isfinite(readings) & ~run.faulty["pm25"]
    assert 0.01 < 1 - np.isfinite(readings).mean() < 0.2
    ratio = readings[seen] / truth[seen]
    assert 0.9 < np.median(ratio) < 1.1
    assert 0.05 < np.log(ratio).std() < 0.4


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_world(run: Nature) -> None:
    again, other = nature_run(seed=1, days=DAYS), nature_run(seed=2, days=1)
    assert again.observations.digest() == run.observations.digest()
    for name in run.truth.data_vars:
        np.testing.assert_array_equal(again.truth[name].values, run.truth[name].values)
    assert not np.allclose(other.truth["pm2p5"].values, run.truth["pm2p5"].values[:24], rtol=0.1)


def test_the_number_of_threads_changes_no_bit() -> None:
    with threadpool_limits(2, user_api="blas"):
        two = nature_run(seed=1, days=1)
    with threadpool_limits(1, user_api="blas"):
        one = nature_run(seed=1, days=1)
    for name in one.truth.data_vars:
        np.testing.assert_array_equal(one.truth[name].values, two.truth[name].values)


def test_a_short_run_is_the_beginning_of_a_longer_one_and_stations_leave_the_truth_alone(run: Nature) -> None:
    short = nature_run(seed=1, days=2, stations=40, species=["no2"])
    assert list(short.truth.data_vars) == ["no2"]
    assert short.observations.species == ("no2",)
    np.testing.assert_array_equal(short.truth["no2"].values, run.truth["no2"].values[:48])
    same = nature_run(seed=1, days=2, species=["pm25"])
    np.testing.assert_array_equal(
        same.observations.dataset["pm25"].values, run.observations.dataset["pm25"].values[:48]
    )


def test_every_part_says_that_it_is_synthetic(run: Nature) -> None:
    for dataset in (run.truth, run.meteorology, run.background, run.static, run.observations.dataset):
        assert dataset.attrs["synthetic"] == "true"
        assert "SYNTHETIC" in dataset.attrs["title"]
        assert "nothing in it was ever measured" in dataset.attrs["comment"]
        assert "nature run, seed 1" in dataset.attrs["source"]


def test_the_meteorology_is_called_as_era5_through_cfgrib(run: Nature) -> None:
    assert set(run.meteorology.data_vars) == {"u10", "v10", "blh", "t2m", "tp"}
    assert float(run.meteorology["tp"].max()) < 0.05
    assert 250 < float(run.meteorology["t2m"].mean()) < 300


def test_what_is_written_reads_back_and_keeps_the_label(run: Nature, tmp_path: Path) -> None:
    paths = run.write(tmp_path / "nature")
    assert {"observations", "truth", "meteorology", "stations"} < set(paths)
    assert all(path.exists() for path in paths.values())
    assert read_observations(paths["observations"]).digest() == run.observations.digest()
    assert "synthetic" in paths["stations"].read_text().splitlines()[0]
    for key, wanted in (("truth", run.truth), ("meteorology", run.meteorology)):
        with xr.open_dataset(paths[key], engine="netcdf4") as opened:
            assert opened.attrs["synthetic"] == "true"
            for name in wanted.data_vars:
                np.testing.assert_array_equal(opened[name].values, wanted[name].values)
                assert opened[name].attrs["grid_mapping"] == "crs"
            assert (opened["time"].values == wanted["time"].values).all()
            assert opened["crs"].attrs["grid_mapping_name"] == "latitude_longitude"
    with pytest.raises(OutputError, match="exists"):
        run.write(tmp_path / "nature")
    assert not list((tmp_path / "nature").glob(".*"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"days": 0}, "days = 0 must be a whole number from 1 to 366"),
        ({"days": 1.5}, "days = 1.5"),
        ({"stations": 3}, "stations = 3"),
        ({"seed": -1}, "seed = -1"),
        ({"species": ["pm2"]}, "unknown pollutant 'pm2'"),
        ({"species": []}, "species is empty"),
    ],
)
def test_what_cannot_be_run_is_refused_at_once(arguments: dict, words: str) -> None:
    with pytest.raises(ObservationsError, match=words):
        nature_run(**arguments)


def test_the_files_keep_the_conventions(run: Nature, tmp_path: Path) -> None:
    paths = run.write(tmp_path / "nature")
    for key in ("truth", "meteorology"):
        report = tmp_path / f"{key}.txt"
        CheckSuite.load_all_available_checkers()
        passed, failed = ComplianceChecker.run_checker(
            str(paths[key]), ["cf:1.11"], 0, "strict", output_filename=str(report), output_format="text"
        )
        assert passed, report.read_text()
        assert not failed


def test_progress_is_told_by_the_day() -> None:
    told: list[tuple[int, int]] = []
    nature_run(
        seed=0, days=1, stations=13, species=["pm25"], progress=lambda done, total, note: told.append((done, total))
    )
    assert told == [(1, 3), (2, 3), (3, 3)]
