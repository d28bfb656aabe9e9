from __future__ import annotations

import numpy as np
import pytest

from aqreanalysis.evaluation.baselines import Climatology, StationField, StationHistory
from aqreanalysis.evaluation.baselines.climatology import climatology
from aqreanalysis.observations import Observations

pytest_plugins = ("evaluation_case",)

FIRST = int(np.datetime64("2019-01-01T01", "h").astype(int))


def test_the_usual_reading_is_the_median_of_that_season_and_hour() -> None:
    hours = FIRST + np.arange(24 * 120)  # January to the end of April
    values = np.repeat((hours % 24 + np.where(np.arange(len(hours)) < 59 * 24, 100, 0))[:, None], 2, axis=1)
    values = values.astype(np.float32)
    values[:24, 0] = 999  # one odd day
    values[4:, 1] = np.nan  # a station with four readings has nothing usual
    table = climatology(StationHistory(FIRST, values))
    assert table[0:24, 0] == pytest.approx(100 + np.arange(24))
    assert table[25:48, 0] == pytest.approx(np.arange(1, 24))
    assert np.isnan(table[:, 1]).all()


def test_a_season_and_hour_with_too_few_readings_takes_that_hour_of_all_seasons_or_the_whole_record() -> None:
    hours = FIRST + np.arange(24 * 62)  # January, February and three days of March
    march = np.arange(len(hours)) >= 59 * 24
    values = np.stack([hours % 24 + np.where(march, 100.0, 0.0), np.where(np.arange(len(hours)) < 30, 7.0, np.nan)], 1)
    table = climatology(StationHistory(FIRST, values.astype(np.float32)))
    assert table[0:24, 0] == pytest.approx(np.arange(24))
    for season in (1, 2, 3):  # March has three readings at each hour, summer and autumn none
        assert table[24 * season : 24 * season + 24, 0] == pytest.approx(np.arange(24))
    assert (table[:, 1] == 7.0).all()


def test_the_estimate_knows_the_hour_of_day_and_no_reading_of_the_hour(town_network: Observations) -> None:
    values = town_network.values("pm25")
    hours = town_network.hours

    def network(record: np.ndarray, rows: slice) -> StationField:
        groups = np.arange(record.shape[1])
        whole = StationHistory(town_network.first_hour, record)
        at = record[rows].astype(float)
        return StationField(town_network.lat, town_network.lon, at, groups, hours[rows], whole)

    seen, point = network(values, slice(0, 96)), (np.array([36.0]), np.array([111.0]))
    baseline = Climatology()
    baseline.tune(seen)
    answer = baseline.predict(seen, *point)
    assert answer.best[:24] == pytest.approx(answer.best[24:48])  # the same season and hours of another day
    assert np.ptp(answer.best[:24]) > 5
    changed = seen.values * 3
    other = StationField(seen.lat, seen.lon, changed, seen.groups, seen.hours, seen.history)
    assert baseline.predict(other, *point).best == pytest.approx(answer.best)


def test_without_a_record_it_says_what_it_lacks(town_network: Observations) -> None:
    bare = StationField(town_network.lat, town_network.lon, town_network.values("pm25").astype(float), np.arange(36))
    with pytest.raises(ValueError, match="its hours and its history"):
        Climatology().tune(bare)
