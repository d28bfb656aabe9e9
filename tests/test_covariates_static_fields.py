"""Static fields by name: how files are given, what tells them apart, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from static_case import write_lights, write_plants

from aqreanalysis.configs import DriftConfig
from aqreanalysis.covariates import StaticFields
from aqreanalysis.errors import CovariatesError
from aqreanalysis.grids import load_grid
from aqreanalysis.nature.static_fields import static_fields, write_static_fields

LAT, LON = np.array([37.0, 38.5]), np.array([113.0, 114.5])


@pytest.fixture
def files(tmp_path: Path) -> Path:
    write_lights(tmp_path / "night-lights.tif")
    write_plants(tmp_path / "plants.csv")
    return tmp_path


def test_files_are_given_by_path_name_and_column(files: Path) -> None:
    given = [files / "night-lights.tif", f"power={files / 'plants.csv'}:mw", f"{files / 'plants.csv'}"]
    static = StaticFields.open(given)
    assert [one.name for one in static.fields] == ["night_lights", "power", "plants"]
    assert [one.source for one in static.fields] == ["night-lights.tif", "plants.csv:mw", "plants.csv"]
    assert static.fields[0].windows_km == (1.0, 5.0, 20.0, 80.0) and static.fields[0].width == 8
    for one in static.fields:
        assert static.means(one.name, LAT, LON, one.windows_km).shape == (2, 4)
    again = pickle.loads(pickle.dumps(static))
    np.testing.assert_array_equal(again.means("power", LAT, LON, [20.0]), static.means("power", LAT, LON, [20.0]))


def test_a_folder_gives_its_rasters_and_those_of_the_nature_run_are_read(tmp_path: Path) -> None:
    grid = load_grid("8,48,10,50@0.1")
    folder = tmp_path / "static"
    write_static_fields(0, grid, folder, 0.02, {"synthetic": "yes"})
    static = StaticFields.open(folder)
    assert [one.name for one in static.fields] == ["population", "roads", "works"]
    lat, lon = (a.ravel() for a in np.meshgrid(grid.lat, grid.lon, indexing="ij"))
    truth = static_fields(0, grid, grid.lat, grid.lon)
    for one in static.fields:
        means = static.means(one.name, lat, lon, one.windows_km)
        assert np.isfinite(means).all() and (means >= -1e-6).all()
        # Over the cell's own width the raster says what the world is made from.
        assert np.corrcoef(means[:, 0], truth[one.name].ravel())[0, 1] > 0.95
    (tmp_path / "bare").mkdir()
    with pytest.raises(CovariatesError, match=r"bare holds no raster \(.tif"):
        StaticFields.open(tmp_path / "bare")


def test_the_config_says_windows_transform_column_and_rows(files: Path) -> None:
    power = {"column": "mw", "where": {"open": True}, "windows_km": [30, 10], "transform": "log"}
    config = DriftConfig.model_validate({"windows_km": [2, 8], "fields": {"power": power}})
    static = StaticFields.open([f"power={files / 'plants.csv'}", f"lights={files / 'night-lights.tif'}"], config)
    assert [one.windows_km for one in static.fields] == [(10.0, 30.0), (2.0, 8.0)]
    assert [one.transforms for one in static.fields] == [("log",), ("log", "linear")]
    whole = StaticFields.open(f"power={files / 'plants.csv'}:mw")
    assert (static.means("power", LAT, LON, [80.0]) < whole.means("power", LAT, LON, [80.0])).all()


def test_a_digest_is_of_the_content_and_of_what_is_read_of_it(files: Path) -> None:
    digest = lambda spec, config=None: StaticFields.open(spec, config).fields[0].digest  # noqa: E731
    one = digest(f"p={files / 'plants.csv'}:mw")
    (files / "copy.csv").write_bytes((files / "plants.csv").read_bytes())
    assert digest(f"p={files / 'copy.csv'}:mw") == one
    assert digest(f"p={files / 'plants.csv'}") != one
    chosen = DriftConfig.model_validate({"fields": {"p": {"where": {"open": True}}}})
    assert digest(f"p={files / 'plants.csv'}:mw", chosen) != one
    write_plants(files / "plants.csv", seed=5)
    assert digest(f"p={files / 'plants.csv'}:mw") != one


def test_a_netcdf_file_is_a_raster_by_its_variable(files: Path) -> None:
    lat, lon = np.arange(36.0, 40.0, 0.05), np.arange(112.0, 116.0, 0.05)
    field = 10 * lat[:, None] + lon
    maps = xr.Dataset(
        {"people": (("time", "lat", "lon"), field[None]), "roads": (("lat", "lon"), 2 * field)},
        {"time": [0], "lat": lat, "lon": lon},
    )
    maps.to_netcdf(files / "maps.nc")
    maps[["roads"]].isel(lat=slice(None, None, -1)).to_netcdf(files / "roads.nc")
    people = StaticFields.open(f"people={files / 'maps.nc'}:people").means("people", LAT, LON, [20.0])[:, 0]
    assert people == pytest.approx(10 * LAT + LON, abs=0.02)
    roads = StaticFields.open(files / "roads.nc").means("roads", LAT, LON, [20.0])[:, 0]
    assert roads == pytest.approx(2 * people, abs=0.02)
    with pytest.raises(CovariatesError, match=r"has 2 variables on a map \(people, roads\); name one: .*maps.nc:NAME"):
        StaticFields.open(files / "maps.nc")
    with pytest.raises(CovariatesError, match=r"no variable 'cars' on a map; it has people, roads"):
        StaticFields.open(f"{files / 'maps.nc'}:cars")


def test_what_is_not_there_or_not_understood_is_refused_in_one_line(files: Path) -> None:
    (files / "w.grib").write_bytes(b"GRIB")
    lights = files / "night-lights.tif"
    where = DriftConfig.model_validate({"fields": {"lights": {"where": {"open": True}}}})
    other = DriftConfig.model_validate({"fields": {"light": {"transform": "log"}}})
    for spec, config, reason in (
        (files / "nothing.tif", None, r"no static field at '.*nothing.tif': no such file"),
        ([lights, lights], None, r"two static fields are called 'night_lights': write NAME=PATH"),
        (f"{lights}:band", None, r"is a raster and has no columns: leave 'band' out"),
        (files / "w.grib", None, r"not GRIB"),
        (f"lights={lights}", where, r"drift.fields.lights.where chooses rows of a table"),
        (f"lights={lights}", other, r"names 'light', and no static field is called so \(lights\); did you mean"),
    ):
        with pytest.raises(CovariatesError, match=reason) as caught:
            StaticFields.open(spec, config)
        assert "\n" not in str(caught.value)
    assert StaticFields.open(f"lights={lights}", other, some=True).fields
