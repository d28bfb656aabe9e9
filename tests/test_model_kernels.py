"""The compiled loops of the sweep: they give what torch gives for the same step, and hide no NaN."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from model_case import make_bundle, make_readings

from aqreanalysis.model import AnalysisPredictor
from aqreanalysis.model.distribution.hourly import Calibration, Predictive
from aqreanalysis.model.inference.lattice import LatticeKriging, choose_lattice, sort_into_lattice_cells
from aqreanalysis.model.inference.lattice_gpu import (
    assign_to_lattice_cells,
    lattice_neighbourhood,
    solve_lattice_systems,
)
from aqreanalysis.model.kernels import attention, multiply
from aqreanalysis.model.kernels import numba_setup as arithmetic
from aqreanalysis.model.network.neural_knn import NeuralKNN
from aqreanalysis.model.network.scaling import Scaling


@arithmetic.compiled
def exponentials(x, out):
    for i in range(x.size):
        out[i] = arithmetic.exp(x[i])


def test_the_exponential_is_right_to_two_units_of_the_last_place():
    x = np.linspace(-86, 87, 200_001, dtype=np.float32)
    out = np.empty_like(x)
    exponentials(x, out)
    assert np.abs(out / np.exp(x.astype(np.float64)) - 1).max() < 3e-7


def test_the_exponential_keeps_nan_and_stops_at_the_ends_of_float32():
    x = np.array([np.nan, -np.inf, np.inf, 0.0], np.float32)
    out = np.empty_like(x)
    exponentials(x, out)
    assert np.isnan(out[0]) and 0 <= out[1] < 1e-37 and out[2] > 1e38 and out[3] == 1.0


@torch.no_grad()
def test_weights_of_a_square_are_those_that_torch_gives():
    readings, predictor = make_readings(days=2, padded=True), AnalysisPredictor(make_bundle(), "cpu")
    stations, steps = (readings.lat, readings.lon), (0.02, 0.03)
    lat, lon = np.meshgrid(39.5 + 0.02 * np.arange(13), 116.4 + 0.03 * np.arange(11), indexing="ij")
    lattice = choose_lattice(*stations, 8, steps)
    squares = sort_into_lattice_cells(lattice, stations, (lat.ravel(), lon.ravel()), 8)
    network = predictor.networks[0]
    shared = LatticeKriging(network.knn, squares)
    nodes = squares.position, squares.reach_km
    for result, expected in zip(shared._solve(*nodes), solve_lattice_systems(network.knn, *nodes), strict=True):
        assert torch.allclose(result, expected, rtol=1e-3, atol=1e-3)
    seated = assign_to_lattice_cells(lattice, stations, (lat.ravel(), lon.ravel()), 8, torch.device("cpu"))
    around = lattice_neighbourhood(network, seated)
    for block in shared.weight_blocks():
        whole = torch.relu(block.kernels[network.whole][0])
        expected = around.nearby[block.places][:, block.stations]
        assert torch.allclose(whole / whole.sum(dim=-1, keepdim=True), expected, rtol=1e-3, atol=2e-5)
        assert torch.allclose(block.variance.log().mean(dim=0), around.variance[block.places], rtol=1e-3, atol=1e-4)
        assert torch.allclose(block.kernels.sum(dim=-1), torch.ones(()), atol=1e-4)


@torch.no_grad()
def test_systems_side_by_side_are_those_that_torch_solves_in_double_precision():
    # More places than are solved at once, and not a whole number of times as many.
    draw = np.random.default_rng(4)
    position = torch.from_numpy(draw.normal(0, 40, (83, 12, 2)).astype(np.float32))
    reach = torch.linalg.vector_norm(position, dim=-1).amax(dim=1) * 1.05
    knn = NeuralKNN(3)
    weights, variance = knn(position, reach)
    expected, spread = knn.double()(position.double(), reach.double())
    assert weights.dtype == torch.float32 and expected.dtype == torch.float64
    assert torch.allclose(weights.double(), expected, atol=2e-5)
    assert torch.allclose(variance.double(), spread, rtol=2e-4)


@torch.no_grad()
def test_a_place_has_the_same_weights_alone_and_among_others():
    draw = np.random.default_rng(5)
    position = torch.from_numpy(draw.normal(0, 40, (70, 9, 2)).astype(np.float32))
    reach = torch.full((70,), 200.0)
    knn = NeuralKNN(2)
    weights, variance = knn(position, reach)
    for place in (0, 17, 69):
        alone, own = knn(position[[place]], reach[[place]])
        assert torch.equal(alone[:, 0], weights[:, place]) and torch.equal(own[:, 0], variance[:, place])


@torch.no_grad()
@pytest.mark.parametrize(("steps", "width", "heads"), [(72, 32, 4), (5, 6, 2), (64, 8, 8)])
def test_attention_is_that_of_torch(steps, width, heads):
    draw = torch.Generator().manual_seed(0)
    query, given = torch.randn(7, 24, width, generator=draw), 3 * torch.randn(7, steps, 2 * width, generator=draw)
    result = np.empty(query.shape, np.float32)
    attention(query.numpy(), given.numpy(), heads, result)
    apart = [x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, *given.split(width, dim=-1))]
    expected = torch.nn.functional.scaled_dot_product_attention(*apart).transpose(1, 2).flatten(2)
    assert np.allclose(result, expected.numpy(), atol=2e-6, rtol=1e-5)


def test_attention_to_what_is_missing_is_missing_in_its_window_alone():
    given = np.ones((2, 40, 8), np.float32)
    given[1, 3, 0] = np.nan
    result = np.empty((2, 1, 4), np.float32)
    attention(np.ones((2, 1, 4), np.float32), given, 1, result)
    assert np.isfinite(result[0]).all() and np.isnan(result[1]).all()


def predictive(places=37, hours=5, levels=3, seed=0):
    """A distribution of tables that rise with probability, over more places than are turned at once."""
    draw = torch.Generator().manual_seed(seed)
    quantiles = np.sort(np.random.default_rng(seed).normal(size=(2, levels, 100)), axis=-1)
    table = Calibration(np.array([2.0, 40.0]), np.linspace(-1, 1, levels), quantiles)
    location = torch.randn(places, hours, generator=draw)
    scale = 0.1 + torch.rand(places, hours, generator=draw)
    nearest = 60 * torch.rand(places, generator=draw)
    return Predictive(location, scale, torch.ones(places, hours), nearest, Scaling(3.0, 0.9, 5.0, 1.0), table)


@pytest.mark.parametrize("levels", [1, 3, 5])
def test_a_summary_is_that_of_the_quantiles_one_by_one(levels):
    one = predictive(levels=levels)
    result = one.summary(0.8)
    assert result.best.shape == (5, 37)
    assert np.allclose(result.best, one.quantile(0.5), rtol=1e-5, atol=1e-5)
    assert np.allclose(result.lower, one.quantile(0.1), rtol=1e-5, atol=1e-5)
    assert np.allclose(result.upper, one.quantile(0.9), rtol=1e-5, atol=1e-5)


def test_a_summary_has_the_moments_that_torch_gives():
    one = predictive()
    result = one.summary()
    expected = one.summary_on_device()
    for name, layer in zip(("best", "standard_error", "lower", "upper", "mean"), expected, strict=True):
        assert np.allclose(getattr(result, name), layer.T.numpy(), rtol=1e-4, atol=1e-4), name


def test_a_summary_of_an_unknown_place_is_unknown():
    one = predictive()
    one._location[3, 2] = torch.nan
    result = one.summary()
    assert np.isnan([result.best[2, 3], result.upper[2, 3], result.standard_error[2, 3]]).all()
    assert np.isfinite(result.best).sum() == result.best.size - 1


def test_without_a_folder_to_keep_them_in_they_are_compiled_all_the_same(tmp_path):
    code = (
        "import numba.core.caching as caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "import numpy as np\n"
        "from aqreanalysis.model.kernels import covariances\n"
        "towards = covariances(np.zeros((2, 1, 1), np.float32), np.ones((1, 3), np.float32), "
        "np.ones((1, 3), np.float32))\n"
        "print(float(towards[0, 0, 0]))\n"
    )
    given = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert float(given.stdout) == pytest.approx(0.999, abs=1e-5)


@pytest.mark.parametrize("rows", [1, 3, 4, 7, 25])
@pytest.mark.parametrize(("inner", "columns"), [(8, 24), (41, 168), (330, 9), (33, 1100)])
def test_a_product_has_the_same_bits_in_a_larger_one_and_with_zeros_in_between(rows, inner, columns):
    draw = np.random.default_rng(rows)
    left, right = (draw.standard_normal(shape, np.float32) for shape in ((rows, inner), (inner, columns)))
    result = np.empty((rows, columns), np.float32)
    multiply(left, right, result)
    assert np.allclose(result, left.astype(float) @ right.astype(float), atol=1e-4)
    places = np.sort(draw.choice(2 * inner, inner, replace=False))
    wide, long = (
        np.zeros((rows + 6, 2 * inner), np.float32),
        draw.standard_normal((2 * inner, columns + 77), np.float32),
    )
    wide[3:-3, places], long[places, 40:-37] = left, right
    larger = np.empty((rows + 6, columns + 77), np.float32)
    multiply(wide, long, larger)
    assert np.array_equal(larger[3:-3, 40:-37], result)


@pytest.mark.parametrize("levels", [1, 3, 5])
def test_the_probability_to_exceed_a_threshold_is_that_of_the_distribution(levels):
    one = predictive(levels=levels)
    for threshold in (0.0, 5.0, 16.0, 40.0, 1e4):
        assert np.allclose(one.exceedance(threshold), 1 - one.cdf(threshold), atol=2e-5), threshold
    assert (one.exceedance(-1.0) == 1).all()
