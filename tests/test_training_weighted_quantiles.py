"""Weighted residuals: their quantiles, and how many of them are independent."""

from __future__ import annotations

import numpy as np
import pytest

from aqreanalysis.model import PROBABILITIES
from aqreanalysis.training.weighted_quantiles import equal_shares, independent_means, recentred, weighted_quantiles


def test_errors_of_one_station_go_together():
    rng = np.random.default_rng(0)
    station, weight = np.repeat(np.arange(20), 50), np.ones(1000)
    noise = rng.normal(size=1000)
    assert independent_means(noise, station, weight) > 300
    assert independent_means(np.repeat(rng.normal(size=20), 50), station, weight) == pytest.approx(20, rel=0.01)


def test_a_value_of_weight_two_is_two_values():
    twice, once = np.array([1.0, 2.0, 2.0, 5.0]), np.array([1.0, 2.0, 5.0])
    middle = np.array([0.5])
    assert weighted_quantiles(once, np.array([1.0, 2.0, 1.0]), middle) == weighted_quantiles(twice, np.ones(4), middle)


def test_a_shift_that_is_taken_out_becomes_spread():
    shifted = np.linspace(-1, 1, 100) + 0.5
    found = recentred(shifted)
    assert np.interp(0.5, PROBABILITIES, found) == pytest.approx(0, abs=1e-9)
    assert np.mean(found**2) == pytest.approx(np.mean(shifted**2), rel=1e-3)


def test_a_station_asked_every_day_counts_as_much_as_one_asked_now_and_then():
    station = np.repeat([0, 1, 2, 3], [900, 100, 100, 10])
    shares = np.bincount(station, equal_shares(station)) / len(station)
    np.testing.assert_allclose(shares[:3], 1 / 3.1)
    np.testing.assert_allclose(shares[3], 0.1 / 3.1)  # ten readings say little of a place
    assert equal_shares(np.empty(0, np.int64)).size == 0
