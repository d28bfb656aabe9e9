"""One pass over the values counts what is broken, names the first place, and sees a seam where there is one."""

from __future__ import annotations

import netCDF4
import numpy as np
from export_case import copy_cube
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.validation import RULES, ValidateOptions, validate
from aqreanalysis.validation.raw_cube import RawCube
from aqreanalysis.validation.value_scan import border_ratios, survey


def test_a_finding_counts_the_values_and_names_the_first(cubes, tmp_path):
    path = copy_cube(cubes.two, tmp_path)
    with netCDF4.Dataset(path, "a") as file:
        file["o3_lower"][5:7, 5, 5] = -3.0
    report = validate(path, ValidateOptions(checker=False))
    (finding,) = [f for f in report.findings if f.rule == "not-negative"]
    assert finding.message == "o3_lower: 2 values, the first -3 at 2019-01-02T05:30, 40.25 N, 117.25 E"


def test_every_value_is_looked_at_whatever_the_size_of_the_slabs(cubes, monkeypatch):
    with RawCube(cubes.two) as cube:
        whole = survey(cube, RULES.values())
    monkeypatch.setattr("aqreanalysis.validation.raw_cube.SLAB_VALUES", 7 * 9 * 5)
    with RawCube(cubes.two) as cube:
        pieces = survey(cube, RULES.values())
    # 15 layers over time: flag, count and distance of each pollutant, and one probability.
    assert whole.values == pieces.values == 63 * 72 * 15
    for key, differences in whole.borders.items():
        np.testing.assert_allclose(pieces.borders[key], differences, rtol=1e-6)


@settings(deadline=None)
@given(st.integers(4, 12), st.floats(4, 50))
def test_a_jump_at_a_border_is_seen_and_the_same_field_without_it_is_not(chunk, jump):
    differences = np.linspace(1.0, 2.0, 3 * chunk - 1)
    assert max(border_ratios(differences, chunk).values()) < 1.5
    differences[chunk - 1] *= jump
    ratios = border_ratios(differences, chunk)
    assert ratios[chunk] > 3 and ratios[2 * chunk] < 1.5


def test_a_field_of_one_block_has_no_border():
    assert border_ratios(np.ones(8), 9) == {}


def test_a_border_beside_which_nothing_is_known_says_nothing():
    assert border_ratios(np.full(8, np.nan), 3) == {}
