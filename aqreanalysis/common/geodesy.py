"""Distances between stations on the sphere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

EARTH_RADIUS_KM = 6371.0088


def distance_km(
    lat1: NDArray[np.float64] | float,
    lon1: NDArray[np.float64] | float,
    lat2: NDArray[np.float64] | float,
    lon2: NDArray[np.float64] | float,
) -> NDArray[np.float64]:
    """Return great-circle distances in km between points in degrees (haversine formula, mean radius of the Earth)."""
    phi1, phi2 = np.radians(lat1), np.radians(lat2)
    half = np.sin((phi2 - phi1) / 2) ** 2
    half = half + np.cos(phi1) * np.cos(phi2) * np.sin(np.radians(np.subtract(lon2, lon1)) / 2) ** 2
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0))))


def stations_within(lat: NDArray[np.float64], lon: NDArray[np.float64], km: float) -> list[NDArray[np.intp]]:
    """Return, for each place, the sorted indices of the other places at most `km` away along the great circle."""
    phi, lam = np.radians(lat), np.radians(lon)
    points = np.column_stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])
    # On the unit sphere a great-circle distance is a chord, so a plain k-d tree finds neighbours across 180 degrees.
    chord = 2 * np.sin(min(km / (2 * EARTH_RADIUS_KM), np.pi / 2))
    found = cKDTree(points).query_ball_point(points, chord, return_sorted=True)
    return [np.array([j for j in near if j != i], dtype=np.intp) for i, near in enumerate(found)]
