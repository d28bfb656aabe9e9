"""`aqreanalysis map` and `produce` without a model: one's own CSV to a map, with the model that comes along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner, Result

from aqreanalysis.cli import main
from aqreanalysis.errors import ObservationsError
from aqreanalysis.model import read_bundle
from aqreanalysis.observations import read_observations
from aqreanalysis.pretrained import FOLDER
from aqreanalysis.pretrained.own_model import measured_widely, too_few_stations
from aqreanalysis.production import open_cube

SPAN = ["--start", "2024-01-04", "--end", "2024-01-05"]


def csv_of(
    folder: Path,
    lat: np.ndarray,
    lon: np.ndarray,
    name: str = "mine.csv",
    days: int = 8,
    *,
    step: int = 1,
    key: str = "pm25",
) -> Path:
    """Write a pollutant every `step` hours at stations at places, a wave that runs through all of them."""
    times = pd.date_range("2024-01-01 01:00", periods=24 * days, freq="h")[::step]
    rng = np.random.default_rng(3)
    hours = step * np.arange(len(times))[:, None]
    log = 3.0 + 0.5 * np.sin(hours / 9 + 3 * lat) + 0.3 * np.cos(2 * np.pi * hours / 24) + rng.normal(0, 0.1, lat.shape)
    values = np.exp(log + rng.normal(0, 0.08, log.shape))
    frames = [
        pd.DataFrame({"station_id": f"m{i}", "time": times, "lat": lat[i], "lon": lon[i], key: values[:, i]})
        for i in range(len(lat))
    ]
    path = folder / name
    pd.concat(frames).to_csv(path, index=False)
    return path


def scattered(lat: float, lon: float, count: int = 12, wide: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Return places round a middle."""
    rng = np.random.default_rng(1)
    east = lon + rng.uniform(-wide, wide, count) / max(np.cos(np.radians(lat)), 0.01)
    return lat + rng.uniform(-wide, wide, count), (east + 180) % 360 - 180


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("map")
    mine = csv_of(folder, *scattered(46.0, 7.0))
    done = run("map", mine, "--grid", "6.6,45.6,7.4,46.4@0.2", *SPAN, "--out", folder / "x.nc")
    assert done.exit_code == 0, done.output
    return folder, done


def test_a_map_comes_with_its_model_its_scores_its_picture_and_a_verdict(mapped: tuple[Path, Result]) -> None:
    folder, done = mapped
    assert "Verdict by MAE: " in done.output
    assert (folder / "x_pm25.png").stat().st_size > 5000
    assert (folder / "x.nc.evaluation" / "report.html").is_file()
    with open_cube(folder / "x.nc") as cube:
        assert cube["pm2p5"].shape == (24, 5, 5) and bool(np.isfinite(cube["pm2p5"]).all())
        assert f"those of model {read_bundle(FOLDER).digest[:12]}" in cube.attrs["comment"]
        assert "calibrated on this network of 12 stations" in cube.attrs["comment"]
        assert not cube.attrs["title"].startswith("SYNTHETIC")
    assert set(read_bundle(folder / "x.nc.model").stations["role"]) <= {"training", "calibration"}


def test_a_map_that_is_there_is_refused(mapped: tuple[Path, Result]) -> None:
    folder, _ = mapped
    done = run("map", folder / "mine.csv", "--grid", "6.6,45.6,7.4,46.4@0.2", *SPAN, "--out", folder / "x.nc")
    assert done.exit_code == 2 and "exists: choose another --out" in done.output


