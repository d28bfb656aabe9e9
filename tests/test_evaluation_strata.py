from __future__ import annotations

import numpy as np

from aqreanalysis.evaluation.strata import SEASONS, hour_of_day, season_of


def _hours(*stamps: str) -> np.ndarray:
    return np.array(stamps, dtype="datetime64[h]").astype(np.int64)


def test_a_stamp_belongs_to_the_season_of_the_hour_that_it_ends() -> None:
    stamps = _hours(
        "2019-03-01T00", "2019-03-01T01", "2019-06-15T12", "2019-11-30T23", "2019-12-01T01", "2020-02-29T23"
    )
    assert [SEASONS[i] for i in season_of(stamps)] == ["DJF", "MAM", "JJA", "SON", "DJF", "DJF"]


def test_the_hour_of_day_is_that_of_the_sun() -> None:
    found = hour_of_day(_hours("2019-01-01T13", "2019-01-01T00"), np.array([0.0, 120.0, -75.0]))
    assert found.tolist() == [[12, 20, 7], [23, 7, 18]]


def test_every_hour_of_a_day_is_a_class_of_its_own() -> None:
    found = hour_of_day(np.arange(24), np.array([116.4]))
    assert sorted(found[:, 0]) == list(range(24))
