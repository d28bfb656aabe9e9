"""The geometry of many cells at once is that of the squares one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from model_case import make_bundle, make_readings

from aqreanalysis.model import AnalysisPredictor
from aqreanalysis.model.inference.block_estimator import BlockEstimator, estimate_blocks
from aqreanalysis.model.inference.lattice import LatticeKriging, choose_lattice, sort_into_lattice_cells
from aqreanalysis.model.inference.lattice_gpu import (
    _neighbours,
    _unit_vectors,
    assign_to_lattice_cells,
    lattice_neighbourhood,
)
from aqreanalysis.model.network.neighbours import NearestStations, find_neighbours

STEPS = (0.02, 0.03)


def cells(keep):
    lat, lon = np.meshgrid(39.5 + STEPS[0] * np.arange(13), 116.4 + STEPS[1] * np.arange(11), indexing="ij")
    chosen = np.random.default_rng(0).permutation(lat.size)[: round(keep * lat.size)]
    return lat.ravel()[chosen], lon.ravel()[chosen]


@torch.no_grad()
@pytest.mark.parametrize("keep", [1.0, 0.4], ids=["whole", "masked"])
@pytest.mark.parametrize("members", [1, 2])
def test_all_cells_at_once_are_estimated_as_square_by_square(keep, members):
    readings = make_readings(days=2, padded=True)
    predictor = AnalysisPredictor(make_bundle(members=members), "cpu")
    stations, places = (readings.lat, readings.lon), cells(keep)
    encoded = predictor.encode(readings.values, readings.hours, *stations)
    lattice = choose_lattice(*stations, 8, STEPS)
    squares = sort_into_lattice_cells(lattice, stations, places, 8)
    seated = assign_to_lattice_cells(lattice, stations, places, 8, torch.device("cpu"))
    nearest = torch.from_numpy(NearestStations.find(stations, places, torch.device("cpu"), 1).km[:, 0])
    assert torch.allclose(seated.nearest_km, nearest, rtol=1e-5, atol=1e-4)
    for network, states in zip(predictor.networks, encoded.members, strict=True):
        blocks = LatticeKriging(network.knn, squares).weight_blocks()
        neighbourhood = lattice_neighbourhood(network, seated)
        for target in range(2):
            found = network.estimate_at(states, neighbourhood, target)
            expected = estimate_blocks(BlockEstimator(network, states, target), blocks, nearest, len(states.clock))
            for one, other in zip(found, expected, strict=True):
                assert torch.allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("k", [1, 8, 20, 40])
def test_neighbours_are_those_that_the_tree_finds(k):
    readings = make_readings(days=1)
    lat, lon = cells(0.3)
    expected = find_neighbours(readings.lat, readings.lon, lat, lon, k)
    stations, nodes = ([torch.from_numpy(x) for x in some] for some in ((readings.lat, readings.lon), (lat, lon)))
    index, position, reach = _neighbours(tuple(nodes), tuple(stations), _unit_vectors(*stations), k)
    assert torch.equal(index, expected.index)
    assert torch.allclose(position, expected.position, rtol=1e-5, atol=1e-4)
    assert torch.allclose(reach, expected.reach_km, rtol=1e-5)
