"""Median, mean, standard error, bounds and probabilities of many distributions."""

from __future__ import annotations

import numpy as np

from aqreanalysis.model.kernels.numba_setup import HALF, ONE, THREE, TWO, ZERO, Array, compiled_in_order, exp

# Places turned at once from (place, hour) to (hour, place): as many float32 as a cache line holds.
_PLACES_AT_ONCE = 16
# Two quantiles are at least so far apart.
_NARROWEST = np.float32(1e-9)


@compiled_in_order
def _table_at(near: Array, table: Array, table_here: Array) -> None:
    """Fill the table (row, level) of a place from its shares of the table's distances."""
    table_here[:] = ZERO
    for d in range(len(table)):
        for row in range(table_here.shape[0]):
            for level in range(table_here.shape[1]):
                table_here[row, level] += near[d] * table[d, row, level]


@compiled_in_order
def _pass_nodes(standardised: Array, nodes: Array, steps: Array) -> None:
    """Fill how far each hour has passed from each node to the next, smoothed (level, hour), as `smoothstep_passed`."""
    for level in range(len(steps)):
        row, low, width = steps[level], nodes[level], nodes[level + 1] - nodes[level]
        for h in range(len(standardised)):
            way = (standardised[h] - low) / width
            way = ZERO if way < ZERO else (ONE if way > ONE else way)
            row[h] = way * way * (THREE - TWO * way)


@compiled_in_order
def summarise(
    values: tuple[Array, Array, Array], tables: tuple[Array, Array, Array], nodes: Array, offset: float, summary: Array
) -> None:
    """Fill median, mean, standard error, lower and upper bound of shifted log-normal distributions of a tabled shape.

    Parameters
    ----------
    values : tuple of float32 (place, hour)
        Standardised location, by which the table is read; location and scale of the logarithm.
    tables : tuple of float32
        Shares of the table's distances at each place (place, distance); the table (distance, row, level), whose rows
        are the median, the lower and the upper bound, then the groups that carry the moments; the groups' shares.
    nodes : float32 (level,)
        Of the table.
    offset : float
        That shifts the distribution.
    summary : float32 (5, hour, place)
    """
    standardised, location, scale = values
    near, table, shares = tables
    (places, hours), (_, rows, levels) = location.shape, table.shape
    shift = np.float32(offset)
    buffer = np.empty((5, _PLACES_AT_ONCE, hours), np.float32)
    steps = np.empty((levels - 1, hours), np.float32)
    shape, value = np.empty(hours, np.float32), np.empty(hours, np.float32)
    table_here = np.empty((rows, levels), np.float32)
    for begin in range(0, places, _PLACES_AT_ONCE):
        end = min(places, begin + _PLACES_AT_ONCE)
        for p in range(begin, end):
            _table_at(near[p], table, table_here)
            _pass_nodes(standardised[p], nodes, steps)
            median, mean, variance = buffer[0, p - begin], buffer[1, p - begin], buffer[2, p - begin]
            mean[:] = ZERO
            variance[:] = ZERO
            for r in range(rows):
                shape[:] = table_here[r, 0]
                for level in range(levels - 1):
                    row, change = steps[level], table_here[r, level + 1] - table_here[r, level]
                    for h in range(hours):
                        shape[h] += change * row[h]
                into = median if r == 0 else (buffer[r + 2, p - begin] if r < 3 else value)
                for h in range(hours):
                    x = exp(location[p, h] + scale[p, h] * shape[h]) - shift
                    into[h] = ZERO if x < ZERO else x
                if r >= 3:
                    # About the median: squares of large concentrations would leave float32 few digits for the variance.
                    share = shares[r - 3]
                    for h in range(hours):
                        away = value[h] - median[h]
                        mean[h] += share * away
                        variance[h] += share * away * away
            for h in range(hours):
                variance[h] = np.sqrt(max(variance[h] - mean[h] * mean[h], ZERO))
                mean[h] += median[h]
        for layer in range(5):
            for h in range(hours):
                for p in range(begin, end):
                    summary[layer, h, p] = buffer[layer, p - begin, h]


@compiled_in_order
def exceed(
    values: tuple[Array, Array, Array], tables: tuple[Array, Array], nodes: Array, limit: float, probability: Array
) -> None:
    """Fill the probability that the logarithm of the shifted value exceeds `limit`.

    Parameters
    ----------
    values : tuple of float32 (place, hour)
        As of `summarise`.
    tables : tuple of float32
        Shares of the table's distances at each place (place, distance); the table (distance, quantile, level), whose
        quantiles are the midpoints of equal parts of the probability.
    nodes : float32 (level,)
        Of the table.
    limit : float
    probability : float32 (hour, place)
    """
    standardised, location, scale = values
    near, table = tables
    (places, hours), (_, quantiles, levels) = location.shape, table.shape
    steps, table_here = np.empty((levels - 1, hours), np.float32), np.empty((quantiles, levels), np.float32)
    standard, below = np.empty(hours, np.float32), np.empty(hours, np.float32)
    last, here = np.empty(hours, np.float32), np.empty(hours, np.float32)
    bound, part = np.float32(limit), ONE / np.float32(quantiles)
    for p in range(places):
        _table_at(near[p], table, table_here)
        _pass_nodes(standardised[p], nodes, steps)
        below[:] = ZERO
        for h in range(hours):
            standard[h] = (bound - location[p, h]) / scale[p, h]
        for q in range(quantiles):
            here[:] = table_here[q, 0]
            for level in range(levels - 1):
                row, change = steps[level], table_here[q, level + 1] - table_here[q, level]
                for h in range(hours):
                    here[h] += change * row[h]
            if q > 0:
                for h in range(hours):
                    way = (standard[h] - last[h]) / max(here[h] - last[h], _NARROWEST)
                    below[h] += ZERO if way < ZERO else (ONE if way > ONE else way)
            last[:] = here
        for h in range(hours):
            probability[h, p] = ONE - min(part * (HALF + below[h]), ONE)
