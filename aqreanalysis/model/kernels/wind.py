"""What the wind brings to the cells of a square: readings of the hours around, kriged where their air is by now.

A cell's covariances with all readings of an hour are some hundreds of exponentials. From afar they are smooth: those
with readings beyond a radius about the square are summed at a few nodes inside it and interpolated, and only the rest,
some of a hundred readings, cell by cell.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.model.kernels.numba_setup import ONE, ZERO, Array, compiled, compiled_in_order, exp, multiply


@compiled_in_order
def _add_readings(
    points: Array,
    where: Array,
    chosen: NDArray[np.int64],
    weight: Array,
    model: tuple[Array, Array],
    sums: Array,
) -> None:
    """Add to `sums` (target + 2, point) what some readings bring: covariance times weight, and powers of covariance.

    Parameters
    ----------
    points : float32 (3, point)
        km.
    where : float32 (4, reading)
        Of the hour, km: the fourth is how far trajectories have gone astray.
    chosen : int64
        Which readings, in the order in which they are summed.
    weight : float32 (target, reading)
    model : tuple of float32
        Amplitudes of the two exponentials, by the age of the reading (2, reading); one over their ranges, 1/km (2,).
    """
    amplitudes, rates = model
    targets, count, short, long = weight.shape[0], points.shape[1], rates[0], rates[1]
    x, y, z = points[0], points[1], points[2]
    covariance = np.empty(count, np.float32)
    known, certain = sums[targets], sums[targets + 1]
    for reading in chosen:
        a, b, c, aside = where[0, reading], where[1, reading], where[2, reading], where[3, reading]
        aside *= aside
        near, far = amplitudes[0, reading], amplitudes[1, reading]
        for p in range(count):
            east, north, up = x[p] - a, y[p] - b, z[p] - c
            distance = np.sqrt(east * east + north * north + up * up + aside)
            covariance[p] = near * exp(-distance * short) + far * exp(-distance * long)
        for target in range(targets):
            by, row = weight[target, reading], sums[target]
            for p in range(count):
                row[p] += by * covariance[p]
        for p in range(count):
            square = covariance[p] * covariance[p]
            fourth = square * square
            known[p] += square
            certain[p] += fourth * fourth


@compiled
def _sum_at_nodes(nodes: Array, readings: Array, count: int, rates: Array, covariance: Array, sums: Array) -> None:
    """Fill the same sums (target + 2, node) at a few nodes: a run over the many readings for each, in vectors.

    The first `count` columns of `readings` are those of `_sort_readings`; how many there are hangs on the hour and the
    square alone, so each sum has one order.
    """
    targets, short, long = readings.shape[0] - 6, rates[0], rates[1]
    x, y, z, aside, near, far = readings[0], readings[1], readings[2], readings[3], readings[4], readings[5]
    for node in range(nodes.shape[1]):
        a, b, c = nodes[0, node], nodes[1, node], nodes[2, node]
        for r in range(count):
            east, north, up = x[r] - a, y[r] - b, z[r] - c
            distance = np.sqrt(east * east + north * north + up * up + aside[r] * aside[r])
            covariance[r] = near[r] * exp(-distance * short) + far[r] * exp(-distance * long)
        for target in range(targets):
            total, by = ZERO, readings[6 + target]
            for r in range(count):
                total += by[r] * covariance[r]
            sums[target, node] = total
        known, certain = ZERO, ZERO
        for r in range(count):
            square = covariance[r] * covariance[r]
            fourth = square * square
            known += square
            certain += fourth * fourth
        sums[targets, node], sums[targets + 1, node] = known, certain


@compiled_in_order
def _sort_readings(
    where: Array, weight: Array, amplitudes: Array, centre: Array, near: NDArray[np.int64], far: Array
) -> int:
    """Fill which readings lie within the distance `centre[3]` of a centre, and put the others side by side: places,
    amplitudes and weights (4 + 2 + target, reading); return how many are near."""
    close, distant, limit = 0, 0, centre[3] * centre[3]
    for reading in range(where.shape[1]):
        x, y, z = where[0, reading] - centre[0], where[1, reading] - centre[1], where[2, reading] - centre[2]
        aside = where[3, reading]
        if x * x + y * y + z * z + aside * aside > limit:
            for part in range(4):
                far[part, distant] = where[part, reading]
            far[4, distant], far[5, distant] = amplitudes[0, reading], amplitudes[1, reading]
            for target in range(weight.shape[0]):
                far[6 + target, distant] = weight[target, reading]
            distant += 1
        else:
            near[close] = reading
            close += 1
    return close


@compiled_in_order
def krige_advected(
    square: tuple[Array, Array, Array, Array],
    where: Array,
    weight: Array,
    model: tuple[Array, Array],
    out: Array,
) -> None:
    """Add what the readings of each hour bring to the cells of a square to what `average_sites` gave, and fill how much
    is known there: (target + 2, place, hour).

    Parameters
    ----------
    square : tuple of float32
        Cells (3, place) and nodes (3, node) in km; what each node counts at each cell (node, place); centre and, last,
        the distance from it beyond which readings are interpolated, km (4,), infinite where there are no nodes.
    where : float32 (hour, 4, reading)
        Places of the readings in km, and how far trajectories have gone astray.
    weight : float32 (hour, target, reading)
        Solution of the kriging system.
    model : tuple of float32
        Amplitudes (2, reading) and rates (2,) of the covariance, as of `_add_readings`.
    out : float32 (target + 2, place, hour)
    """
    places, nodes, shares, centre = square
    hours, _, readings = where.shape
    rows, count, grid = out.shape[0], places.shape[1], nodes.shape[1]
    cells, coarse = np.empty((rows, count), np.float32), np.empty((rows, grid), np.float32)
    near, far = np.empty(readings, np.int64), np.empty((rows + 4, readings), np.float32)
    covariance = np.empty(readings, np.float32)
    for hour in range(hours):
        close = _sort_readings(where[hour], weight[hour], model[0], centre, near, far)
        cells[:] = ZERO
        _add_readings(places, where[hour], near[:close], weight[hour], model, cells)
        if close < readings:
            _sum_at_nodes(nodes, far, readings - close, model[1], covariance, coarse)
            for row in range(rows):
                into = cells[row]
                for node in range(grid):
                    value, share = coarse[row, node], shares[node]
                    for p in range(count):
                        into[p] += value * share[p]
        for row in range(rows - 2):
            for p in range(count):
                out[row, p, hour] += cells[row, p]
        for row in range(rows - 2, rows):
            for p in range(count):
                known = max(cells[row, p], ZERO)
                out[row, p, hour] = known / (ONE + known)


@compiled_in_order
def average_sites(points: Array, sites: Array, range_km: float, base: Array, mean: Array, out: Array) -> None:
    """Fill the average over the sites around, the nearer the more, and the mean of the deviations from it.

    Parameters
    ----------
    points, sites : float32 (3, place) and (3, site)
        km.
    range_km : float
        Distance at which a site counts less by a factor of e.
    base : float32 (target, site, hour)
        Values at the sites.
    mean : float32 (target, hour)
    out : float32 (target + 2, place, hour)
        Its first rows are filled.
    """
    count, places = sites.shape[1], points.shape[1]
    rate = ONE / np.float32(range_km)
    shares = np.empty((places, count), np.float32)
    for p in range(places):
        x, y, z = points[0, p], points[1, p], points[2, p]
        row = shares[p]
        for n in range(count):
            a, b, c = sites[0, n] - x, sites[1, n] - y, sites[2, n] - z
            row[n] = exp(-np.sqrt(a * a + b * b + c * c) * rate)
        total = ZERO
        for n in range(count):
            total += row[n]
        for n in range(count):
            row[n] /= total
    for target in range(base.shape[0]):
        multiply(shares, base[target], out[target])
        for p in range(places):
            into = out[target, p]
            for hour in range(into.size):
                into[hour] += mean[target, hour]


@compiled_in_order
def reading_covariances(
    where: Array, model: tuple[Array, Array, Array], noise: tuple[Array, Array], out: Array
) -> None:
    """Fill the covariances of the readings of an hour with each other, with their noise (reading, reading).

    Parameters
    ----------
    where : float32 (reading, 4)
        Site after site, the lags of a site side by side; km, the fourth is how far trajectories have gone astray.
    model : tuple of float32
        Amplitudes of the two exponentials between readings of two lags (lag, lag) each, and one over their ranges, 1/km
        (2,).
    noise : tuple of float32
        What readings of one site share by their lags (site, lag, lag), and what is added to each reading's own variance
        (reading,).
    """
    near, far, rates = model
    shared, own = noise
    readings, lags, first, second = len(where), len(near), rates[0], rates[1]
    x, y, z = np.empty(readings, np.float32), np.empty(readings, np.float32), np.empty(readings, np.float32)
    short, long = np.empty((lags, readings), np.float32), np.empty((lags, readings), np.float32)
    aside = np.empty(readings, np.float32)
    for j in range(readings):
        x[j], y[j], z[j], aside[j] = where[j, 0], where[j, 1], where[j, 2], where[j, 3]
        for lag in range(lags):
            short[lag, j], long[lag, j] = near[lag, j % lags], far[lag, j % lags]
    for i in range(readings):
        row, lag, site = out[i], i % lags, i // lags
        a, b = short[lag], long[lag]
        for j in range(readings):
            east, north, up, apart = x[j] - x[i], y[j] - y[i], z[j] - z[i], aside[j] - aside[i]
            distance = np.sqrt(east * east + north * north + up * up + apart * apart)
            row[j] = a[j] * exp(-distance * first) + b[j] * exp(-distance * second)
        for other in range(lags):
            row[site * lags + other] += shared[site, lag, other]
        row[i] += own[i]


@compiled_in_order
def solve_factored(factor: Array, right: Array) -> None:
    """Put the solutions (reading, column) of a system in place of its right sides; `factor` is its Cholesky factor.

    A row of the factor after the other, forth and back: all columns in their order, so that no sum depends on how many
    there are.
    """
    size, columns = right.shape
    turned = np.ascontiguousarray(right.T)
    for column in range(columns):
        values = turned[column]
        for i in range(size):
            row, rest = factor[i], values[i]
            for j in range(i):
                rest -= row[j] * values[j]
            values[i] = rest / row[i]
        for i in range(size - 1, -1, -1):
            row = factor[i]
            value = values[i] / row[i]
            values[i] = value
            for j in range(i):
                values[j] -= row[j] * value
    for column in range(columns):
        for i in range(size):
            right[i, column] = turned[column, i]
