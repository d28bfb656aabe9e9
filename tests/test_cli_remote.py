"""Every command that reads a cube takes the URL of one, and says in one line what is wrong with it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from production_case import make_frame
from s3_case import fresh_bucket, running_server
from web_case import serving, upload

from aqreanalysis.cli import main

pytest.importorskip("obstore", reason="pip install 'aqreanalysis[s3]'")

OUT = ("--out", "out")
COMMANDS = {
    "info": ("info", "{cube}"),
    "validate": ("validate", "{cube}", "--no-checker"),
    "compare": ("compare", "{cube}", "--observations", "readings.csv"),
    "plot": ("plot", "{cube}", "--time", "2019-01-03", "--out", "map.png", "--no-borders"),
    "view": ("view", "{cube}", "--end", "2019-01-02T06:00", "--out", "page.html"),
    "style": ("style", "{cube}", *OUT),
    "cog": ("export", "cog", "{cube}", "--end", "2019-01-02T02:00", *OUT),
    "netcdf": ("export", "netcdf", "{cube}", *OUT),
    "aggregate": ("export", "aggregate", "{cube}", "--out", "a.nc"),
    "grib": ("export", "grib", "{cube}", "--species", "pm25", "--end", "2019-01-02T02:00", "--out", "a.grib2"),
    "points": ("export", "points", "{cube}", "--places", "places.csv", "--out", "a.csv"),
}


def run(*arguments):
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture(scope="module")
def server():
    with running_server() as address:
        yield address


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_frame().to_csv("readings.csv", index=False)
    (tmp_path / "places.csv").write_text("place,lat,lon\na,39.5,117\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_reads_a_store_in_a_bucket(command, cubes, server, monkeypatch):
    fresh_bucket(server, monkeypatch)
    upload(cubes.one, "cubes", server, "some/one.zarr/")
    done = run(*(part.format(cube="s3://cubes/some/one.zarr") for part in COMMANDS[command]))
    assert done.exit_code == 0, done.output
    assert "fetching" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_fetches_a_file_from_a_web_server_and_says_so(command, cubes):
    with serving(cubes.two.parent) as address:
        done = run(*(part.format(cube=f"{address}/two.nc") for part in COMMANDS[command]))
    assert done.exit_code == 0, done.output
    assert done.stderr.count(f"fetching {address}/two.nc into a temporary file") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_in_one_line_that_nothing_is_there(command, tmp_path):
    with serving(tmp_path) as address:
        done = run(*(part.format(cube=f"{address}/two.zarr") for part in COMMANDS[command]))
    assert done.exit_code == 2 and f"Error: no cube {address}/two.zarr: the server has nothing there" in done.stderr
    assert "Traceback" not in done.stderr and done.stderr.splitlines()[-1].startswith("Error: no cube")


def test_a_project_of_qgis_is_made_of_a_file_on_a_disk_alone_and_that_is_said(cubes):
    with serving(cubes.two.parent) as address:
        done = run("style", f"{address}/two.nc", "--out", "out")
    assert done.exit_code == 0 and "no project" in done.stderr and ".qgs" not in done.stdout
