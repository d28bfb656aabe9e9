"""Gaps of the stations' series, filled from the stations around."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.model.kernels.numba_setup import ZERO, Array, compiled


@compiled
def fill_gaps(
    values: Array, observed: NDArray[np.bool_], neighbours: tuple[Array, NDArray[np.int64]], rounds: int
) -> None:
    """Put what the others say of a station into its gaps, in rounds, each from the values of the one before.

    An hour at a time: its values stay in the nearest cache, and only its gaps are worked on.

    Parameters
    ----------
    values : float32 (hour, station)
        What is not observed holds where the first round starts from, and then what the last one gave.
    observed : bool (hour, station)
    neighbours : tuple
        Weights float32 (station, k) and stations int64 (station, k) that speak of each station.
    rounds : int
    """
    weights, stations = neighbours
    hours, count = values.shape
    gaps, filled = np.empty(count, np.int64), np.empty(count, np.float32)
    for hour in range(hours):
        row, missing = values[hour], 0
        for station in range(count):
            if not observed[hour, station]:
                gaps[missing] = station
                missing += 1
        for _ in range(rounds):
            for gap in range(missing):
                station, total = gaps[gap], ZERO
                for n in range(weights.shape[1]):
                    total += weights[station, n] * row[stations[station, n]]
                filled[gap] = total
            for gap in range(missing):
                row[gaps[gap]] = filled[gap]
