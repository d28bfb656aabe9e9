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
# Systems solved at once: memory.
_AT_ONCE = 256


@dataclass(frozen=True)
class LeftOut:
    """Estimate and kriging variance of each reading from the stations of other groups, shape (T, station)."""

    estimate: Floats
    variance: Floats


def ordinary_kriging(covariance: Floats, towards: Floats, z: Floats, sill: float) -> tuple[Floats, Floats]:
    """Return the ordinary-kriging estimate and variance at the points, each of shape (point,).

    Parameters
    ----------
    covariance : ndarray, shape (station, station)
        Among the stations that report, `sill` on the diagonal.
    towards : ndarray, shape (station, point)
        Between them and the points.
    z : ndarray, shape (station,)
        Readings.
    sill : float
        Variance of the field, nugget and all.
    """
    factor = scipy.linalg.cho_factor(covariance, lower=True, check_finite=False)
    solved = scipy.linalg.cho_solve(factor, np.column_stack([towards, np.ones(len(z))]), check_finite=False)
    simple, ones = solved[:, :-1], solved[:, -1]
    # The unknown mean: weights that sum to less than one are filled up in proportion to `ones` (Cressie 1993, 3.2).
    missing = 1.0 - simple.sum(axis=0)
    estimate = z @ simple + missing * (z @ ones) / ones.sum()
    variance = sill - np.einsum("sp,sp->p", towards, simple) + missing**2 / ones.sum()
    return estimate, variance


def leave_out(z: Floats, km: Floats, variogram: Variogram, groups: npt.NDArray[np.int64]) -> LeftOut:
    """Return what kriging from the other groups says at every station, from one inverse an hour.

    With B the inverse of the bordered kriging matrix, the errors of a group G left out are ``inv(B_GG) (B z)_G`` and
    their covariance ``inv(B_GG)`` (Dubrule 1983). Kriging each group anew would cost some hundred times as much.
    """
    estimate, variance = np.full((2, *z.shape), np.nan)
    covariance = variogram.covariance(km)
    for t, hour in enumerate(z):
        at = np.flatnonzero(np.isfinite(hour))
        if at.size < FEWEST_READINGS or np.unique(groups[at]).size < 2:
            continue
        inverse = _inverse(covariance[np.ix_(at, at)])
        row = inverse.sum(axis=0)
        inverse -= np.outer(row, row / row.sum())
        product = inverse @ hour[at]
        # Most groups hold one station: their inverses are reciprocals, taken all at once.
        single = 1.0 / np.diag(inverse)
        estimate[t, at], variance[t, at] = hour[at] - single * product, single
        for members in _groups_of_several(groups[at]):
            covariances = np.linalg.inv(inverse[np.ix_(members, members)])
            where = at[members]
            estimate[t, where] = hour[where] - covariances @ product[members]
            variance[t, where] = np.diag(covariances)
    return LeftOut(estimate, variance)


def _inverse(covariance: Floats) -> Floats:
    """Return the inverse of a positive definite matrix, from its Cholesky factor."""
    factor = scipy.linalg.cholesky(covariance, lower=True, check_finite=False)
    inverse, _ = scipy.linalg.lapack.dpotri(factor, lower=1)
    return np.asarray(np.tril(inverse) + np.tril(inverse, -1).T)


def _groups_of_several(groups: npt.NDArray[np.int64]) -> list[npt.NDArray[np.intp]]:
    numbers, counts = np.unique(groups, return_counts=True)
    return [np.flatnonzero(groups == number) for number in numbers[counts > 1]]


def kriging_of_known(among: Floats, towards: Floats, values: Floats, sill: float, fewest: int) -> tuple[Floats, Floats]:
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
        right = np.stack([np.where(masks, towards, 0.0), masks.astype(np.float64)], axis=-1)
        solved = np.linalg.solve(systems, right)
        simple, ones = solved[..., 0], solved[..., 1]
        missing, total = 1.0 - simple.sum(axis=1), ones.sum(axis=1)
        weights = simple + (missing / total)[:, None] * ones
        estimate[rows] = (weights[member.ravel()] * np.where(known[rows], values[rows], 0.0)).sum(axis=1)
        spent = (np.where(masks, towards, 0.0) * simple).sum(axis=1)
        variance[rows] = (sill - spent + missing**2 / total)[member.ravel()]
    return estimate, variance
