"""The predictive distribution: one object, everything read from it."""

from __future__ import annotations

import numpy as np
import pytest
import scoringrules
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.model import PROBABILITIES, Calibration, Predictive, Scaling
from aqreanalysis.model.distribution.hourly import mix_members

PLACES, HOURS = 7, 24
SCALING = Scaling(offset=3.0, mean=3.5, std=0.7, typical_error=12.0)


def make(location, scale, calibration=None, nearest=20.0, scaling=SCALING):
    location, scale = torch.as_tensor(location), torch.as_tensor(scale)
    near = torch.linspace(0, 2 * nearest, location.shape[0])
    reporting = torch.full(location.shape, 5.0)
    return Predictive(location, scale, reporting, near, scaling, calibration or Calibration.normal())


def some(seed=0, calibration=None, scaling=SCALING, dtype=np.float64):
    rng = np.random.default_rng(seed)
    location, scale = rng.normal(0, 1.2, (PLACES, HOURS)), rng.uniform(0.1, 1.2, (PLACES, HOURS))
    return make(location.astype(dtype), scale.astype(dtype), calibration, scaling=scaling)


def skewed() -> Calibration:
    """A table that is neither normal nor equal at its nodes, increasing as every table is."""
    normal = Calibration.normal().quantiles[0, 0]
    shapes = [[normal * a + 0.1 * a * normal**2 * (normal > 0) for a in (0.7, 1.0, 1.4)] for _ in range(2)]
    shapes[1] = [s * 1.3 + 0.2 for s in shapes[1]]
    return Calibration(np.array([5.0, 30.0]), np.array([-1.0, 0.0, 1.0]), np.array(shapes))


calibrations = st.sampled_from([Calibration.normal(), skewed()])
probabilities = st.floats(0.005, 0.995)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), calibrations, st.floats(0.02, 0.98))
def test_bounds_enclose_the_best_estimate_and_nothing_is_negative(seed, calibration, coverage):
    predictive = some(seed, calibration)
    lower, upper = predictive.interval(coverage)
    assert (lower >= 0).all() and (lower <= predictive.best).all() and (predictive.best <= upper).all()
    assert (predictive.standard_error > 0).all() and np.isfinite(predictive.standard_error).all()
    assert lower.dtype == np.float32 and lower.shape == (HOURS, PLACES)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), calibrations, probabilities)
def test_the_cdf_undoes_the_quantile(seed, calibration, p):
    predictive = some(seed, calibration)
    value = predictive.quantile(p)
    above_zero = value > 0  # below, the distribution has a lump at zero and no inverse
    np.testing.assert_allclose(predictive.cdf(value)[above_zero], p, atol=2e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), calibrations, st.tuples(probabilities, probabilities).map(sorted))
def test_quantiles_increase_with_probability(seed, calibration, pair):
    predictive = some(seed, calibration)
    assert (predictive.quantile(pair[0]) <= predictive.quantile(pair[1])).all()


@pytest.mark.parametrize("calibration", [Calibration.normal(), skewed()])
@pytest.mark.parametrize("threshold", [0.0, 15.0, 75.0, 400.0])
def test_exceedance_agrees_with_the_quantiles(calibration, threshold):
    predictive = some(calibration=calibration)
    exceedance = predictive.exceedance(threshold)
    assert ((exceedance >= 0) & (exceedance <= 1)).all()
    for p in (0.05, 0.5, 0.9):
        above = predictive.quantile(p) > threshold
        assert (exceedance[above] >= 1 - p - 1e-4).all()
        assert (exceedance[~above] <= 1 - p + 1e-4).all()


def test_no_value_is_below_zero_and_every_one_above_minus_something():
    predictive = some()
    assert (predictive.cdf(-1.0) == 0).all()
    assert (predictive.exceedance(-1.0) == 1).all()
    observed = np.full((HOURS, PLACES), np.nan, np.float32)
    assert np.isnan(predictive.cdf(observed)).all() and np.isnan(predictive.crps(observed)).all()


