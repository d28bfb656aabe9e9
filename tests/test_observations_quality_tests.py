"""The tests that do not run by default flag what they are for, and what a neighbour shares they leave."""

from __future__ import annotations

import numpy as np
import pytest

from aqreanalysis.configs import QualityConfig
from aqreanalysis.errors import ConfigError
from aqreanalysis.observations.flags import Flag, limits_of
from aqreanalysis.observations.quality import flag_readings, reach_hours

LAT, LON = 40.0 + 0.1 * np.arange(6), np.full(6, 116.0)


def _town(hours: int = 24 * 12) -> np.ndarray:
    rng = np.random.default_rng(0)
    level = 40 + 10 * np.sin(np.arange(hours) / 20)
    return (level[:, None] * (1 + 0.1 * rng.random((hours, 6)))).astype(np.float32)


def _flags(values: dict[str, np.ndarray], test: str, **limits: float) -> dict[str, np.ndarray]:
    quality = QualityConfig(tests=(test,), limits={"pm25": limits} if limits else {})  # type: ignore[arg-type]
    return flag_readings(values, LAT, LON, quality)


def test_a_reading_that_every_neighbour_contradicts_is_flagged_and_a_plume_of_two_is_not() -> None:
    values = _town()
    values[50:53, 0] = 900.0
    values[90, 1], values[91, 2] = 900.0, 500.0
    flags = _flags({"pm25": values}, "spike_against_neighbours")["pm25"]
    assert (flags[50:53, 0] == Flag.SPIKE_AGAINST_NEIGHBOURS).all()
    assert (flags != Flag.GOOD).sum() == 3


def test_fine_particles_far_above_coarse_ones_are_flagged_in_both() -> None:
    fine, coarse = _town(), _town() * 1.5
    fine[10, 2], coarse[10, 2] = 300.0, 90.0
    fine[20, 3], coarse[20, 3] = 12.0, 3.0  # a large ratio of small numbers is noise
    flags = _flags({"pm25": fine, "pm10": coarse}, "pm25_above_pm10")
    for key in ("pm25", "pm10"):
        assert flags[key][10, 2] == Flag.PM25_ABOVE_PM10
        assert (flags[key] != Flag.GOOD).sum() == 1


def test_a_step_of_one_station_is_flagged_on_its_odd_side_and_a_step_of_all_is_weather() -> None:
    values = _town(24 * 20)
    values[24 * 10 :] *= 10.0
    assert (_flags({"pm25": values}, "step_change")["pm25"] == Flag.GOOD).all()
    values[24 * 10 :, 4] /= 10.0  # this one did not go with the others: its ratio steps down
    flags = _flags({"pm25": values}, "step_change")["pm25"]
    assert (flags[24 * 10 :, 4] == Flag.STEP_CHANGE).all()
    assert (flags[: 24 * 10] == Flag.GOOD).all() and (np.delete(flags, 4, axis=1) == Flag.GOOD).all()


def test_a_reading_alone_in_its_day_is_too_little() -> None:
    values = _town()
    values[100:160, 0] = np.nan
    values[130:133, 0] = 40.0
    flags = _flags({"pm25": values}, "too_little_data")["pm25"]
    assert (flags[130:133, 0] == Flag.TOO_LITTLE_DATA).all() and (flags == Flag.TOO_LITTLE_DATA).sum() == 3


def test_below_the_detection_limit_is_said_and_hides_no_other_flag() -> None:
    values = _town()
    values[5, 0] = 1.0
    flags = _flags({"pm25": values}, "below_detection_limit", detection_limit=2.0)["pm25"]
    assert flags[5, 0] == Flag.BELOW_DETECTION_LIMIT and (flags != Flag.GOOD).sum() == 1


def test_what_the_network_says_stands_and_later_tests_do_not_see_it() -> None:
    values = _town()
    said = np.zeros(values.shape, np.int8)
    said[7, 1] = Flag.INVALID_AT_SOURCE
    values[7, 1] = -5.0
    flags = flag_readings({"pm25": values}, LAT, LON, None, {"pm25": said})["pm25"]
    assert flags[7, 1] == Flag.INVALID_AT_SOURCE and (flags != Flag.GOOD).sum() == 1


def test_only_the_named_tests_run() -> None:
    values = _town()
    values[3, 0], values[4, 0] = -11.0, 5000.0
    flags = _flags({"pm25": values}, "negative")["pm25"]
    assert flags[3, 0] == Flag.NEGATIVE and flags[4, 0] == Flag.GOOD


def test_an_unknown_threshold_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"quality.limits.pm25.stuck_hour: no such threshold; did you mean"):
        limits_of(QualityConfig(limits={"pm25": {"stuck_hour": 3.0}}))
    assert limits_of(QualityConfig(limits={"PM2.5": {"stuck_hours": 3.0}}))["pm25"].stuck_hours == 3


def test_the_reach_grows_with_the_tests() -> None:
    assert reach_hours(QualityConfig(tests=("negative",))) == 0
    assert reach_hours() == 724 + 168


def test_one_extreme_value_that_comes_back_to_the_digit_is_a_code_of_a_missing_reading() -> None:
    values = _town()
    values[10:15, 0], values[40, 0], values[60, 1] = 999.0, 999.0, 999.0
    flags = _flags({"pm25": values}, "missing_code")["pm25"]
    assert (flags[10:15, 0] == Flag.MISSING_CODE).all() and flags[40, 0] == Flag.MISSING_CODE
    assert flags[60, 1] == Flag.GOOD  # once is a spike's business
    assert np.count_nonzero(flags != Flag.GOOD) == 6


def test_the_end_of_a_range_in_a_storm_is_no_code() -> None:
    values = _town()
    values[10:16, 0] = 900.0, 985.0, 985.0, 985.0, 700.0, 400.0
    values[30:32, 1], values[31, 2] = 985.0, 640.0  # a neighbour saw it come
    assert not _flags({"pm25": values}, "missing_code")["pm25"].any()


def test_noise_around_zero_is_no_fault_of_particles_and_is_one_of_gases() -> None:
    values = _town()
    values[3, 0], values[4, 0] = -0.4, -999.0
    assert list(_flags({"pm25": values}, "negative")["pm25"][3:5, 0]) == [Flag.GOOD, Flag.NEGATIVE]
    assert _flags({"o3": values}, "negative")["o3"][3, 0] == Flag.NEGATIVE
