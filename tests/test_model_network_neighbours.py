"""The nearest stations of each place, and the nearest that report."""

from __future__ import annotations

import numpy as np
import torch
from model_case import make_readings, some_places
from pyproj import Geod

from aqreanalysis.common.geodesy import EARTH_RADIUS_KM, distance_matrix_km
from aqreanalysis.model.network.neighbours import NearestStations, Reporting, find_neighbours

CPU = torch.device("cpu")
sphere = Geod(a=EARTH_RADIUS_KM * 1000, b=EARTH_RADIUS_KM * 1000)


def test_neighbours_are_the_nearest_and_come_nearest_first():
    readings = make_readings()
    lat, lon = some_places()
    around = find_neighbours(readings.lat, readings.lon, lat, lon, 6)
    for place in range(len(lat)):
        _, _, metres = sphere.inv(np.full(20, lon[place]), np.full(20, lat[place]), readings.lon, readings.lat)
        order = np.argsort(metres)
        assert around.index[place].tolist() == order[:6].tolist()
        np.testing.assert_allclose(around.distance_km[place].numpy(), metres[order[:6]] / 1000, rtol=1e-4)
        np.testing.assert_allclose(float(around.reach_km[place]), metres[order[6]] / 1000, rtol=1e-5)
    np.testing.assert_allclose(around.nearest_km, around.distance_km[:, 0].numpy())


def test_no_station_is_its_own_neighbour_even_among_several_at_one_place():
    lat = np.array([40.0, 40.0, 40.0, 40.0, 40.1, 40.2])
    lon = np.full(6, 116.0)
    for k in (2, 3, 5, 9):
        around = find_neighbours(lat, lon, lat, lon, k, exclude_self=True)
        assert around.index.shape == (6, min(k, 5))
        for station, row in enumerate(around.index.tolist()):
            assert station not in row
            assert len(set(row)) == len(row)


def test_fewer_stations_than_neighbours_are_all_taken_and_nothing_fades():
    readings = make_readings()
    around = find_neighbours(readings.lat[:3], readings.lon[:3], *some_places(), 8)
    assert around.index.shape == (15, 3)
    assert (around.reach_km > 20_000).all()


def test_neighbours_across_the_antimeridian_are_near():
    around = find_neighbours(
        np.array([-17.0, -17.0]), np.array([179.9, -179.9]), np.array([-17.0]), np.array([180.0]), 2
    )
    assert (around.distance_km < 11).all()
    east = around.position[0, around.index[0].argsort(), 0]
    assert east[0] < 0 < east[1]


def network(stations=70, places=40, seed=0):
    rng = np.random.default_rng(seed)
    lat, lon = rng.uniform(30, 40, stations + places), rng.uniform(100, 115, stations + places)
    return (lat[:stations], lon[:stations]), (lat[stations:], lon[stations:])


def expected(stations, places, reports):
    km = distance_matrix_km(*places, *stations)
    return np.where(reports, km[..., None], np.inf).min(axis=1)


def test_nothing_is_searched_where_the_nearest_station_of_every_place_reports():
    stations, places = network()
    near = NearestStations.find(stations, places, CPU)
    reports = np.ones((70, 24), bool)
    reports[np.setdiff1d(np.arange(70), near.index[:, 0])] = False
    assert near.reporting_km(Reporting(reports, *np.zeros((2, 24), np.float32)), CPU) is None


def test_distances_are_to_the_nearest_station_that_reports_however_far():
    stations, places = network()
    rng = np.random.default_rng(1)
    reports = rng.random((70, 24)) < 0.3
    reports[:, 5:9], reports[69, 5:8] = False, True  # one station alone, then none
    near = NearestStations.find(stations, places, CPU)
    km = near.reporting_km(Reporting(reports, *np.zeros((2, 24), np.float32)), CPU)
    np.testing.assert_allclose(km.numpy(), expected(stations, places, reports), rtol=1e-4)
    assert torch.isinf(km[:, 8]).all()


def test_at_an_hour_without_reading_the_stations_of_the_window_stand_in():
    readings = np.full((24 + 48 + 24, 3), np.nan, np.float32)
    readings[30:60, 0], readings[40, 1] = 1.0, 1.0
    reporting = Reporting.of(readings, 24, 24)
    assert reporting.stations.shape == (3, 48) and not reporting.stations[2].any()
    assert reporting.stations[0].all()  # at its own hours, and where nobody reports
    assert reporting.stations[1].tolist() == [t < 6 or t == 16 or t >= 36 for t in range(48)]
    assert reporting.gap_hours[:7].tolist() == [6, 5, 4, 3, 2, 1, 0] and reporting.gap_hours[-1] == 47 - 35
    assert np.isinf(reporting.since_hours[:6]).all() and np.isinf(reporting.until_hours[36:]).all()
    assert (reporting.since_hours[6:36] == 0).all() and (reporting.until_hours[6:36] == 0).all()


def test_readings_farther_from_a_day_than_gaps_are_bridged_from_are_out_of_reach():
    readings = np.full((96 + 24 + 24, 2), np.nan, np.float32)
    readings[:72] = 1.0
    assert np.isinf(Reporting.of(readings, 96, 24).gap_hours).all()
    readings[72] = 1.0
    assert Reporting.of(readings, 96, 24).since_hours.tolist() == list(range(24, 48))


def test_a_day_whose_window_is_empty_is_infinitely_far_from_any_reading():
    readings = np.full((24 + 48 + 24, 2), np.nan, np.float32)
    readings[0] = 1.0
    reporting = Reporting.of(readings, 24, 24)
    assert np.isfinite(reporting.gap_hours[:24]).all() and np.isinf(reporting.gap_hours[24:]).all()
    near = NearestStations.find(*network(2, 5), CPU)
    assert torch.isinf(near.reporting_km(reporting, CPU)[:, 24:]).all()


def test_each_day_is_told_apart_as_it_is_in_a_longer_block():
    readings = np.random.default_rng(2).normal(size=(24 + 72 + 24, 4)).astype(np.float32)
    readings[readings < 0.3] = np.nan
    whole = Reporting.of(readings, 24, 24)
    first, rest = Reporting.of(readings[:72], 24, 24), Reporting.of(readings[24:], 24, 24)
    joined = first.joined(rest)
    assert np.array_equal(joined.stations, whole.stations) and np.array_equal(joined.gap_hours, whole.gap_hours)
