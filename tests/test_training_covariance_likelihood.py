"""Covariance models by restricted maximum likelihood: what they find, and what they must not depend on."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from aqreanalysis.common.geodesy import distance_matrix_km
from aqreanalysis.model.network.neural_knn import CovarianceModel
from aqreanalysis.training import covariance_likelihood
from aqreanalysis.training.covariance_likelihood import most_likely_covariance

USUAL = CovarianceModel(62.5, 600.0, 0.8, 0.08)
TRUE = CovarianceModel(40.0, 400.0, 0.5, 0.3)


def covariance_of(model: CovarianceModel, km: np.ndarray) -> np.ndarray:
    near, far, share, nugget = astuple(model)
    return (1 - share) * np.exp(-km / near) + share * np.exp(-km / far) + (nugget + 1e-3) * np.eye(len(km))


def network(stations: int, hours: int, model: CovarianceModel = TRUE, missing: float = 0.1, seed: int = 0):
    """Return (values, km): hours of a field with this covariance, some readings missing."""
    rng = np.random.default_rng(seed)
    lat, lon = rng.uniform(38, 41, stations), rng.uniform(108, 112, stations)
    km = distance_matrix_km(lat, lon, lat, lon)
    values = rng.normal(size=(hours, stations)) @ np.linalg.cholesky(covariance_of(model, km)).T
    return np.where(rng.random(values.shape) < missing, np.nan, values), km


def shape_of(model: CovarianceModel) -> np.ndarray:
    """Return the variogram at some distances up to a factor: only its shape decides the weights of kriging."""
    near, far, share, nugget = astuple(model)
    km = np.array([5.0, 15.0, 50.0, 150.0])
    curve = nugget - (1 - share) * np.expm1(-km / near) - share * np.expm1(-km / far)
    return curve / curve.mean()


def restricted_likelihood(values: np.ndarray, km: np.ndarray, model: CovarianceModel) -> float:
    """Return minus the log-likelihood of differences to the first reading of each hour, at the hour's best size."""
    total = 0.0
    for row in values:
        at = np.flatnonzero(np.isfinite(row))
        if len(at) < 3:
            continue
        contrast = np.column_stack([-np.ones(len(at) - 1), np.eye(len(at) - 1)])
        among = contrast @ covariance_of(model, km)[np.ix_(at, at)] @ contrast.T
        some = contrast @ row[at]
        size = some @ np.linalg.solve(among, some) / len(some)
        total -= scipy.stats.multivariate_normal(cov=size * among).logpdf(some)
    return total


def test_the_cost_is_the_likelihood_of_differences_between_readings_up_to_a_constant() -> None:
    values, km = network(9, 12, missing=0.3)
    values[3, 2:] = np.nan
    values[4] = np.nan
    (group,) = covariance_likelihood._groups(values, km)
    costs = [covariance_likelihood._cost(group, model)[0] for model in (USUAL, TRUE)]
    wanted = [restricted_likelihood(values, km, model) for model in (USUAL, TRUE)]
    assert costs[1] - costs[0] == pytest.approx(wanted[1] - wanted[0], rel=1e-9)


def test_its_gradient_is_that_of_the_cost() -> None:
    (group,) = covariance_likelihood._groups(*network(9, 12))
    free = covariance_likelihood._free(TRUE)
    gradient = covariance_likelihood._cost(group, TRUE)[1]
    wanted = scipy.optimize.approx_fprime(
        free, lambda p: covariance_likelihood._cost(group, covariance_likelihood._of_free(p))[0], 1e-6
    )
    np.testing.assert_allclose(gradient, wanted, rtol=1e-3, atol=1e-3)


def test_a_dozen_stations_tell_how_much_they_share_once_there_are_hours_enough() -> None:
    values, km = network(12, 400)
    found = most_likely_covariance([values], km, USUAL)
    np.testing.assert_allclose(shape_of(found), shape_of(TRUE), rtol=0.15)
    assert found.nugget > 2 * USUAL.nugget


def test_with_few_hours_the_usual_model_weighs_more() -> None:
    many, few = (most_likely_covariance([network(12, hours)[0]], network(12, hours)[1], USUAL) for hours in (400, 3))
    assert abs(np.log(few.nugget / USUAL.nugget)) < 0.7 * abs(np.log(many.nugget / USUAL.nugget))


def test_neither_the_level_nor_the_size_of_an_hour_counts() -> None:
    values, km = network(12, 60)
    rng = np.random.default_rng(5)
    moved = 10 * rng.normal(size=(60, 1)) + np.exp(rng.normal(size=(60, 1))) * values
    found, wanted = (astuple(most_likely_covariance([one], km, USUAL)) for one in (moved, values))
    np.testing.assert_allclose(found, wanted, rtol=1e-3)


def test_hours_with_two_readings_leave_the_usual_model() -> None:
    values, km = network(12, 60)
    values[:, 2:] = np.nan
    assert most_likely_covariance([values], km, USUAL) == USUAL


def test_of_many_stations_groups_among_each_other_tell_nearly_as_much() -> None:
    values, km = network(150, 60)
    assert len(covariance_likelihood._groups(values, km)) == 3
    found = most_likely_covariance([values], km, USUAL)
    np.testing.assert_allclose(shape_of(found), shape_of(TRUE), rtol=0.15)


def test_of_a_long_record_a_fit_takes_no_more_than_some_hundred_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    whole = covariance_likelihood._cost
    monkeypatch.setattr(
        covariance_likelihood, "_cost", lambda group, model: (taken.append(len(group.values)), whole(group, model))[1]
    )
    values, km = network(6, 3000)
    most_likely_covariance([values, values], km, USUAL)
    assert max(taken) <= covariance_likelihood._MOST_SYSTEMS / 2


def test_hours_in_which_all_read_the_same_say_nothing() -> None:
    values, km = network(12, 60)
    flat = np.concatenate([values, np.zeros((40, 12)), np.full((3, 12), 1.5)])
    assert astuple(most_likely_covariance([flat], km, USUAL)) == pytest.approx(
        astuple(most_likely_covariance([values], km, USUAL)), rel=1e-6
    )
    assert most_likely_covariance([np.zeros((9, 12))], km, USUAL) == USUAL
