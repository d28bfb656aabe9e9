"""Kriging systems of single places, solved many side by side.

A vector holds one element of many systems, so every step of the factorisation is a step along memory: a place and its
six covariance models take 7 microseconds, where one system after the other took 110 (forty neighbours).
"""

from __future__ import annotations

import numpy as np

from aqreanalysis.model.compiled.arithmetic import ONE, ZERO, Array, compiled, exp
from aqreanalysis.model.compiled.kriging import LEAST_VARIANCE, SAME_PLACE

# Systems side by side: a run along memory is long enough, and their matrices stay in a processor's second cache.
_LANES = 64


@compiled
def _covary(plane: Array, model: tuple[Array, Array], noise: Array, rows: Array) -> None:
    """Fill the lower half of the systems and below it what stands on their right: the places' own covariances, ones.

    Parameters
    ----------
    plane : float32 (2, k, lane)
        East and north of the neighbours, km.
    model : tuple of float32
        Stretch and shape of one model, as of `covary`.
    noise : float32 (k, lane)
        What is added to each neighbour's own variance.
    rows : float32 (k + 2, k, lane)
    """
    metric, shape = model
    a, b, c = metric[0], metric[1], metric[2]
    short, long, share = shape[0], shape[1], shape[2]
    _, k, lanes = plane.shape
    nothing = np.sqrt(SAME_PLACE)
    own = (ONE - share) * exp(-nothing * short) + share * exp(-nothing * long)
    for i in range(k):
        x, y = plane[0, i], plane[1, i]
        for j in range(i):
            row, u, v = rows[i, j], plane[0, j], plane[1, j]
            for lane in range(lanes):
                dx, dy = x[lane] - u[lane], y[lane] - v[lane]
                east, north = dx * a + dy * b, dx * b + dy * c
                distance = np.sqrt(east * east + north * north + SAME_PLACE)
                row[lane] = (ONE - share) * exp(-distance * short) + share * exp(-distance * long)
        row, added = rows[i, i], noise[i]
        for lane in range(lanes):
            row[lane] = own + added[lane]
        row = rows[k, i]
        for lane in range(lanes):
            east, north = x[lane] * a + y[lane] * b, x[lane] * b + y[lane] * c
            distance = np.sqrt(east * east + north * north + SAME_PLACE)
            row[lane] = (ONE - share) * exp(-distance * short) + share * exp(-distance * long)
        rows[k + 1, i] = ONE


@compiled
def _take_off(left: Array, row: Array, other: Array, count: int) -> None:
    """Take the product of the first `count` elements of two rows (k, lane) off `left` (lane,)."""
    n = 0
    while n + 4 <= count:  # four at a time: a fourth of the loads and stores of what is left
        a, b, c, d = row[n], row[n + 1], row[n + 2], row[n + 3]
        e, f, g, h = other[n], other[n + 1], other[n + 2], other[n + 3]
        for lane in range(len(left)):
            left[lane] -= a[lane] * e[lane] + b[lane] * f[lane] + c[lane] * g[lane] + d[lane] * h[lane]
        n += 4
    while n < count:
        a, e = row[n], other[n]
        for lane in range(len(left)):
            left[lane] -= a[lane] * e[lane]
        n += 1


@compiled
def _factor(rows: Array) -> None:
    """Turn the systems of `_covary` into Cholesky factors, with one over their diagonals, and solve what stands below.

    A matrix that is not positive definite gives NaN.
    """
    k = rows.shape[1]
    for i in range(len(rows)):
        row = rows[i]
        for j in range(min(i, k)):
            left, diagonal = row[j], rows[j, j]
            _take_off(left, row, rows[j], j)
            for lane in range(len(left)):
                left[lane] *= diagonal[lane]
        if i < k:
            left = row[i]
            _take_off(left, row, row, i)
            for lane in range(len(left)):
                left[lane] = ONE / np.sqrt(left[lane])


@compiled
def _weigh(rows: Array, weights: Array, variance: Array) -> None:
    """Fill weights (k, lane) and variances (lane,) of ordinary kriging from the factors of `_factor`.

    With the factor L, ``y = L^-1 r`` of the place's covariances r and ``z = L^-1 1``, the weights are
    ``L^-T (y + z (1 - y'z) / z'z)`` and the variance is ``1 - y'y + (1 - y'z)^2 / z'z``.
    """
    _, k, lanes = rows.shape
    missing, flat = np.ones(lanes, np.float32), np.zeros(lanes, np.float32)
    variance[:] = ONE
    for n in range(k):
        simple, ones = rows[k, n], rows[k + 1, n]
        for lane in range(lanes):
            variance[lane] -= simple[lane] * simple[lane]
            missing[lane] -= simple[lane] * ones[lane]
            flat[lane] += ones[lane] * ones[lane]
    for lane in range(lanes):
        share = missing[lane] / flat[lane]
        variance[lane] = max(variance[lane] + missing[lane] * share, ZERO) + LEAST_VARIANCE
        missing[lane] = share
    for n in range(k):
        into, simple, ones = weights[n], rows[k, n], rows[k + 1, n]
        for lane in range(lanes):
            into[lane] = simple[lane] + ones[lane] * missing[lane]
    for i in range(k - 1, -1, -1):
        into, diagonal = weights[i], rows[i, i]
        for lane in range(lanes):
            into[lane] *= diagonal[lane]
        for j in range(i):
            below, by = weights[j], rows[i, j]
            for lane in range(lanes):
                below[lane] -= by[lane] * into[lane]


@compiled
def krige_places(position: Array, noise: Array, metrics: Array, shapes: Array, found: tuple[Array, Array]) -> None:
    """Fill weights and variances of each place's own system; see `NeuralKNN.forward`.

    Parameters
    ----------
    position : float32 (place, k, 2)
        East and north of each place's neighbours in km.
    noise : float32 (model, place, k)
        What is added to each neighbour's own variance.
    metrics, shapes
        As of `covary`.
    found : tuple of float32
        Weights (model, place, k), which sum to one, and variances (model, place).
    """
    weights, variance = found
    models, places, k = noise.shape
    plane, added = np.empty((2, k, _LANES), np.float32), np.empty((k, _LANES), np.float32)
    rows = np.empty((k + 2, k, _LANES), np.float32)
    solved, left = np.empty((k, _LANES), np.float32), np.empty(_LANES, np.float32)
    for begin in range(0, places, _LANES):
        # The last place fills up the last lanes: so a place has the same steps, and numbers, in any of them.
        count = min(places - begin, _LANES)
        for lane in range(_LANES):
            place = begin + min(lane, count - 1)
            for n in range(k):
                plane[0, n, lane], plane[1, n, lane] = position[place, n, 0], position[place, n, 1]
        for m in range(models):
            for lane in range(_LANES):
                for n in range(k):
                    added[n, lane] = noise[m, begin + min(lane, count - 1), n]
            _covary(plane, (metrics[m], shapes[m]), added, rows)
            _factor(rows)
            _weigh(rows, solved, left)
            for lane in range(count):
                variance[m, begin + lane] = left[lane]
                for n in range(k):
                    weights[m, begin + lane, n] = solved[n, lane]
