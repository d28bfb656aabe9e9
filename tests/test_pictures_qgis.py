"""The project: what stands in it, and (slow) what a real headless QGIS shows of it at every step, and prints."""

from __future__ import annotations

import json
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from export_case import Cubes
from PIL import Image

from aqreanalysis.export import AggregateOptions, CubeSource, aggregate
from aqreanalysis.pictures import write_companions
from aqreanalysis.production import open_cube

PYTHON = "/usr/bin/python3"
SCRIPT = Path(__file__).parent / "clients" / "qgis_project.py"
#: Longitude, latitude; the second lies where the cube of two pollutants is masked.
PLACES = ((117.0, 39.75), (116.0, 39.0), (117.5, 39.5))
_STARTS = {
    "hours": pd.date_range("2019-01-02", periods=73, freq="h"),
    "days": pd.date_range("2019-02-26", periods=8, freq="D"),
    # Fourteen months with two Februaries, one of them longer.
    "months": pd.date_range("2019-01-01", periods=15, freq="MS"),
    "years": pd.date_range("2018-01-01", periods=6, freq="YS"),
}


def cube_of(kind: str, stamp: str, cubes: Cubes, folder: Path) -> Path:
    """Write the cube of two pollutants as if its steps were of `kind`, stamped at `stamp`."""
    edges = _STARTS[kind].to_numpy("datetime64[ns]")
    bounds = np.stack([edges[:-1], edges[1:]], axis=1)
    times = {"start": bounds[:, 0], "end": bounds[:, 1], "middle": bounds[:, 0] + np.diff(bounds)[:, 0] // 2}[stamp]
    with open_cube(cubes.two) as cube:
        part = cube.isel(time=slice(0, len(bounds))).load()
        part = part.assign_coords(time=("time", times, part.time.attrs), time_bnds=(("time", "bnds"), bounds))
        for name in ("time", "time_bnds"):
            part[name].encoding = {"units": "hours since 1970-01-01 00:00:00", "dtype": "float64", "_FillValue": None}
        part.to_netcdf(folder / f"{kind}.nc", unlimited_dims=["time"])
    return folder / f"{kind}.nc"


def project_of(cube: Path, palette: str = "who") -> Path:
    with CubeSource(cube) as source:
        return write_companions(source, cube.parent, palette)[-1]


def in_qgis(project: Path, folder: Path) -> dict:
    """Return what QGIS says of a project; skip where there is none."""
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-c", "import qgis.core"], capture_output=True).returncode:
        pytest.skip("no QGIS with Python here: bash tests/clients/install.sh qgis")
    places = [f"{lon},{lat}" for lon, lat in PLACES]
    command = [PYTHON, str(SCRIPT), str(project), str(folder / "layout.png"), *places]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    said = [line for line in done.stdout.splitlines() if line.startswith("JSON")]
    assert said, done.stdout + done.stderr
    return json.loads(said[0].removeprefix("JSON"))


@pytest.mark.parametrize("kind", _STARTS)
def test_the_clock_of_the_project_goes_by_the_periods_of_the_cube(kind, cubes, tmp_path):
    root = ET.parse(project_of(cube_of(kind, "middle", cubes, tmp_path))).getroot()
    unit = {"hours": "1 h", "days": "24 h", "months": "1 mon", "years": "1 y"}[kind]
    clock = root.find("ProjectTimeSettings")
    assert f"{clock.get('timeStep')} {clock.get('timeStepUnit')}" == unit
    begin = "2019-01-31T00:00:00Z" if kind == "months" else f"{_STARTS[kind][0]:%Y-%m-%dT%H:%M:%SZ}"
    assert clock.findtext("TemporalRange/start") == begin
    set_back = {"hours": "31T23:30", "days": "31T12:00", "months": "15T12:00", "years": "02T12:00"}[kind]
    assert set_back in root.find(".//maplayer[@type='mesh']/temporal").get("reference-time")
    assert all(len(layer.get("id")) > 10 for layer in root.iter("layer-tree-layer"))
    assert root.findtext("properties/SpatialRefSys/ProjectionsEnabled") == "1"


@pytest.mark.slow
@pytest.mark.parametrize("stamp", ["middle", "start", "end"])
@pytest.mark.parametrize("kind", _STARTS)
def test_qgis_shows_every_step_once_with_its_values_and_prints_a_legend(kind, stamp, cubes, tmp_path):
    cube = cube_of(kind, stamp, cubes, tmp_path)
    said = in_qgis(project_of(cube), tmp_path)
    assert said["opened"] and said["crs"] == [True, "EPSG:4326"]
    assert list(said["layers"].values()) == [[True, "EPSG:4326"]] * 2
    assert said["group"] == "PM2.5 mass concentration"
    begins, numbers, values = zip(*said["steps"], strict=True)
    frames, edges = pd.DatetimeIndex(begins).tz_localize(None), _STARTS[kind]
    assert (edges[:-1] <= frames).all() and (frames < edges[1:]).all()
    assert list(numbers) == list(range(len(begins)))
    with open_cube(cube) as held:
        wanted = [held.pm2p5.sel(lon=lon, lat=lat).values for lon, lat in PLACES]
    np.testing.assert_allclose(np.array(values, dtype=float), np.transpose(wanted), rtol=1e-6)
    assert np.isnan(wanted[1]).all() and np.isfinite(wanted[0]).all()
    assert said["legend"][1:] == [
        "meets the guideline (0 to 15)",
        "meets interim target 4 (15 to 25)",
        "meets interim target 3 (25 to 37.5)",
        "meets interim target 2 (37.5 to 50)",
        "meets interim target 1 (50 to 75)",
        "above all targets (above 75)",
    ]
    assert said["printed"]
    page = np.asarray(Image.open(tmp_path / "layout.png").convert("RGB"))
    colours = [item.get("color") for item in ET.parse(tmp_path / f"{kind}.pm2p5.mesh.qml").iter("item")]
    classes = {tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5)) for colour in colours}
    chart, legend = (
        set(map(tuple, part.reshape(-1, 3).tolist())) for part in np.split(page, [page.shape[1] * 2 // 3], 1)
    )
    assert chart & classes and classes <= legend


@pytest.mark.slow
def test_qgis_shows_the_days_of_an_air_quality_index_with_the_names_of_its_classes(cubes, tmp_path):
    with CubeSource(cubes.two) as source:
        aggregate(source, tmp_path / "aqi.nc", AggregateOptions("aqi", index="cn"))
    said = in_qgis(project_of(tmp_path / "aqi.nc"), tmp_path)
    assert [number for _, number, _ in said["steps"]] == [0, 1, 2]
    assert said["legend"][1] == "excellent (0 to 50)" and said["legend"][-1] == "severely polluted (above 300)"
