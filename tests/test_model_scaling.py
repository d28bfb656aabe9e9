"""Concentrations <-> standardised logarithms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aqreanalysis.model import Scaling


def test_fitted_readings_have_mean_zero_and_spread_one():
    values = np.random.default_rng(0).lognormal(3, 0.7, (500, 4)).astype(np.float32)
    values[::7] = np.nan
    scaled = Scaling.fit(values).forward(values)
    assert scaled.dtype == np.float32
    assert np.array_equal(np.isnan(scaled), np.isnan(values))
    assert abs(np.nanmean(scaled)) < 1e-4 and abs(np.nanstd(scaled) - 1) < 1e-4


def test_the_typical_error_is_the_mean_deviation_from_the_median():
    assert Scaling.fit(np.array([1, 2, 9, np.nan], np.float32)).typical_error == pytest.approx(8 / 3)


def test_small_negative_readings_count_as_zero():
    scaling = Scaling.fit(np.array([1, 2, 9], np.float32))
    assert np.array_equal(scaling.forward(np.array([-0.5], np.float32)), scaling.forward(np.array([0], np.float32)))


def test_a_median_of_zero_still_gives_an_offset_above_zero():
    scaling = Scaling.fit(np.array([0, 0, 0, 4], np.float32))
    assert scaling.offset == pytest.approx(0.1)
    assert np.isfinite(scaling.forward(np.zeros(1, np.float32))).all()


@pytest.mark.parametrize("values", [[], [3.0], [2.0, 2.0], [np.nan, np.nan, 5.0]])
def test_fewer_than_two_different_readings_are_refused(values):
    with pytest.raises(ValueError, match="two different readings"):
        Scaling.fit(np.array(values, np.float32))


@settings(deadline=None)
@given(arrays(np.float32, 12, elements=st.floats(0, 5000, width=32), unique=True))
def test_scaling_keeps_the_order_and_can_be_undone(values):
    scaling = Scaling.fit(values)
    scaled = scaling.forward(values).astype(np.float64)
    assert (np.diff(scaled[np.argsort(values)]) >= 0).all()
    back = np.exp(scaled * scaling.std + scaling.mean) - scaling.offset
    np.testing.assert_allclose(back, values, rtol=1e-3, atol=1e-3 * scaling.offset + 1e-4)


def test_the_four_numbers_make_the_scaling_again():
    scaling = Scaling.fit(np.array([1, 2, 9], np.float32))
    assert Scaling(**scaling.to_dict()) == scaling
