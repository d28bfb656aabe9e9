from __future__ import annotations

import numpy as np
import pytest

from aqreanalysis.grids import load_grid
from aqreanalysis.nature.region import TransportLattice
from aqreanalysis.nature.synthetic_weather import TOP
from aqreanalysis.nature.transport import departure_matrix, diurnal_mixing, interior, split_oxidants


@pytest.fixture(scope="module")
def lattice() -> TransportLattice:
    return TransportLattice.around(load_grid("nature-0.1"))


def bump(lattice: TransportLattice, east: float, north: float) -> np.ndarray:
    x, y = lattice.flat_km
    return np.exp(-0.5 * ((x - east) ** 2 + (y - north) ** 2) / 25.0**2)


def centre(lattice: TransportLattice, field: np.ndarray) -> tuple[float, float]:
    x, y = lattice.flat_km
    return float((x * field).sum() / field.sum()), float((y * field).sum() / field.sum())


def test_a_wind_carries_a_cloud_as_far_as_it_blows(lattice: TransportLattice) -> None:
    cells = lattice.flat_lat.size
    carry = departure_matrix(lattice, np.full(cells, 5.0), np.full(cells, -3.0), 1 / 3)
    field = bump(lattice, -60.0, 40.0)
    before = centre(lattice, field)
    for _ in range(9):
        field = carry @ field
    after = centre(lattice, field)
    # Three hours at 5 and -3 m/s.
    assert after[0] - before[0] == pytest.approx(54.0, abs=0.5)
    assert after[1] - before[1] == pytest.approx(-32.4, abs=0.5)


def test_transport_makes_no_new_extremes_at_any_wind(lattice: TransportLattice) -> None:
    rng = np.random.default_rng(0)
    cells = lattice.flat_lat.size
    carry = departure_matrix(lattice, rng.normal(0, 60, cells), rng.normal(0, 60, cells), 1.0)
    field = rng.random(cells)
    for _ in range(5):
        moved = carry @ field
        assert moved.min() >= field.min() - 1e-6
        assert moved.max() <= field.max() + 1e-6
        field = moved
    np.testing.assert_allclose(carry @ np.ones(cells), 1.0, atol=1e-6)


def test_a_boundary_layer_that_breathes_keeps_the_mass() -> None:
    rng = np.random.default_rng(1)
    state = rng.random((50, 12)) * 100
    before, now = rng.uniform(110, 2200, 50), rng.uniform(110, 2200, 50)
    mass = state[:, :6] * before[:, None] + state[:, 6:] * (TOP - before)[:, None]
    diurnal_mixing(state, before, now)
    np.testing.assert_allclose(state[:, :6] * now[:, None] + state[:, 6:] * (TOP - now)[:, None], mass)
    assert (state >= 0).all()


def test_a_growing_layer_dilutes_and_a_shrinking_one_does_not() -> None:
    state = np.array([[10.0] * 6 + [0.0] * 6, [10.0] * 6 + [0.0] * 6])
    diurnal_mixing(state, np.array([500.0, 1000.0]), np.array([1000.0, 500.0]))
    np.testing.assert_allclose(state[0, :6], 5.0)
    np.testing.assert_allclose(state[1, :6], 10.0)
    np.testing.assert_allclose(state[1, 6:], 10.0 * 500 / 2000)


def test_ozone_and_no2_are_in_balance_by_day_and_all_but_exclude_no_by_night() -> None:
    nox, ox = np.array([20.0, 60.0, 5.0]), np.array([50.0, 40.0, 45.0])
    o3, no2 = split_oxidants(nox, ox, np.full(3, 0.8))
    np.testing.assert_allclose(o3 + no2, ox)
    np.testing.assert_allclose(o3 * (nox - no2), 16.6 * no2)
    o3, no2 = split_oxidants(nox, ox, np.zeros(3))
    np.testing.assert_allclose(no2, np.minimum(nox, ox), atol=2.0)
    assert 0 < o3[1] < 2.0  # a little O3 is left where NO is in excess


def test_the_margin_is_cut_off_to_the_grid(lattice: TransportLattice) -> None:
    grid = load_grid("nature-0.1")
    lat = interior(lattice, np.stack([lattice.flat_lat, lattice.flat_lon]))
    assert lat.shape == (2, *grid.shape)
    np.testing.assert_allclose(lat[0, :, 0], grid.lat)
    np.testing.assert_allclose(lat[1, 0], grid.lon)
