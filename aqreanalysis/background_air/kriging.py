"""Kriging with noise of its own at every station, and with what stations of a group are off by together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.common.geodesy import distance_matrix_km
from aqreanalysis.geostatistics.kriging import bordered_inverse
from aqreanalysis.model.distribution.station_groups import AirCovariance, GroupErrors

Floats = NDArray[np.floating[Any]]

# Moves co-located instruments apart: at distance zero two rows of a kriging matrix would be equal.
_APART_KM = 1e-3
# What a missing reading's row of a system holds on its diagonal, against variances near one.
_NOTHING = 1e9


def distances(lat: Floats, lon: Floats) -> Floats:
    """Return distances between stations (station, station) in km, those at one place a metre apart."""
    km = distance_matrix_km(lat, lon, lat, lon)
    return np.asarray(np.where(np.eye(len(lat), dtype=bool), 0.0, np.maximum(km, _APART_KM)))


def air_covariance(air: AirCovariance, km: Floats) -> Floats:
    """Return the covariance of what stations of background air would read; the nugget counts at distance 0 alone."""
    smooth = air.variance * air.sill * np.exp(-km / air.range_km)
    return np.asarray(smooth + np.where(km > 0, 0.0, air.variance * air.nugget))


def noise_covariance(group: NDArray[np.str_], known: Mapping[str, GroupErrors], km: Floats) -> Floats:
    """Return the covariance of what stations are off by, less their lasting differences; zero for background."""
    out = np.zeros_like(km)
    for name, one in known.items():
        at = np.flatnonzero(group == name)
        part = np.ix_(at, at)
        out[part] = one.shared * np.exp(-km[part] / one.shared_km) + one.noise * np.eye(len(at))
    return out


def smooth(z: Floats, air: Floats, noise: Floats, targets: NDArray[np.intp]) -> Floats:
    """Return what stations would read without their noise, given the readings of all at that hour (hour, target).

    With a Gaussian field, kriging everywhere else from these values as if they had no noise gives what kriging from
    the readings with their noise gives: so noise need be known nowhere else.

    Parameters
    ----------
    z : ndarray, shape (hour, station)
        Readings less lasting differences, NaN where missing.
    air, noise : ndarray, shape (station, station)
        Covariances of the field and of the noise.
    targets : ndarray of int
        The stations that are wanted.
    """
    known = np.isfinite(z)
    both = known[:, :, None] & known[:, None, :]
    systems = np.where(both, air + noise, 0.0) + np.where(known, 0.0, _NOTHING)[:, :, None] * np.eye(z.shape[1])
    right = np.stack([np.where(known, z, 0.0), known.astype(np.float64)], axis=-1)
    solved = np.linalg.solve(systems, right)
    ones = np.maximum(np.where(known, solved[..., 1], 0.0).sum(axis=1), 1e-12)
    mean = np.where(known, solved[..., 0], 0.0).sum(axis=1) / ones
    weights = np.where(known, solved[..., 0] - mean[:, None] * solved[..., 1], 0.0)
    return np.asarray(mean[:, None] + weights @ air[:, targets])


def left_out_errors(z: Floats, covariance: Floats, judged: NDArray[np.intp]) -> Floats:
    """Return how far stations lie from what all others say of them, each left out alone, (hour, judged).

    From one inverse an hour (Dubrule 1983); NaN where a reading is missing.
    """
    out = np.full((len(z), len(judged)), np.nan)
    for row, hour in enumerate(z):
        at = np.flatnonzero(np.isfinite(hour))
        if len(at) < 3:
            continue
        bordered = bordered_inverse(np.linalg.inv(covariance[np.ix_(at, at)]))
        errors = np.full(z.shape[1], np.nan)
        errors[at] = (bordered @ hour[at]) / np.diag(bordered)
        out[row] = errors[judged]
    return out
