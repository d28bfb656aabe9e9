from __future__ import annotations

import json

import numpy as np
import pytest
from fields_case import MadeUp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aqreanalysis.errors import ModelError
from aqreanalysis.model import Scaling
from aqreanalysis.model.network.scaling import FieldScaling, scale_inputs

NAMES, UNITS = ("u10", "v10", "blh", "tp", "pm25_background", "elevation"), ("m s-1", "m s-1", "m", "mm h-1", "", "m")


def some_values(rows: int = 400) -> np.ndarray:
    rng = np.random.default_rng(0)
    parts = (
        rng.normal(1, 3, rows),
        rng.normal(0, 2, rows),
        rng.lognormal(6, 1, rows),
        rng.exponential(0.2, rows),
        rng.lognormal(3, 1, rows),
        rng.uniform(0, 900, rows),
    )
    return np.stack(parts, axis=-1).astype(np.float32)


def test_fields_are_standardised_and_what_is_missing_stays_missing() -> None:
    values = some_values()
    values[:7, 2] = np.nan
    scaling = FieldScaling.fit(values, NAMES, UNITS, 5)
    standard = scaling.forward(values)
    assert np.isnan(standard[:7, 2]).all() and np.isfinite(standard[7:]).all()
    assert np.nanmean(standard, axis=0) == pytest.approx(np.zeros(6), abs=0.02)
    assert np.nanstd(standard, axis=0) == pytest.approx(np.ones(6), abs=0.02)
    assert scaling.wind == (0, 1)


def test_twice_the_boundary_layer_is_the_same_step_at_any_height() -> None:
    scaling = FieldScaling.fit(some_values(), NAMES, UNITS, 5)
    heights = np.full((3, 6), np.nan, np.float32)
    heights[:, 2] = (1000.0, 2050.0, 4150.0)  # twice each, with the 50 m that are added
    steps = np.diff(scaling.forward(heights)[:, 2])
    assert steps[0] == pytest.approx(steps[1], rel=1e-4)


def test_it_survives_json() -> None:
    scaling = FieldScaling.fit(some_values(), NAMES, UNITS, 5)
    assert FieldScaling.from_dict(json.loads(json.dumps(scaling.to_dict()))) == scaling


def test_a_value_never_seen_does_not_run_away() -> None:
    scaling = FieldScaling.fit(some_values(), NAMES, UNITS, 5)
    assert np.abs(scaling.forward(np.full((1, 6), 1e6, np.float32))).max() <= 8.0


def test_a_field_without_any_value_is_named() -> None:
    values = some_values()
    values[:, 4] = np.nan
    with pytest.raises(ModelError, match="no value of pm25_background at the training stations"):
        FieldScaling.fit(values, NAMES, UNITS, 5)


def test_what_is_missing_is_named_all_of_it() -> None:
    values = some_values()[:, [0, 1, 2]]
    scaling = FieldScaling.fit(values, ("u10", "v10", "blh"), ("m s-1", "m s-1", "m"), 3)
    with pytest.raises(ModelError, match=r"does not run without them: u10, v10, blh are missing; give the files"):
        scaling.check(None)
    with pytest.raises(ModelError, match=r"blh is missing; the covariates given have v10, u10; give"):
        scaling.check(MadeUp(("v10", "u10")))
    assert scaling.check(MadeUp(("t2m", "blh", "v10", "u10"))).fields == ("u10", "v10", "blh")


def test_without_both_components_there_is_no_wind() -> None:
    scaling = FieldScaling.fit(some_values()[:, [0, 2]], ("u10", "blh"), ("m s-1", "m"), 2)
    assert scaling.wind is None


def test_each_input_is_scaled_by_its_own_pollutants_readings():
    scaling = {"pm25": Scaling(1.0, 2.0, 0.5, 10.0), "o3": Scaling(5.0, 4.0, 0.7, 20.0)}
    values = np.array([[[12.0, 80.0], [np.nan, 40.0]]], np.float32)
    scaled = scale_inputs(values, ("pm25", "o3"), scaling)
    assert scaled.shape == values.shape and np.isnan(scaled[0, 1, 0])
    assert scaled[0, 0, 1] == pytest.approx((np.log(85.0) - 4.0) / 0.7, rel=1e-5)


def test_fitted_readings_have_mean_zero_and_spread_one():
    values = np.random.default_rng(0).lognormal(3, 0.7, (500, 4)).astype(np.float32)
    values[::7] = np.nan
    scaled = Scaling.fit(values).forward(values)
    assert scaled.dtype == np.float32
    assert np.array_equal(np.isnan(scaled), np.isnan(values))
    assert abs(np.nanmean(scaled)) < 1e-4 and abs(np.nanstd(scaled) - 1) < 1e-4


def test_the_typical_error_is_the_mean_deviation_from_the_median():
    assert Scaling.fit(np.array([1, 2, 9, np.nan], np.float32)).typical_error == pytest.approx(8 / 3)


def test_what_is_taken_from_the_air_and_not_added_is_scaled_nearly_as_it_is():
    rng = np.random.default_rng(5)
    plumes = np.exp(rng.normal(3, 0.8, 5000)).astype(np.float32)
    assert Scaling.fit(plumes).offset == pytest.approx(0.1 * np.median(plumes), rel=1e-5)
    eaten = np.maximum(80 - plumes, 0.5)  # O3 beside sources
    assert Scaling.fit(eaten).offset == pytest.approx(10 * np.median(eaten), rel=1e-5)
    scaled = Scaling.fit(eaten).forward(np.array([10.0, 40.0, 70.0], np.float32))
    assert scaled[1] - scaled[0] == pytest.approx(scaled[2] - scaled[1], rel=0.06)


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
