"""A station's own history."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from aqreanalysis.errors import ConfigError
from aqreanalysis.model.network.temporal_encoder import CyclicEncoding, TemporalEncoder

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
        encoded = states(encoder, series, missing)
        assert encoded.shape == (3, LAST - FIRST, 8)
        assert torch.isfinite(encoded).all()


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


encode = CyclicEncoding()
DAY, WEEK, YEAR = [0, 3], [1, 4], [2, 5]


def hours(*stamps: str) -> torch.Tensor:
    return torch.tensor([int(pd.Timestamp(s).timestamp()) // 3600 for s in stamps])


@pytest.mark.parametrize("circle", [DAY, WEEK, YEAR])
def test_every_circle_has_radius_one(circle):
    points = encode(torch.arange(420_000, 440_000, 37))[:, circle]
    torch.testing.assert_close(points.norm(dim=1), torch.ones(len(points)))


def test_the_step_from_23_to_0_is_as_long_as_any_other_hour():
    points = encode(hours("2019-05-01 00:00") + torch.arange(49))[:, DAY]
    steps = (points[1:] - points[:-1]).norm(dim=1)
    assert steps.max() - steps.min() < 1e-6 and steps.min() > 0.2


def test_the_step_from_sunday_to_monday_is_as_long_as_any_other_hour():
    points = encode(hours("2019-05-01 00:00") + torch.arange(24 * 8))[:, WEEK]
    steps = (points[1:] - points[:-1]).norm(dim=1)
    assert steps.max() - steps.min() < 1e-6 and steps.min() > 0.03


def test_new_year_is_no_jump():
    before, after = encode(hours("2018-12-31 23:00", "2019-01-01 01:00"))[:, YEAR]
    assert (before - after).norm() < 0.002


def test_the_week_begins_on_monday():
    monday, next_monday = encode(hours("2019-05-06 00:00", "2024-02-05 00:00"))
    for point in (monday, next_monday):
        torch.testing.assert_close(point[WEEK], torch.tensor([0.0, 1.0]), atol=1e-6, rtol=0)


def test_equal_hours_of_different_days_share_the_day_circle_but_not_the_week():
    one, two = encode(hours("2019-05-06 07:00", "2019-05-07 07:00"))
    torch.testing.assert_close(one[DAY], two[DAY])
    assert (one[WEEK] - two[WEEK]).norm() > 0.5


def test_the_last_hours_of_this_century_are_still_told_apart():
    one, two = encode(hours("2099-12-31 22:00", "2099-12-31 23:00"))
    assert abs(float((one - two)[DAY].norm()) - 0.2610524) < 1e-5
    assert encode(torch.zeros(2, 3, dtype=torch.int64)).shape == (2, 3, 6)
    assert encode(torch.zeros(1, dtype=torch.int64)).dtype == torch.float32


@pytest.mark.parametrize(("width", "heads"), [(9, 3), (8, 3), (8, 1000)])
def test_a_width_that_its_heads_cannot_share_is_refused_with_both(width, heads):
    with pytest.raises(ConfigError, match=f"state_width {width} is no multiple of .* {heads}"):
        TemporalEncoder(1, 4, width, heads, 0.0)