def test_a_map_that_was_stopped_after_its_cube_is_scored_and_drawn_by_the_same_command(
    mapped: tuple[Path, Result],
) -> None:
    folder, _ = mapped
    before = (folder / "x.nc").read_bytes()
    (folder / "x_pm25.png").unlink()
    (folder / "x.nc.evaluation" / "metrics.json").unlink()
    asked = ["map", folder / "mine.csv", "--grid", "6.6,45.6,7.4,46.4@0.2", "--out", folder / "x.nc"]
    longer = run(*asked, "--start", "2024-01-04", "--end", "2024-01-06")
    assert longer.exit_code == 2 and "exists" in longer.output
    done = run(*asked, *SPAN)
    assert done.exit_code == 0 and "Verdict by MAE: " in done.output, done.output
    assert (folder / "x_pm25.png").is_file() and (folder / "x.nc").read_bytes() == before


def test_produce_without_a_model_keeps_the_one_that_was_calibrated_here(mapped: tuple[Path, Result]) -> None:
    folder, _ = mapped
    made = folder / "x.nc.model" / "provenance.json"
    before = made.stat().st_mtime_ns
    arguments = ["produce", "--observations", folder / "mine.csv", "--grid", "6.6,45.6,7.4,46.4@0.2", *SPAN]
    done = run(*arguments, "--out", folder / "x.nc", "--overwrite")
    assert done.exit_code == 0, done.output
    assert "kept from before" in done.output and made.stat().st_mtime_ns == before
    refused = run(*arguments, "--out", folder / "y.nc", "--dry-run")
    assert refused.exit_code == 2 and "--dry-run needs --model" in refused.output
    bucket = run(*arguments, "--out", "s3://somewhere/x.zarr")
    assert bucket.exit_code == 2 and "is in a bucket" in bucket.output


def test_produce_without_a_model_takes_covariates_and_begins_anew_with_others(tmp_path: Path) -> None:
    mine = csv_of(tmp_path, *scattered(46.0, 7.0))
    weather = tmp_path / "weather.nc"
    hours = pd.date_range("2023-12-25", "2024-01-12", freq="h")
    lat, lon = np.arange(45.0, 47.1, 0.25), np.arange(6.0, 8.1, 0.25)
    wind = 3 + np.sin(np.arange(len(hours)) / 9)[:, None, None] + 0 * lat[:, None] * lon
    axes = {"time": hours, "latitude": lat, "longitude": lon}
    fields = {"u10": (("time", "latitude", "longitude"), wind, {"units": "m s-1"})}
    xr.Dataset(fields | {"v10": (fields["u10"][0], 0.5 * wind, {"units": "m s-1"})}, axes).to_netcdf(weather)
    arguments = ["produce", "--observations", mine, "--grid", "6.6,45.6,7.4,46.4@0.2", *SPAN]
    arguments += ["--out", tmp_path / "x.nc"]
    done = run(*arguments, "--covariates", weather)
    assert done.exit_code == 0, done.output
    model = read_bundle(tmp_path / "x.nc.model")
    assert model.fields is not None and model.fields.names[:2] == ("u10", "v10")
    without = run(*arguments, "--overwrite")
    assert without.exit_code == 0 and "kept from before" not in without.output, without.output
    assert read_bundle(tmp_path / "x.nc.model").fields is None


@pytest.mark.parametrize(
    ("name", "places", "grid"),
    [
        ("southern half", scattered(-33.0, 151.0), "150.8,-33.2,151.2,-32.8@0.2"),
        ("antimeridian", scattered(-17.0, 180.0), "179.6,-17.2,180.4,-16.8@0.2"),
        ("pole", scattered(88.5, 20.0, wide=1.0), "0,88,40,89@1"),
        ("one line", (np.full(10, 45.0), 7 + 0.05 * np.arange(10)), "7,44.9,7.4,45.1@0.1"),
        ("five stations", scattered(10.0, -60.0, 5), "-60.2,9.8,-59.8,10.2@0.2"),
    ],
)
def test_odd_networks_are_mapped(name: str, places: tuple[np.ndarray, np.ndarray], grid: str, tmp_path: Path) -> None:
    mine = csv_of(tmp_path, *places)
    done = run("produce", "--observations", mine, "--grid", grid, *SPAN, "--out", tmp_path / "x.nc")
    assert done.exit_code == 0, f"{name}: {done.output}"
    with open_cube(tmp_path / "x.nc") as cube:
        values = cube["pm2p5"].to_numpy()
        assert np.isfinite(values).all() and values.min() > 1 and values.max() < 500


