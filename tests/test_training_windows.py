"""Windows cut from the resident timeline."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from model_case import DAYS, FIRST_HOUR, HISTORY, LOOKAHEAD, STATIONS, make_readings, small_config

from aqreanalysis.model import Scaling
from aqreanalysis.training.run_folder import subsample_stride
from aqreanalysis.training.windows import Timeline

LENGTH = HISTORY + 24 + LOOKAHEAD


@pytest.fixture(scope="module")
def readings():
    return make_readings()


@pytest.fixture(scope="module")
def scalings(readings):
    return [Scaling.fit(readings.values[..., i]) for i in range(2)]


@pytest.fixture(scope="module")
def timeline(readings, scalings):
    return Timeline.build(readings.values, FIRST_HOUR, scalings, [1], small_config().window)


def test_a_window_is_the_day_with_the_hours_around_it(timeline, readings, scalings):
    windows, hours, truth = timeline.cut(torch.tensor([2, 4]))
    assert windows.shape == (2, LENGTH, STATIONS, 2) and truth.shape == (48, STATIONS, 1)
    for row, day in enumerate((2, 4)):
        first = 24 * day - HISTORY
        wanted = scalings[0].forward(readings.values[first : first + LENGTH, :, 0])
        np.testing.assert_array_equal(windows[row, :, :, 0].numpy(), wanted)
        assert torch.equal(hours[row], FIRST_HOUR + torch.arange(first, first + LENGTH))


def test_truths_are_shifted_readings_of_the_day_itself(timeline, readings, scalings):
    _, _, truth = timeline.cut(torch.tensor([3]))
    wanted = readings.values[72:96, :, 1] + np.float32(scalings[1].offset)
    np.testing.assert_array_equal(truth[..., 0].numpy(), wanted)
    assert torch.isnan(truth).any() and (truth[torch.isfinite(truth)] > 0).all()


def test_hours_outside_the_timeline_are_missing_and_not_left_out(timeline):
    windows, hours, _ = timeline.cut(torch.tensor([0, DAYS - 1]))
    assert torch.isnan(windows[0, :HISTORY]).all() and torch.isfinite(windows[0, HISTORY:]).any()
    assert torch.isnan(windows[1, -LOOKAHEAD:]).all() and torch.isfinite(windows[1, :-LOOKAHEAD]).any()
    assert (hours.diff(dim=1) == 1).all()


def test_the_hours_of_a_day_begin_at_01_and_end_at_midnight(timeline):
    _, hours, _ = timeline.cut(torch.arange(DAYS))
    assert (hours[:, HISTORY] % 24 == 1).all() and (hours[:, HISTORY + 23] % 24 == 0).all()


def test_a_missing_hour_leaves_the_window_as_long_as_it_is(readings, scalings, timeline):
    values = readings.values.copy()
    values[50:53] = np.nan
    with_gap = Timeline.build(values, FIRST_HOUR, scalings, [1], small_config().window)
    windows, hours, _ = with_gap.cut(torch.tensor([2]))
    whole, same_hours, _ = timeline.cut(torch.tensor([2]))
    assert windows.shape == whole.shape and torch.equal(hours, same_hours)
    begin = 50 - (48 - HISTORY)
    assert torch.isnan(windows[0, begin : begin + 3]).all()
    rest = [i for i in range(LENGTH) if not begin <= i < begin + 3]
    torch.testing.assert_close(windows[:, rest], whole[:, rest], equal_nan=True, rtol=0, atol=0)


@pytest.mark.parametrize(("hours", "first"), [(24, FIRST_HOUR + 1), (25, FIRST_HOUR)])
def test_a_timeline_of_broken_days_is_refused(readings, scalings, hours, first):
    with pytest.raises(ValueError, match="whole UTC days from 01:00 on"):
        Timeline.build(readings.values[:hours], first, scalings, [0], small_config().window)


def test_a_timeline_too_large_for_memory_is_the_same_in_a_mapped_file(readings, scalings, timeline, monkeypatch):
    monkeypatch.setattr("aqreanalysis.common.memory.MAPPED_BYTES", 0)
    monkeypatch.setattr("aqreanalysis.training.windows._PART_HOURS", 31)
    mapped = Timeline.build(readings.values, FIRST_HOUR, scalings, [1], small_config().window)
    for name in ("scaled", "shifted", "hours"):
        np.testing.assert_array_equal(getattr(mapped, name).numpy(), getattr(timeline, name).numpy())


def test_scalings_of_a_long_record_are_of_some_hours_and_of_every_hour_of_the_week():
    assert subsample_stride((8760, 467)) == 1
    for years in (2, 10, 40):
        step = subsample_stride((8766 * years, 2000))
        assert step == 1 or 8766 * years * 2000 / step <= 20_000_000
        assert len(set((np.arange(0, 8766 * years, step) % 168).tolist())) == 168
