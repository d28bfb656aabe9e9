"""Reading attention and neighbour weights off a model, and leaving the model as it was."""

from __future__ import annotations

import numpy as np
import pytest
from model_case import HISTORY, LOOKAHEAD, STATIONS, make_bundle, make_readings, some_places
from torch import nn

from aqreanalysis.errors import ModelError
from aqreanalysis.model.inspection import BAND_TITLES, mean_attention, read_attention, read_neighbour_weights
from aqreanalysis.model.network.temporal_filters import BANDS
from aqreanalysis.model.predictor import AnalysisPredictor


@pytest.fixture(scope="module")
def predictor() -> AnalysisPredictor:
    return AnalysisPredictor(make_bundle(members=2), "cpu")


@pytest.fixture(scope="module")
def block():
    readings = make_readings(days=1, padded=True)
    return readings.values, readings.hours, readings.lat, readings.lon


def test_attention_is_a_share_of_each_window_hour_for_each_hour_asked_for(predictor, block):
    read = read_attention(predictor, *block)
    assert read.weights.shape == (24, HISTORY + 24 + LOOKAHEAD) == (len(read.query_hours), len(read.key_hours))
    np.testing.assert_allclose(read.weights.sum(axis=1), 1, rtol=1e-5)
    assert read.weights.min() >= 0 and read.weights.std() > 1e-4
    assert (read.key_hours[0], read.key_hours[-1]) == (-HISTORY, 23 + LOOKAHEAD)
    assert read.windows == STATIONS


def test_attention_follows_the_readings(predictor, block):
    values, *rest = block
    louder = values.copy()
    louder[HISTORY + 3] *= 5
    assert (
        np.abs(read_attention(predictor, louder, *rest).weights - read_attention(predictor, *block).weights).max()
        > 1e-4
    )


def test_attention_over_all_stations_is_the_mean_over_each(predictor, block):
    values, hours, lat, lon = block
    halves = [slice(0, STATIONS // 2), slice(STATIONS // 2, None)]
    parts = [read_attention(predictor, values[:, h], hours, lat[h], lon[h]).weights for h in halves]
    np.testing.assert_allclose(np.mean(parts, axis=0), read_attention(predictor, *block).weights, rtol=1e-4)


def test_neighbour_weights_sum_to_one_and_are_those_of_the_nearest_stations(predictor, block):
    *_, lat, lon = block
    places = some_places()
    read = read_neighbour_weights(predictor, lat, lon, *places)
    assert set(read) == {"pm25", "o3"}
    for learned in read.values():
        assert learned.weights.shape == (2 * 3 * 2, 15, 8)  # members times bands times mixtures
        assert learned.bands == 2 * tuple(band for band in BAND_TITLES for _ in range(2)) and len(BAND_TITLES) == BANDS
        np.testing.assert_allclose(learned.weights.sum(axis=2), 1, rtol=1e-3)
        np.testing.assert_allclose(learned.distance_km[:, 0], predictor.geometry(lat, lon, *places).nearest_km)
        assert (np.diff(learned.distance_km, axis=1) > -1e-3).all()
        assert learned.weights[..., 0].mean() > learned.weights[..., -1].mean()
    assert not np.allclose(read["pm25"].weights, read["o3"].weights)


def test_a_model_that_was_looked_into_gives_the_same_numbers_and_keeps_no_hook(predictor, block):
    *_, lat, lon = block
    places = some_places()

    def best():
        return predictor.predict(predictor.encode(*block), predictor.geometry(lat, lon, *places))["pm25"].best

    before = best()
    read_attention(predictor, *block)
    read_neighbour_weights(predictor, lat, lon, *places)
    assert np.array_equal(best(), before)
    hooks = [h for n in predictor.networks for m in n.modules() for h in (*m._forward_hooks, *m._forward_pre_hooks)]
    assert hooks == []


def test_hooks_go_even_when_the_work_fails():
    module = nn.Sequential(nn.MultiheadAttention(4, 2, batch_first=True))

    def fail() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mean_attention([module], fail)
    assert not module[0]._forward_pre_hooks


def test_a_network_without_attention_is_told(predictor):
    with pytest.raises(ModelError, match="no multi-head attention"):
        mean_attention([nn.Linear(2, 2)], lambda: None)
