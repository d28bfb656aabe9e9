from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from aqreanalysis.evaluation.instrument_floor import beside_floor, floor_scores, measure_floor
from aqreanalysis.observations import Observations, StationPlaces


def _pairs(pairs: int, apart_km: float = 1.0, error: float = 3.0, hours: int = 400) -> Observations:
    """Return stations by two, far from other pairs, that read one truth with an error of their own."""
    rng = np.random.default_rng(6)
    lat = np.repeat(36.0 + np.arange(pairs), 2)
    lat[1::2] += apart_km / 111.2
    truth = rng.uniform(60, 90, (hours, pairs))
    values = np.repeat(truth, 2, axis=1) + error * rng.normal(size=(hours, 2 * pairs))
    places = StationPlaces([f"s{i:02d}" for i in range(2 * pairs)], lat, np.full(2 * pairs, 110.0))
    times = pd.date_range("2021-03-01 01:00", periods=hours, freq="h")
    return Observations.from_arrays(times, places, {"pm25": values.astype(np.float32)})


def test_the_floor_is_the_mean_absolute_error_of_one_instrument() -> None:
    observations = _pairs(8)
    floor = measure_floor(observations, "pm25", observations.hours)
    assert floor is not None and floor.pairs == 8
    assert floor.mae == pytest.approx(3.0 * np.sqrt(2 / np.pi), rel=0.05)


def test_too_few_pairs_or_pairs_too_far_apart_tell_no_floor() -> None:
    for observations in (_pairs(4), _pairs(8, apart_km=2.5)):
        assert measure_floor(observations, "pm25", observations.hours) is None
    observations = _pairs(8)
    assert measure_floor(observations, "pm25", observations.hours[:20]) is None


def test_skill_is_told_beside_the_floor_against_the_best_baseline() -> None:
    assert beside_floor(9.0, 10.0, 6.0) == pytest.approx(0.75)
    assert beside_floor(5.0, 5.5, 6.0) is None
    observations = _pairs(8)
    floor = measure_floor(observations, "pm25", observations.hours)
    methods = {"aq-net": {"overall": {"mae": 9.0}}, "kriging": {"overall": {"mae": 10.0}}}
    scores = {"methods": methods, "against_best_baseline": {"mae": {"best": "kriging"}}}
    scores_beside = floor_scores(floor, scores, "aq-net")
    assert (
        scores_beside["skill"] == pytest.approx((9 - floor.mae) / (10 - floor.mae))
        and scores_beside["best"] == "kriging"
    )
    assert floor_scores(floor, scores | {"against_best_baseline": {}}, "aq-net")["skill"] is None
