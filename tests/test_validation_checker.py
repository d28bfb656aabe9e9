"""compliance-checker is asked where it is installed; what it says is told once and weighed."""

from __future__ import annotations

import netCDF4
import pytest
from export_case import copy_cube

from aqreanalysis.validation import checker
from aqreanalysis.validation.checker import check_conventions
from aqreanalysis.validation.raw_cube import RawCube

pytest.importorskip("compliance_checker", reason="compliance-checker is not installed")


def test_of_a_produced_cube_nothing_is_said_that_the_rules_have_said_or_that_a_cube_has_not(cubes):
    with RawCube(cubes.two) as cube:
        findings, why = check_conventions(cube)
    assert (findings, why) == ([], "")


def test_a_standard_name_that_lacks_is_told_unless_cf_has_none(cubes, tmp_path):
    path = copy_cube(cubes.two, tmp_path)
    with netCDF4.Dataset(path, "a") as file:
        unnamed = [n for n, v in file.variables.items() if "lat" in v.dimensions and "standard_name" not in v.ncattrs()]
        distances = ["pm2p5_nearest_station_distance", "o3_nearest_station_distance"]
        bounds = [f"{layer}_{bound}" for layer in ("pm2p5", "o3") for bound in ("lower", "upper")]
        assert sorted(unnamed) == sorted(["lat_bnds", "o3_exceedance_60", *distances, *bounds])
        del file["pm2p5_standard_error"].standard_name
    with RawCube(path) as cube:
        findings, _ = check_conventions(cube)
    assert [f.message for f in findings if "standard_name" in f.message] == [
        "pm2p5_standard_error has no standard_name"
    ]


@pytest.mark.slow
def test_units_that_cf_does_not_know_are_an_error(cubes, tmp_path):
    path = copy_cube(cubes.two, tmp_path)
    with netCDF4.Dataset(path, "a") as file:
        file["o3"].units = "furlongs"
    with RawCube(path) as cube:
        findings, _ = check_conventions(cube)
    assert any(f.rule == "cf" and f.severity == "error" and "furlongs" in f.message for f in findings)


def test_a_store_and_a_missing_checker_are_said_to_be_left_out(cubes, monkeypatch):
    with RawCube(cubes.one) as cube:
        findings, why = check_conventions(cube)
    assert findings == [] and "NetCDF only" in why
    monkeypatch.setattr(checker, "find_spec", lambda name: None)
    with RawCube(cubes.two) as cube:
        findings, why = check_conventions(cube)
    assert findings == [] and "pip install" in why
