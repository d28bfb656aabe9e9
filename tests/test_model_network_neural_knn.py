"""The learnable kriging weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from model_case import make_readings, some_places

from aqreanalysis.model.network.neighbours import find_neighbours
from aqreanalysis.model.network.neural_knn import NeuralKNN

KERNELS = 3


@pytest.fixture(scope="module")
def knn() -> NeuralKNN:
    torch.manual_seed(2)
    knn = NeuralKNN(KERNELS)
    for parameter in knn.parameters():  # as after some training
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return knn


@torch.no_grad()
def weigh(knn, position, reach=1e4):
    position = torch.as_tensor(position, dtype=torch.float32)
    return knn(position[None], torch.full((1,), float(reach)))


def test_weights_sum_to_one_and_variances_are_positive(knn):
    readings = make_readings()
    geometry = find_neighbours(readings.lat, readings.lon, *some_places(), 8)
    with torch.no_grad():
        weights, variance = knn(geometry.position, geometry.reach_km)
    assert weights.shape == (KERNELS, 15, 8) and variance.shape == (KERNELS, 15)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(KERNELS, 15), atol=1e-5, rtol=0)
    assert (variance > 0).all()


def test_three_stations_at_one_place_get_about_one_vote():
    # A station west and three side by side east, equally far. A softmax over distance gives them 3 votes to 1; a
    # little more than 1 is right, since three instruments average out some of their noise.
    with torch.no_grad():
        weights, _ = weigh(NeuralKNN(KERNELS), [[-30, 0], [30, 0.1], [30, 0], [30, -0.1]])
    west, east = weights[:, 0, 0], weights[:, 0, 1:].sum(dim=-1)
    assert (east / west < 1.5).all()
    assert (east / west > 1.0).all()


def test_a_nearer_station_weighs_more_and_uncertainty_grows_with_distance(knn):
    weights, near = weigh(knn, [[5, 0], [-40, 0]])
    assert (weights[:, 0, 0] > weights[:, 0, 1]).all()
    _, far = weigh(knn, [[105, 0], [-140, 0]])
    assert (far > near).all()


def test_the_farthest_neighbour_has_faded_when_it_leaves_the_list():
    rng = np.random.default_rng(0)
    lat, lon = 40 + rng.uniform(-1, 1, 14), 116 + rng.uniform(-1, 1, 14)
    values = torch.from_numpy(rng.normal(0, 1, 14).astype(np.float32))
    walk = np.linspace(-0.5, 0.5, 2001)
    geometry = find_neighbours(lat, lon, 40 + 0.2 * walk, 116 + walk, 5)
    changes = (geometry.index.sort(dim=1).values.diff(dim=0) != 0).any(dim=1)
    assert changes.sum() >= 4  # the list does change on the way
    with torch.no_grad():
        weights, _ = NeuralKNN(KERNELS)(geometry.position, geometry.reach_km)
    field = (weights * values[geometry.index]).sum(dim=-1)
    steps = field.diff(dim=1).abs()
    # Steps are 45 m: a station cut off at its full weight would jump by tenths.
    assert steps[:, changes].max() < 0.02
    assert (field.max(dim=1).values - field.min(dim=1).values > 0.1).all()


def test_the_order_of_neighbours_counts_for_nothing(knn):
    position = torch.randn(7, 2, generator=torch.Generator().manual_seed(0)) * 30
    order = torch.tensor([3, 1, 6, 0, 2, 5, 4])
    weights, variance = weigh(knn, position)
    turned, same = weigh(knn, position[order])
    torch.testing.assert_close(turned, weights[..., order], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(same, variance, atol=1e-5, rtol=1e-4)


def test_co_located_stations_leave_weights_and_gradients_finite():
    # More stations at one place than neighbours are taken: even the first one left out is at distance zero.
    for reach in (50.0, 0.0):
        knn = NeuralKNN(KERNELS)
        weights, variance = knn(torch.zeros(1, 4, 2), torch.full((1,), reach))
        (weights.square().sum() + variance.sum()).backward()
        torch.testing.assert_close(weights, torch.full_like(weights, 0.25), atol=1e-4, rtol=0)
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in knn.parameters())


def test_weights_are_learned_and_depend_on_direction():
    knn = NeuralKNN(1)
    weights, variance = weigh_with_gradient(knn, [[20.0, 0], [0, 20], [-50, -50]])
    (weights[..., 0].sum() + variance.sum()).backward()
    for name, parameter in knn.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert abs((weights[0, 0, 0] - weights[0, 0, 1]).item()) > 0.01


def weigh_with_gradient(knn, position):
    return knn(torch.tensor(position)[None], torch.tensor([1e4]))


def test_many_places_outside_training_get_the_weights_that_each_gets_alone(knn):
    position = 50 * torch.randn(600, 5, 2, generator=torch.Generator().manual_seed(0))
    reach = torch.full((600,), 400.0)
    with torch.no_grad():
        weights, variance = knn(position, reach)
    together, spread = knn(position, reach)
    torch.testing.assert_close(weights, together.detach())
    torch.testing.assert_close(variance, spread.detach())
