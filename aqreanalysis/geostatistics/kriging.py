"""The systems of ordinary kriging, solved: at points, at stations left out, and for hours that miss some readings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg

from aqreanalysis.geostatistics.variogram import Variogram

Floats = npt.NDArray[np.floating[Any]]

#: An hour with fewer readings is left unanswered.
FEWEST_READINGS = 5
# Shares under which a field of a drift is constant at the stations, and a station is not told by the others.
_LEAST_VARYING, _LEAST_TOLD = 1e-6, 1e-9
# Stations nearer to each other than about this share a vote, km.
_TOGETHER_KM = 25.0
# Systems solved at once: memory.
_AT_ONCE = 256


@dataclass(frozen=True)
class LeftOut:
    """Estimate and kriging variance of each reading from the stations of other groups, shape (T, station)."""

    estimate: Floats
    variance: Floats


def ordinary_kriging(covariance: Floats, to_places: Floats, z: Floats, sill: float) -> tuple[Floats, Floats]:
    """Return the ordinary-kriging estimate and variance at the points, each of shape (point,).

    Parameters
    ----------
    covariance : ndarray, shape (station, station)
        Among the stations that report, `sill` on the diagonal.
    to_places : ndarray, shape (station, point)
        Between them and the points.
    z : ndarray, shape (station,)
        Readings.
    sill : float
        Variance of the field, nugget and all.
    """
    factor = scipy.linalg.cho_factor(covariance, lower=True, check_finite=False)
    solved = scipy.linalg.cho_solve(factor, np.column_stack([to_places, np.ones(len(z))]), check_finite=False)
    simple, ones = solved[:, :-1], solved[:, -1]
    # The unknown mean: weights that sum to less than one are filled up in proportion to `ones` (Cressie 1993, 3.2).
    missing = 1.0 - simple.sum(axis=0)
    estimate = z @ simple + missing * (z @ ones) / ones.sum()
    variance = sill - np.einsum("sp,sp->p", to_places, simple) + missing**2 / ones.sum()
    return estimate, variance


def universal_kriging(
    covariance: Floats, to_places: Floats, z: Floats, drift: tuple[Floats, Floats], sill: float
) -> tuple[Floats, Floats]:
    """Return the estimate and variance of kriging with a drift at the points, each of shape (point,).

    The mean is an unknown sum of a constant and of the drift's fields (Cressie 1993, 3.4; Wackernagel 2003, ch. 38).
    A field that is constant at the readings tells nothing and takes no part.

    Parameters
    ----------
    covariance, to_places, z, sill
        As of `ordinary_kriging`.
    drift : tuple of ndarray
        The fields at the readings (station, field) and at the points (point, field).
    """
    middle, tell = _varying(drift[0])
    here, there = (np.column_stack([np.ones(len(part)), (part - middle) * tell]) for part in drift)
    factor = scipy.linalg.cho_factor(covariance, lower=True, check_finite=False)
    solved = scipy.linalg.cho_solve(factor, np.column_stack([to_places, here]), check_finite=False)
    simple, drifted = solved[:, : to_places.shape[1]], solved[:, to_places.shape[1] :]
    # What simple weights leave of the drift at the point is filled up by generalised least squares.
    missing = there - simple.T @ here
    precision = _pseudo_inverse(here.T @ drifted)
    estimate = z @ simple + missing @ (precision @ (drifted.T @ z))
    variance = sill - np.einsum("sp,sp->p", to_places, simple) + np.einsum("pi,ij,pj->p", missing, precision, missing)
    return estimate, variance


def leave_out(
    z: Floats, km: Floats, variogram: Variogram, groups: npt.NDArray[np.int64], drift: Floats | None = None
) -> LeftOut:
    """Return what kriging from the other groups says at every station, from one inverse an hour.

    With B the inverse of the bordered kriging matrix, the errors of a group G left out are ``inv(B_GG) (B z)_G`` and
    their covariance ``inv(B_GG)`` (Dubrule 1983). Kriging each group anew would cost some hundred times as much.

    Parameters
    ----------
    z : ndarray, shape (T, station) or (T, station, series)
        Readings, NaN where missing; of several series that miss the same readings, each is kriged by itself.
    km : ndarray, shape (station, station)
        Distances.
    variogram : Variogram
        Of each series.
    groups : ndarray of int, shape (station,)
        Stations that are left out together.
    drift : ndarray, shape (T, station, field), optional
        Fields of `universal_kriging`; without, the mean is an unknown constant.

    Returns
    -------
    LeftOut
        Estimates of the shape of `z`, variances of shape (T, station); NaN where too little is left to krige from.
    """
    estimate, variance = np.full(z.shape, np.nan), np.full(z.shape[:2], np.nan)
    covariance = variogram.covariance(km)
    for t, hour in enumerate(z):
        at = np.flatnonzero(np.isfinite(hour if z.ndim == 2 else hour[:, 0]))
        if at.size < FEWEST_READINGS or np.unique(groups[at]).size < 2:
            continue
        inverse = _inverse(covariance[np.ix_(at, at)])
        bordered = bordered_inverse(inverse, None if drift is None else drift[t, at])
        estimate[t, at], variance[t, at] = _left_out_of(bordered, hour[at], groups[at], drift is not None)
    return LeftOut(estimate, variance)


def bordered_inverse(inverse: Floats, drift: Floats | None = None) -> Floats:
    """Return the stations' part of the inverse of the kriging matrix that is bordered by a constant and by a drift."""
    if drift is None:
        row = inverse.sum(axis=0)
        return np.asarray(inverse - np.outer(row, row / row.sum()))
    middle, tell = _varying(drift)
    fields = np.column_stack([np.ones(len(drift)), (drift - middle) * tell])
    drifted = inverse @ fields
    return np.asarray(inverse - drifted @ _pseudo_inverse(fields.T @ drifted) @ drifted.T)


