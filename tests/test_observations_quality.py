"""Each test of quality control flags what it is for, leaves the rest, and deletes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import read_observations
from aqreanalysis.observations.digest import count_flags
from aqreanalysis.observations.flags import FLAG_MEANINGS, LIMITS, Flag
from aqreanalysis.observations.quality import check_units, flag_readings
from aqreanalysis.observations.quality_tests import _has_run, run_lengths
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.species import SPECIES

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
LAT, LON = np.array([40.0, 40.1, 45.0]), np.array([116.0, 116.1, 100.0])


def _wobbling(key: str = "pm25", hours: int = 200) -> np.ndarray:
    level = 0.02 * SPECIES[key].plausible_max if key != "co" else 2.0
    rng = np.random.default_rng(2)
    return (level * (1 + 0.3 * rng.random((hours, 3)))).astype(np.float32)


def _flags(values: np.ndarray, key: str = "pm25") -> np.ndarray:
    return flag_readings({key: values}, LAT, LON)[key]


@pytest.mark.parametrize("key", SPECIES)
def test_ordinary_readings_stay_good(key: str) -> None:
    assert (_flags(_wobbling(key), key) == Flag.GOOD).all()


def test_missing_negative_and_absurd_readings_have_flags_of_their_own() -> None:
    values = _wobbling()
    values[3, 0], values[4, 1], values[5, 2], values[6, 2] = np.nan, -999.0, 99999.0, np.inf
    flags = _flags(values)
    assert flags[3, 0] == Flag.MISSING
    assert flags[4, 1] == Flag.NEGATIVE
    assert flags[5, 2] == flags[6, 2] == Flag.ABOVE_PLAUSIBLE_RANGE
    assert (flags != Flag.GOOD).sum() == 4


def test_zero_is_a_reading() -> None:
    values = _wobbling()
    values[3, 0] = 0.0
    assert _flags(values)[3, 0] == Flag.GOOD


@pytest.mark.parametrize("key", SPECIES)
def test_a_stuck_instrument_is_flagged_and_its_detection_limit_is_not(key: str) -> None:
    limits = LIMITS[key]
    values = _wobbling(key, 900)
    high = limits.plateau * 2
    values[20 : 20 + limits.stuck_hours, 0] = high
    values[20 : 20 + limits.stuck_hours - 1, 1] = high
    values[20 : 20 + limits.plateau_hours - 1, 2] = limits.plateau
    flags = _flags(values, key)
    assert (flags[20 : 20 + limits.stuck_hours, 0] == Flag.STUCK).all()
    assert (flags == Flag.STUCK).sum() == limits.stuck_hours
    values[20 : 20 + limits.plateau_hours, 2] = limits.plateau
    assert (_flags(values, key)[:, 2] == Flag.STUCK).sum() == limits.plateau_hours


def test_a_gap_ends_a_run_of_equal_readings() -> None:
    values = _wobbling()
    values[20:40, 0] = 50.0
    values[30, 0] = np.nan
    assert not (_flags(values) == Flag.STUCK).any()


def test_a_missing_value_code_for_days_is_negative_and_not_stuck() -> None:
    values = _wobbling()
    values[20:100, 0] = -999.0
    assert set(_flags(values)[20:100, 0]) == {Flag.NEGATIVE}


def test_a_spike_of_one_station_is_flagged_also_beside_a_gap() -> None:
    values = _wobbling()
    values[50, 0] = 900.0
    values[80, 1], values[79, 1], values[81:84, 1] = 900.0, np.nan, np.nan
    flags = _flags(values)
    assert flags[50, 0] == flags[80, 1] == Flag.SPIKE_IN_TIME
    assert (flags != Flag.GOOD).sum() == 2 + 4


def test_a_spike_that_a_neighbour_confirms_is_a_dust_front() -> None:
    values = _wobbling("pm10")
    values[50, 0], values[51, 1] = 4000.0, 3000.0
    assert (_flags(values, "pm10") == Flag.GOOD).all()


def test_a_far_station_confirms_nothing() -> None:
    values = _wobbling("pm10")
    values[50, 0], values[50, 2] = 4000.0, 4000.0
    flags = _flags(values, "pm10")
    assert flags[50, 0] == flags[50, 2] == Flag.SPIKE_IN_TIME


def test_a_fault_is_nobodys_neighbour() -> None:
    values = _wobbling("pm10")
    values[50, 0], values[50, 1] = 4000.0, 99999.0
    assert _flags(values, "pm10")[50, 0] == Flag.SPIKE_IN_TIME


def test_a_steady_rise_is_no_spike() -> None:
    values = _wobbling()
    values[50:60, 0] = np.linspace(100, 1500, 10)
    assert _flags(values)[50, 0] == Flag.GOOD
    assert not (_flags(values)[:59] == Flag.SPIKE_IN_TIME).any()


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 40), st.integers(1, 4)), elements=st.sampled_from([1, 2, np.nan]))
)
@settings(deadline=None)
def test_run_lengths_equal_a_count_by_hand(values: np.ndarray) -> None:
    expected = np.zeros(values.shape, dtype=int)
    for station in range(values.shape[1]):
        for hour in range(len(values)):
            first = last = hour
            while first > 0 and values[first - 1, station] == values[hour, station]:
                first -= 1
            while last + 1 < len(values) and values[last + 1, station] == values[hour, station]:
                last += 1
            expected[hour, station] = last - first + 1
    np.testing.assert_array_equal(run_lengths(values), expected)


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 40), st.integers(1, 4)), elements=st.sampled_from([1, 2, np.nan])),
    st.integers(2, 20),
)
@settings(deadline=None)
def test_the_quick_look_for_runs_agrees_with_their_lengths(values: np.ndarray, hours: int) -> None:
    np.testing.assert_array_equal(_has_run(values, hours), (run_lengths(values) >= hours).any(axis=0))


def test_carbon_monoxide_in_micrograms_is_refused_with_the_setting() -> None:
    with pytest.raises(ObservationsError, match=r"median of co is 700 mg m-3.*columns.units.co"):
        check_units({"co": np.full((40, 3), 700.0, dtype=np.float32)}, QualityReport())


def test_particles_in_milligrams_draw_a_warning() -> None:
    report = QualityReport()
    check_units({"pm25": np.full((40, 3), 0.05, dtype=np.float32)}, report)
    assert "columns.units.pm25" in report.warnings[0]


def test_flags_are_counted_by_meaning() -> None:
    values = _wobbling()
    values[:150, :2] = -11.0
    values[0, 2] = np.nan
    report = QualityReport()
    count_flags({"pm25": np.bincount(_flags(values).ravel(), minlength=len(Flag))}, report)
    assert report.readings == {"pm25": 599}
    assert {meaning: n for meaning, n in report.flagged["pm25"].items() if n} == {"negative": 300}
    assert "300 of 599 readings of pm25 are flagged" in report.warnings[0]


def test_the_meanings_name_every_flag_in_order() -> None:
    assert FLAG_MEANINGS.split() == [flag.name.lower() for flag in sorted(Flag)]
    assert sorted(Flag) == list(range(len(Flag)))


def test_the_dust_storms_of_2019_stay_usable_and_plateaus_are_not_called_stuck() -> None:
    path = DATA / "china_north_2019.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    observations = read_observations(path)
    dust, flags = observations.dataset["pm10"].values, observations.flags("pm10")
    assert (dust >= 2000).sum() > 150
    assert (flags[dust >= 2000] == Flag.GOOD).all()
    # 150 thousand readings of SO2 stand in runs of twelve hours and more: coarse steps, no faults.
    runs = run_lengths(observations.dataset["so2"].values) >= 12
    assert runs.sum() > 100_000
    assert (observations.flags("so2")[runs] == Flag.STUCK).mean() < 0.01
    # PM10 of 1176 for fifteen hours from new year's eve on is a feed that hung.
    hung = observations.flags("pm10")[:, observations.stations.index("3034A")]
    assert (hung[dust[:, observations.stations.index("3034A")] == 1176] == Flag.STUCK).sum() == 15
    for key in observations.species:
        bad = sum(observations.report.flagged[key].values())
        assert bad < 0.001 * observations.report.readings[key]
