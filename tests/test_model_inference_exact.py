"""Grids whose cells have kriging systems of their own: in patches they keep the numbers of each cell."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from model_case import make_bundle, make_readings

from aqreanalysis.configs import load_config
from aqreanalysis.model import AnalysisPredictor
from aqreanalysis.model.inference import exact as module
from aqreanalysis.model.inference.exact import group_into_blocks
from aqreanalysis.model.inference.lattice import choose_lattice
from aqreanalysis.model.network.aqnet import AQNet
from aqreanalysis.model.network.neighbours import find_neighbours

STEPS = (0.2, 0.25)


@pytest.fixture(scope="module")
def readings():
    return make_readings(days=2, padded=True)


@pytest.fixture(scope="module")
def predictor():
    return AnalysisPredictor(make_bundle(), "cpu")


def grid(rows=19, columns=13):
    lat, lon = np.meshgrid(38.0 + STEPS[0] * np.arange(rows), 115.5 + STEPS[1] * np.arange(columns), indexing="ij")
    return lat.ravel(), lon.ravel()


def estimate(predictor, readings, places, steps):
    encoded = predictor.encode(readings.values, readings.hours, readings.lat, readings.lon)
    geometry = predictor.geometry(readings.lat, readings.lon, *places, steps)
    return geometry, predictor.predict(encoded, geometry)


def test_cells_in_patches_have_the_numbers_of_places_one_by_one(predictor, readings):
    blocks, result = estimate(predictor, readings, grid(), STEPS)
    alone, expected = estimate(predictor, readings, grid(), None)
    assert blocks.blocks is not None and alone.blocks is None
    assert np.array_equal(blocks.nearest_km, alone.nearest_km)
    for key in predictor.species:
        one, other = result[key].summary(), expected[key].summary()
        for layer in ("best", "standard_error", "lower", "upper"):
            assert np.allclose(getattr(one, layer), getattr(other, layer), rtol=1e-5, atol=1e-5)
        assert np.array_equal(result[key].observations_used, expected[key].observations_used)


def test_a_part_of_a_grid_has_the_numbers_of_the_whole(predictor, readings):
    lat, lon = grid()
    some = (lat > 38.5) & (lon > 116.1) & ((lat * 5).round() % 3 != 0)
    _, whole = estimate(predictor, readings, (lat, lon), STEPS)
    _, part = estimate(predictor, readings, (lat[some], lon[some]), STEPS)
    for key in predictor.species:
        assert np.array_equal(part[key].best, whole[key].best[:, some])


@pytest.mark.parametrize("steps", [(0.02, 0.03), (0.2, 0.25)])
def test_an_estimate_of_full_width_has_the_same_bits_in_any_tile_and_any_block(steps):
    # Sizes that are no multiple of what the processor takes at once; the finer grid shares systems, the other does not.
    drawn = np.random.default_rng(6)
    config = load_config({"species": ["pm25"], "model": {"neighbours": 13, "head_width": 30, "geography": False}})
    lat, lon = drawn.uniform(38, 41, 90), drawn.uniform(115, 119, 90)
    bundle = make_bundle()
    bundle = dataclasses.replace(bundle, config=config, members=[AQNet(1, [0], config.model).state_dict()])
    predictor = AnalysisPredictor(bundle, "cpu")
    assert (choose_lattice(lat, lon, 13, steps) is not None) == (steps[0] < 0.1)
    before, after = predictor.history_hours, predictor.lookahead_hours
    hours = np.arange(24 * 17_900 + 1 - before, 24 * 17_905 + 1 + after)
    values = np.exp(drawn.normal(3, 0.6, (len(hours), 90, 1))).astype(np.float32)
    values[drawn.random(values.shape) < 0.1] = np.nan
    rows, columns = 38.6 + steps[0] * np.arange(12), 116.1 + steps[1] * np.arange(12)
    places = np.meshgrid(rows, columns, indexing="ij")

    def find(days: slice, some: slice) -> dict[str, np.ndarray]:
        own = slice(24 * days.start, 24 * days.stop + before + after)
        cells = [axis[some, some].ravel() for axis in places]
        result = predictor.predict(
            predictor.encode(values[own], hours[own], lat, lon), predictor.geometry(lat, lon, *cells, steps)
        )["pm25"]
        return {**vars(result.summary()), "above": result.exceedance(20.0)}

    whole = find(slice(0, 5), slice(0, 12))
    for days, some in ((slice(1, 2), slice(0, 12)), (slice(0, 5), slice(2, 9)), (slice(2, 5), slice(3, 4))):
        part, size = find(days, some), some.stop - some.start
        for name, layer in whole.items():
            same = layer[24 * days.start : 24 * days.stop].reshape(-1, 12, 12)[:, some, some]
            assert np.array_equal(part[name].reshape(-1, size, size), same), (name, days, some)


@pytest.mark.parametrize("most", [1, 12, 1000])
def test_each_cell_is_in_one_patch_and_patches_of_many_stations_are_cut(readings, monkeypatch, most):
    monkeypatch.setattr(module, "_MOST_STATIONS", most)
    lat, lon = grid()
    result = find_neighbours(readings.lat, readings.lon, lat, lon, 8)
    groups = group_into_blocks(result, lat, lon, STEPS)
    assert torch.equal(torch.cat(groups).sort().values, torch.arange(len(lat)))
    for group in groups:
        assert len(group) == 1 or len(torch.unique(result.index[group])) <= most
    if most == 1000:
        assert len(groups) == 4 * 3  # of eight cells a side, counted from the equator and from Greenwich