def test_readings_of_another_step_and_a_pollutant_that_is_not_there_are_refused_in_one_line(tmp_path: Path) -> None:
    grid = "6.8,45.8,7.2,46.2@0.2"
    sparse = csv_of(tmp_path, *scattered(46.0, 7.0), "sparse.csv", step=3)
    gas = csv_of(tmp_path, *scattered(46.0, 7.0), "gas.csv", key="no2")
    for arguments, message in (
        ([sparse], "the stamps are 3 h apart, never one: hourly means are needed"),
        ([gas, "--species", "o3"], "the observations have no o3; they hold no2"),
    ):
        for command in (["map", *arguments], ["produce", "--observations", *arguments]):
            done = run(*command, "--grid", grid, *SPAN, "--out", tmp_path / "x.nc")
            assert done.exit_code == 2 and message in done.output and "Traceback" not in done.output


def test_calibrate_says_when_no_station_can_be_hidden(tmp_path: Path) -> None:
    mine = csv_of(tmp_path, *scattered(46.0, 7.0, 6), days=5)
    done = run("calibrate", "--model", FOLDER, "--observations", mine, "--out", tmp_path / "own")
    assert done.exit_code == 0, done.output
    assert "note: 6 stations are too few to hide any of them" in done.output
    assert "6 stations are too few to hide any of them" in read_bundle(tmp_path / "own").card


@pytest.mark.parametrize(
    ("count", "days", "message"),
    [
        (4, 8, "too few stations to map and to score the map where one is left out: 4, and at least 6 are needed"),
        (5, 8, "or make the cube without scores by 'aqreanalysis produce' without --model"),
        (12, 2, "whole UTC days, and at least 3 are needed"),
    ],
)
def test_what_cannot_be_calibrated_is_refused_in_one_line(count: int, days: int, message: str, tmp_path: Path) -> None:
    mine = csv_of(tmp_path, *scattered(46.0, 7.0, count), days=days)
    done = run("map", mine, "--grid", "6.6,45.6,7.4,46.4@0.2", *SPAN, "--out", tmp_path / "x.nc")
    assert done.exit_code == 2 and message in done.output and "Traceback" not in done.output


def test_a_grid_elsewhere_is_refused_before_anything_is_calibrated(tmp_path: Path) -> None:
    mine = csv_of(tmp_path, *scattered(46.0, 7.0))
    done = run("map", mine, "--grid", "46.6,5.6,47.4,6.4@0.2", *SPAN, "--out", tmp_path / "x.nc")
    assert done.exit_code == 2 and "is far from every station" in done.output
    assert not (tmp_path / "x.nc.model").exists()


def test_a_pollutant_that_too_few_stations_measure_is_left_out_by_name(tmp_path: Path) -> None:
    mine = csv_of(tmp_path, *scattered(46.0, 7.0))
    table = pd.read_csv(mine)
    table["no2"] = table["pm25"].where(table["station_id"].isin(["m0", "m1"]))
    table.to_csv(mine, index=False)
    observations = read_observations(mine)
    assert too_few_stations(observations) == {"no2": 2}
    assert measured_widely(observations, ()) == ("pm25",)
    with pytest.raises(ObservationsError, match=r"no2 at 2, and at least 5 .* ask for --species pm25 alone"):
        measured_widely(observations, ("no2", "pm25"))
    said = run("produce", "--observations", mine, "--grid", "90,5.6,91,6.4@0.2", *SPAN, "--out", tmp_path / "x.nc")
    assert "no2: left out, measured at 2 stations, and at least 5 are needed" in said.output
