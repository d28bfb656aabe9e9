"""A PROJ of another installation is named as the cause, and only where it is one."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from aqreanalysis.common.proj_database import foreign_database


@pytest.fixture
def other_proj(tmp_path):
    """Write the database of an old PROJ, as far as the one in use looks into it."""
    (tmp_path / "other").mkdir()
    with sqlite3.connect(tmp_path / "other" / "proj.db") as database:
        database.execute("create table metadata (key text primary key, value text)")
        rows = [("DATABASE.LAYOUT.VERSION.MAJOR", "1"), ("DATABASE.LAYOUT.VERSION.MINOR", "0")]
        database.executemany("insert into metadata values (?, ?)", rows)
    database.close()
    return tmp_path / "other"


@pytest.mark.parametrize("variable", ["PROJ_LIB", "PROJ_DATA"])
def test_an_export_takes_its_own_database_where_a_variable_points_astray(
    variable, other_proj, cubes, tmp_path, monkeypatch
):
    monkeypatch.delenv("PROJ_DATA", raising=False)
    monkeypatch.setenv(variable, str(other_proj))
    command = [sys.executable, "-m", "aqreanalysis.cli", "export", "cog", str(cubes.one), "--out", str(tmp_path / "c")]
    part = ["--epsg", "32650", "--end", "2019-01-02T01:00"]
    # The variable is read when the library is loaded.
    done = subprocess.run([*command, *part], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "PROJ" not in done.stderr
    with rasterio.open(tmp_path / "c" / "pm2p5_20190102T0030.tif") as file:
        assert file.crs.to_epsg() == 32650


def test_a_raster_of_static_fields_is_read_where_a_variable_points_astray(other_proj, tmp_path, monkeypatch):
    monkeypatch.delenv("PROJ_DATA", raising=False)
    frame = {"crs": "EPSG:32650", "transform": from_origin(400000, 4400000, 1000, 1000)}
    with rasterio.open(tmp_path / "r.tif", "w", width=4, height=4, count=1, dtype="float32", **frame) as file:
        file.write(np.ones((1, 4, 4), np.float32))
    monkeypatch.setenv("PROJ_LIB", str(other_proj))
    lines = [
        "import sys; from pathlib import Path",
        "from aqreanalysis.covariates.rasters import _opened",
        "print(_opened(Path(sys.argv[1])).rio.crs)",
    ]
    command = [sys.executable, "-c", "\n".join(lines), str(tmp_path / "r.tif")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "EPSG:32650", done.stderr


@pytest.mark.parametrize("variable", ["PROJ_LIB", "PROJ_DATA"])
def test_where_there_is_no_own_database_the_variable_is_named_as_the_cause(variable, other_proj, monkeypatch, tmp_path):
    monkeypatch.delenv("PROJ_DATA", raising=False)
    monkeypatch.setenv(variable, str(other_proj))
    # As of a rasterio that was built against a PROJ of the system.
    lines = [
        "import rasterio.env",
        "from rasterio.transform import from_origin",
        "from aqreanalysis.export.rasters import RasterFrame, frame_in",
        "frame_in(32650, RasterFrame(from_origin(116, 40, 0.1, 0.1), (3, 3), 'EPSG:4326'))",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=120)
    error = done.stderr.strip().splitlines()[-1]
    cause = f"{variable} points to another installation of PROJ ({other_proj}): unset it"
    assert error.endswith(f"OutputError: EPSG:32650 cannot be used here; {cause}")


def test_a_variable_that_points_to_the_right_database_is_no_cause(monkeypatch):
    import pyproj

    assert foreign_database() == ""
    monkeypatch.setenv("PROJ_DATA", pyproj.datadir.get_data_dir())
    assert foreign_database() == ""
