from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from aqreanalysis.evaluation import scores
from aqreanalysis.evaluation.scores import Sample

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
    found = scores.score(_sample([1.0, 2.0], [NAN, NAN]))
    assert found["n"] == 0
    assert all(np.isnan(v) for k, v in found.items() if k != "n")


def test_classes_together_hold_all_and_each_its_own_error() -> None:
    sample = _sample([1.0, 2.0, 10.0, 20.0], [2.0, 3.0, 15.0, 25.0])
    found = scores.score_by(sample, np.array([0, 0, 1, 1]), ["near", "far", "nowhere"])
    assert set(found) == {"near", "far"}
    assert (found["near"]["mae"], found["far"]["mae"]) == (1.0, 5.0)
    assert found["near"]["coverage"] == 1.0 and found["far"]["coverage"] == 0.0


def test_distance_classes_begin_at_their_edge() -> None:
    labels, names = scores.distance_classes(np.array([0.0, 4.99, 5.0, 99.0, 100.0, 4000.0, NAN]))
    assert [names[i] if i >= 0 else "-" for i in labels] == [
        "0-5 km", "0-5 km", "5-10 km", "50-100 km", ">100 km", ">100 km", "-",
    ]  # fmt: skip


def test_terciles_hold_a_third_each() -> None:
    best = np.random.default_rng(0).permutation(np.arange(300.0))
    best[7] = NAN
    labels, _ = scores.level_terciles(best)
    assert labels[7] == -1
    assert [int((labels == i).sum()) for i in range(3)] in ([100, 99, 100], [99, 100, 100], [100, 100, 99])


def test_arrays_of_two_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        scores.mae(np.zeros((2, 1)), np.zeros(2))
