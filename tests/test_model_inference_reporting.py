"""The nearest station that reports, hour by hour."""

from __future__ import annotations

import numpy as np
import torch

from aqreanalysis.common.geodesy import distance_matrix_km
from aqreanalysis.model.inference.reporting import NearestStations, Reporting

CPU = torch.device("cpu")


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
    assert near.reporting_km(Reporting(reports, np.zeros(24, np.float32)), CPU) is None


def test_distances_are_to_the_nearest_station_that_reports_however_far():
    stations, places = network()
    rng = np.random.default_rng(1)
    reports = rng.random((70, 24)) < 0.3
    reports[:, 5:9], reports[69, 5:8] = False, True  # one station alone, then none
    near = NearestStations.find(stations, places, CPU)
    km = near.reporting_km(Reporting(reports, np.zeros(24, np.float32)), CPU)
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
