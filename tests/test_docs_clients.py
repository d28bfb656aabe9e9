"""The blocks of docs/clients.md in R, CDO and Python give on a small cube what xarray reads of it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from production_case import GRID, make_bundle, make_observations
from rasterio.transform import from_origin

from aqreanalysis.production import ProduceOptions, open_cube, produce

PAGE = Path(__file__).parents[1] / "docs" / "clients.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with january.nc and people.tif."""
    folder = tmp_path_factory.mktemp("clients")
    model, span = make_bundle(folder / "model"), ("2019-01-03", "2019-01-05")
    produce(model, make_observations(), GRID, *span, folder / "january.nc", ProduceOptions()).close()
    shape = {"width": 20, "height": 15, "count": 1, "dtype": "float32", "crs": "EPSG:4326"}
    with rasterio.open(folder / "people.tif", "w", transform=from_origin(116, 40.5, 0.1, 0.1), **shape) as raster:
        raster.write(np.arange(300, dtype=np.float32).reshape(1, 15, 20))
    return folder


def block(kind: str) -> str:
    found = re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(found) == 1
    return found[0]


def run(command: list[str], folder: Path, client: str | None = None) -> str:
    if shutil.which(client or command[0]) is None:
        pytest.skip(f"no {client or command[0]}: bash tests/clients/install.sh all")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def series(folder: Path) -> np.ndarray:
    with open_cube(folder / "january.nc") as cube:
        return cube.pm2p5.sel(lon=116.4, lat=39.9, method="nearest").values


@pytest.mark.slow
def test_r_reads_the_hours_of_a_place_and_their_mean(folder):
    script = block("r")
    if shutil.which("Rscript") and subprocess.run(["Rscript", "-e", "library(terra); library(ncdf4)"]).returncode:
        pytest.skip("no terra or ncdf4: bash tests/clients/install.sh all")
    run(["Rscript", "-e", script], folder)
    table = pd.read_csv(folder / "beijing.csv")
    np.testing.assert_allclose(table["pm2p5"], series(folder), rtol=1e-5)
    assert table["time"][0] == "2019-01-03 00:30:00" and (folder / "noon.png").is_file()
    with rasterio.open(folder / "mean.tif") as raster, open_cube(folder / "january.nc") as cube:
        assert raster.read(1)[::-1] == pytest.approx(cube.pm2p5.mean("time").values, rel=1e-4)


@pytest.mark.slow
def test_cdo_cuts_a_box_and_writes_the_hours_of_a_place(folder):
    assert "pm2p5" in run(["bash", "-e", "-c", block("bash")], folder, "cdo")
    rows = [line.split() for line in (folder / "beijing.txt").read_text().splitlines() if not line.startswith("#")]
    np.testing.assert_allclose([float(row[2]) for row in rows], series(folder), rtol=1e-3)
    with open_cube(folder / "beijing.nc") as box:
        assert float(box.lon.max()) <= 117 and {"pm2p5", "pm2p5_lower", "pm2p5_upper"} <= set(box.data_vars)


@pytest.mark.slow
def test_python_tells_exceedance_and_what_people_breathe(folder):
    likely, breathed = run([sys.executable, "-c", block("python")], folder).split()[-2:]
    with open_cube(folder / "january.nc") as cube:
        assert 0 <= float(likely) <= 1 and float(cube.pm2p5.min()) < float(breathed) < float(cube.pm2p5.max())
