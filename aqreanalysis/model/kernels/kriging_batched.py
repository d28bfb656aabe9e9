"""Kriging systems of single places, solved many side by side.

A vector holds one element of many systems, so every step of the factorisation is a step along memory: a place and its
six covariance models take 7 microseconds, where one system after the other took 110 (forty neighbours).
"""

from __future__ import annotations

import numpy as np

from aqreanalysis.model.kernels.kriging_shared import LEAST_VARIANCE, SAME_PLACE
from aqreanalysis.model.kernels.numba_setup import ONE, ZERO, Array, compiled, exp

# Systems side by side: a run along memory is long enough, and their matrices stay in a processor's second cache.
_LANES = 64


@compiled
def _covary(plane: Array, model: tuple[Array, Array], noise: Array, rows: Array) -> None:
    """Fill the lower half of the systems and below it what stands on their right: the places' own covariances, ones.

    One neighbour more than there are, for an even number of rows, is one that has nothing to do with any other.

    Parameters
    ----------
    plane : float32 (2, k, lane)
        East and north of the neighbours, km.
    model : tuple of float32
        Stretch and shape of one model, as of `covariances`.
    noise : float32 (k, lane)
        What is added to each neighbour's own variance.
    rows : float32 (even + 2, even, lane)
    """
    metric, shape = model
    k = plane.shape[1]
    rows[k:] = ZERO
    if k < rows.shape[1]:
        rows[k, k] = ONE
    right = rows[rows.shape[1] :]
    a, b, c = metric[0], metric[1], metric[2]
    short, long, share = shape[0], shape[1], shape[2]
    lanes = plane.shape[2]
    nothing = np.sqrt(SAME_PLACE)
    sill = (ONE - share) * exp(-nothing * short) + share * exp(-nothing * long)
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
            row[lane] = sill + added[lane]
        row = right[0, i]
        for lane in range(lanes):
            east, north = x[lane] * a + y[lane] * b, x[lane] * b + y[lane] * c
            distance = np.sqrt(east * east + north * north + SAME_PLACE)
            row[lane] = (ONE - share) * exp(-distance * short) + share * exp(-distance * long)
        right[1, i] = ONE


@compiled
def _factor(rows: Array) -> None:
    """Turn the systems of `_covary` into Cholesky factors, with one over their diagonals, and solve what stands below.

    Two rows at once against each before them, and four products for each load and store: less than half the time of
    row by row. A matrix that is not positive definite gives NaN.

    Parameters
    ----------
    rows : float32 (k + 2, k, lane)
        With an even k.
    """
    _, k, lanes = rows.shape
    one, two = np.empty(lanes, np.float32), np.empty(lanes, np.float32)
    for i in range(0, len(rows), 2):
        a, b = rows[i], rows[i + 1]
        for j in range(min(i, k)):
            other, whole = rows[j], j - j % 4
            for lane in range(lanes):
                one[lane], two[lane] = a[j, lane], b[j, lane]
            for n in range(0, whole, 4):
                for lane in range(lanes):
                    w, x, y, z = other[n, lane], other[n + 1, lane], other[n + 2, lane], other[n + 3, lane]
                    one[lane] -= a[n, lane] * w + a[n + 1, lane] * x + a[n + 2, lane] * y + a[n + 3, lane] * z
                    two[lane] -= b[n, lane] * w + b[n + 1, lane] * x + b[n + 2, lane] * y + b[n + 3, lane] * z
            for n in range(whole, j):
                for lane in range(lanes):
                    one[lane] -= a[n, lane] * other[n, lane]
                    two[lane] -= b[n, lane] * other[n, lane]
            for lane in range(lanes):
                a[j, lane], b[j, lane] = one[lane] * other[j, lane], two[lane] * other[j, lane]
        if i < k:
            for n in range(i):
                for lane in range(lanes):
                    a[i, lane] -= a[n, lane] * a[n, lane]
                    b[i, lane] -= a[n, lane] * b[n, lane]
                    b[i + 1, lane] -= b[n, lane] * b[n, lane]
            for lane in range(lanes):
                a[i, lane] = ONE / np.sqrt(a[i, lane])
                b[i, lane] *= a[i, lane]
                b[i + 1, lane] = ONE / np.sqrt(b[i + 1, lane] - b[i, lane] * b[i, lane])


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
def solve_kriging_batched(
    position: Array, noise: Array, metrics: Array, shapes: Array, solution: tuple[Array, Array]
) -> None:
    """Fill weights and variances of each place's own system; see `NeuralKNN.forward`.

    Parameters
    ----------
    position : float32 (place, k, 2)
        East and north of each place's neighbours in km.
    noise : float32 (model, place, k)
        What is added to each neighbour's own variance.
    metrics, shapes
        As of `covariances`.
    solution : tuple of float32
        Weights (model, place, k), which sum to one, and variances (model, place).
    """
    weights, variance = solution
    models, places, k = noise.shape
    plane, added = np.empty((2, k, _LANES), np.float32), np.empty((k, _LANES), np.float32)
    even = k + k % 2
    rows = np.empty((even + 2, even, _LANES), np.float32)
    solved, spread = np.empty((even, _LANES), np.float32), np.empty(_LANES, np.float32)
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
            _weigh(rows, solved, spread)
            for lane in range(count):
                variance[m, begin + lane] = spread[lane]
                for n in range(k):
                    weights[m, begin + lane, n] = solved[n, lane]
