"""The forecaster: history matters in its order, gaps never shift time, stations have no identity."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from forecast_case import FIRST_HOUR, STATIONS, forecast_values, small_forecast_config, station_places
from torch import Tensor

from aqreanalysis.forecast.network import Forecaster, History
from aqreanalysis.model import find_neighbours
from aqreanalysis.model.network.neighbours import Geometry

HISTORY, LEADS = 72, 50


@pytest.fixture(scope="module")
def network() -> Forecaster:
    config = small_forecast_config().forecast
    assert config is not None
    torch.manual_seed(0)
    built = Forecaster(2, [0], config).eval()
    for parameter in built.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    return built


@pytest.fixture(scope="module")
def readings() -> Tensor:
    values = np.log1p(forecast_values(days=4)[:HISTORY])
    return torch.from_numpy((values - np.nanmean(values)) / np.nanstd(values))[None]


def around(shift: float = 0.0) -> Geometry:
    lat, lon = station_places()
    return find_neighbours(lat, lon + shift, lat, lon + shift, 4, exclude_self=True)


def forecast(network: Forecaster, readings: Tensor, geometry: Geometry) -> Tensor:
    with torch.no_grad():
        places = readings.shape[2]
        history = network.history(readings, readings, geometry)
        return network(history, torch.full((places,), FIRST_HOUR + HISTORY - 1))[0][:, 0]


def test_every_place_gets_every_hour_and_every_day(network: Forecaster, readings: Tensor) -> None:
    history = network.history(readings, readings, around())
    location, scale = network(history, torch.full((STATIONS,), FIRST_HOUR))
    assert location.shape == scale.shape == (STATIONS, 1, LEADS)
    assert (scale > 0).all()


def test_some_leads_alone_are_those_leads_of_all(network: Forecaster, readings: Tensor) -> None:
    history = network.history(readings, readings, around())
    origin, chosen = torch.full((STATIONS,), FIRST_HOUR), torch.tensor([0, 7, 49])
    everything, some = network(history, origin), network(history, origin, chosen)
    for whole, part in zip(everything, some, strict=True):
        torch.testing.assert_close(whole[..., chosen], part)


def test_permuting_the_pollutants_own_history_changes_the_forecast(network: Forecaster, readings: Tensor) -> None:
    permuted = readings.clone()
    permuted[..., 0] = readings[:, torch.randperm(HISTORY, generator=torch.Generator().manual_seed(1)), :, 0]
    change = (forecast(network, permuted, around()) - forecast(network, readings, around())).abs().max()
    assert change > 0.01


def test_permuting_the_other_pollutant_changes_the_forecast(network: Forecaster, readings: Tensor) -> None:
    permuted = readings.clone()
    permuted[..., 1] = readings[:, torch.randperm(HISTORY, generator=torch.Generator().manual_seed(1)), :, 1]
    assert (forecast(network, permuted, around()) - forecast(network, readings, around())).abs().max() > 1e-3


def test_a_gap_moves_no_other_hour(network: Forecaster, readings: Tensor) -> None:
    gap = readings.clone()
    gap[:, 30:40] = torch.nan
    whole, holed = (network.history(x, x, around()) for x in (readings, gap))
    outside = torch.ones(HISTORY, dtype=torch.bool)
    outside[30:40] = False
    # What the neighbours read is the same to the bit; so is what a station reads itself, where it does. (Where it is
    # silent, how it last stood to its neighbours fills in, and that may lie in the gap.)
    read = (whole.observed[:, outside] == 1).unflatten(-1, (2, 3))[..., 0]
    own, own_holed = (h.values[:, outside].unflatten(-1, (2, 3)) for h in (whole, holed))
    assert torch.equal(own[..., 1:], own_holed[..., 1:])
    assert torch.equal(own[..., 0][read], own_holed[..., 0][read])
    assert torch.equal(whole.observed[:, outside], holed.observed[:, outside])
    assert not holed.observed[:, ~outside].any()


def test_a_gap_of_one_station_is_filled_by_its_neighbours(network: Forecaster) -> None:
    readings = torch.full((1, HISTORY, STATIONS, 2), 1.5)
    readings[:, 10, 3] = torch.nan
    history = network.history(readings, readings, around())
    torch.testing.assert_close(history.values, torch.full_like(history.values, 1.5))
    kernels = 3
    own = history.observed[3, 10].unflatten(0, (2, kernels))[:, 0]
    assert not own.any()


def test_shuffling_the_stations_shuffles_the_forecast(network: Forecaster, readings: Tensor) -> None:
    order = np.random.default_rng(2).permutation(STATIONS)
    lat, lon = station_places()
    shuffled = find_neighbours(lat[order], lon[order], lat[order], lon[order], 4, exclude_self=True)
    first = forecast(network, readings, around())
    second = forecast(network, readings[:, :, order.tolist()], shuffled)
    torch.testing.assert_close(first[order.tolist()], second, atol=1e-4, rtol=1e-4)


def test_moving_every_station_east_changes_next_to_nothing(network: Forecaster, readings: Tensor) -> None:
    moved = forecast(network, readings, around(25.0))
    torch.testing.assert_close(forecast(network, readings, around()), moved, atol=1e-3, rtol=1e-3)


def test_a_silent_network_gives_a_finite_forecast(network: Forecaster) -> None:
    readings = torch.full((1, HISTORY, STATIONS, 2), torch.nan)
    history = network.history(readings, readings, around())
    assert isinstance(history, History)
    assert torch.isfinite(forecast(network, readings, around())).all()


def test_a_station_that_falls_silent_keeps_its_distance_from_its_neighbours_for_a_while(network: Forecaster) -> None:
    readings = torch.full((1, HISTORY, STATIONS, 2), 1.0)
    readings[:, :, 3] = 1.5
    readings[:, 40:, 3] = torch.nan
    own = network.history(readings, readings, around()).values[3].unflatten(-1, (2, 3))[:, 0, 0]
    assert own[39] == 1.5
    assert 1.45 < own[40] < 1.5
    assert own[40:].diff().max() < 0 and 1.1 < own[-1] < 1.2  # a day and some later a quarter of it is left


def test_each_lead_day_attends_to_the_history_by_weights_that_sum_to_one_and_differ(
    network: Forecaster, readings: Tensor
) -> None:
    history = network.history(readings, readings, around())
    with torch.no_grad():
        weights = network.attention(history, torch.full((STATIONS,), FIRST_HOUR + HISTORY - 1))
    assert weights.shape == (STATIONS, 2, HISTORY // 12)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(STATIONS, 2))
    assert (weights[:, 0] - weights[:, 1]).abs().max() > 1e-3


def test_covariates_of_the_history_change_the_forecast_and_missing_ones_are_none(readings: Tensor) -> None:
    config = small_forecast_config().forecast
    assert config is not None
    torch.manual_seed(0)
    built = Forecaster(2, [0], config, fields=3).eval()
    for parameter in built.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    fields = torch.randn(1, HISTORY, STATIONS, 3, generator=torch.Generator().manual_seed(4))
    holed = fields.clone()
    holed[..., 2] = torch.nan
    answers = []
    for beside in (fields, holed, 0 * fields):
        history = built.history(readings, readings, around(), beside)
        with torch.no_grad():
            answers.append(built(history, torch.full((STATIONS,), FIRST_HOUR + HISTORY - 1))[0])
    assert all(torch.isfinite(f).all() for f in answers)
    assert (answers[0] - answers[1]).abs().max() > 1e-3 and (answers[1] - answers[2]).abs().max() > 1e-3
