"""``aqreanalysis export``: each form is written, told, and refused where it cannot be."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from picture_case import write_cube

from aqreanalysis.cli import main


def run(*arguments):
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


FORMS = {
    "cog": ("cogs", "--end", "2019-01-02T03:00"),
    "aggregate": ("a.nc", "--statistic", "exceedance", "--limit", "pm25=35", "--period", "day"),
    "netcdf": ("months",),
    "grib": ("a.grib2", "--start", "2019-01-04"),
    "stac": ("item.json",),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_written_and_told_in_json_and_not_replaced_unasked(form, cubes, tmp_path):
    if form == "stac":
        pytest.importorskip("pystac", reason="pystac is not installed")
    out, *more = FORMS[form]
    done = run(form, cubes.one, "--out", tmp_path / out, "--json", *more)
    assert done.exit_code == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed["bytes"] > 0 and len(printed["files"]) == (3 if form == "cog" else 1)
    again = run(form, cubes.one, "--out", tmp_path / out, *more)
    assert again.exit_code == 2 and "--overwrite" in again.stderr and again.stderr.count("\n") <= 2
    assert run(form, cubes.one, "--out", tmp_path / out, "--overwrite", *more).exit_code == 0


def test_points_tell_which_places_were_left_out(cubes, tmp_path):
    (tmp_path / "p.csv").write_text("place,lat,lon\na,39.5,117\nmoon,0,0\n")
    done = run("points", cubes.one, "--places", tmp_path / "p.csv", "--out", tmp_path / "t.csv")
    assert done.exit_code == 0 and "72 rows of 1 places" in done.stdout
    assert "moon lies outside the grid, left out" in done.stderr


def test_polygons_say_what_their_error_bars_assume(cubes, tmp_path):
    geopandas = pytest.importorskip("geopandas", reason="no geopandas")
    from shapely.geometry import box

    geopandas.GeoDataFrame(geometry=[box(116.5, 39.5, 117, 40)], crs=4326).to_file(tmp_path / "v.geojson")
    done = run("polygons", cubes.one, "--vector", tmp_path / "v.geojson", "--out", tmp_path / "t.csv")
    assert done.exit_code == 0 and "go wholly together" in done.stdout


def test_averages_of_medians_are_advised_against_in_one_line(cubes, tmp_path):
    done = run("aggregate", cubes.one, "--out", tmp_path / "a.nc")
    assert done.exit_code == 0 and done.stderr.count("advice: averages of pm2p5 are of hourly medians") == 1
    done = run("aggregate", cubes.one, "--out", tmp_path / "b.nc", "--statistic", "exceedance", "--limit", "pm25=40")
    assert done.exit_code == 0 and "advice" not in done.stderr


def test_the_advice_of_a_picture_names_the_pollutant_that_is_drawn(cubes, tmp_path):
    done = CliRunner().invoke(
        main, ["plot", str(cubes.two), "--mean", "--no-borders", "--out", str(tmp_path / "a.png")]
    )
    assert done.exit_code == 0 and "advice: averages of pm2p5 are of hourly medians" in done.stderr


def test_a_map_without_a_value_says_so_in_one_line(tmp_path):
    cube = str(write_cube(tmp_path / "empty.nc", np.full((2, 3, 4), np.nan)))
    how = ["--time", "2019-01-01T00:30", "--no-borders", "--out", str(tmp_path / "a.png")]
    done = CliRunner().invoke(main, ["plot", cube, *how])
    said = done.stderr.splitlines()
    assert done.exit_code == 0 and len(said) == 1
    assert "the map is empty" in said[0] and "2019-01-01 00:00 to 01:00 UTC" in said[0] and "--layer flag" in said[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cog", "absent.nc", "--out", "x"), "no cube absent.nc"),
        (("aggregate", "CUBE", "--out", "a.nc", "--statistic", "exceedance", "--limit", "pm25"), "write NAME=VALUE"),
        (("aggregate", "CUBE", "--out", "a.nc", "--statistic", "exceedance", "--limit", "pm3=1"), "unknown pollutant"),
        (("aggregate", "CUBE", "--out", "a.txt"), "must end in .nc"),
        (("cog", "CUBE", "--out", "x", "--epsg", "1"), "EPSG:1 cannot be used"),
        (("cog", "CUBE", "--out", "x", "--species", "o3"), "has no o3"),
        (("netcdf", "CUBE", "--out", "x", "--start", "2030-01-01"), "no step between"),
    ],
)
def test_a_wrong_input_is_one_line_and_exit_status_2(arguments, message, cubes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*(cubes.one if a == "CUBE" else a for a in arguments))
    assert done.exit_code == 2 and message in done.stderr
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_kind_of_site_needs_the_model_of_the_cube_which_must_know_it(cubes, tmp_path):
    (tmp_path / "p.csv").write_text("place,lat,lon\na,39.8,117.3\n")
    given = ("points", cubes.one, "--places", tmp_path / "p.csv", "--out", tmp_path / "t.csv", "--kind", "kerb")
    alone = run(*given)
    assert alone.exit_code == 2 and "--kind and --model go together" in alone.stderr
    unknown = run(*given, "--model", cubes.model)
    assert unknown.exit_code == 2 and "knows nothing of such stations for pm25" in unknown.stderr
    assert not (tmp_path / "t.csv").exists()
