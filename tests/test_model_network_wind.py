from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from aqreanalysis.common.geodesy import EARTH_RADIUS_KM, unit_vectors
from aqreanalysis.model.network.wind import KM_PER_HOUR, MOST_SITES, WindAdvection


def flow(lags: list[int], described: int = 2) -> WindAdvection:
    torch.manual_seed(0)
    carried = WindAdvection(lags, described)
    with torch.no_grad():  # the wind as it is, and trajectories that go nowhere else
        carried.speed.bias.zero_()
        carried.log_astray.fill_(-20.0)
    return carried


def points(lat: np.ndarray, lon: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(unit_vectors(lat, lon).astype(np.float32))


def blowing(u: float, v: float, places: int, reach: int = 12) -> torch.Tensor:
    wind = torch.zeros(1, 24 + 2 * reach, places, 2)
    wind[..., 0], wind[..., 1] = u, v
    return wind


def stations_in_a_row() -> tuple[np.ndarray, np.ndarray]:
    """Return stations along a parallel, west to east."""
    return np.full(9, 40.0), np.linspace(114.0, 118.0, 9)


def settled(
    made: WindAdvection, where: torch.Tensor, shift: torch.Tensor, then: torch.Tensor, now: torch.Tensor | None = None
):
    """Return the airborne of values (hour, station, lag, target), all of them known."""
    known = torch.ones(then.shape[0], then.shape[2], then.shape[3])
    return made.krige_readings(where, shift, (then[:, :, 0] if now is None else now, then), known)


def test_the_shift_is_the_way_that_the_air_went() -> None:
    made = flow([3, 0, -2])
    shift = made.displacements(blowing(5.0, -2.0, 1), torch.zeros(1, 48, 1, 2), 12)
    assert shift.shape == (24, 1, 3, 2)
    assert torch.allclose(shift[:, 0, 0], torch.tensor([3 * 3.6 * 5.0, 3 * 3.6 * -2.0]), atol=1e-3)
    assert torch.allclose(shift[:, 0, 1], torch.zeros(2), atol=1e-4)
    assert torch.allclose(shift[:, 0, 2], torch.tensor([-2 * 3.6 * 5.0, -2 * 3.6 * -2.0]), atol=1e-3)


def test_a_reading_moves_east_and_north_with_the_air_anywhere() -> None:
    made = flow([1])
    lat, lon = np.array([0.0, 60.0, -35.0]), np.array([0.0, 179.9, -120.0])
    shift = torch.tensor([30.0, -40.0]).expand(24, 3, 1, 2)
    airborne = settled(made, points(lat, lon), shift, torch.randn(24, 3, 1, 1))
    north, east = np.degrees(-40 / EARTH_RADIUS_KM), np.degrees(30 / EARTH_RADIUS_KM) / np.cos(np.radians(lat))
    there = EARTH_RADIUS_KM * unit_vectors(lat + north, lon + east)
    assert np.linalg.norm(airborne.where[0, :, :3].numpy(force=True) - there, axis=-1).max() < 0.5


def test_a_plume_that_the_wind_brings_is_found_upwind_at_the_lag() -> None:
    lat, lon = stations_in_a_row()
    place, others = points(lat[[4]], lon[[4]]), np.delete(np.arange(9), 4)
    where = points(lat[others], lon[others])
    made = flow([0, 4])
    with torch.no_grad():
        made.log_memory.fill_(10.0)
    values = torch.zeros(24, 8, 2, 1)
    values[:, 3, 1] = 2.0  # four hours ago the next station to the west was high
    kilometres = float((where[3] - place[0]).norm()) * EARTH_RADIUS_KM
    shift = made.displacements(blowing(kilometres / KM_PER_HOUR / 4, 0.0, 8), torch.zeros(1, 48, 8, 2), 12)
    with torch.no_grad():
        west, _ = made(settled(made, where, shift, values), place)
        calm, _ = made(settled(made, where, torch.zeros_like(shift), values), place)
        back, _ = made(settled(made, where, -shift, values), place)
    assert west[0, 0, 0] > 1.0
    assert calm[0, 0, 0] < 0.5 and back[0, 0, 0] < 0.3


def test_in_a_calm_and_without_lags_it_is_ordinary_kriging() -> None:
    rng = np.random.default_rng(1)
    lat, lon = rng.uniform(39, 41, 12), rng.uniform(115, 118, 12)
    where, places = points(lat, lon), points(lat[:3] + 0.05, lon[:3])
    made = flow([0])
    values = torch.randn(24, 12, 1, 1)
    with torch.no_grad():
        carried, carried_alone = made(settled(made, where, torch.zeros(24, 12, 1, 2), values), places)
        between = torch.cdist(where.double(), where.double()) * EARTH_RADIUS_KM
        towards = torch.cdist(places.double(), where.double()) * EARTH_RADIUS_KM
        system = made._covariance(between, torch.zeros(1)) + (math.exp(float(made.log_nugget)) + 0.01) * torch.eye(12)
        asked = made._covariance(towards, torch.zeros(1)).numpy()
    system = system.numpy()
    neighbourhood, there = (torch.softmax(-x / 500.0, dim=-1).numpy() for x in (between, towards))
    z = values[5, :, 0, 0].double().numpy()
    deviation = z - neighbourhood @ z
    flat = np.linalg.solve(system, np.ones(12))
    mean = flat @ deviation / flat.sum()
    expected = there @ z + mean + asked @ np.linalg.solve(system, deviation - mean)
    assert carried[:, 5, 0].numpy() == pytest.approx(expected, abs=2e-3)
    assert ((carried_alone > 0) & (carried_alone < 1)).all()


def test_what_all_stations_share_at_another_hour_is_not_brought() -> None:
    lat, lon = stations_in_a_row()
    made = flow([0, 3])
    values = torch.zeros(24, 9, 2, 1)
    values[:, :, 1] = 5.0  # three hours ago every station was as high
    with torch.no_grad():
        carried, _ = made(settled(made, points(lat, lon), torch.zeros(24, 9, 2, 2), values), points(lat + 0.3, lon))
    assert carried.abs().max() < 1e-4


def test_hours_without_any_reading_count_for_nothing() -> None:
    rng = np.random.default_rng(6)
    where = points(rng.uniform(39, 41, 9), rng.uniform(115, 118, 9))
    places = points(np.array([40.1]), np.array([116.0]))
    made, values = flow([0, 2]), torch.randn(24, 9, 2, 1)
    known = torch.ones(24, 2, 1)
    known[:, 1] = 0
    other = values.clone()
    other[:, :, 1] = 7 * torch.randn(24, 9, 1)
    shift = torch.zeros(24, 9, 2, 2)
    with torch.no_grad():
        carried, again = (
            made(made.krige_readings(where, shift, (v[:, :, 0], v), known), places)[0] for v in (values, other)
        )
    assert torch.equal(carried, again)


def test_the_wind_is_that_of_the_stations_around_that_have_any() -> None:
    lat, lon = stations_in_a_row()
    made, wind = flow([0]), torch.full((1, 3, 9, 2), torch.nan)
    wind[:, :2, 2], wind[:, :2, 6] = 1.0, 3.0
    with torch.no_grad():
        smooth = made.smoothed_wind(wind, points(lat, lon))
    assert torch.isfinite(smooth).all() and not smooth[:, 2].any()
    assert smooth[0, 0, 4, 0] == pytest.approx(2.0, abs=0.05)
    assert 1.0 < smooth[0, 0, 2, 0] < smooth[0, 0, 4, 0] < smooth[0, 0, 6, 0] < 3.0


def test_stations_of_a_large_network_are_joined_and_the_map_hardly_changes() -> None:
    rng = np.random.default_rng(7)
    towns = rng.uniform(0, 1, (100, 2)) * (4, 6) + (36, 112)
    lat, lon = (np.repeat(towns[:, i], 2) + 0.005 * rng.standard_normal(200) for i in (0, 1))
    where, places = points(lat, lon), points(rng.uniform(37, 39, 30), rng.uniform(113, 117, 30))
    made, values = flow([0, 1]), torch.from_numpy(np.sin(lat) + np.cos(lon)).float().view(1, -1, 1, 1)
    values, shift = values.expand(24, -1, 2, -1), torch.zeros(24, 200, 2, 2)
    with torch.no_grad():
        joined = settled(made, where, shift, values)
        order = torch.from_numpy(rng.permutation(200))
        carried = made(joined, places)[0]
        assert len(joined.sites) <= MOST_SITES
        assert torch.allclose(carried, made(settled(made, where[order], shift, values[:, order]), places)[0], atol=1e-3)
        single = made(settled(made, where[::2], shift[:, ::2], values[:, ::2]), places)[0]
    assert (carried - single).abs().max() < 0.05


def test_many_places_at_once_are_what_each_is_alone() -> None:
    rng = np.random.default_rng(3)
    where = points(rng.uniform(39, 41, 8), rng.uniform(115, 118, 8))
    many = points(rng.uniform(39, 41, 30_000), rng.uniform(115, 118, 30_000))
    made = flow([0, 3])
    with torch.no_grad():
        airborne = settled(made, where, 50 * torch.randn(24, 8, 2, 2), torch.randn(24, 8, 2, 1))
        carried, carried_alone = made(airborne, many)
        alone, sure = made(airborne, many[[777]])
    assert torch.allclose(carried[777], alone[0], atol=1e-5) and torch.allclose(carried_alone[777], sure[0], atol=1e-5)


def test_everything_in_it_learns() -> None:
    rng = np.random.default_rng(4)
    lat, lon = rng.uniform(39, 41, 8), rng.uniform(115, 118, 8)
    made = WindAdvection([0, 3], 2)
    torch.manual_seed(1)
    wind = made.smoothed_wind(3 * torch.randn(1, 48, 8, 2), points(lat, lon))
    shift = made.displacements(wind, torch.randn(1, 48, 8, 2), 12)
    airborne = settled(made, points(lat, lon), shift, torch.randn(24, 8, 2, 1))
    carried, carried_alone = made(airborne, points(lat[:2] + 0.1, lon[:2]))
    (carried.square().sum() + carried_alone.sum()).backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all() and parameter.grad.any(), name


def test_systems_that_are_solved_one_by_one_are_those_of_the_training() -> None:
    rng = np.random.default_rng(8)
    where = points(rng.uniform(39, 41, 12), rng.uniform(115, 118, 12))
    made, values, shift = flow([-1, 0, 2]), torch.randn(24, 12, 3, 2), 20 * torch.randn(24, 12, 3, 2)
    known = torch.ones(24, 3, 2)
    known[4, 1] = 0
    in_training = made.krige_readings(where, shift, (values[:, :, 1], values), known)
    with torch.no_grad():
        alone = made.krige_readings(where, shift, (values[:, :, 1], values), known)
    assert in_training.weight.requires_grad
    assert torch.allclose(alone.weight, in_training.weight, rtol=1e-4, atol=1e-4)
    assert torch.allclose(alone.mean, in_training.mean, rtol=1e-4, atol=1e-5)
