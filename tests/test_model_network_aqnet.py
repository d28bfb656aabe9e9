"""The network: what reaches it, and what must not matter to it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scoringrules
import torch
from model_case import HISTORY, make_bundle, make_readings, small_config, some_places

from aqreanalysis.model import AQNet, lognormal_crps
from aqreanalysis.model.network.aqnet import mix_weights
from aqreanalysis.model.network.neighbours import find_neighbours
from aqreanalysis.model.network.temporal_filters import around_day


@pytest.fixture(scope="module")
def network() -> AQNet:
    network = AQNet(2, [0, 1], small_config().model)
    network.load_state_dict(make_bundle().members[0])
    return network.eval()


@pytest.fixture(scope="module")
def values() -> torch.Tensor:
    """One window of standardised readings, (window, hour, station, input)."""
    readings = make_readings(days=1, padded=True)
    return torch.from_numpy((np.log(readings.values) - 3.6) / 0.6)[None]


def estimate(network, values, sparse=False):
    with torch.no_grad():
        return run(network, values, sparse)


def run(network, values, sparse=False):
    """Return location and scale (place, hour) of the first target, and the stations' states."""
    readings = make_readings(days=1, padded=True)
    k = network.config.neighbours
    own = find_neighbours(readings.lat, readings.lon, readings.lat, readings.lon, k, exclude_self=True)
    there = find_neighbours(readings.lat, readings.lon, *some_places(), k)
    hours = torch.from_numpy(readings.hours)[None]
    stations = values.shape[2]
    states = network.encode_own_history(values, hours, HISTORY, HISTORY + 24)[0]
    heard = network.exchange_between_stations(
        states,
        around_day(values, HISTORY),
        network.clock(hours)[0, HISTORY : HISTORY + 24],
        network.station_weights(own, stations, sparse),
    )
    return *network.estimate_at(heard, network.neighbourhood(there, stations, sparse), 0), heard


def test_places_get_a_finite_location_and_a_positive_scale_each_hour(network, values):
    location, scale, reporting, _ = estimate(network, values)
    assert location.shape == scale.shape == reporting.shape == (15, 24)
    assert torch.isfinite(location).all() and (scale > 0).all()
    assert reporting.min() >= 0 and reporting.max() <= network.config.neighbours


def test_the_number_of_reporting_neighbours_is_counted(network, values):
    _, _, reporting, _ = estimate(network, values)
    readings = make_readings(days=1, padded=True)
    index = find_neighbours(readings.lat, readings.lon, *some_places(), network.config.neighbours).index
    seen = torch.isfinite(values[0, HISTORY : HISTORY + 24, :, 0])
    torch.testing.assert_close(reporting, seen[:, index].sum(dim=-1).T.to(torch.float32))


def test_sparse_and_dense_weights_give_the_same(network, values):
    for dense, sparse in zip(estimate(network, values)[:3], estimate(network, values, sparse=True)[:3], strict=True):
        torch.testing.assert_close(dense, sparse, atol=1e-5, rtol=1e-5)


def test_a_matrix_of_weights_holds_each_weight_at_its_station():
    weights, index = torch.tensor([[0.7, 0.3], [0.1, 0.9]]), torch.tensor([[3, 0], [1, 2]])
    wanted = torch.tensor([[0.3, 0, 0, 0.7], [0, 0.1, 0.9, 0]])
    assert torch.equal(mix_weights(weights, index, 4, sparse=False), wanted)
    assert torch.equal(mix_weights(weights, index, 4, sparse=True).to_dense(), wanted)


def test_gaps_are_filled_and_readings_at_first_believed(values):
    network = AQNet(2, [0, 1], small_config().model).eval()
    *_, heard = estimate(network, values)
    readings = values[0, HISTORY : HISTORY + 24]
    observed = torch.isfinite(readings)
    assert torch.isfinite(heard.value).all()
    assert torch.equal(heard.observed.bool(), observed)
    # trust starts at sigmoid(4): what is not believed of a reading is 2 % of its deviation from its neighbours
    assert (heard.value - readings)[observed].abs().max() < 0.1


