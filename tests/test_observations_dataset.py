"""`Observations` refuses what breaks its rules where it is built, and answers what the other rooms ask."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from aqreanalysis.common.hours import hours_since_epoch
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import Flag, Observations, StationPlaces
from aqreanalysis.species import SPECIES

HOURS, IDS = 50, ["b", "a", "c"]


def _observations(**kwargs: object) -> Observations:
    rng = np.random.default_rng(5)
    values = {key: rng.gamma(4, 5, (HOURS, 3)).astype(np.float32) for key in ("no2", "pm25")}
    values["pm25"][4, 1] = -50.0
    values["pm25"][6, 0] = np.nan
    places = StationPlaces(IDS, np.array([40.0, 41.0, 42.0]), np.array([116.0, 117.0, 118.0]), ["X", "Y", ""], None)
    times = pd.date_range("2020-01-01 01:00", periods=HOURS, freq="h")
    return Observations.from_arrays(times, places, values, {"synthetic": "yes", "editor": "me"}, **kwargs)  # type: ignore[arg-type]


def test_stations_are_sorted_and_everything_moves_with_them() -> None:
    observations = _observations()
    assert observations.stations == ["a", "b", "c"]
    np.testing.assert_array_equal(observations.lat, [41.0, 40.0, 42.0])
    np.testing.assert_array_equal(observations.lon, [117.0, 116.0, 118.0])
    assert observations.city == ["Y", "X", ""] and observations.names is None
    assert observations.flags("pm25")[4, 0] == Flag.NEGATIVE
    assert observations.flags("pm25")[6, 1] == Flag.MISSING


def test_values_are_usable_readings_and_the_dataset_keeps_all() -> None:
    observations = _observations()
    assert np.isnan(observations.values("pm25")[4, 0])
    assert observations.dataset["pm25"].values[4, 0] == -50.0
    assert np.isfinite(observations.values("pm25")).sum() == HOURS * 3 - 2
    with pytest.raises(ValueError, match="read-only"):
        observations.values("pm25")[0, 0] = 1.0


def test_species_come_in_their_order_with_cf_attributes() -> None:
    observations = _observations()
    assert observations.species == ("pm25", "no2")
    for key in observations.species:
        attributes = observations.dataset[key].attrs
        assert attributes["standard_name"] == SPECIES[key].standard_name
        assert attributes["units"] == SPECIES[key].units
        flag = observations.dataset[attributes["ancillary_variables"]]
        assert flag.dtype == flag.attrs["flag_values"].dtype == np.int8
        assert len(flag.attrs["flag_meanings"].split()) == len(flag.attrs["flag_values"])


def test_hours_count_from_the_epoch() -> None:
    observations = _observations()
    np.testing.assert_array_equal(observations.hours, hours_since_epoch(observations.times))
    assert observations.first_hour == observations.hours[0] == pd.Timestamp("2020-01-01 01:00").timestamp() / 3600


def test_a_pollutant_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ObservationsError, match="no 'o3': they hold pm25, no2"):
        _observations().values("o3")


def test_stacked_inputs_are_in_the_order_asked_for() -> None:
    observations = _observations()
    stacked = observations.to_array(["no2", "o3", "pm25"])
    np.testing.assert_array_equal(stacked[:, :, 0], observations.values("no2"))
    np.testing.assert_array_equal(stacked[:, :, 2], observations.values("pm25"))
    assert np.isnan(stacked[:, :, 1]).all()
    assert observations.to_array(["no2", "o3", "pm25"]) is stacked


def test_rows_are_those_of_the_stacked_array_whether_or_not_it_is_laid_out() -> None:
    observations, inputs = _observations(), ["no2", "o3", "pm25"]
    few = observations.hours_slice(inputs, 3, 9)
    before = observations.held_bytes()
    np.testing.assert_array_equal(few, observations.to_array(inputs)[3:9])
    np.testing.assert_array_equal(few, observations.hours_slice(inputs, 3, 9))
    assert before == observations.dataset.nbytes < observations.held_bytes()


def test_a_selection_takes_the_hours_between_two_times() -> None:
    observations = _observations()
    day = observations.select(start="2020-01-02", end="2020-01-03")
    assert len(day.times) == 24
    assert day.times[0] == pd.Timestamp("2020-01-02 01:00") and day.times[-1] == pd.Timestamp("2020-01-03")
    one = observations.select(stations=["c"], end="2020-01-01T12:00:00Z")
    assert one.stations == ["c"] and len(one.times) == 12
    np.testing.assert_array_equal(one.values("pm25"), observations.values("pm25")[:12, 2:])
    assert one.attributes == {"synthetic": "yes"}


def test_a_selection_of_nothing_is_refused_with_what_there_is() -> None:
    observations = _observations()
    with pytest.raises(ObservationsError, match="run from 2020-01-01 01:00:00 to 2020-01-03 02:00:00 at 3 stations"):
        observations.select(start="2021-01-01")
    with pytest.raises(ObservationsError, match="no station 'd' among the 3"):
        observations.select(stations=["a", "d"])
    with pytest.raises(ObservationsError, match="is no time"):
        observations.select(start="tomorrowish")


def test_the_digest_depends_on_usable_readings_and_not_on_labels() -> None:
    observations = _observations()
    dataset = observations.dataset
    assert Observations(dataset.drop_vars("city")).digest() == observations.digest()
    assert Observations(dataset.isel(station=[2, 0, 1])).digest() == observations.digest()
    flagged = dataset.copy(deep=True)
    flagged["no2_flag"][3, 2] = Flag.STUCK
    assert Observations(flagged).digest() != observations.digest()
    unusable = dataset.copy(deep=True)
    unusable["pm25"][4, 0] = -77.0
    assert Observations(unusable).digest() == observations.digest()


def test_the_summary_is_plain_json_with_counts() -> None:
    summary = json.loads(json.dumps(_observations().summary()))
    assert (summary["stations"], summary["hours"], summary["cities"]) == (3, HOURS, 2)
    assert summary["species"]["pm25"]["usable"] == HOURS * 3 - 2
    assert summary["species"]["pm25"]["flagged"]["negative"] == 1
    assert summary["box"] == {"west": 116.0, "south": 40.0, "east": 118.0, "north": 42.0}


def test_arrays_of_another_shape_are_refused() -> None:
    places = StationPlaces(["a"], np.array([40.0]), np.array([116.0]))
    times = pd.date_range("2020-01-01", periods=4, freq="h")
    with pytest.raises(ObservationsError, match=r"pm25 has shape \(4, 2\), expected .* \(4, 1\)"):
        Observations.from_arrays(times, places, {"pm25": np.zeros((4, 2), np.float32)})
