"""Distributions beside silent stations and in hours at which none reports."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aqreanalysis.model import Calibration, Predictive, Scaling
from aqreanalysis.model.distribution.silence import Silence, SilenceCalibration, climate_terms, usual_where_known
from aqreanalysis.model.distribution.smoothstep import smoothstep_weights_f64

HOURS, KM = 6, np.array([3.0, 12.0], np.float32)
NORMAL = Calibration.normal().quantiles[0]
SILENCE = SilenceCalibration(
    np.array([0.0, 10.0, 100.0]),
    np.log(np.array([0.2, 0.4, 1.0])),
    np.array([1.0, 48.0]),
    np.array([0.0, 1.0]),
    np.concatenate((NORMAL, 1.5 * NORMAL)),
    np.array([0.5, 0, 0, 0, 0, 0, 0]),
)
TABLE = Calibration(np.array([5.0, 50.0]), np.array([0.0]), np.stack((NORMAL, 1.2 * NORMAL)), SILENCE)
SCALING = Scaling(1.0, 3.0, 0.8, 5.0)


def silence(km=None, gap=None):
    reporting = np.repeat(KM[:, None], HOURS, axis=1) if km is None else np.asarray(km, np.float32)
    hours = np.zeros(HOURS, np.float32) if gap is None else np.asarray(gap, np.float32)
    until = np.where(hours > 0, np.inf, 0).astype(np.float32)
    return Silence(torch.from_numpy(reporting), hours, until, np.arange(HOURS))


def predictive(given, dtype=torch.float32):
    location, scale = torch.zeros(2, HOURS, dtype=dtype), torch.full((2, HOURS), 0.2, dtype=dtype)
    nearest = torch.from_numpy(KM).to(dtype)
    if given is not None:
        location, scale = SILENCE.answer(location, scale, nearest, given)
    return Predictive(location, scale, torch.ones(2, HOURS), nearest, SCALING, TABLE, given)


def widths(one):
    lower, upper = one.interval()
    return np.log((upper + 1) / (lower + 1)).T


def test_where_the_nearest_station_reports_nothing_changes():
    for name in ("best", "lower", "upper", "standard_error", "mean"):
        assert np.array_equal(getattr(predictive(silence()).summary(), name), getattr(predictive(None).summary(), name))


def test_an_interval_beside_a_silent_station_is_that_of_the_distance_to_the_next():
    far = np.repeat(KM[:, None], HOURS, axis=1)
    far[0, 2:4] = 60.0
    given = predictive(silence(far))
    usual = predictive(None)
    changed = np.zeros((2, HOURS), bool)
    changed[0, 2:4] = True
    assert (widths(given)[changed] > 1.5 * widths(usual)[changed]).all()
    assert np.array_equal(widths(given)[~changed], widths(usual)[~changed])
    assert np.array_equal(given.reporting_km.T, far)


def test_an_hour_without_any_reading_is_the_climatology_in_the_end():
    gap = [0, 1, 20, 40, 48, np.inf]
    given = predictive(silence(gap=gap))
    assert given.best[-1, 0] == pytest.approx(np.exp(3.0 + 0.8 * 0.5) - 1, rel=1e-4)
    wide = widths(given)[0]
    assert (np.diff(wide) >= 0).all() and wide[-1] == pytest.approx(2 * 1.645 * 1.5 * 0.8, rel=0.01)
    assert wide[-2] == wide[-1]


def test_a_gap_begins_at_what_was_read_last_and_follows_the_clock():
    clock = np.array([0, 0.7, 0.2, 0, 0, 0, 0])
    held = SilenceCalibration(
        SILENCE.distance_km, SILENCE.log_scale, SILENCE.gap_hours, SILENCE.climate, SILENCE.quantiles, clock
    )
    hours = np.arange(10, 16)
    since, never = np.arange(1, 7, dtype=np.float32), np.full(HOURS, np.inf, np.float32)
    read = 0.3 + float(climate_terms(np.array([9]))[0] @ clock)  # an excess of 0.3 at hour 9
    given = Silence(torch.zeros(1, HOURS), since, never, hours)
    location, _ = held.to_climatology(torch.full((1, HOURS), read), torch.ones(1, HOURS), given)
    excess = location[0].numpy() - climate_terms(hours) @ clock
    share = smoothstep_weights_f64(since, held.gap_hours) @ held.climate
    np.testing.assert_allclose(excess, 0.3 * (1 - share), atol=1e-5)
    assert excess[0] == pytest.approx(0.3, abs=1e-5) and (np.diff(excess) < 0).all()


def test_between_two_ends_of_a_gap_the_nearer_one_says_what_was_usual():
    clock = np.array([0, 1.0, 0, 0, 0, 0, 0])
    hours, since, until = np.array([6, 6, 6]), np.array([1, 3, np.inf]), np.array([5, 3, np.inf])
    usual = usual_where_known(hours, since, until, clock)
    at = climate_terms(np.array([5, 11, 3, 9, 6])) @ clock
    assert usual[0] == pytest.approx(at[0], abs=0.03) and usual[1] == pytest.approx((at[2] + at[3]) / 2)
    assert usual[2] == pytest.approx(at[4])


def mixed():
    far = np.repeat(KM[:, None], HOURS, axis=1)
    far[0, 1], far[1, 2:4], far[:, 5] = 60.0, 31.0, np.inf
    return silence(far, [0, 0, 0, 0, 3, np.inf])


@pytest.mark.parametrize("threshold", [0.0, 20.0, 60.0])
def test_the_compiled_loops_give_what_quantiles_one_by_one_give(threshold):
    one = predictive(mixed())
    summary = one.summary(0.9)
    lower, upper = one.interval(0.9)
    for quantile, expected in ((summary.best, one.best), (summary.lower, lower), (summary.upper, upper)):
        np.testing.assert_allclose(quantile, expected, rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(one.exceedance(threshold), 1 - one.cdf(threshold), atol=2e-4)
    on_device = one.summary_on_device(0.9)
    for name, layer in zip(("best", "standard_error", "lower", "upper", "mean"), on_device, strict=True):
        np.testing.assert_allclose(getattr(summary, name), layer.T.numpy(), rtol=2e-4, atol=1e-4)


def test_double_precision_answers_to_silence_as_single_does():
    one, other = predictive(mixed()), predictive(mixed(), torch.float64)
    np.testing.assert_allclose(one.best, other.best, rtol=1e-4)
    np.testing.assert_allclose(one.scale, other.scale, rtol=1e-5)


def test_a_table_without_silence_reads_distances_and_leaves_gaps_as_they_are():
    plain = Calibration(TABLE.distance_km, TABLE.level, TABLE.quantiles)
    location, scale = torch.zeros(2, HOURS), torch.full((2, HOURS), 0.2)
    given = mixed()
    nearest = torch.from_numpy(KM)
    one = Predictive(location, scale, torch.ones(2, HOURS), nearest, SCALING, plain, given)
    usual = Predictive(location, scale, torch.ones(2, HOURS), nearest, SCALING, plain)
    assert np.array_equal(widths(one)[:, 4:], widths(usual)[:, 4:])
    assert widths(one)[0, 1] > widths(usual)[0, 1]


def test_it_is_written_and_read_back():
    assert "silence" not in Calibration.normal().to_dict()
    again = Calibration.from_dict(TABLE.to_dict())
    assert again.silence is not None
    np.testing.assert_allclose(again.silence.quantiles, SILENCE.quantiles, atol=1e-6)
    np.testing.assert_allclose(again.silence.log_scale, SILENCE.log_scale, atol=1e-6)