def _varying(fields: Floats) -> tuple[Floats, Floats]:
    """Return the mean of each field (station, field), and one where it varies and zero where all of it is rounding."""
    middle = fields.mean(axis=0)
    return middle, (np.abs(fields - middle).max(axis=0) > _LEAST_VARYING * np.abs(fields).max(axis=0)).astype(
        np.float64
    )


def _left_out_of(bordered: Floats, values: Floats, groups: npt.NDArray[np.int64], drift: bool) -> tuple[Floats, Floats]:
    """Return estimates, of the shape of `values` (station, ...), and variances (station,) of one hour left out."""
    product = bordered @ values
    diagonal = np.diag(bordered).copy()
    if drift:
        # A station that alone tells a field of the drift leaves nothing to krige it from.
        diagonal[diagonal < _LEAST_TOLD * np.median(diagonal)] = np.nan
    # Most groups hold one station: their inverses are reciprocals, taken all at once.
    variance = 1.0 / diagonal
    estimate = values - (variance if values.ndim == 1 else variance[:, None]) * product
    for members in _groups_of_several(groups):
        part = bordered[np.ix_(members, members)]
        if drift and np.linalg.cond(part) * _LEAST_TOLD > 1.0:
            estimate[members], variance[members] = np.nan, np.nan
            continue
        covariances = np.linalg.inv(part)
        estimate[members] = values[members] - covariances @ product[members]
        variance[members] = np.diag(covariances)
    return estimate, variance


def _pseudo_inverse(symmetric: Floats) -> Floats:
    """Return the inverse of a symmetric positive matrix on what it has of full rank, each field on its own scale."""
    scale = np.sqrt(np.maximum(np.diag(symmetric), np.finfo(np.float64).tiny))
    inverse = np.linalg.pinv(symmetric / np.outer(scale, scale), rcond=_LEAST_TOLD, hermitian=True)
    return np.asarray(inverse / np.outer(scale, scale))


def _inverse(covariance: Floats) -> Floats:
    """Return the inverse of a positive definite matrix, from its Cholesky factor."""
    factor = scipy.linalg.cholesky(covariance, lower=True, check_finite=False)
    inverse, _ = scipy.linalg.lapack.dpotri(factor, lower=1)
    return np.asarray(np.tril(inverse) + np.tril(inverse, -1).T)


def _groups_of_several(groups: npt.NDArray[np.int64]) -> list[npt.NDArray[np.intp]]:
    numbers, counts = np.unique(groups, return_counts=True)
    return [np.flatnonzero(groups == number) for number in numbers[counts > 1]]


def kriging_of_known(
    among: Floats, to_places: Floats, values: Floats, sill: float, fewest: int
) -> tuple[Floats, Floats]:
    """Return estimate and variance of one point at each row of `values` (T, n), where NaN takes no part."""
    known = np.isfinite(values)
    estimate, variance = np.full((2, len(values)), np.nan)
    enough = np.flatnonzero(known.sum(axis=1) >= fewest)
    identity = np.eye(len(among))
    # Hours that miss the same readings share one system.
    for start in range(0, len(enough), _AT_ONCE):
        rows = enough[start : start + _AT_ONCE]
        masks, member = np.unique(known[rows], axis=0, return_inverse=True)
        both = masks[:, :, None] & masks[:, None, :]
        systems = np.where(both, among, identity)
        right = np.stack([np.where(masks, to_places, 0.0), masks.astype(np.float64)], axis=-1)
        solved = np.linalg.solve(systems, right)
        simple, ones = solved[..., 0], solved[..., 1]
        missing, total = 1.0 - simple.sum(axis=1), ones.sum(axis=1)
        weights = simple + (missing / total)[:, None] * ones
        estimate[rows] = (weights[member.ravel()] * np.where(known[rows], values[rows], 0.0)).sum(axis=1)
        spent = (np.where(masks, to_places, 0.0) * simple).sum(axis=1)
        variance[rows] = (sill - spent + missing**2 / total)[member.ravel()]
    return estimate, variance


def share_votes(km: Floats) -> npt.NDArray[np.float64]:
    """Return the weight of each station (station,), mean one: stations of one town have one vote together.

    Parameters
    ----------
    km : ndarray, shape (station, station)
        Distances.
    """
    weight = 1.0 / np.exp(-0.5 * (km / _TOGETHER_KM) ** 2).sum(axis=1)
    return np.asarray(weight / weight.mean())
