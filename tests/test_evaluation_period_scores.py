from __future__ import annotations

import numpy as np
import pytest

from aqreanalysis.evaluation.period_scores import hours_in, period_means, periods, score_means

FIRST = int(np.datetime64("2019-01-31T01", "h").astype(int))
HOURS = FIRST + np.arange(48)  # the last day of January and the first of February


def test_a_day_holds_the_stamps_from_one_to_midnight() -> None:
    days = periods(HOURS, "daily")
    assert np.bincount(days - days[0]).tolist() == [24, 24]
    assert np.unique(periods(HOURS, "monthly")).size == 2


def test_months_have_their_own_lengths() -> None:
    numbers = [int(np.datetime64(m, "M").astype(int)) for m in ("2019-01", "2019-02", "2020-02")]
    assert [hours_in(n, "monthly") for n in numbers] == [744, 672, 696]


def test_a_mean_needs_three_quarters_of_its_hours() -> None:
    values = np.ones((48, 2))
    values[:6, 0] = np.nan
    values[24:31, 1] = np.nan
    found = period_means(values, HOURS, "daily")
    assert np.isfinite(found).tolist() == [[True, True], [True, False]]


def test_errors_of_hours_that_cancel_leave_a_right_mean() -> None:
    observed = np.random.default_rng(0).gamma(3, 10, (48, 5))
    best = observed + np.where(np.arange(48) % 2, 4.0, -4.0)[:, None]
    found = score_means(best, observed, HOURS)
    assert found["daily"]["n"] == 10
    assert found["daily"]["mae"] == pytest.approx(0, abs=1e-9) and found["daily"]["r2"] == pytest.approx(1)
    assert found["monthly"]["n"] == 0 and np.isnan(found["monthly"]["mae"])


def test_both_sides_are_averaged_over_the_same_hours() -> None:
    observed = np.arange(48.0)[:, None] * np.ones((1, 2))
    best = observed.copy()
    best[2:5] = np.nan
    found = score_means(best, observed, HOURS)
    assert found["daily"]["mae"] == pytest.approx(0, abs=1e-9)
