"""The straight paths: fitted without what they are judged by, and mixed by what they are worth."""

from __future__ import annotations

import pytest
import torch
from forecast_case import small_forecast_config
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from aqreanalysis.model import Scaling
from aqreanalysis.model.forecaster import POWERS, Forecaster, logarithm, powered
from aqreanalysis.model.geometry import find_neighbours
from aqreanalysis.training import forecast_straight
from aqreanalysis.training.forecast_straight import Network, Rows, fit_straight

ROWS, LEADS, LEVELS = 400, 50, 4


@pytest.fixture
def model() -> Forecaster:
    config = small_forecast_config().forecast
    assert config is not None
    torch.manual_seed(0)
    return Forecaster(2, [0], config)


@pytest.fixture
def network() -> Network:
    lat = torch.linspace(39, 40, 4).double().numpy()
    scaling = Scaling(offset=1.0, mean=3.0, std=1.0, typical_error=10.0)
    return Network(find_neighbours(lat, lat + 77, lat, lat + 77, 3, exclude_self=True), [scaling], [scaling] * 2)


def rows_of(model: Forecaster, logs: Tensor, features: Tensor) -> Rows:
    """Return rows whose every lead is `logs` (row,), read off `features` (row, feature) by each path."""
    width = model.straight_width()
    padded = torch.cat((features, torch.zeros(len(features), width - features.shape[1]), torch.ones(len(logs), 1)), 1)
    noise = torch.randn(len(logs), 1, LEVELS, generator=torch.Generator().manual_seed(5))
    truth = torch.exp(3.0 + logs)[:, None, None].expand(-1, 1, LEADS).clone()
    return Rows([padded] * len(POWERS), noise, truth, torch.arange(len(logs)) * 4 // len(logs))


@settings(deadline=None)
@given(st.floats(-3, 3), st.floats(0.3, 1.5), st.sampled_from(POWERS))
def test_a_power_is_taken_back_by_its_logarithm(value: float, deviation: float, power: float) -> None:
    least = -3.0 / deviation  # below a twentieth of a typical concentration the way back stops
    values, by = torch.tensor([max(value, 0.95 * least)]).double(), torch.tensor([deviation]).double()
    torch.testing.assert_close(logarithm(powered(values, by, power), by, power), values)


def test_a_concentration_below_nothing_becomes_a_small_one() -> None:
    for power in POWERS[1:]:
        assert torch.isfinite(logarithm(torch.tensor([-5.0]), torch.tensor([1.0]), power)).all()


def test_each_part_is_forecast_without_its_own_rows_and_the_weights_without_the_part_held() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.cat((torch.randn(40, 3, generator=generator), torch.ones(40, 1)), 1).double()
    y, part = torch.randn(40, 2, generator=generator).double(), torch.arange(40) // 10
    weights, elsewhere = forecast_straight._left_out(x, y, part, 3)
    changed = y.clone()
    changed[part == 3] += 100.0
    # What the part held reads may choose the penalty and nothing else.
    solved = [
        forecast_straight._solve(x[part != 3].T @ x[part != 3], x[part != 3].T @ y[part != 3], p)
        for p in forecast_straight._PENALTIES
    ]
    again, _ = forecast_straight._left_out(x, changed, part, 3)
    for found in (weights, again):
        for lead in range(2):
            assert any(torch.allclose(found[:, lead], s[:, lead]) for s in solved)
    rest = (part != 3) & (part != 1)
    without = [
        forecast_straight._solve(x[rest].T @ x[rest], x[rest].T @ y[rest], p) for p in forecast_straight._PENALTIES
    ]
    assert any(torch.allclose((x[part == 1] @ s)[:, 0].float(), elsewhere[part == 1, 0]) for s in without)


@pytest.mark.parametrize("power", POWERS)
def test_the_mix_believes_the_path_that_is_straight_in_its_own_scale(
    model: Forecaster, network: Network, power: float
) -> None:
    generator = torch.Generator().manual_seed(2)
    features = 0.4 * torch.randn(ROWS, 2, generator=generator)
    one = torch.ones(1)
    with torch.no_grad():
        logs = logarithm(features @ torch.tensor([1.0, 0.6]), one, power)
        fit_straight(model, rows_of(model, logs + 0.02 * torch.randn(ROWS, generator=generator), features), 3, network)
        weights = torch.softmax(model.mix, dim=-1).mean(dim=(0, 1))
    assert int(weights.argmax()) == POWERS.index(power)
    assert weights[len(POWERS) :].sum() < 0.1  # the levels are noise
    assert float(model.spread.max()) < 0.2


def test_a_lead_that_is_missing_does_not_shrink_the_path(model: Forecaster, network: Network) -> None:
    generator = torch.Generator().manual_seed(3)
    features = 0.4 * torch.randn(ROWS, 1, generator=generator)
    rows = rows_of(model, features[:, 0], features)
    rows.truth[torch.rand(rows.truth.shape, generator=generator) < 0.3] = torch.nan
    with torch.no_grad():
        fit_straight(model, rows, 3, network)
    path = model.straight[0]
    assert isinstance(path, torch.nn.Linear)
    torch.testing.assert_close(path.weight[5:20, 0], torch.ones(15), atol=0.02, rtol=0)