def test_the_score_of_an_uncalibrated_distribution_is_that_of_a_log_normal():
    rng = np.random.default_rng(1)
    plain = Scaling(offset=0.0, mean=3.5, std=0.7, typical_error=12.0)
    location, scale = rng.normal(0, 1, (40, 50)), rng.uniform(0.3, 0.9, (40, 50))
    predictive = make(location, scale, scaling=plain)
    y = np.exp(3.5 + 0.7 * (location + scale * rng.normal(size=location.shape)))
    wanted = scoringrules.crps_lognormal(y, 3.5 + 0.7 * location, 0.7 * scale)
    np.testing.assert_allclose(predictive.crps(y.T.astype(np.float32)).mean(), wanted.mean(), rtol=0.02)


def test_mean_and_standard_error_are_those_of_a_log_normal():
    plain = Scaling(offset=0.0, mean=3.5, std=0.7, typical_error=12.0)
    scale = np.repeat([[0.1], [0.3], [0.6]], 4, axis=1)
    predictive = make(np.zeros((3, 4)), scale, scaling=plain)
    sigma = 0.7 * scale.T
    mean = np.exp(3.5 + sigma**2 / 2)
    np.testing.assert_allclose(predictive.mean, mean, rtol=0.003)
    np.testing.assert_allclose(predictive.standard_error, mean * np.sqrt(np.expm1(sigma**2)), rtol=0.03)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["compiled", "plain"])
@pytest.mark.parametrize("table", [Calibration.normal(), "skewed"], ids=["normal", "skewed"])
def test_the_expectation_is_that_of_all_parts_of_the_calibrated_distribution(table, dtype):
    table = skewed() if table == "skewed" else table
    location, scale = np.meshgrid(np.linspace(0.0, 2.0, 9), np.linspace(0.1, 0.8, 11), indexing="ij")
    predictive = make(location.astype(dtype), scale.astype(dtype), table, nearest=20.0)
    parts = np.stack([predictive.quantile(float(p)) for p in PROBABILITIES]).astype(np.float64)
    np.testing.assert_allclose(predictive.mean, parts.mean(axis=0), rtol=4e-4)
    np.testing.assert_allclose(predictive.standard_error, parts.std(axis=0), rtol=1.2e-3)
    assert (predictive.mean > predictive.best).all()


def test_the_expectation_is_the_same_compiled_and_plain():
    location = np.random.default_rng(3).normal(0, 1, (40, 50))
    compiled, plain = (make(location.astype(d), np.full(location.shape, 0.8, d), skewed()) for d in "fd")
    np.testing.assert_allclose(compiled.mean, plain.mean, rtol=2e-5)
    np.testing.assert_allclose(compiled.standard_error, plain.standard_error, rtol=2e-4)


def test_the_best_estimate_of_a_centred_table_is_the_networks():
    predictive = make(np.zeros((2, 3)), np.ones((2, 3)))
    np.testing.assert_allclose(predictive.best, np.exp(3.5) - 3.0, rtol=1e-5)


def test_standardising_a_quantile_gives_the_tabled_one():
    predictive = make(np.full((2, 3), 0.4), np.full((2, 3), 0.3))
    standard, level = predictive.standardise(predictive.quantile(0.9))
    np.testing.assert_allclose(standard, 1.2816, atol=2e-3)
    np.testing.assert_allclose(level, 0.4, rtol=1e-6)


@pytest.mark.parametrize("p", [0.0, 0.001, 0.999, 1.0, -3.0, float("nan")])
def test_a_probability_outside_the_table_is_refused(p):
    with pytest.raises(ValueError, match=r"outside the tabled 0\.005\.\.0\.995"):
        some().quantile(p)


def test_the_number_of_reporting_neighbours_is_a_whole_number():
    assert some().observations_used.dtype == np.int16
    assert (some().observations_used == 5).all()


def test_float32_serves_as_well_as_float64():
    np.testing.assert_allclose(some(dtype=np.float32).best, some().best, rtol=1e-4)
    np.testing.assert_allclose(some(dtype=np.float32).standard_error, some().standard_error, rtol=1e-2)