def test_a_station_that_reports_no_target_is_as_one_that_reports_nothing(values):
    """It would look known otherwise: what is scored in training is hidden whole, never a station of others."""
    torch.manual_seed(0)
    network = AQNet(2, [0], small_config().model).eval()
    hours = torch.from_numpy(make_readings(days=1, padded=True).hours)[None]
    others, nothing = values.clone(), values.clone()
    others[:, :, 3, 0] = float("nan")
    nothing[:, :, 3] = float("nan")
    with torch.no_grad():
        states = [network.encode_own_history(v, hours, HISTORY, HISTORY + 24) for v in (values, others, nothing)]
    assert torch.equal(states[1], states[2]) and not torch.equal(states[0], states[1])
    once = others.clone()
    once[:, HISTORY + 2, 3, 0] = 0.5  # a reading, and what it measures beside counts again
    with torch.no_grad():
        assert not torch.equal(network.encode_own_history(once, hours, HISTORY, HISTORY + 24), states[1])


def test_an_hour_without_any_reading_is_estimated_from_the_hours_around_it(network, values):
    silent = values.clone()
    silent[:, HISTORY + 10] = float("nan")
    location, scale, reporting, _ = estimate(network, silent)
    assert torch.isfinite(location).all() and torch.isfinite(scale).all()
    assert (reporting[:, 10] == 0).all()
    moved = silent.clone()
    moved[:, HISTORY + 9] += 1
    assert (estimate(network, moved)[0] - location)[:, 10].abs().max() > 1e-3


def test_an_untrained_estimate_lies_within_what_the_neighbours_say(values):
    network = AQNet(2, [0, 1], small_config().model).eval()
    location, _, _, heard = estimate(network, values)
    # It is the mean of kriging models: it may overshoot the extremes a little, not more.
    assert (location.max(dim=0).values < heard.value[..., 0].max(dim=1).values + 0.3).all()
    assert (location.min(dim=0).values > heard.value[..., 0].min(dim=1).values - 0.3).all()


def test_every_part_of_the_network_learns(values):
    network = AQNet(2, [0, 1], small_config("model.dropout=0").model)
    network.load_state_dict(make_bundle().members[0])
    location, scale, _, _ = run(network, values)
    (location.square().mean() + scale.square().mean()).backward()
    learns = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    # The second target's estimates played no part here, so its own heads have nothing to learn from.
    silent = {name for name, _ in network.named_parameters() if name.startswith("head_") and ".1." in name}
    idle = {name for name, _ in network.named_parameters()} - learns - silent
    assert idle == set()


@pytest.mark.parametrize("scale", [0.05, 0.4, 1.3])
def test_the_score_of_a_log_normal_forecast_agrees_with_the_library(scale):
    rng = np.random.default_rng(0)
    location, y = rng.normal(3, 0.5, 200), rng.lognormal(3, 0.8, 200)
    crps = lognormal_crps(torch.from_numpy(y), torch.from_numpy(location), torch.full((200,), scale).double())
    np.testing.assert_allclose(crps.numpy(), scoringrules.crps_lognormal(y, location, np.full(200, scale)), rtol=1e-6)


def test_a_user_sees_no_warning_of_torch():
    # Torch warns once a process, so it takes one of its own.
    code = (
        "import torch; from aqreanalysis.model.network.aqnet import mix_weights\n"
        "weights = mix_weights(torch.ones(2, 1), torch.tensor([[1], [0]]), 2, sparse=True)\n"
        "print((weights @ torch.tensor([[2.0], [3.0]])).flatten().tolist())"
    )
    command = [sys.executable, "-W", "always::UserWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == "[3.0, 2.0]\n"
    assert done.stderr == ""
