"""The filters along the hours: bands that sum to the value, trends that say where it goes."""

from __future__ import annotations

import pytest
import torch

from aqreanalysis.model.network.temporal_filters import (
    BANDS,
    BRIDGED_HOURS,
    REACH_HOURS,
    TRENDS,
    TemporalFilters,
    around_day,
    bridge_gaps,
)

HOURS = 24 + 2 * REACH_HOURS


@pytest.fixture
def filters() -> TemporalFilters:
    return TemporalFilters().eval()


def split(filters, series, known=None):
    """Return bands (24, band) and trends (24, trend) of one series (hour,) of one station and target."""
    filled = torch.as_tensor(series, dtype=torch.float32).view(1, HOURS, 1, 1)
    known = torch.ones(1, HOURS, 1) if known is None else known.view(1, HOURS, 1)
    with torch.no_grad():
        bands, trends = filters(filled, known, filled[:, REACH_HOURS:-REACH_HOURS])
    assert bands.shape == (1, 24, 1, 1, BANDS) and trends.shape == (1, 24, 1, 1, TRENDS)
    return bands[0, :, 0, 0], trends[0, :, 0, 0]


def test_bands_sum_to_the_value(filters):
    series = torch.randn(HOURS, generator=torch.Generator().manual_seed(0))
    bands, _ = split(filters, series)
    torch.testing.assert_close(bands.sum(dim=-1), series[REACH_HOURS:-REACH_HOURS])


def test_what_never_changes_lasts_and_has_no_trend(filters):
    bands, trends = split(filters, torch.full((HOURS,), 2.5))
    torch.testing.assert_close(bands, torch.tensor([2.5, 0.0, 0.0]).expand(24, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(trends, torch.zeros(24, TRENDS), atol=1e-5, rtol=0)


def test_a_single_hour_is_mostly_of_the_hour_and_a_slow_wave_mostly_lasts(filters):
    spike = torch.zeros(HOURS)
    spike[HOURS // 2] = 1.0
    bands, _ = split(filters, spike)
    assert bands[12, 2] > 0.6 and bands[12, 0] < 0.15
    wave = torch.sin(2 * torch.pi * torch.arange(HOURS) / 96)
    bands, _ = split(filters, wave)
    assert bands[:, 0].abs().max() > 5 * bands[:, 2].abs().max()


def test_a_rise_has_a_positive_trend_at_every_hour(filters):
    _, trends = split(filters, torch.arange(HOURS) / 10)
    assert (trends > 0).all()


def test_hours_without_any_report_are_left_out_of_averages_and_trends(filters):
    known = torch.ones(HOURS)
    known[20:26] = 0
    series = torch.full((HOURS,), 1.5)
    wrong = series.clone()
    wrong[20:26] = 99.0
    (bands, trends), (_, same) = split(filters, series, known), split(filters, wrong, known)
    torch.testing.assert_close(trends, same)
    torch.testing.assert_close(bands[:, 0], torch.full((24,), 1.5), atol=1e-4, rtol=0)


def test_what_is_held_to_be_at_an_hour_that_is_not_known_lasts(filters):
    bands, trends = split(filters, torch.full((HOURS,), 3.0), torch.zeros(HOURS))
    torch.testing.assert_close(bands, torch.tensor([3.0, 0.0, 0.0]).expand(24, 3))
    assert (trends == 0).all()


@pytest.mark.parametrize(("before", "after"), [(0, 0), (5, 40), (30, 3), (12, 12)])
def test_hours_that_a_window_does_not_hold_are_missing_and_the_others_stand_at_their_hour(before, after):
    windows = torch.arange(before + 24 + after, dtype=torch.float32).view(1, -1, 1, 1) - before
    cut = around_day(windows, before)[0, :, 0, 0]
    assert len(cut) == 24 + 2 * BRIDGED_HOURS
    wanted = torch.arange(-BRIDGED_HOURS, 24 + BRIDGED_HOURS, dtype=torch.float32)
    held = (wanted >= -before) & (wanted < 24 + after)
    assert torch.equal(cut[held], wanted[held]) and torch.isnan(cut[~held]).all()


def test_a_gap_of_all_stations_holds_what_each_read_in_the_nearest_hours():
    readings = torch.tensor([1.0, 4.0]).expand(1, 72, 2)[..., None].clone()
    readings[:, 40:] = torch.nan
    readings[0, 10, 1] = torch.nan
    bridged = bridge_gaps(readings)
    assert torch.equal(bridged[:, :40].nan_to_num(-9.0), readings[:, :40].nan_to_num(-9.0))
    torch.testing.assert_close(bridged[0, 40:, :, 0], torch.tensor([[1.0, 4.0]]).expand(32, 2))


def test_within_a_gap_the_nearer_end_counts_more_and_a_station_that_never_reported_stays_missing():
    readings = torch.full((1, 72, 2, 1), torch.nan)
    readings[:, :30, 0], readings[:, 42:, 0] = 0.0, 1.0
    bridged = bridge_gaps(readings)[0, ..., 0]
    inside = bridged[30:42, 0]
    assert (inside.diff() > 0).all() and inside[0] < 0.05 and inside[-1] > 0.95
    assert torch.isnan(bridged[:, 1]).all()
