"""``aqreanalysis validate``: what it prints and how it ends."""

from __future__ import annotations

import json

import netCDF4
from click.testing import CliRunner
from export_case import copy_cube

from aqreanalysis.cli import main


def run(*arguments):
    return CliRunner().invoke(main, ["validate", *map(str, arguments)])


def test_a_clean_cube_ends_with_0_a_broken_one_with_1_and_no_cube_with_2(cubes, tmp_path):
    done = run(cubes.two, "--no-checker")
    assert done.exit_code == 0 and ": clean; 0 errors" in done.stdout
    path = copy_cube(cubes.two, tmp_path)
    with netCDF4.Dataset(path, "a") as file:
        file["o3"][5, 5, 5] = -4.0
    done = run(path, "--no-checker", "--json")
    printed = json.loads(done.stdout)
    assert done.exit_code == 1 and not printed["clean"] and printed["counts"]["error"] == 2
    assert {f["rule"] for f in printed["findings"] if f["severity"] == "error"} == {"plausible", "enclosing"}
    done = run(tmp_path / "absent.nc")
    assert done.exit_code == 2 and done.stderr.count("\n") == 1 and "Error: no cube" in done.stderr


def test_the_rules_are_listed_with_their_reasons():
    done = run("--rules")
    assert done.exit_code == 0 and "seams" in done.stdout and "netCDF-Java" in done.stdout
