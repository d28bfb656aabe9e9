"""Distances on the sphere agree with an ellipsoidal geodesic, across the antimeridian and at the poles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from aqreanalysis.common.geodesy import (
    EARTH_RADIUS_KM,
    distance_km,
    distance_matrix_km,
    nearest_point,
    points_within,
    relative_position,
)

SPHERE = Geod(a=EARTH_RADIUS_KM * 1000, b=EARTH_RADIUS_KM * 1000)
LAT, LON = st.floats(-90, 90), st.floats(-180, 180)


@given(LAT, LON, LAT, LON)
def test_a_distance_is_within_half_a_percent_of_the_geodesic(
    lat1: float, lon1: float, lat2: float, lon2: float
) -> None:
    geodesic = Geod(ellps="WGS84").inv(lon1, lat1, lon2, lat2)[2] / 1000
    assert abs(distance_km(lat1, lon1, lat2, lon2) - geodesic) <= 0.0057 * geodesic + 1e-6


def test_neighbours_are_those_within_the_distance() -> None:
    rng = np.random.default_rng(1)
    lat = np.concatenate([rng.uniform(-90, 90, 60), [0.0, 0.0, 89.9, 89.9]])
    lon = np.concatenate([rng.uniform(-180, 180, 60), [179.9, -179.9, 0.0, 180.0]])
    for km in (50.0, 3000.0, 30000.0):
        near = points_within(lat, lon, km)
        for i in range(len(lat)):
            expected = np.flatnonzero(distance_km(lat[i], lon[i], lat, lon) <= km)
            np.testing.assert_array_equal(near[i], expected[expected != i])
    assert 61 in points_within(lat, lon, 50.0)[60]
    assert 63 in points_within(lat, lon, 50.0)[62]


@pytest.mark.parametrize(
    ("lat", "lon", "there_lat", "there_lon"),
    [(39.9, 116.4, 40.3, 117.1), (-33.0, 179.9, -33.4, -179.8), (89.5, 10.0, 89.4, -160.0), (0.0, 0.0, -1.0, 0.0)],
)
def test_distance_and_bearing_agree_with_a_geodesic_library(
    lat: float, lon: float, there_lat: float, there_lon: float
) -> None:
    bearing, _, metres = SPHERE.inv(lon, lat, there_lon, there_lat)
    east, north = relative_position(*(np.array(x) for x in (lat, lon, there_lat, there_lon)))
    np.testing.assert_allclose(np.hypot(east, north), metres / 1000, rtol=1e-9)
    np.testing.assert_allclose(np.degrees(np.arctan2(east, north)), bearing, atol=1e-6)


def test_a_place_at_a_station_is_at_distance_zero() -> None:
    here = np.array([40.0])
    assert np.array_equal(relative_position(here, here, here, here), np.zeros((1, 2)))


def test_the_nearest_point_and_all_distances_agree() -> None:
    rng = np.random.default_rng(2)
    points, places = ((rng.uniform(-90, 90, n), rng.uniform(-180, 180, n)) for n in (40, 300))
    every = distance_matrix_km(*places, *points)
    np.testing.assert_allclose(every, distance_km(*(x[:, None] for x in places), *points), rtol=1e-9)
    index, km = nearest_point(*points, *places)
    np.testing.assert_array_equal(index, every.argmin(axis=1))
    np.testing.assert_allclose(km, every.min(axis=1), rtol=1e-9, atol=1e-3)
