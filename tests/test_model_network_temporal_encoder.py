"""A station's own history."""

from __future__ import annotations

import pytest
import torch

from aqreanalysis.model.network.cyclic_encoding import CyclicEncoding
from aqreanalysis.model.network.temporal_encoder import TemporalEncoder

STEPS, FIRST, LAST = 48, 12, 36


@pytest.fixture(scope="module")
def encoder() -> TemporalEncoder:
    torch.manual_seed(0)
    return TemporalEncoder(inputs=1, clock=6, width=8, heads=2, dropout=0.3).eval()


@pytest.fixture
def series() -> torch.Tensor:
    return torch.randn(3, STEPS, 1, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def states(encoder, values, missing=()):
    observed = torch.ones_like(values)
    observed[:, list(missing)] = 0
    clock = CyclicEncoding()(429_529 + torch.arange(STEPS)).expand(len(values), -1, -1)
    return encoder(values * observed, observed, clock, FIRST, LAST)


def strongest_hour(encoder, values, hour, missing):
    moved = values.clone()
    moved[:, hour] += 3
    effect = (states(encoder, moved, missing) - states(encoder, values, missing)).norm(dim=-1)
    return effect.argmax(dim=1) + FIRST


def test_there_is_a_state_for_each_hour_of_the_day_whatever_is_missing(encoder, series):
    for missing in ((), (20,), range(STEPS)):
        found = states(encoder, series, missing)
        assert found.shape == (3, LAST - FIRST, 8)
        assert torch.isfinite(found).all()


@pytest.mark.parametrize("missing", [(), (20,), (5, 6, 7), (20, 21, 22, 23, 24, 25)])
def test_a_gap_does_not_shift_the_hours_after_it(encoder, series, missing):
    # A reading tells most about its own hour. Were missing hours squeezed out, its hour would come too early.
    assert (strongest_hour(encoder, series, 30, missing) == 30).all()


def test_a_missing_reading_is_not_a_reading_of_zero(encoder, series):
    zero = series.clone()
    zero[:, 20] = 0
    assert (states(encoder, zero) - states(encoder, zero, (20,))).abs().max() > 1e-3


def test_history_and_lookahead_both_reach_the_day(encoder, series):
    for hour in (3, 45):
        moved = series.clone()
        moved[:, hour] += 3
        assert (states(encoder, moved) - states(encoder, series)).abs().max() > 1e-3


def test_the_order_of_the_history_counts(encoder, series):
    turned = series.clone()
    turned[:, :FIRST] = series[:, :FIRST].flip(1)
    assert (states(encoder, turned) - states(encoder, series)).abs().max() > 1e-3


def test_one_sequence_knows_nothing_of_the_others(encoder, series):
    torch.testing.assert_close(states(encoder, series)[1:2], states(encoder, series[1:2]), atol=1e-6, rtol=1e-5)


def test_dropout_acts_in_training_only(encoder, series):
    torch.testing.assert_close(states(encoder, series), states(encoder, series), atol=0, rtol=0)
    encoder.train()
    try:
        assert not torch.equal(states(encoder, series), states(encoder, series))
    finally:
        encoder.eval()
