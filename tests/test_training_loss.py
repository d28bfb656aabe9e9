"""What training minimises."""

from __future__ import annotations

import numpy as np
import pytest
import scoringrules
import torch
from model_case import make_bundle, make_readings, small_config, some_places

from aqreanalysis.model import AnalysisPredictor, AQNet, Scaling
from aqreanalysis.training.loss import normal_crps, target_scores


@pytest.mark.parametrize("scale", [0.05, 0.5, 3.0])
def test_the_score_of_a_normal_forecast_agrees_with_the_library(scale):
    y = np.random.default_rng(0).normal(0, 1, 200)
    predictives = normal_crps(torch.from_numpy(y), torch.full((200,), scale).double())
    np.testing.assert_allclose(predictives.numpy(), scoringrules.crps_normal(y, 0.0, scale), rtol=1e-6)


@pytest.fixture(scope="module")
def case():
    """The network, what it hears and sees, and truths that lie round its own estimates."""
    bundle, readings = make_bundle(), make_readings(days=1, padded=True)
    predictor = AnalysisPredictor(bundle, "cpu")
    network = AQNet(2, [0, 1], small_config().model)
    network.load_state_dict(bundle.members[0])
    states = predictor.encode(readings.values, readings.hours, readings.lat, readings.lon).members[0]
    neighbourhood = predictor.geometry(readings.lat, readings.lon, *some_places()).members[0]
    scalings = [bundle.scaling[k] for k in predictor.species]
    predictives = predictor.predict(
        predictor.encode(readings.values, readings.hours, readings.lat, readings.lon),
        predictor.geometry(readings.lat, readings.lon, *some_places()),
    )
    truth = np.stack(
        [predictives[k].best + s.offset for k, s in zip(predictor.species, scalings, strict=True)], axis=-1
    )
    return network.eval(), states, neighbourhood, torch.from_numpy(truth), scalings


@torch.no_grad()
def score(case, truth, weights=None):
    network, states, neighbourhood, _, scalings = case
    return [float(x) for x in target_scores(network, states, neighbourhood, truth, scalings, None, weights)]


def test_the_score_is_the_libraries_mean_over_the_truths(case):
    network, states, neighbourhood, truth, scalings = case
    wanted = 0.0
    for p, scaling in enumerate(scalings):
        with torch.no_grad():
            location, scale, _ = network.estimate_at(states, neighbourhood, p)
        location, scale = location.T * scaling.std + scaling.mean, scale.T * scaling.std
        crps = scoringrules.crps_lognormal(truth[..., p].double().numpy(), location.numpy(), scale.numpy())
        wanted += crps.mean() / scaling.typical_error
    assert score(case, truth)[1] == pytest.approx(wanted, rel=1e-3)


def test_places_count_by_their_weight(case):
    truth = case[3]
    off = truth.clone()
    off[:, 1] *= 3
    places = off.shape[1]
    ones, none = torch.ones(places), torch.ones(places)
    none[1] = 0
    assert score(case, off, 7 * ones) == pytest.approx(score(case, off), rel=1e-5)
    without = off.clone()
    without[:, 1] = torch.nan
    assert score(case, off, none) == pytest.approx(score(case, without), rel=1e-5)
    assert score(case, off, none)[0] < score(case, off)[0]


def test_truths_far_from_the_estimate_cost_more(case):
    truth = case[3]
    assert score(case, 3 * truth)[0] > score(case, truth)[0] * 1.5
    assert score(case, truth / 3)[0] > score(case, truth)[0] * 1.2


def test_missing_truths_are_left_out_and_all_missing_costs_nothing(case):
    truth = case[3].clone()
    truth[::2] = float("nan")
    other = case[3].clone()
    other[1::2] = float("nan")
    # Each half holds twelve hours of fifteen places: the whole is their mean.
    halves = np.mean([score(case, truth), score(case, other)], axis=0)
    assert halves == pytest.approx(score(case, case[3]), rel=1e-4)
    assert score(case, torch.full_like(truth, float("nan"))) == [0.0, 0.0]


def test_a_pollutant_without_truths_leaves_the_others_their_score(case):
    truth = case[3].clone()
    truth[..., 1] = float("nan")
    first = score(case, truth)
    truth = case[3].clone()
    truth[..., 0] = float("nan")
    second = score(case, truth)
    assert np.add(first, second) == pytest.approx(score(case, case[3]), rel=1e-5)


def test_pollutants_of_different_units_count_alike(case):
    network, states, neighbourhood, truth, scalings = case
    mg = [Scaling(s.offset / 1000, s.mean - np.log(1000), s.std, s.typical_error / 1000) for s in scalings]
    with torch.no_grad():
        predictives = target_scores(network, states, neighbourhood, truth / 1000, mg)
    assert [float(x) for x in predictives] == pytest.approx(score(case, truth), rel=1e-3)
