"""Which station near a place reports at an hour, and how much wider an estimate is where the nearest does not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.model.kernels.numba_setup import ONE, THREE, TWO, ZERO, Array, compiled_in_order, exp

_NOWHERE = np.float32(np.inf)


@compiled_in_order
def find_reporting(
    index: NDArray[np.int32], km: Array, reports: NDArray[np.bool_], reporting_km: Array, unresolved: NDArray[np.bool_]
) -> None:
    """Fill the distance to the nearest station that reports at each hour.

    Parameters
    ----------
    index : int32 (place, k)
        The nearest stations, nearest first.
    km : float32 (place, k)
        Their distances.
    reports : bool (station, hour)
    reporting_km : float32 (place, hour)
        Infinite where none of the k reports.
    unresolved : bool (place,)
        True where the k nearest do not tell: at some hour a station reports, and none of them.
    """
    (places, neighbours), (stations, hours) = index.shape, reports.shape
    complete, known = np.ones(stations, np.bool_), np.zeros(hours, np.bool_)
    for s in range(stations):
        for h in range(hours):
            complete[s] &= reports[s, h]
            known[h] |= reports[s, h]
    for p in range(places):
        unresolved[p] = False
        first = index[p, 0]
        row = reporting_km[p]
        row[:] = km[p, 0]
        if complete[first]:
            continue
        own = reports[first]
        for h in range(hours):
            if own[h]:
                continue
            row[h] = _NOWHERE
            if not known[h]:
                continue
            for k in range(1, neighbours):
                if reports[index[p, k], h]:
                    row[h] = km[p, k]
                    break
            if row[h] == _NOWHERE:
                unresolved[p] = True


@compiled_in_order
def _read_table(x: np.float32, nodes: Array, values: Array) -> np.float32:
    """Return the value at `x` between increasing nodes, level at them, constant beyond the ends."""
    value = values[0]
    for i in range(len(nodes) - 1):
        way = (x - nodes[i]) / (nodes[i + 1] - nodes[i])
        way = ZERO if way < ZERO else (ONE if way > ONE else way)
        value += way * way * (THREE - TWO * way) * (values[i + 1] - values[i])
    return value


@compiled_in_order
def widen_scale(scale: Array, nearest: Array, reporting: Array, nodes: Array, log_scale: Array) -> None:
    """Multiply scales (place, hour) by what the table says more of the reporting station than of the nearest one.

    Parameters
    ----------
    scale : float32 (place, hour)
        Changed in place.
    nearest : float32 (place,)
        Distance to the nearest station, km.
    reporting : float32 (place, hour)
        Distance to the nearest that reports, km.
    nodes, log_scale : float32 (node,)
        Logarithms of a distance plus one, and of the scale there; not decreasing.
    """
    places, hours = scale.shape
    for p in range(places):
        last, factor, own = nearest[p], ONE, _read_table(np.log1p(nearest[p]), nodes, log_scale)
        for h in range(hours):
            x = reporting[p, h]
            if x == nearest[p]:
                continue
            if x != last:
                last, factor = x, exp(_read_table(np.log1p(x), nodes, log_scale) - own)
            scale[p, h] *= factor
