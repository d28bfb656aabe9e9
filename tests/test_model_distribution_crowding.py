"""What the closeness of stations says: of a place as of a station, smooth, and in a bundle and out again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from model_case import INPUTS, make_bundle, make_readings

from aqreanalysis.common.geodesy import KM_PER_DEGREE, distance_matrix_km
from aqreanalysis.model.bundle import read_bundle, write_bundle
from aqreanalysis.model.distribution.crowding import Crowding, crowd
from aqreanalysis.model.predictor import AnalysisPredictor

CROWDING = Crowding({"pm25": 0.3}, {"pm25": 0.4})


def test_a_lone_station_is_no_town_and_each_further_one_counts():
    alone = np.array([[0.0, 200.0, 300.0], [4.0, 200.0, 300.0], [400.0, 400.0, 400.0]])
    np.testing.assert_allclose(crowd(alone), 0.0, atol=1e-6)
    together = np.array([[0.0, 0.0, 300.0], [0.0, 0.0, 0.0]])
    assert crowd(together)[0] == pytest.approx(np.log1p(1), abs=0.1)
    assert crowd(together)[1] == pytest.approx(np.log1p(2), abs=0.1)


def test_it_has_no_kink_halfway_between_two_stations():
    stations = np.array([[0.0], [20.0]])

    def slope(x: float) -> float:
        ends = np.array([x - 0.01, x + 0.01])
        return float(np.diff(crowd(np.abs(stations - ends).T))[0] / 0.02)

    # A maximum would turn from rise to fall at 10 km at once.
    assert abs(slope(10.1) - slope(9.9)) < 0.25 * abs(slope(5.0))


def test_the_order_of_the_stations_plays_no_part():
    km = np.array([[3.0, 9.0, 14.0, 30.0]])
    assert crowd(km) == pytest.approx(crowd(km[:, ::-1]))


def test_a_bundle_has_it_and_estimates_move_by_it(tmp_path):
    readings, plain = make_readings(padded=True), make_bundle()
    with_it = read_bundle(write_bundle(replace(make_bundle(), crowding=CROWDING), tmp_path / "model"))
    assert with_it.crowding == CROWDING
    lat, lon = readings.lat[:2] + 300 / KM_PER_DEGREE, readings.lon[:2]
    answers = {}
    for name, bundle in (("plain", plain), ("crowded", with_it)):
        predictor = AnalysisPredictor(bundle, "cpu")
        encoded = predictor.encode(readings.values, readings.hours, readings.lat, readings.lon)
        places = predictor.geometry(readings.lat, readings.lon, lat, lon)
        answers[name] = predictor.predict(encoded, places)["pm25"].best
    # Far from all stations there is no crowd: what was taken off the readings of towns stays off.
    assert (answers["crowded"] < answers["plain"]).all() and not with_it.crowding.at(places.near.km, ["pm25"]).any()


def test_a_station_gets_what_a_place_beside_it_gets():
    readings = make_readings()
    predictor = AnalysisPredictor(replace(make_bundle(), crowding=CROWDING), "cpu")
    station = predictor.station_drift(readings.lat, readings.lon)
    places = predictor.geometry(readings.lat, readings.lon, readings.lat + 1e-5, readings.lon)
    assert station is not None and places.drift is not None
    np.testing.assert_allclose(places.drift, station[:, [INPUTS.index(key) for key in predictor.species]], atol=1e-3)
    km = distance_matrix_km(readings.lat, readings.lon, readings.lat, readings.lon)
    np.testing.assert_allclose(station[:, 0], 0.3 * crowd(np.sort(km, axis=1)[:, :8]), atol=1e-4)
    assert (station[:, 1] == 0).all() and station[:, 0].max() > 0.2
