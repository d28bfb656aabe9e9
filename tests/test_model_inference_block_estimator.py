"""The sweep of dense grids: patch by patch it gives what the whole network gives, with one member and with several."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from model_case import make_bundle, make_readings

from aqreanalysis.model import AnalysisPredictor
from aqreanalysis.model.inference.block_estimator import BlockEstimator, estimate_blocks
from aqreanalysis.model.inference.lattice import LatticeKriging, choose_lattice, sort_into_lattice_cells
from aqreanalysis.model.inference.lattice_gpu import assign_to_lattice_cells, lattice_neighbourhood
from aqreanalysis.model.network.neighbours import NearestStations

STEPS = (0.02, 0.03)


@pytest.fixture(scope="module")
def readings():
    return make_readings(days=2, padded=True)


def grid(rows=13, columns=11):
    lat, lon = np.meshgrid(39.5 + STEPS[0] * np.arange(rows), 116.4 + STEPS[1] * np.arange(columns), indexing="ij")
    return lat.ravel(), lon.ravel()


def encode(predictor, readings):
    return predictor.encode(readings.values, readings.hours, readings.lat, readings.lon)


@torch.no_grad()
@pytest.mark.parametrize("target", [0, 1])
def test_patches_give_what_the_network_gives_for_the_same_weights(readings, target):
    predictor = AnalysisPredictor(make_bundle(), "cpu")
    stations, places = (readings.lat, readings.lon), grid()
    lattice = choose_lattice(*stations, 8, STEPS)
    assert lattice is not None
    squares = sort_into_lattice_cells(lattice, stations, places, 8)
    assert len(squares.places) > 1
    network, states = predictor.networks[0], encode(predictor, readings).members[0]
    blocks = LatticeKriging(network.knn, squares).weight_blocks()
    nearest = torch.from_numpy(NearestStations.find(stations, places, torch.device("cpu"), 1).km[:, 0])
    seated = assign_to_lattice_cells(lattice, stations, places, 8, torch.device("cpu"))
    whole = network.estimate_at(states, lattice_neighbourhood(network, seated), target)
    parts = estimate_blocks(BlockEstimator(network, states, target), blocks, nearest, len(states.clock))
    for part, expected in zip(parts, whole, strict=True):
        assert torch.allclose(part, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("members", [1, 3])
def test_cells_of_a_dense_grid_are_near_those_estimated_one_by_one(readings, members):
    bundle = make_bundle(members=members)
    # With every station a neighbour of every cell, only the plane differs in which stations are apart.
    model = bundle.config.model.model_copy(update={"neighbours": len(readings.lat)})
    predictor = AnalysisPredictor(replace(bundle, config=bundle.config.model_copy(update={"model": model})), "cpu")
    encoded, stations, places = encode(predictor, readings), (readings.lat, readings.lon), grid()
    dense = predictor.predict(encoded, predictor.geometry(*stations, *places, STEPS))
    alone = predictor.predict(encoded, predictor.geometry(*stations, *places))
    for key in predictor.species:
        assert not np.array_equal(dense[key].best, alone[key].best)
        assert np.abs(dense[key].best / alone[key].best - 1).mean() < 0.005
        assert np.abs(dense[key].standard_error / alone[key].standard_error - 1).mean() < 0.005
        assert np.array_equal(dense[key].observations_used, alone[key].observations_used)


def test_a_part_of_a_dense_grid_has_the_numbers_of_the_whole(readings):
    predictor = AnalysisPredictor(make_bundle(), "cpu")
    encoded, stations, places = encode(predictor, readings), (readings.lat, readings.lon), grid()
    whole = predictor.predict(encoded, predictor.geometry(*stations, *places, STEPS), ["o3"])["o3"]
    some = slice(17, 60)
    part = predictor.predict(encoded, predictor.geometry(*stations, places[0][some], places[1][some], STEPS), ["o3"])
    assert np.allclose(part["o3"].best, whole.best[:, some], rtol=1e-5)
    assert np.allclose(part["o3"].standard_error, whole.standard_error[:, some], rtol=1e-4)


def test_what_the_tiles_of_a_block_share_is_made_once_and_not_sent_to_other_processes(readings):
    predictor = AnalysisPredictor(make_bundle(), "cpu")
    encoded, stations, places = encode(predictor, readings), (readings.lat, readings.lon), grid()
    geometry = predictor.geometry(*stations, *places, STEPS)
    first = predictor.predict(encoded, geometry)
    kept = dict(encoded.estimators)
    again = predictor.predict(encoded, geometry)
    assert set(kept) == {(0, 0), (0, 1)} and all(encoded.estimators[key] is sweep for key, sweep in kept.items())
    sent = pickle.loads(pickle.dumps(encoded))
    assert sent.estimators == {} and np.array_equal(sent.hours, encoded.hours)
    for key in predictor.species:
        for result in (again, predictor.predict(sent, geometry)):
            assert np.array_equal(result[key].best, first[key].best)