def test_the_standard_error_has_no_edge_where_the_table_has_a_node():
    table = Calibration(
        np.array([10.0, 40.0, 80.0]),
        np.zeros(1),
        Calibration.normal().quantiles * np.array([[[1.0]], [[1.5]], [[3.0]]]),
    )
    km = np.linspace(0, 120, 1201)
    zeros = torch.zeros((len(km), 1), dtype=torch.float64)
    predictive = Predictive(zeros, zeros + 0.2, zeros + 5, torch.from_numpy(km), SCALING, table)
    slope = np.diff(predictive.standard_error[0].astype(np.float64)) / 0.1
    # A straight table turns by 0.3 at 40 km from one step to the next.
    assert slope.max() > 0.2 and np.abs(np.diff(slope)).max() < 0.02


def test_moments_are_computed_once(monkeypatch):
    predictive = some()
    asked = []
    monkeypatch.setattr(Predictive, "summary", lambda self, f=Predictive.summary: asked.append(1) or f(self))
    mean = predictive.mean
    count = len(asked)
    assert (predictive.standard_error > 0).all() and count == 1 and len(asked) == 1
    np.testing.assert_array_equal(predictive.mean, mean)


def test_the_table_is_taken_by_distance_and_by_level():
    table = skewed()
    near = make(np.full((1, 1), -1.0), np.ones((1, 1)), table, nearest=0.0)
    wanted = np.interp(0.905, PROBABILITIES, table.quantiles[0, 0])
    np.testing.assert_allclose(near.standardise(near.quantile(0.905))[0], wanted, rtol=1e-3)
    two = make(np.zeros((2, 1)), np.ones((2, 1)), table, nearest=30.0)  # at 0 and at 60 km
    lower, upper = two.interval(0.8)
    assert (upper - lower)[0, 1] > 1.2 * (upper - lower)[0, 0]


def test_a_calibration_survives_the_journey_to_json():
    table = skewed()
    again = Calibration.from_dict(table.to_dict())
    for name in ("distance_km", "level", "quantiles"):
        np.testing.assert_allclose(getattr(again, name), getattr(table, name), atol=1e-6)


@pytest.mark.parametrize("hours", [24, 7000])
def test_the_summary_is_what_the_parts_are(hours):
    generator = torch.Generator().manual_seed(4)
    location = torch.randn(5, hours, generator=generator)
    scale = 0.2 + torch.rand(5, hours, generator=generator)
    table = np.sort(np.random.default_rng(0).normal(size=(2, 3, 100)), axis=-1)
    calibration = Calibration(np.array([5.0, 60.0]), np.array([-1.0, 0.0, 1.5]), table)
    nearest = torch.tensor([0.0, 5.0, 30.0, 60.0, 200.0])
    reporting = torch.ones(5, hours)
    one = Predictive(location, scale, reporting, nearest, SCALING, calibration)
    summary, bounds = one.summary(0.8), one.interval(0.8)
    for predictive, expected in (
        (summary.best, one.best),
        (summary.standard_error, one.standard_error),
        (summary.lower, bounds[0]),
        (summary.upper, bounds[1]),
    ):
        assert predictive.shape == (hours, 5) and np.allclose(predictive, expected, rtol=2e-4, atol=1e-4)
    assert (summary.lower <= summary.best).all() and (summary.best <= summary.upper).all()


locations = st.lists(st.floats(-5, 5), min_size=1, max_size=6)


@given(locations, st.floats(0.1, 2))
def test_the_mixture_has_the_mean_and_the_variance_of_draws_from_every_member(at, scale):
    location, mixed = mix_members([torch.tensor([a]) for a in at], [torch.full((1,), scale * (1 + a * a)) for a in at])
    own = np.array([scale * (1 + a * a) for a in at])
    second_moment = np.mean(own**2 + np.array(at) ** 2)
    assert float(location) == pytest.approx(np.mean(at), abs=1e-5)
    assert float(mixed) ** 2 == pytest.approx(second_moment - np.mean(at) ** 2, rel=1e-3, abs=1e-4)


def test_one_member_speaks_as_it_is():
    location, scale = torch.randn(4, 3), torch.rand(4, 3)
    mixed = mix_members([location], [scale])
    assert mixed[0] is location and mixed[1] is scale
