"""Cubes in the programs that people open them with, and under the checkers of the conventions."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from accept import SCRIPT, ask_clients, missing_library
from clients_case import TOLD
from production_case import GRID, START, TILES, make_bundle, make_observations, small_grid

from aqreanalysis.grids import Grid
from aqreanalysis.observations import Observations
from aqreanalysis.production import ProduceOptions, produce
from aqreanalysis.validation import ValidateOptions, validate

END = "2019-01-05"
# What the checker would like and a cube does not have, each for a reason.
EXCEPTIONS = {
    # CF has no standard name for it, and none is invented.
    'variable "nearest_station_distance" missing the following attributes:',
    "standard_name",
    # There is no vertical coordinate.
    *(
        f"{name} not present"
        for name in (
            "geospatial_vertical_min",
            "geospatial_vertical_max",
            "geospatial_vertical_positive",
            "geospatial_bounds_vertical_crs",
            "geospatial_vertical_units",
            "geospatial_vertical_resolution",
        )
    ),
}
# Discovery attributes of lowest priority that describe instruments, platforms and further people.
SUGGESTIONS = re.compile(
    r"(contributor|creator|publisher)_(name|role|type|institution)|instrument|platform|metadata_link|program|"
    r"keywords_vocabulary|date_issued"
)
# The checker takes the first and the last stamp for the ends of the timeline, which are those of their bounds.
FIRST_STAMP = re.compile(r"Date time mismatch between time_coverage_(start|end) and actual time values")


@pytest.fixture(scope="module")
def cubes(tmp_path_factory):
    """Cubes of each kind: plain, two species with a mask, daily, across the antimeridian, at the pole; Zarr 2 and 3."""
    folder = tmp_path_factory.mktemp("cubes")
    one, two = make_bundle(folder / "one"), make_bundle(folder / "two", ("pm25", "o3"))
    observations = make_observations()

    def moved(lat: float, lon: float) -> Observations:
        data = observations.dataset
        return Observations(data.assign_coords(lat=data.lat + lat, lon=(data.lon + lon + 180) % 360 - 180))

    def make(name: str, model: Path, readings: Observations, grid: Grid | str, **more: object) -> None:
        options = ProduceOptions(production=TILES, metadata=TOLD, **more)
        produce(model, readings, grid, START, END, folder / name, options).close()

    make("plain.nc", one, observations, GRID)
    make("plain.zarr", one, observations, GRID)
    make("three.zarr", one, observations, GRID, zarr_format=3)
    make("two.nc", two, observations, small_grid(mask=True), thresholds={"o3": (100.0,)})
    make("daily.nc", two, observations, small_grid(mask=True), frequencies=("daily",))
    make("antimeridian.nc", one, moved(0, 63), "179,39,181,40.5@0.25")
    make("pole.nc", one, moved(49.4, 0), "116,88,118,90@0.25")
    return folder


def findings(path: Path, suite: str, folder: Path) -> dict[str, list[str]]:
    """Return the messages of compliance-checker in its strict mode, by priority."""
    checker = Path(sys.executable).with_name("compliance-checker")
    report = folder / "report.json"
    command = [checker, "-t", suite, "-c", "strict", "-f", "json", "-o", report, path]
    subprocess.run(command, capture_output=True, text=True, check=False)
    result = json.loads(report.read_text())[suite]
    priorities = ("high_priorities", "medium_priorities", "low_priorities")
    return {
        p: [m for x in result[p] if x["value"][0] < x["value"][1] for m in (x["msgs"] or [x["name"]])]
        for p in priorities
    }


@pytest.mark.parametrize("name", ["plain.nc", "two.nc", "daily.nc", "antimeridian.nc", "pole.nc"])
def test_the_cf_checker_finds_nothing(name, cubes, tmp_path):
    assert findings(cubes / name, "cf:1.11", tmp_path) == {
        "high_priorities": [],
        "medium_priorities": [],
        "low_priorities": [],
    }


@pytest.mark.parametrize("name", ["plain.nc", "daily.nc", "antimeridian.nc"])
def test_the_acdd_checker_finds_nothing_but_what_cannot_be_given(name, cubes, tmp_path):
    found = findings(cubes / name, "acdd:1.3", tmp_path)
    assert set(found["high_priorities"]) <= EXCEPTIONS
    wanted = [m for m in found["medium_priorities"] if name != "daily.nc" or not FIRST_STAMP.match(m)]
    assert set(wanted) <= EXCEPTIONS
    rest = [m for m in found["low_priorities"] if m not in EXCEPTIONS and not SUGGESTIONS.search(m)]
    assert rest == []


@pytest.mark.parametrize(
    "name", ["plain.nc", "plain.zarr", "three.zarr", "two.nc", "daily.nc", "antimeridian.nc", "pole.nc"]
)
def test_the_programs_own_rules_find_nothing(name, cubes):
    report = validate(cubes / name, ValidateOptions(checker=False))
    assert report.clean, report.lines()


def test_of_a_good_file_nothing_is_said(cubes):
    assert validate(cubes / "plain.nc").findings == []


def test_the_checker_is_awake(cubes, tmp_path):
    # The same test on a cube with a broken attribute finds it.
    broken = tmp_path / "broken.nc"
    with xr.open_dataset(cubes / "plain.nc") as cube:
        cube.pm2p5.attrs["units"] = "furlongs"
        cube.to_netcdf(broken)
    assert any("furlongs" in m for messages in findings(broken, "cf:1.11", tmp_path).values() for m in messages)


@pytest.mark.skipif(not SCRIPT.exists(), reason="no ../shared/accept beside the checkout")
@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("plain.nc", "pm2p5,pm2p5_standard_error,pm2p5_lower,pm2p5_upper"),
        ("plain.zarr", "pm2p5,pm2p5_upper"),
        pytest.param("three.zarr", "pm2p5,pm2p5_upper", marks=pytest.mark.slow),
        ("two.nc", "o3,pm2p5_lower"),
        pytest.param("daily.nc", "o3_upper,pm2p5_standard_error", marks=pytest.mark.slow),
        pytest.param("antimeridian.nc", "pm2p5", marks=pytest.mark.slow),
        pytest.param("pole.nc", "pm2p5", marks=pytest.mark.slow),
    ],
)
def test_every_client_that_is_here_shows_the_cube_as_it_is(name, layers, cubes):
    clients = "xarray rioxarray gdal cdo nco ncdump ncview netcdf-java r h5wasm zarrita"
    if name == "daily.nc":  # its script cuts four steps out, and there are two days
        clients = clients.replace(" ncview", "")
    verdicts = ask_clients(cubes / name, layers.split(","), clients)
    assert [(v.client, v.complaint) for v in verdicts if v.mark == "FAIL"] == []
    assert sum(v.mark in ("pass", "known") for v in verdicts) >= 2, verdicts


@pytest.mark.skipif(not SCRIPT.exists(), reason="no ../shared/accept beside the checkout")
@pytest.mark.skipif(bool(missing_library("cfdm")), reason=f"cfdm, cfchecks: {missing_library('cfdm')}")
@pytest.mark.parametrize(
    "name", ["plain.nc", "two.nc", *(pytest.param(f"{n}.nc", marks=pytest.mark.slow) for n in ("daily", "pole"))]
)
def test_the_reference_implementation_of_cf_and_its_checker_find_nothing(name, cubes):
    verdicts = ask_clients(cubes / name, ["pm2p5", "pm2p5_lower"], "cfdm cfchecks")
    assert [(v.client, v.complaint) for v in verdicts if v.mark == "FAIL"] == []
    assert any(v.word == "PASS" for v in verdicts), verdicts


@pytest.mark.parametrize("name", ["plain.nc", "plain.zarr", "three.zarr", "antimeridian.nc"])
def test_rioxarray_finds_the_coordinate_system_and_the_missing_value(name, cubes):
    pytest.importorskip("rioxarray")
    with xr.open_dataset(cubes / name, decode_coords="all", engine=None if name.endswith("nc") else "zarr") as cube:
        layer = cube.pm2p5.rio
        assert layer.crs.to_epsg() == 4326 and layer.encoded_nodata is not None
        west, _, east, _ = layer.bounds()
        assert east - west == pytest.approx(2.25)


def test_every_attribute_is_ascii_and_every_long_name_differs(cubes):
    for name in ("plain.nc", "two.nc"):
        with xr.open_dataset(cubes / name) as cube:
            texts = [v for x in (cube, *cube.variables.values()) for v in x.attrs.values() if isinstance(v, str)]
            assert all(text.isascii() for text in texts)
            names = [v.attrs["long_name"] for v in cube.variables.values() if "long_name" in v.attrs]
            assert len(set(names)) == len(names)


@pytest.mark.skipif(shutil.which("ncdump") is None, reason="no ncdump: run tests/clients/install.sh")
def test_the_file_is_netcdf4_with_zlib_and_shuffle_only_and_no_string_attribute(cubes):
    head = subprocess.run(["ncdump", "-hs", cubes / "two.nc"], capture_output=True, text=True, check=True).stdout
    assert head.count('_Shuffle = "true"') == head.count("_DeflateLevel = 1") == 15
    assert "_Filter" not in head and "_Zstandard" not in head and "string " not in head
    assert "flag_masks = 1b, 2b, 4b, 8b, 16b" in head


def test_coordinates_are_regular_ascending_and_without_fill(cubes):
    for name in ("plain.nc", "plain.zarr", "three.zarr", "pole.nc"):
        engine = None if name.endswith("nc") else "zarr"
        with xr.open_dataset(cubes / name, decode_cf=False, engine=engine) as raw:
            assert raw.time.dtype == np.float64 and raw.time.attrs["units"] == "hours since 1970-01-01 00:00:00"
            for axis in ("lat", "lon"):
                values, bounds = raw[axis].values, raw[raw[axis].attrs["bounds"]].values
                assert values.dtype == np.float64 and (np.diff(values) > 0).all()
                assert not {"_FillValue", "actual_range", "scale_factor"} & set(raw[axis].attrs)
                assert (bounds[:, 0] < values).all() and (values <= bounds[:, 1]).all()
            assert raw.pm2p5.attrs["grid_mapping"] == "crs"
