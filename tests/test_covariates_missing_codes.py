from __future__ import annotations

import numpy as np
import pytest

from aqreanalysis.covariates.missing_codes import usual_codes


@pytest.mark.parametrize("code", [-9999.0, -32768.0, -999.0, -200.0, 65535.0, float(np.float32(1e20))])
def test_a_usual_number_off_all_others_is_a_code(code: float) -> None:
    assert usual_codes(np.array([code] * 20 + list(range(200)), float)) == [code]


def test_two_codes_are_both_seen() -> None:
    values = np.array([-9999.0] * 9 + [-32768.0] * 9 + list(range(200)), float)
    assert sorted(usual_codes(values)) == [-32768.0, -9999.0]


def test_one_pixel_below_all_others_is_enough() -> None:
    assert usual_codes(np.array([-9999.0, *range(200)])) == [-9999.0]


def test_depths_of_the_sea_counts_and_masks_hold_no_code() -> None:
    assert usual_codes(np.arange(-10_900.0, 8_800.0)) == []
    assert usual_codes(np.array([-200.0, *range(500)])) == []  # the bottom of one pit
    assert usual_codes(np.array([9999.0, *range(500)])) == []  # one town of just so many
    assert usual_codes(np.array([0.0, 255.0] * 50), byte=True) == []
    assert usual_codes(np.array([*range(101), *[255.0] * 50]), byte=True) == [255.0]
    assert usual_codes(np.array([*range(101), *[255.0] * 50])) == []
