"""Distances on the sphere agree with an ellipsoidal geodesic, across the antimeridian and at the poles."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from aqreanalysis.common.geodesy import distance_km, stations_within

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
        near = stations_within(lat, lon, km)
        for i in range(len(lat)):
            expected = np.flatnonzero(distance_km(lat[i], lon[i], lat, lon) <= km)
            np.testing.assert_array_equal(near[i], expected[expected != i])
    assert 61 in stations_within(lat, lon, 50.0)[60]
    assert 63 in stations_within(lat, lon, 50.0)[62]
