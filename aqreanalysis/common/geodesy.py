"""Places on the sphere: distances along great circles, unit vectors, what lies nearest. Degrees in, kilometres out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: The Earth's mean radius (IUGG): every distance of this program is along a great circle of this sphere.
EARTH_RADIUS_KM = 6371.0088
#: A degree along such a circle, rounded to a metre: for sizes, and for the nature run, whose bits rest on it.
KM_PER_DEGREE = 111.195

Degrees = NDArray[np.float64]


def distance_km(lat1: ArrayLike, lon1: ArrayLike, lat2: ArrayLike, lon2: ArrayLike) -> NDArray[np.float64]:
    """Return great-circle distances in km between points in degrees, which broadcast (haversine formula)."""
    return _haversine_km(np.radians(lat1), np.radians(lat2), np.radians(np.subtract(lon2, lon1)))


def distance_matrix_km(lat_a: ArrayLike, lon_a: ArrayLike, lat_b: ArrayLike, lon_b: ArrayLike) -> NDArray[np.float64]:
    """Return great-circle distances in km between all places of two sets, (len(a), len(b)), from degrees."""
    from sklearn.metrics.pairwise import haversine_distances  # takes a second to load, which few commands need

    a, b = (np.radians(np.column_stack((lat, lon))) for lat, lon in ((lat_a, lon_a), (lat_b, lon_b)))
    return np.asarray(haversine_distances(a, b)) * EARTH_RADIUS_KM


def relative_position(lat: Degrees, lon: Degrees, there_lat: Degrees, there_lon: Degrees) -> NDArray[np.float64]:
    """Return east and north in km (..., 2) of points seen from places, by great-circle distance and bearing.

    The azimuthal equidistant projection about each place: exact in distance and bearing from it, valid at the poles
    and across the antimeridian. The arguments broadcast.
    """
    phi, theta = np.radians(lat), np.radians(there_lat)
    dlon = np.radians(there_lon) - np.radians(lon)
    distance = _haversine_km(phi, theta, dlon)
    east = np.sin(dlon) * np.cos(theta)
    north = np.cos(phi) * np.sin(theta) - np.sin(phi) * np.cos(theta) * np.cos(dlon)
    norm = np.hypot(east, north)
    unit = np.divide(distance, norm, out=np.zeros_like(distance), where=norm > 0)
    return np.stack((east * unit, north * unit), axis=-1)


def unit_vectors(lat: Degrees, lon: Degrees) -> NDArray[np.float64]:
    """Return the unit vectors (..., 3) of places in degrees."""
    phi, theta = np.radians(lat), np.radians(lon)
    return np.stack((np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)), axis=-1)


def tangent_frames(lat: Degrees, lon: Degrees) -> NDArray[np.float64]:
    """Return the unit vectors up, east and north (place, 3, 3) at places in degrees."""
    phi, theta = np.radians(lat), np.radians(lon)
    east = np.stack((-np.sin(theta), np.cos(theta), np.zeros_like(theta)), axis=-1)
    north = np.stack((-np.sin(phi) * np.cos(theta), -np.sin(phi) * np.sin(theta), np.cos(phi)), axis=-1)
    return np.stack((unit_vectors(lat, lon), east, north), axis=-2)


def chord_angle(chord: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angles, radians, between points of the unit sphere that lie `chord` apart in a straight line."""
    return np.asarray(2 * np.arcsin(np.minimum(chord / 2, 1.0)))


# Trees below are of unit vectors: on a sphere chords have the order of great-circle distances, across 180 degrees too,
# and a tree of them is many times as fast as one of angles.


def nearest_point(
    point_lat: Degrees, point_lon: Degrees, lat: Degrees, lon: Degrees
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return, for each place, the index of the nearest of the points and its distance in km; both (place,)."""
    from scipy.spatial import KDTree  # a quarter of a second to load, which a map that is drawn does not need

    chord, index = KDTree(unit_vectors(point_lat, point_lon)).query(unit_vectors(lat, lon))
    return index, EARTH_RADIUS_KM * chord_angle(chord)


def points_within(lat: Degrees, lon: Degrees, km: float) -> list[NDArray[np.intp]]:
    """Return, for each place, the sorted indices of the other places at most `km` away along the great circle."""
    from scipy.spatial import KDTree

    chord = 2 * np.sin(min(km / (2 * EARTH_RADIUS_KM), np.pi / 2))
    points = unit_vectors(lat, lon)
    near = KDTree(points).query_ball_point(points, chord, return_sorted=True)
    return [np.array([j for j in others if j != i], dtype=np.intp) for i, others in enumerate(near)]


def _haversine_km(phi1: Degrees, phi2: Degrees, dlon: Degrees) -> NDArray[np.float64]:
    """Return the distance between points of latitudes `phi1` and `phi2`, `dlon` apart; all in radians."""
    half = np.sin((phi2 - phi1) / 2) ** 2 + np.cos(phi1) * np.cos(phi2) * np.sin(dlon / 2) ** 2
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0))))
