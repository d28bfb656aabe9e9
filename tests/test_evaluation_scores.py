from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from aqreanalysis.evaluation import scores
from aqreanalysis.evaluation.scores import Sample, hours_in, period_means, periods, score, score_means, score_weighted

NAN = np.nan


def _sample(best: list[float], observed: list[float], half_width: float = 2.0) -> Sample:
    b, o = np.array(best)[None, :], np.array(observed)[None, :]
    return Sample(b, np.ones_like(b), b - half_width, b + half_width, np.abs(b - o), np.full_like(b, 0.4), o)


def test_errors_match_values_worked_by_hand() -> None:
    estimate, observed = np.array([1.0, 4.0, 7.0, NAN]), np.array([2.0, 2.0, 8.0, 5.0])
    assert scores.mae(estimate, observed) == pytest.approx(4 / 3)
    assert scores.rmse(estimate, observed) == pytest.approx(np.sqrt(2.0))
    assert scores.bias(estimate, observed) == pytest.approx(0.0)
    assert scores.r2(estimate, observed) == pytest.approx(1 - 6 / 24)


def test_errors_match_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    observed = rng.gamma(2, 20, 500)
    estimate = observed + rng.normal(3, 8, 500)
    assert scores.mae(estimate, observed) == pytest.approx(mean_absolute_error(observed, estimate))
    assert scores.rmse(estimate, observed) == pytest.approx(np.sqrt(mean_squared_error(observed, estimate)))
    assert scores.r2(estimate, observed) == pytest.approx(r2_score(observed, estimate))


def test_coverage_counts_the_bounds_in_and_unknown_out() -> None:
    lower, upper = np.zeros(5), np.array([1.0, 1.0, 1.0, 1.0, NAN])
    assert scores.coverage(lower, upper, np.array([0.0, 1.0, 1.5, NAN, 0.5])) == pytest.approx(2 / 3)


def test_width_counts_only_where_something_was_observed() -> None:
    assert scores.mean_width(np.zeros(3), np.array([1.0, 3.0, 50.0]), np.array([0.0, 0.0, NAN])) == 2.0


def test_central_coverage_of_a_uniform_pit_is_its_probability() -> None:
    pit = (np.arange(1000) + 0.5) / 1000
    assert scores.central_coverage(pit, 0.5) == pytest.approx(0.5)
    assert scores.central_coverage(pit, 0.95) == pytest.approx(0.95)


def test_nothing_observed_gives_no_score_rather_than_zero() -> None:
    result = scores.score(_sample([1.0, 2.0], [NAN, NAN]))
    assert result["n"] == 0
    assert all(np.isnan(v) for k, v in result.items() if k != "n")


def test_classes_together_hold_all_and_each_its_own_error() -> None:
    sample = _sample([1.0, 2.0, 10.0, 20.0], [2.0, 3.0, 15.0, 25.0])
    result = scores.score_by(sample, np.array([0, 0, 1, 1]), ["near", "far", "nowhere"])
    assert set(result) == {"near", "far"}
    assert (result["near"]["mae"], result["far"]["mae"]) == (1.0, 5.0)
    assert result["near"]["coverage"] == 1.0 and result["far"]["coverage"] == 0.0


def test_arrays_of_two_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        scores.mae(np.zeros((2, 1)), np.zeros(2))


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
    result = period_means(values, HOURS, "daily")
    assert np.isfinite(result).tolist() == [[True, True], [True, False]]


def test_errors_of_hours_that_cancel_leave_a_right_mean() -> None:
    observed = np.random.default_rng(0).gamma(3, 10, (48, 5))
    best = observed + np.where(np.arange(48) % 2, 4.0, -4.0)[:, None]
    result = score_means(best, observed, HOURS)
    assert result["daily"]["n"] == 10
    assert result["daily"]["mae"] == pytest.approx(0, abs=1e-9) and result["daily"]["r2"] == pytest.approx(1)
    assert result["monthly"]["n"] == 0 and np.isnan(result["monthly"]["mae"])


def test_both_sides_are_averaged_over_the_same_hours() -> None:
    observed = np.arange(48.0)[:, None] * np.ones((1, 2))
    best = observed.copy()
    best[2:5] = np.nan
    result = score_means(best, observed, HOURS)
    assert result["daily"]["mae"] == pytest.approx(0, abs=1e-9)


def test_weights_count_entries_as_if_they_stood_there_as_often() -> None:
    rng = np.random.default_rng(9)
    arrays = [rng.gamma(3, 10, (4, 5)) for _ in range(5)]
    best, observed, crps = arrays[:3]
    observed[1, 2] = np.nan
    weight = rng.integers(0, 4, 5)
    lower, upper = best - 12, best + 9
    sample = Sample(best, best, lower, upper, crps, crps, observed)
    often = Sample(*(np.repeat(a, weight, axis=1) for a in (best, best, lower, upper, crps, crps, observed)))
    expected = score(often)
    assert score_weighted(sample, weight) == pytest.approx({k: expected[k] for k in score_weighted(sample, weight)})
    assert all(np.isnan(value) for value in score_weighted(sample, np.zeros(5)).values())
