from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner
from fields_case import DAYS, FIRST, SMALL, MadeUp, network

from aqreanalysis.cli import main

GRID = "114,38,116,39@0.5"


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with observations, their weather as NetCDF, and a model that was trained with it."""
    folder = tmp_path_factory.mktemp("covariates")
    network().to_netcdf(folder / "obs.nc")
    lat, lon = np.arange(37.5, 41.6, 0.5), np.arange(113.5, 118.6, 0.5)
    hours = np.arange(FIRST - 24, FIRST + 24 * DAYS + 24)
    flat = MadeUp().at(*(a.ravel() for a in np.meshgrid(lat, lon, indexing="ij")), hours)
    fields = flat.reshape(len(hours), len(lat), len(lon), 3)
    weather = xr.Dataset(
        {key: (("time", "latitude", "longitude"), fields[..., i]) for i, key in enumerate(("u10", "v10", "blh"))},
        {"time": pd.to_datetime(hours, unit="h"), "latitude": lat, "longitude": lon},
    )
    for key, unit in (("u10", "m s-1"), ("v10", "m s-1"), ("blh", "m")):
        weather[key].attrs["units"] = unit
    weather.to_netcdf(folder / "weather.nc")
    settings = [part for text in (*SMALL, "species=[pm25]") for part in ("--set", text)]
    done = run("train", folder, *settings, "--out", str(folder / "windy"), "--covariates", str(folder / "weather.nc"))
    assert done.exit_code == 0, done.output
    return folder


def run(command: str, folder: Path, *arguments: str):
    device = ("--device", "cpu", "--observations", str(folder / "obs.nc"))
    return CliRunner().invoke(main, [command, *device, *arguments])


def produce(folder: Path, out: str, *arguments: str):
    span = ("--start", "2016-07-19", "--end", "2016-07-20", "--grid", GRID, "--out", str(folder / out))
    return run("produce", folder, "--model", str(folder / "windy"), *span, *arguments)


def test_train_records_its_covariates_in_the_bundle(case: Path) -> None:
    written = json.loads((case / "windy" / "covariates.json").read_text())
    assert written["names"] == ["u10", "v10", "blh"] and written["units"] == ["m s-1", "m s-1", "m"]
    assert json.loads((case / "windy" / "provenance.json").read_text())["covariates_missing"] == {}


def test_produce_takes_them_and_says_so_in_the_cube(case: Path) -> None:
    done = produce(case, "day.nc", "--covariates", str(case / "weather.nc"))
    assert done.exit_code == 0, done.output
    with xr.open_dataset(case / "day.nc") as cube:
        assert cube.attrs["covariates"].startswith("u10, v10, blh, sha256 ")
        assert np.isfinite(cube["pm2p5"].values).all()


def test_produce_without_them_ends_in_one_line_that_names_them(case: Path) -> None:
    done = produce(case, "none.nc")
    assert done.exit_code == 2 and not (case / "none.nc").exists()
    assert "trained with covariates and does not run without them: u10, v10, blh are missing" in done.output
    assert "Traceback" not in done.output
