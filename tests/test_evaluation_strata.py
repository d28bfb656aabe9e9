from __future__ import annotations

import numpy as np

from aqreanalysis.evaluation.strata import SEASONS, distance_classes, hour_of_day, level_terciles, season_of


def _hours(*stamps: str) -> np.ndarray:
    return np.array(stamps, dtype="datetime64[h]").astype(np.int64)


def test_a_stamp_belongs_to_the_season_of_the_hour_that_it_ends() -> None:
    stamps = _hours(
        "2019-03-01T00", "2019-03-01T01", "2019-06-15T12", "2019-11-30T23", "2019-12-01T01", "2020-02-29T23"
    )
    assert [SEASONS[i] for i in season_of(stamps)] == ["DJF", "MAM", "JJA", "SON", "DJF", "DJF"]


def test_the_hour_of_day_is_that_of_the_sun() -> None:
    hour = hour_of_day(_hours("2019-01-01T13", "2019-01-01T00"), np.array([0.0, 120.0, -75.0]))
    assert hour.tolist() == [[12, 20, 7], [23, 7, 18]]


def test_every_hour_of_a_day_is_a_class_of_its_own() -> None:
    hour = hour_of_day(np.arange(24), np.array([116.4]))
    assert sorted(hour[:, 0]) == list(range(24))


def test_distance_classes_begin_at_their_edge() -> None:
    labels, names = distance_classes(np.array([0.0, 4.99, 5.0, 99.0, 100.0, 4000.0, np.nan]))
    assert [names[i] if i >= 0 else "-" for i in labels] == [
        "0-5 km", "0-5 km", "5-10 km", "50-100 km", ">100 km", ">100 km", "-",
    ]  # fmt: skip


def test_terciles_hold_a_third_each() -> None:
    best = np.random.default_rng(0).permutation(np.arange(300.0))
    best[7] = np.nan
    labels, _ = level_terciles(best)
    assert labels[7] == -1
    assert [int((labels == i).sum()) for i in range(3)] in ([100, 99, 100], [99, 100, 100], [100, 100, 99])
