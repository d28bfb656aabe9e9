from __future__ import annotations

import numpy as np
import pytest

from aqreanalysis.evaluation.bootstrap import BLOCK_DAYS, Sums, ratios
from aqreanalysis.evaluation.scores import Sample

HOURS = np.arange(1, 24 * 60 + 1)


def _sample(errors: np.ndarray) -> Sample:
    observed = np.full(errors.shape, 50.0)
    best = observed + errors
    return Sample(best, np.ones_like(best), best - 5, best + 5, np.abs(errors) / 2, np.full_like(best, 0.5), observed)


def _errors(seed: int = 0, stations: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 5, (len(HOURS), stations))


def test_sums_add_up_to_the_scores() -> None:
    errors = _errors()
    errors[5, 3] = np.nan
    ratio = Sums.of(_sample(errors), HOURS)
    assert ratio.mae.shape == (60 // BLOCK_DAYS, 30)
    assert ratio.mae.sum() == pytest.approx(np.nansum(np.abs(errors)))
    assert ratio.rmse.sum() == pytest.approx(np.nansum(errors**2))
    assert ratio.crps.sum() == pytest.approx(np.nansum(np.abs(errors)) / 2)


def test_a_method_that_errs_by_a_tenth_less_everywhere_has_that_ratio_and_no_doubt() -> None:
    sums = {"own": Sums.of(_sample(0.9 * _errors()), HOURS), "other": Sums.of(_sample(_errors()), HOURS)}
    ratio = ratios(sums, {"mae": "other", "rmse": "other", "crps": "other"})
    for score in ("mae", "rmse", "crps"):
        assert [ratio["own"][score][k] for k in ("ratio", "low", "high")] == pytest.approx([0.9] * 3)
        assert ratio["other"][score]["ratio"] == 1.0


def test_the_interval_holds_one_for_two_equal_methods_and_knows_where_doubt_comes_from() -> None:
    rng = np.random.default_rng(1)
    by_station = rng.normal(1, 0.3, (1, 30)) * _errors(2)
    sums = {"own": Sums.of(_sample(by_station), HOURS), "other": Sums.of(_sample(_errors(3)), HOURS)}
    ratio = ratios(sums, {"mae": "other"})["own"]["mae"]
    assert ratio["low"] < ratio["ratio"] < ratio["high"]
    width = {k: ratio[k][1] - ratio[k][0] for k in ("by_station", "by_day")}
    assert width["by_station"] > 3 * width["by_day"]
    assert ratio["high"] - ratio["low"] > 0.9 * width["by_station"]


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    sums = {"own": Sums.of(_sample(_errors(4)), HOURS), "other": Sums.of(_sample(_errors(5)), HOURS)}
    first, again, other = (ratios(sums, {"mae": "other"}, seed) for seed in (0, 0, 1))
    assert first == again
    assert first["own"]["mae"]["low"] != other["own"]["mae"]["low"]


def test_the_interval_covers_the_true_ratio_about_as_often_as_it_says() -> None:
    inside = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        shared = rng.normal(0, 3, (len(HOURS), 12)) * rng.lognormal(0, 0.4, (1, 12))
        own, other = (shared + rng.normal(0, 3, shared.shape) for _ in range(2))
        sums = {"own": Sums.of(_sample(own), HOURS), "other": Sums.of(_sample(other), HOURS)}
        ratio = ratios(sums, {"mae": "other"}, seed)["own"]["mae"]
        inside += ratio["low"] <= 1 <= ratio["high"]
    assert 52 <= inside <= 60


def test_one_station_leaves_no_interval() -> None:
    sums = {"own": Sums.of(_sample(_errors(stations=1)), HOURS), "other": Sums.of(_sample(_errors(1, 1)), HOURS)}
    ratio = ratios(sums, {"mae": "other"})["own"]["mae"]
    assert ratio["low"] is None and ratio["by_station"] == (None, None) and ratio["by_day"][0] is not None
