"""A model with covariates on a grid: the compiled loops give what the network gives, and no bit hangs on the tile."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fields_case import FIRST, MadeUp, network, trained

from aqreanalysis.model.inference import wind_squares as squares_module
from aqreanalysis.model.inference.lattice_gpu import assign_to_lattice_cells, lattice_neighbourhood
from aqreanalysis.model.predictor import AnalysisGeometry, AnalysisPredictor
from aqreanalysis.model.protocol import load_predictor
from aqreanalysis.observations import window

WINDY = MadeUp(("u10", "v10", "blh", "pm25_background"))
GAPS = (FIRST + 60, FIRST + 61)


@pytest.fixture(scope="module")
def windy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(
        tmp_path_factory.mktemp("models") / "windy", WINDY, "species=[pm25, no2]", "training.learning_rate=0.1"
    )


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(
        tmp_path_factory.mktemp("models") / "calm",
        MadeUp(("t2m", "blh")),
        "species=[pm25]",
        "training.learning_rate=0.1",
    )


def cells(step: float, rows: slice = slice(24), columns: slice = slice(22)) -> tuple[np.ndarray, np.ndarray]:
    lat, lon = np.round(38.7 + step * np.arange(24), 10)[rows], np.round(115.1 + step * np.arange(22), 10)[columns]
    around = np.meshgrid(lat, lon, indexing="ij")
    return around[0].ravel(), around[1].ravel()


def encoded(predictor: AnalysisPredictor, first_day: int = 2, days: int = 2):
    readings = network()
    start = FIRST + 24 * first_day
    span = predictor.history_hours + 24 * days + predictor.lookahead_hours
    values, hours = window(readings, predictor.inputs, start - predictor.history_hours, span)
    return predictor.encode(values, hours, readings.lat, readings.lon)


def estimate(predictor, states, places, step=None, key="pm25"):
    readings = network()
    geometry = predictor.geometry(readings.lat, readings.lon, *places, None if step is None else (step, step))
    assert (geometry.blocks is not None) == (step is not None)
    return predictor.predict(states, geometry)[key].summary()


def without_lattice(predictor: AnalysisPredictor) -> AnalysisPredictor:
    """Return the predictor with systems of its own for each cell, and a regression on the covariates that counts."""
    predictor._lattice = lambda *_: None
    for part in predictor.networks:
        with torch.no_grad():
            part.surroundings.drift.copy_(0.1 * torch.randn(part.surroundings.drift.shape, generator=torch.Generator()))
            part.surroundings.drift_share.fill_(0.6)
            for i, *_ in part.surroundings.logarithms:
                part.surroundings.drift_amounts[i] = 0.05
            part.surroundings.drift_range.copy_(torch.tensor([[-1.0], [0.7]]).expand_as(part.surroundings.drift_range))
    return predictor


@pytest.fixture
def no_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all readings summed cell by cell."""
    monkeypatch.setattr(squares_module, "_MOST_CELLS", 1)


@pytest.mark.usefixtures("no_nodes")
@pytest.mark.parametrize("key", ["pm25", "no2"])
@pytest.mark.parametrize("missing", [(), GAPS])
def test_cells_have_the_numbers_that_the_network_gives_one_by_one(windy: Path, missing: tuple[int, ...], key: str):
    predictor = without_lattice(load_predictor(windy, "cpu", replace(WINDY, missing=missing)))
    states, places = encoded(predictor), cells(0.1)
    on_grid, apart = (estimate(predictor, states, places, step, key) for step in (0.1, None))
    assert np.allclose(on_grid.best, apart.best, rtol=2e-5)
    assert np.allclose(on_grid.standard_error, apart.standard_error, rtol=2e-5)


def test_readings_far_from_fine_cells_are_interpolated_to_a_thousandth_of_the_value(windy: Path):
    predictor = without_lattice(load_predictor(windy, "cpu", WINDY))
    states, places = encoded(predictor), cells(0.02)
    readings = network()
    geometry = predictor.geometry(readings.lat, readings.lon, *places, (0.02, 0.02))
    assert geometry.squares is not None and all(s.geometry[1].shape[1] for some in geometry.squares for s in some)
    on_grid, apart = predictor.predict(states, geometry)["pm25"].best, estimate(predictor, states, places).best
    off = np.abs(on_grid / apart - 1)
    assert np.median(off) < 5e-5 and off.max() < 1e-3


def test_without_wind_cells_have_the_numbers_of_the_network_too(calm: Path):
    predictor = without_lattice(load_predictor(calm, "cpu", MadeUp(("t2m", "blh"), missing=GAPS)))
    states, places = encoded(predictor), cells(0.1)
    on_grid, apart = (estimate(predictor, states, places, step) for step in (0.1, None))
    assert np.allclose(on_grid.best, apart.best, rtol=2e-5)


@pytest.mark.parametrize("step", [0.02, 0.1])
def test_a_part_of_the_grid_has_the_bits_of_the_whole(windy: Path, step: float):
    predictor = load_predictor(windy, "cpu", replace(WINDY, missing=GAPS))
    states = encoded(predictor)
    whole = estimate(predictor, states, cells(step), step)
    part = estimate(predictor, states, cells(step, slice(5, 14), slice(3, 20)), step)
    for name in ("best", "standard_error", "lower", "upper"):
        inside = getattr(whole, name).reshape(-1, 24, 22)[:, 5:14, 3:20]
        assert np.array_equal(inside.reshape(len(inside), -1), getattr(part, name)), name


def test_a_day_has_the_bits_that_it_has_in_a_longer_block(windy: Path):
    predictor = load_predictor(windy, "cpu", replace(WINDY, missing=GAPS))
    whole = estimate(predictor, encoded(predictor, 2, 3), cells(0.1), 0.1).best
    for day in range(3):
        assert np.array_equal(
            estimate(predictor, encoded(predictor, 2 + day, 1), cells(0.1), 0.1).best, whole[24 * day :][:24]
        )


def test_all_cells_at_once_as_on_a_gpu_have_the_numbers_of_the_squares(windy: Path):
    predictor = load_predictor(windy, "cpu", replace(WINDY, missing=GAPS))
    states, places, readings = encoded(predictor), cells(0.02), network()
    stations = readings.lat, readings.lon
    squares = predictor.geometry(*stations, *places, (0.02, 0.02))
    lattice = predictor._lattice(stations, (0.02, 0.02))
    seated = assign_to_lattice_cells(lattice, stations, places, predictor.config.model.neighbours, predictor.device)
    with torch.inference_mode():
        members = [lattice_neighbourhood(part, seated) for part in predictor.networks]
    at_once = AnalysisGeometry(members, squares.near, squares.nearest_km, *places)
    there, here = (predictor.predict(states, geometry)["pm25"].best for geometry in (at_once, squares))
    assert np.allclose(there, here, rtol=1e-3)


def test_days_that_threads_encode_apart_are_joined_to_the_same_states(windy: Path):
    predictor = load_predictor(windy, "cpu", WINDY)
    parts = predictor.split_hours(range(FIRST + 48, FIRST + 96), 2)
    assert len(parts) == 2
    joined = predictor.join([encoded(predictor, 2, 1), encoded(predictor, 3, 1)])
    sent = pickle.loads(pickle.dumps(joined))
    expected = estimate(predictor, encoded(predictor), cells(0.1), 0.1).best
    assert np.array_equal(estimate(predictor, sent, cells(0.1), 0.1).best, expected)
