"""The nearest stations of each place."""

from __future__ import annotations

import numpy as np
from model_case import make_readings, some_places
from pyproj import Geod

from aqreanalysis.common.geodesy import EARTH_RADIUS_KM
from aqreanalysis.model.network.neighbours import find_neighbours

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
