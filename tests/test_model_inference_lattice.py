"""Kriging systems shared by the cells of a dense grid weigh as exact ones do, and no edge stands between squares."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aqreanalysis.model.inference.lattice import Lattice, LatticeKriging, choose_lattice, sort_into_lattice_cells
from aqreanalysis.model.network.neighbours import find_neighbours
from aqreanalysis.model.network.neural_knn import NeuralKNN

NEIGHBOURS = 12


def network(lat=(30.0, 36.0), lon=(110.0, 118.0), count=90, seed=3):
    rng = np.random.default_rng(seed)
    return rng.uniform(*lat, count), rng.uniform(*lon, count)


def cells(lat, lon):
    grid = np.meshgrid(lat, lon, indexing="ij")
    return grid[0].ravel(), grid[1].ravel()


@torch.no_grad()
def solve(stations, places, lattice, knn=None, neighbours=NEIGHBOURS):
    """Return kernel weights (kernel, place, station), counts, variances (kernel, place), mean distances."""
    knn = knn or NeuralKNN(2)
    squares = sort_into_lattice_cells(lattice, stations, places, neighbours)
    total = len(places[0]), len(stations[0])
    weights, count = torch.zeros(2, *total), torch.zeros(total)
    variance, distances = torch.zeros(2, total[0]), torch.zeros(total[0], 2)
    for block in LatticeKriging(knn, squares).weight_blocks():
        weights[:, block.places[:, None], block.stations] = block.kernels
        count[block.places[:, None], block.stations] = block.count
        variance[:, block.places], distances[block.places] = block.variance, block.distances
    return weights, count, variance, distances


@torch.no_grad()
def solve_exactly(stations, places, knn=None, neighbours=NEIGHBOURS):
    geometry = find_neighbours(*stations, *places, neighbours)
    weights, variance = (knn or NeuralKNN(2))(geometry.position, geometry.reach_km)
    whole = torch.zeros(2, len(places[0]), len(stations[0]))
    return whole.scatter(2, geometry.index.expand(2, -1, -1), weights), variance, geometry.distance_km.mean(dim=1)


def test_at_a_node_the_shared_system_is_the_exact_one():
    stations = network()
    nodes = cells(np.arange(31.0, 35.1, 0.5), np.arange(111.0, 117.1, 0.5))
    weights, count, variance, distances = solve(stations, nodes, Lattice(0.5, 0.5))
    exact, exact_variance, mean = solve_exactly(stations, nodes)
    assert torch.allclose(weights, exact, atol=2e-4)
    assert torch.allclose(variance, exact_variance, atol=2e-4)
    assert torch.allclose(distances[:, 0], mean, rtol=1e-4)
    assert torch.equal(count.sum(dim=1), torch.full((len(nodes[0]),), float(NEIGHBOURS)))


@pytest.mark.parametrize("centre", [(33.0, 114.0), (0.0, 0.0), (33.0, 180.0), (88.0, 20.0)])
def test_with_every_station_a_neighbour_all_cells_have_the_exact_weights_everywhere_on_earth(centre):
    rng = np.random.default_rng(1)
    spread = 2.0 / max(np.cos(np.radians(centre[0])), 0.1)
    stations = centre[0] + rng.uniform(-1.5, 1.5, 10), centre[1] + rng.uniform(-spread, spread, 10)
    places = cells(centre[0] + np.arange(-0.5, 0.5, 0.07), centre[1] + np.arange(-0.5, 0.5, 0.07))
    weights, _, variance, _ = solve(stations, places, Lattice(0.35, 0.35), neighbours=10)
    exact, exact_variance, _ = solve_exactly(stations, places, neighbours=10)
    # The stations' distances among each other are taken in the plane about the node, not about the cell.
    assert torch.allclose(weights, exact, atol=5e-3)
    assert torch.allclose(variance, exact_variance, atol=5e-3)


def test_weights_sum_to_one_and_are_near_the_exact_ones():
    stations, places = network(), cells(np.arange(31.0, 35.0, 0.1), np.arange(111.0, 117.0, 0.1))
    weights, count, variance, _ = solve(stations, places, Lattice(0.3, 0.3))
    exact, exact_variance, _ = solve_exactly(stations, places)
    assert torch.allclose(weights.sum(dim=2), torch.ones(()), atol=1e-4)
    assert float((weights - exact).abs().sum(dim=2).mean()) < 0.1
    assert float((variance / exact_variance).log().abs().mean()) < 0.02
    assert torch.allclose(count.sum(dim=1), torch.full((len(places[0]),), float(NEIGHBOURS)), atol=1e-3)


def test_no_edge_stands_at_the_lines_of_the_lattice():
    stations = network()
    line = np.arange(32.0, 34.0, 0.0005)
    weights, *_ = solve(stations, (line, np.full(line.shape, 114.13)), Lattice(0.3, 0.3))
    steps = (weights[:, 1:] - weights[:, :-1]).abs().sum(dim=2)
    assert float(steps.max()) < 20 * float(steps.median())


def test_a_part_of_a_grid_and_a_shuffled_one_have_the_numbers_of_the_whole():
    stations, places = network(), cells(np.arange(31.0, 33.0, 0.1), np.arange(111.0, 114.0, 0.1))
    whole, *_ = solve(stations, places, Lattice(0.3, 0.3))
    some = np.random.default_rng(0).permutation(len(places[0]))[:70]
    part, *_ = solve(stations, (places[0][some], places[1][some]), Lattice(0.3, 0.3))
    assert torch.equal(part, whole[:, some])


def test_the_lattice_follows_the_network_and_sparse_grids_get_none():
    stations = network()
    reach = float(find_neighbours(*stations, *stations, NEIGHBOURS).reach_km.min())
    lattice = choose_lattice(*stations, NEIGHBOURS, (0.05, 0.1))
    assert lattice is not None and 111 * max(lattice.lat_step, lattice.lon_step) < 0.5 * reach
    assert lattice.lat_step / 0.05 == pytest.approx(round(lattice.lat_step / 0.05))
    assert choose_lattice(*stations, NEIGHBOURS, (2.0, 2.0)) is None
