"""Windows of the long forecast: aligned with the clock, and no week in both training and early stopping."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from aqreanalysis.forecast.windows import Windows, daily_means
from aqreanalysis.model import Scaling

HOURS, FIRST = 24 * 300, 400_000


@pytest.fixture(scope="module")
def windows() -> Windows:
    values = np.arange(HOURS, dtype=np.float32)[:, None, None] + np.zeros((1, 3, 2), np.float32)
    scaling = Scaling(offset=1.0, mean=0.0, std=1.0, typical_error=1.0)
    return Windows.build(values, FIRST, [scaling, scaling], [0], [72, 48])


def test_a_window_ends_at_its_origin_and_the_truth_begins_an_hour_later(windows: Windows) -> None:
    before, truth, stamps = windows.batch(np.array([100]))
    assert np.expm1(before[0, -1, 0, 0]) == pytest.approx(100, rel=1e-5)  # log(x + 1) scaled by nothing
    assert truth[0, 0, 0, 0] == 101 + 1
    assert stamps.tolist() == [FIRST + 100]
    assert truth[0, 0, 0, 48] == pytest.approx(np.arange(101, 125).mean() + 1)


def test_no_lead_hour_is_in_training_and_in_what_stops_it(windows: Windows) -> None:
    for member in range(3):
        train, held = windows.held_out(member, 3)
        assert len(train) and len(held)
        hours = [set((o[:, None] + np.arange(1, 49)).ravel().tolist()) for o in (train, held)]
        assert not hours[0] & hours[1]


def test_members_are_stopped_by_different_weeks(windows: Windows) -> None:
    held = [set(windows.held_out(member, 3)[1].tolist()) for member in range(3)]
    assert not held[0] & held[1] and not held[1] & held[2]


def test_a_day_needs_eighteen_of_its_hours() -> None:
    day = torch.arange(48.0)
    day[:6] = torch.nan
    day[24:31] = torch.nan
    means = daily_means(day)
    assert means[0] == torch.arange(6.0, 24.0).mean()
    assert torch.isnan(means[1])


def test_covariates_are_those_of_the_history(windows: Windows) -> None:
    assert windows.fields_before(np.array([100])) is None
    fields = torch.arange(HOURS, dtype=torch.float32)[:, None, None].expand(HOURS, 3, 1)
    before = replace(windows, fields=fields).fields_before(np.array([100, 200]))
    assert before is not None
    assert before[:, :, 0, 0].tolist() == [list(range(29, 101)), list(range(129, 201))]
