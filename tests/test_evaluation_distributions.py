from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import ndtr, ndtri

from aqreanalysis.evaluation.distributions import (
    WIDEST,
    CensoredNormal,
    ShiftedLogNormal,
    calibrated_level,
    crps_through_bounds,
)

Family = CensoredNormal | ShiftedLogNormal

FAMILIES: list[Family] = [
    CensoredNormal(np.array([[12.0]]), np.array([[3.0]])),
    CensoredNormal(np.array([[1.0]]), np.array([[4.0]])),
    CensoredNormal(np.array([[-2.0]]), np.array([[2.0]])),
    ShiftedLogNormal(np.array([[2.0]]), np.array([[0.5]]), 1.0),
    ShiftedLogNormal(np.array([[0.3]]), np.array([[0.9]]), 2.0),
]


def _cdf(family: Family, x: float) -> float:
    return float(family.cdf(np.array([[x]]))[0, 0])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("observed", [0.0, 3.0, 20.0])
def test_crps_is_the_integral_over_values_that_are_not_negative(family: Family, observed: float) -> None:
    below = quad(lambda x: _cdf(family, x) ** 2, 0, observed, limit=200)[0]
    above = quad(lambda x: (1 - _cdf(family, x)) ** 2, observed, observed + 400, limit=400, points=[observed + 30])[0]
    assert family.crps(np.array([[observed]]))[0, 0] == pytest.approx(below + above, rel=2e-4, abs=2e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_interval_holds_its_probability_and_the_best_estimate(family: Family) -> None:
    lower, upper = family.interval(0.9)
    assert 0 <= lower[0, 0] <= family.best[0, 0] <= upper[0, 0]
    assert _cdf(family, float(upper[0, 0])) == pytest.approx(0.95, abs=1e-9)
    if lower[0, 0] > 0:
        assert _cdf(family, float(lower[0, 0])) == pytest.approx(0.05, abs=1e-9)


def test_the_standard_error_is_that_of_a_large_sample() -> None:
    draw = np.random.default_rng(0).normal(size=400_000)
    censored = CensoredNormal(np.array([1.0]), np.array([4.0]))
    assert censored.standard_error[0] == pytest.approx(np.maximum(1 + 4 * draw, 0).std(), rel=0.01)
    lognormal = ShiftedLogNormal(np.array([2.0]), np.array([0.4]), 0.5)
    assert lognormal.standard_error[0] == pytest.approx((np.exp(2 + 0.4 * draw) - 0.5).std(), rel=0.01)


def test_all_mass_at_zero_scores_as_a_forecast_of_zero() -> None:
    family = CensoredNormal(np.array([[-80.0]]), np.array([[1.0]]))
    assert family.crps(np.array([[3.0]]))[0, 0] == pytest.approx(3.0, abs=1e-6)
    assert family.best[0, 0] == 0


def test_what_is_not_known_stays_unknown() -> None:
    for family in (
        CensoredNormal(np.array([[np.nan, 3.0]]), np.array([[np.nan, 1.0]])),
        ShiftedLogNormal(np.array([[np.nan, 1.0]]), np.array([[np.nan, 1.0]]), 0.1),
    ):
        for array in (family.best, family.standard_error, *family.interval(0.9), family.crps(np.array([[1.0, 1.0]]))):
            assert np.isnan(array[0, 0]) and np.isfinite(array[0, 1])


@given(st.floats(0.6, 1.8), st.floats(0.5, 0.95))
def test_the_level_found_covers_what_was_asked_for_whatever_the_spread(factor: float, coverage: float) -> None:
    errors = np.random.default_rng(0).normal(0, 1, 4000)
    pit = ndtr(errors / factor)  # the method believes in a spread of `factor`
    level = calibrated_level(pit, coverage)
    assert level is not None
    inside = np.abs(errors) <= factor * ndtri(0.5 + level / 2) + 1e-9
    assert inside.mean() >= coverage or level == WIDEST
    if level < WIDEST:
        assert inside.mean() == pytest.approx(coverage, abs=0.002)


def test_a_true_distribution_keeps_its_level() -> None:
    pit = np.random.default_rng(1).uniform(size=50_000)
    assert calibrated_level(pit, 0.9) == pytest.approx(0.9, abs=0.01)


def test_unknown_readings_do_not_count_and_too_few_tell_nothing() -> None:
    pit = np.full(100, np.nan)
    pit[:19] = 0.5
    assert calibrated_level(pit, 0.9) is None


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_score_through_bounds_is_that_of_the_log_normal_they_are_of(mirrored: bool) -> None:
    rng = np.random.default_rng(3)
    made = ShiftedLogNormal(rng.uniform(2, 5, 200), rng.uniform(0.02, 0.9, 200), 0.0)
    observed = np.exp(rng.uniform(1, 6, 200))
    median, (lower, upper), expected = np.exp(made.location), made.interval(0.9), made.crps(observed)
    if mirrored:
        median, lower, upper, observed = -median, -upper, -lower, -observed
    found = crps_through_bounds(median, (lower, upper), 0.9, observed)
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_score_through_bounds_equally_far_is_that_of_the_normal_distribution() -> None:
    rng = np.random.default_rng(4)
    made = CensoredNormal(rng.uniform(60, 90, 50), rng.uniform(1, 6, 50))
    observed = rng.uniform(40, 110, 50)
    found = crps_through_bounds(made.best, made.interval(0.9), 0.9, observed)
    assert found == pytest.approx(made.crps(observed), rel=1e-3)


def test_the_score_through_bounds_beyond_the_end_of_the_distribution_grows_with_the_distance() -> None:
    best, bounds = np.full(2, 10.0), (np.full(2, 8.0), np.full(2, 20.0))
    near, far = crps_through_bounds(best, bounds, 0.9, np.array([-50.0, -60.0]))
    assert far - near == pytest.approx(10.0)
