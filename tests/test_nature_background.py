from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from aqreanalysis.nature import Nature, nature_run
from aqreanalysis.nature import background as background_module
from aqreanalysis.nature.background import simulate_background
from aqreanalysis.species import SPECIES

DAYS = 6


@pytest.fixture(scope="module")
def run() -> Nature:
    return nature_run(seed=2, days=DAYS)


def at_cells(run: Nature, layer: str) -> np.ndarray:
    """The background between its cells at those of the truth, an hour as the mean that it lies in."""
    field = run.background[layer].interp(lat=run.grid.lat, lon=run.grid.lon)
    return np.repeat(field.values, 3, axis=0)


def test_all_six_pollutants_are_means_of_three_hours_on_cells_of_0_4_degree_around_the_whole_grid(run: Nature) -> None:
    background = run.background
    assert set(background.data_vars) == {s.layer for s in SPECIES.values()}
    assert background.sizes["time"] == 8 * DAYS
    assert (np.diff(background["time_bnds"].values, axis=1) == np.timedelta64(3, "h")).all()
    assert background["time"].values[-1] == run.truth["time"].values[-1]
    for axis, cells in (("lat", run.grid.lat), ("lon", run.grid.lon)):
        centres = background[axis].values
        assert np.diff(centres) == pytest.approx(0.4)
        assert centres[0] <= cells[0]
        assert centres[-1] >= cells[-1]


def test_it_knows_of_the_truth_and_is_wrong_as_real_models_are(run: Nature) -> None:
    for layer in run.truth.data_vars:
        truth, model = run.truth[layer].values, at_cells(run, layer)
        correlation = np.corrcoef(truth.ravel(), model.ravel())[0, 1]
        assert 0.3 < correlation < 0.95, layer
    truth, model = run.truth["pm2p5"].values, at_cells(run, "pm2p5")
    # Too low a boundary layer and too weak a rain leave too much in the air.
    assert model.mean() > 1.05 * truth.mean()


def test_without_its_errors_the_model_would_be_the_truth(run: Nature, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = background_module.WeatherGenerator
    monkeypatch.setattr(background_module, "WeatherGenerator", lambda *a, **k: generator(*a))
    for name, right in (("LAYER_DEPTH", 1.0), ("RAIN", 1.0), ("INFLOW", 1.0)):
        monkeypatch.setattr(background_module, name, right)
    emitter = background_module.Emitter
    monkeypatch.setattr(background_module, "Emitter", lambda *a: emitter(*a[:4]))
    air, times, coarse = simulate_background(2, 1, run.grid)
    assert (times == run.background.indexes["time"][:8]).all()
    # A cell of the background that lies within the grid: 4 x 4 cells of the truth.
    row = int(np.flatnonzero(coarse.lat > run.grid.lat[0] + 0.2)[0])
    column = int(np.flatnonzero(coarse.lon > run.grid.lon[0] + 0.2)[0])
    inside = {"lat": slice(coarse.lat[row] - 0.2, coarse.lat[row] + 0.2)}
    inside["lon"] = slice(coarse.lon[column] - 0.2, coarse.lon[column] + 0.2)
    truth = run.truth["pm2p5"].isel(time=slice(0, 3)).sel(inside)
    assert truth.shape[1:] == (4, 4)
    assert air["pm25"][0, row, column] == pytest.approx(float(truth.mean()), rel=1e-5)


def test_each_error_alone_changes_the_air(run: Nature, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = simulate_background(2, 1, run.grid)[0]["pm25"]
    for name, right in (("LAYER_DEPTH", 1.0), ("RAIN", 1.0), ("INFLOW", 1.0), ("TOWN_ERROR", 0.0)):
        with monkeypatch.context() as patch:
            patch.setattr(background_module, name, right)
            assert not np.allclose(simulate_background(2, 1, run.grid)[0]["pm25"], whole, rtol=1e-3), name


def test_the_same_seed_gives_the_same_bits_whatever_the_stations_threads_and_length(run: Nature) -> None:
    with threadpool_limits(2, user_api="blas"):
        short = nature_run(seed=2, days=2, stations=20, species=["o3"]).background
    for layer in short.data_vars:
        np.testing.assert_array_equal(short[layer].values, run.background[layer].values[:16])
    assert set(short.data_vars) == set(run.background.data_vars)


def test_it_is_simulated_once_and_only_when_asked_for(run: Nature) -> None:
    fresh = replace(run)
    assert "background" not in vars(fresh)
    assert fresh.background is fresh.background
