from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from smoke_case import Smoke, smoky_network, truth

from aqreanalysis.errors import ObservationsError
from aqreanalysis.evaluation.baselines import OrdinaryKriging, ResidualKriging
from aqreanalysis.evaluation.baselines.residual import (
    RegressionSample,
    fit_residuals,
    left_out_with_slopes,
    ridge_slopes,
)
from aqreanalysis.geostatistics.kriging import leave_out, share_votes


def test_slopes_are_those_of_a_regression_with_a_constant_an_hour() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5, 20, 2))
    z = rng.normal(size=(5, 1)) * 10 + x @ [1.5, -0.4] + 0.1 * rng.normal(size=(5, 20))
    z[2, 4] = np.nan
    weight = rng.uniform(0.2, 2, 20)
    known = np.isfinite(z).ravel()
    hour = np.repeat(np.eye(5), 20, axis=0)
    design = np.hstack([x.reshape(-1, 2), hour])[known] * np.sqrt(np.tile(weight, 5))[known, None]
    expected = np.linalg.lstsq(design, (z.ravel() * np.sqrt(np.tile(weight, 5)))[known], rcond=None)[0][:2]
    assert ridge_slopes(z, x, weight, (0.0,))[0] == pytest.approx(expected)
    assert np.abs(ridge_slopes(z, x, weight, (1e9,))).max() < 1e-6


def test_stations_of_one_town_share_a_vote() -> None:
    km = np.full((5, 5), 400.0)
    km[:4, :4] = 1.0
    np.fill_diagonal(km, 0.0)
    weight = share_votes(km)
    assert weight.mean() == pytest.approx(1.0)
    assert weight[:4].sum() == pytest.approx(weight[4], rel=0.01)


def test_left_out_estimates_are_those_of_kriging_what_the_regression_leaves() -> None:
    field = smoky_network()
    sample = RegressionSample.of(field)
    residuals, left_out = fit_residuals(sample)
    z = np.log(sample.field.values + residuals.offset)
    x = residuals.regressors.of(sample.covariates)
    one = np.broadcast_to(residuals.slopes, (10, 1, len(residuals.slopes)))
    result, variance = left_out_with_slopes(z, x, sample, residuals.variogram, one)
    trend = x @ residuals.slopes
    plain = leave_out(z - trend, sample.km, residuals.variogram, field.groups)
    assert result[0] == pytest.approx(plain.estimate + trend, rel=1e-8, nan_ok=True)
    assert variance == pytest.approx(plain.variance, rel=1e-8, nan_ok=True)
    assert left_out.estimate.shape == z.shape


def test_a_reading_does_not_reach_its_own_left_out_estimate_through_the_slopes() -> None:
    """Slopes of a fold are fitted without its stations, so the fold's left-out estimates rest on other readings."""
    field = smoky_network(stations=14)
    wrong = field.values.copy()
    wrong[:, 3] = 500.0
    slopes = []
    for values in (field.values, wrong):
        sample = RegressionSample.of(replace(field, values=values))
        z, x = np.log(values + 5), np.nan_to_num(sample.covariates / 100)
        apart = np.where(sample.fold == sample.fold[3], 0.0, sample.weight)
        slopes.append(ridge_slopes(z, x, apart, (1.0,)))
    assert np.array_equal(*slopes)


def test_where_a_model_knows_the_plumes_residual_kriging_beats_kriging_at_places_without_a_station() -> None:
    field = smoky_network()
    rng = np.random.default_rng(5)
    lat, lon = rng.uniform(38, 40, 60), rng.uniform(114, 116, 60)
    observed = truth(lat, lon, field.hours)
    errors, answers = {}, {}
    for baseline in (OrdinaryKriging("log"), ResidualKriging()):
        tuned = baseline.tune(field)
        answers[baseline.name] = answer = baseline.predict(field, lat, lon)
        errors[baseline.name] = np.abs(answer.best - observed).mean()
    assert errors["residual-kriging"] < 0.5 * errors["log-kriging"]
    assert tuned["regressed"] == "logarithms" and tuned["slopes"]["pm25_background"] > 0.3
    assert abs(tuned["slopes"]["t2m"]) < 0.05
    lower, upper = answers["residual-kriging"].interval(0.9)
    assert 0.75 < ((observed >= lower) & (observed <= upper)).mean() <= 1.0
    assert baseline.left_out_pit.size > 500


def test_covariates_that_say_nothing_leave_kriging() -> None:
    class Noise(Smoke):
        def at(self, lat: np.ndarray, lon: np.ndarray, hours: np.ndarray) -> np.ndarray:
            return np.stack([np.sin(1e4 * lat + k * 3e4 * lon + hours[:, None]) for k in (1, 2)], -1).astype(np.float32)

    field = replace(smoky_network(), covariates=Noise(fields=("t2m", "d2m")))
    lat, lon = np.array([38.7, 39.5]), np.array([114.4, 115.2])
    plain, residual = OrdinaryKriging("log"), ResidualKriging()
    best = plain.tune(field)["left_out_mae"], residual.tune(field)["left_out_mae"]
    assert best[1] == pytest.approx(best[0], rel=0.1)
    both = [b.predict(field, lat, lon).best for b in (plain, residual)]
    assert np.median(np.abs(both[0] - both[1]) / both[0]) < 0.1


def test_an_hour_with_few_readings_is_left_unanswered_and_one_group_alone_is_refused() -> None:
    field = smoky_network()
    values = field.values.copy()
    values[3, 2:] = np.nan
    baseline = ResidualKriging()
    baseline.tune(replace(field, values=values))
    answer = baseline.predict(replace(field, values=values), np.array([39.0]), np.array([115.0]))
    assert np.isnan(answer.best[3, 0]) and np.isfinite(np.delete(answer.best[:, 0], 3)).all()
    with pytest.raises(ObservationsError, match="no visible station can be left out"):
        ResidualKriging().tune(replace(field, groups=np.zeros(30, int)))


def test_a_field_without_covariates_is_refused() -> None:
    with pytest.raises(ValueError, match="reads covariates"):
        ResidualKriging().tune(replace(smoky_network(), covariates=None))
