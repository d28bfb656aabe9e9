from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.model.flow import Flow
from aqreanalysis.model.geometry import Geometry, find_neighbours

START = (60.0, 600.0, 0.8, 0.08)


def flow(lags: list[int], described: int = 2) -> Flow:
    torch.manual_seed(0)
    found = Flow(lags, START, described)
    with torch.no_grad():  # the wind as it is, and trajectories that go nowhere else
        found.speed.bias.zero_()
        found.log_along.zero_()
        found.astray.fill_(-20.0)
    return found


def blowing(u: float, v: float, places: int, reach: int = 12) -> torch.Tensor:
    wind = torch.zeros(1, 24 + 2 * reach, places, 2)
    wind[..., 0], wind[..., 1] = u, v
    return wind


def stations_in_a_row() -> tuple[np.ndarray, np.ndarray]:
    """Return stations along a parallel, west to east."""
    return np.full(9, 40.0), np.linspace(114.0, 118.0, 9)


def test_the_shift_is_the_way_that_the_air_went() -> None:
    made = flow([3, 0, -2])
    shift = made.shifts(blowing(5.0, -2.0, 1), torch.zeros(1, 48, 1, 2), 12)
    assert shift.shape == (24, 1, 3, 2)
    assert torch.allclose(shift[:, 0, 0], torch.tensor([3 * 3.6 * 5.0, 3 * 3.6 * -2.0]), atol=1e-3)
    assert torch.allclose(shift[:, 0, 1], torch.zeros(2), atol=1e-4)
    assert torch.allclose(shift[:, 0, 2], torch.tensor([-2 * 3.6 * 5.0, -2 * 3.6 * -2.0]), atol=1e-3)


def test_a_plume_that_the_wind_brings_is_found_upwind_at_the_lag() -> None:
    lat, lon = stations_in_a_row()
    place = np.array([40.0]), np.array([116.0])  # at the fifth station
    geometry = find_neighbours(lat, lon, *place, 9)
    made = flow([4])
    with torch.no_grad():
        made.log_nugget.fill_(-7.0)
    values = torch.zeros(24, 9, 1, 1)
    values[:, 3] = 2.0  # four hours ago the next station to the west was high
    kilometres = float(geometry.distance_km[0][geometry.index[0] == 3])
    wind = blowing(kilometres / 3.6 / 4, 0.0, 1)
    shift = made.shifts(wind, torch.zeros(1, 48, 1, 2), 12)
    with torch.no_grad():
        west, _ = made(made.base(geometry), values, shift, wind[:, 12:36].flatten(0, 1))
        calm, _ = made(made.base(geometry), values, torch.zeros_like(shift), wind[:, 12:36].flatten(0, 1))
    assert west[0, 0, 0, 0] > 1.6
    assert calm[0, 0, 0, 0] < 0.4


def test_without_wind_it_is_kriging_at_the_place() -> None:
    rng = np.random.default_rng(1)
    lat, lon = rng.uniform(39, 41, 12), rng.uniform(115, 118, 12)
    geometry = find_neighbours(lat, lon, lat[:3] + 0.05, lon[:3], 12)
    made = flow([0])
    values = torch.randn(24, 12, 1, 2)
    still = torch.zeros(24, 3, 2)
    with torch.no_grad():
        found, variance = made(made.base(geometry), values, torch.zeros(24, 3, 1, 2), still)
        between = made._covariance((geometry.position[0][:, None] - geometry.position[0][None]).square().sum(-1))
        towards = made._covariance(geometry.position[0].square().sum(-1))
    noise = math.exp(math.log(START[3])) + 1e-3
    share = geometry.distance_km[0] / geometry.reach_km[0]
    late = share.clamp(max=0.999) ** 8
    system = (between + torch.diag(noise + late / (1 - late))).double().numpy()
    weights = np.linalg.solve(system, towards.double().numpy())
    flat = np.linalg.solve(system, np.ones(12))
    z = values[5][geometry.index[0], 0].double().numpy()
    mean = (flat / flat.sum()) @ z
    assert found[0, 5, 0].numpy() == pytest.approx(mean + weights @ (z - mean), abs=2e-4)
    assert float(variance[0, 5, 0]) == pytest.approx(1 - weights @ towards.double().numpy(), abs=1e-3)


@settings(deadline=None, max_examples=20)
@given(turn=st.floats(0.0, 2 * math.pi))
def test_turning_wind_and_stations_together_changes_nothing(turn: float) -> None:
    rng = np.random.default_rng(2)
    position = torch.from_numpy(rng.uniform(-80, 80, (1, 6, 2))).float()
    c, s = math.cos(turn), math.sin(turn)
    rotation = torch.tensor([[c, -s], [s, c]], dtype=torch.float32)
    made = Flow([2], START, 2)
    values = torch.from_numpy(rng.standard_normal((24, 6, 1, 1))).float()
    wind, told = blowing(4.0, 1.0, 1), torch.zeros(1, 48, 1, 2)

    def carried(where: torch.Tensor, blow: torch.Tensor) -> torch.Tensor:
        geometry = Geometry(torch.arange(6)[None], where, torch.tensor([200.0]))
        with torch.no_grad():
            return made(made.base(geometry), values, made.shifts(blow, told, 12), blow[:, 12:36].flatten(0, 1))[0]

    assert torch.allclose(carried(position, wind), carried(position @ rotation.T, wind @ rotation.T), atol=1e-3)


def test_many_places_at_once_are_what_each_is_alone() -> None:
    rng = np.random.default_rng(3)
    lat, lon = rng.uniform(39, 41, 8), rng.uniform(115, 118, 8)
    many = find_neighbours(lat, lon, rng.uniform(39, 41, 1100), rng.uniform(115, 118, 1100), 5)
    made = flow([0, 3])
    values, shift, wind = torch.randn(24, 8, 2, 1), 50 * torch.randn(24, 1100, 2, 2), torch.randn(24, 1100, 2)
    with torch.no_grad():
        found, variance = made(made.base(many), values, shift, wind)
        one = Geometry(many.index[[777]], many.position[[777]], many.reach_km[[777]])
        alone, sure = made(made.base(one), values, shift[:, [777]], wind[:, [777]])
    assert torch.allclose(found[777], alone[0], atol=1e-5) and torch.allclose(variance[777], sure[0], atol=1e-5)


def test_everything_in_it_learns() -> None:
    rng = np.random.default_rng(4)
    lat, lon = rng.uniform(39, 41, 8), rng.uniform(115, 118, 8)
    geometry = find_neighbours(lat, lon, lat[:2] + 0.1, lon[:2], 5)
    made = Flow([0, 3], START, 2)
    wind = 3 * torch.randn(1, 48, 2, 2)
    shift = made.shifts(wind, torch.randn(1, 48, 2, 2), 12)
    found, variance = made(made.base(geometry), torch.randn(24, 8, 2, 1), shift, wind[:, 12:36].flatten(0, 1))
    (found.square().sum() + variance.sum()).backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all() and parameter.grad.any(), name
