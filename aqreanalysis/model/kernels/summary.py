"""Median, mean, standard error, bounds and probabilities of many distributions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.model.kernels.numba_setup import HALF, ONE, THREE, TWO, ZERO, Array, compiled_in_order, exp

# Places turned at once from (place, hour) to (hour, place): as many float32 as a cache line holds.
_PLACES_AT_ONCE = 16
# Two quantiles are at least so far apart.
_NARROWEST = np.float32(1e-9)


@compiled_in_order
def _share_nodes(x: np.float32, nodes: tuple[Array, Array], near: Array) -> None:
    """Fill what each entry of a table counts at `x`, smoothed as by `smoothstep_weights`.

    Its first entries are at the first of the `nodes`, for `x` from zero on; those after at the second, for -`x`.
    """
    near[:] = ZERO
    distances, gaps = nodes
    first, some, way_in = (len(distances), gaps, -x) if x < ZERO else (0, distances, x)
    left = ONE
    for i in range(len(some) - 1):
        way = (way_in - some[i]) / (some[i + 1] - some[i])
        way = ZERO if way < ZERO else (ONE if way > ONE else way)
        passed = way * way * (THREE - TWO * way)
        near[first + i] += left - passed
        left = passed
    near[first + len(some) - 1] = left


@compiled_in_order
def _next_hours(
    where: Array, usual: np.float32, done: NDArray[np.bool_], chosen: NDArray[np.int64]
) -> tuple[int, np.float32]:
    """Fill the hours not `done` that lie where the first of them does, those at `usual` first; return how many, and
    where."""
    hours, begin = len(where), -1
    for h in range(hours):
        if not done[h] and (begin < 0 or where[h] == usual):
            begin = h
            if where[h] == usual:
                break
    count = 0
    if begin < 0:
        return count, usual
    here = where[begin]
    for h in range(hours):
        if not done[h] and where[h] == here:
            done[h] = True
            chosen[count] = h
            count += 1
    return count, here


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
def _table_of(
    here: np.float32,
    at_most_hours: tuple[np.float32, Array, Array],
    nodes: tuple[Array, Array],
    table: Array,
    table_here: Array,
) -> None:
    """Fill the table (row, level) of a place where it is read at `here`; what it is read at and counts at most hours is
    known, and the last array is room for what it counts here."""
    usual, near, own = at_most_hours
    if here == usual:
        _table_at(near, table, table_here)
    else:
        _share_nodes(here, nodes, own)
        _table_at(own, table, table_here)


@compiled_in_order
def _turn(buffer: Array, begin: int, end: int, summary: Array) -> None:
    """Fill the places of a summary (layer, hour, place) from some of them (layer, place, hour)."""
    layers, _, hours = buffer.shape
    for layer in range(layers):
        for h in range(hours):
            for p in range(begin, end):
                summary[layer, h, p] = buffer[layer, p - begin, h]


@compiled_in_order
def _summarise_hours(
    values: tuple[Array, Array, Array],
    table: tuple[Array, Array, Array],
    offset: np.float32,
    rooms: tuple[Array, Array, Array],
    summary: tuple[Array, Array, Array, Array, Array],
) -> None:
    """Fill median, mean, standard error and bounds, each (hour,), of one place at hours that share a table."""
    standardised, location, scale = values
    table_here, shares, nodes = table
    steps, shape, value = rooms
    hours, (rows, levels) = len(location), table_here.shape
    _pass_nodes(standardised, nodes, steps)
    median, mean, variance, lower, upper = summary
    mean[:] = ZERO
    variance[:] = ZERO
    for r in range(rows):
        shape[:] = table_here[r, 0]
        for level in range(levels - 1):
            row, change = steps[level], table_here[r, level + 1] - table_here[r, level]
            for h in range(hours):
                shape[h] += change * row[h]
        into = median if r == 0 else (lower if r == 1 else (upper if r == 2 else value))
        for h in range(hours):
            x = exp(location[h] + scale[h] * shape[h]) - offset
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


@compiled_in_order
def summarise(
    values: tuple[Array, Array, Array],
    tables: tuple[Array, Array, Array],
    where: tuple[Array, Array, Array, Array, Array],
    offset: float,
    summary: Array,
) -> None:
    """Fill median, mean, standard error, lower and upper bound of shifted log-normal distributions of a tabled shape.

    Parameters
    ----------
    values : tuple of float32 (place, hour)
        Standardised location, by which the table is read; location and scale of the logarithm.
    tables : tuple of float32
        Shares of the table's entries at each place as it is at most hours (place, entry); the table (entry, row,
        level), whose rows are the median, the lower and the upper bound, then the groups that carry the moments; the
        groups' shares.
    where : tuple of float32
        Of the table: its levels; its distances, and the lengths of gaps after them. Of the values: where each place is
        among them at most hours (place,), and at each (place, hour), a gap below zero; no hours if it never changes.
    offset : float
        That shifts the distribution.
    summary : float32 (5, hour, place)
    """
    standardised, location, scale = values
    near, table, shares = tables
    nodes, distances, gaps, usual, at_hour = where
    (places, hours), (entries, rows, levels), shift = location.shape, table.shape, np.float32(offset)
    buffer, some = np.empty((5, _PLACES_AT_ONCE, hours), np.float32), np.empty((8, hours), np.float32)
    steps = np.empty((levels - 1) * hours, np.float32)
    shape, value = np.empty(hours, np.float32), np.empty(hours, np.float32)
    table_here, own = np.empty((rows, levels), np.float32), np.empty(entries, np.float32)
    done, chosen = np.empty(hours, np.bool_), np.empty(hours, np.int64)
    changes = at_hour.shape[1] > 0
    for begin in range(0, places, _PLACES_AT_ONCE):
        end = min(places, begin + _PLACES_AT_ONCE)
        for p in range(begin, end):
            done[:] = False
            count, here = (_next_hours(at_hour[p], usual[p], done, chosen)) if changes else (hours, usual[p])
            if count == hours and here == usual[p]:
                _table_at(near[p], table, table_here)
                given, room = (standardised[p], location[p], scale[p]), (steps.reshape(levels - 1, hours), shape, value)
                q = p - begin
                rows_here = (buffer[0, q], buffer[1, q], buffer[2, q], buffer[3, q], buffer[4, q])
                _summarise_hours(given, (table_here, shares, nodes), shift, room, rows_here)
                continue
            while count > 0:
                _table_of(here, (usual[p], near[p], own), (distances, gaps), table, table_here)
                for i in range(count):
                    h = chosen[i]
                    some[5, i], some[6, i], some[7, i] = standardised[p, h], location[p, h], scale[p, h]
                given = some[5, :count], some[6, :count], some[7, :count]
                room = steps[: (levels - 1) * count].reshape(levels - 1, count), shape[:count], value[:count]
                own_rows = some[0, :count], some[1, :count], some[2, :count], some[3, :count], some[4, :count]
                _summarise_hours(given, (table_here, shares, nodes), shift, room, own_rows)
                for layer in range(5):
                    for i in range(count):
                        buffer[layer, p - begin, chosen[i]] = some[layer, i]
                count, here = _next_hours(at_hour[p], usual[p], done, chosen)
        _turn(buffer, begin, end, summary)


@compiled_in_order
def _exceed_hours(
    values: tuple[Array, Array, Array],
    table: tuple[Array, Array],
    limit: np.float32,
    rooms: tuple[Array, Array, Array, Array],
    below: Array,
) -> None:
    """Fill how many parts of the probability lie below the limit (hour,) at hours that share a table."""
    standardised, location, scale = values
    table_here, nodes = table
    steps, standard, last, here = rooms
    hours, (quantiles, levels) = len(location), table_here.shape
    _pass_nodes(standardised, nodes, steps)
    below[:] = ZERO
    for h in range(hours):
        standard[h] = (limit - location[h]) / scale[h]
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


@compiled_in_order
def exceed(
    values: tuple[Array, Array, Array],
    tables: tuple[Array, Array],
    where: tuple[Array, Array, Array, Array, Array],
    limit: float,
    probability: Array,
) -> None:
    """Fill the probability that the logarithm of the shifted value exceeds `limit`.

    Parameters
    ----------
    values : tuple of float32 (place, hour)
        As of `summarise`.
    tables : tuple of float32
        Shares of the table's entries at each place (place, entry); the table (entry, quantile, level), whose quantiles
        are the midpoints of equal parts of the probability.
    where : tuple of float32
        As of `summarise`.
    limit : float
    probability : float32 (hour, place)
    """
    standardised, location, scale = values
    near, table = tables
    nodes, distances, gaps, usual, at_hour = where
    (places, hours), (entries, quantiles, levels) = location.shape, table.shape
    steps, table_here = np.empty((levels - 1) * hours, np.float32), np.empty((quantiles, levels), np.float32)
    some, own = np.empty((7, hours), np.float32), np.empty(entries, np.float32)
    done, chosen = np.empty(hours, np.bool_), np.empty(hours, np.int64)
    bound, part = np.float32(limit), ONE / np.float32(quantiles)
    changes = at_hour.shape[1] > 0
    for p in range(places):
        done[:] = False
        for h in range(hours):
            chosen[h] = h
        count, here = (_next_hours(at_hour[p], usual[p], done, chosen)) if changes else (hours, usual[p])
        while count > 0:
            _table_of(here, (usual[p], near[p], own), (distances, gaps), table, table_here)
            for i in range(count):
                h = chosen[i]
                some[0, i], some[1, i], some[2, i] = standardised[p, h], location[p, h], scale[p, h]
            given = some[0, :count], some[1, :count], some[2, :count]
            steps_here = steps[: (levels - 1) * count].reshape(levels - 1, count)
            room = steps_here, some[3, :count], some[4, :count], some[5, :count]
            _exceed_hours(given, (table_here, nodes), bound, room, some[6, :count])
            for i in range(count):
                probability[chosen[i], p] = ONE - min(part * (HALF + some[6, i]), ONE)
            count, here = (_next_hours(at_hour[p], usual[p], done, chosen)) if changes else (0, usual[p])
