"""The classes that scores are given by: distance to the stations, level, season and local hour of day."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]

#: Edges of the classes of distance to the nearest visible station, in kilometres.
DISTANCE_EDGES_KM = (0.0, 5.0, 10.0, 25.0, 50.0, 100.0, np.inf)
#: Meteorological seasons by their months, which say the same in both hemispheres.
SEASONS = ("DJF", "MAM", "JJA", "SON")
HOURS_OF_DAY = tuple(f"{h:02d} h" for h in range(24))

_DEGREES_AN_HOUR = 15.0


def season_of(hours: npt.NDArray[np.int64]) -> Labels:
    """Return the index in `SEASONS` of stamps in hours since 1970-01-01 00:00 UTC; a stamp ends its hour."""
    months = (np.asarray(hours, np.int64) - 1).astype("datetime64[h]").astype("datetime64[M]").astype(np.int64) % 12
    return np.asarray((months + 1) % 12 // 3, np.int64)


def hour_of_day(hours: npt.NDArray[np.int64], lon: Floats) -> Labels:
    """Return the hour of day in local mean solar time, 0 to 23, shape (T, point).

    The middle of the averaging hour is what counts: a stamp of 13:00 UTC at longitude 0 is the class ``12 h``.
    """
    solar = np.asarray(hours, np.float64)[:, None] - 0.5 + np.asarray(lon, np.float64)[None, :] / _DEGREES_AN_HOUR
    return np.floor(solar % 24).astype(np.int64) % 24


def distance_classes(km: Floats, edges: Sequence[float] = DISTANCE_EDGES_KM) -> tuple[Labels, list[str]]:
    """Return the class of each distance (the last edge not included), and the names of the classes."""
    labels = np.searchsorted(np.asarray(edges), km, side="right").astype(np.int64) - 1
    names = [f"{a:g}-{b:g} km" if np.isfinite(b) else f">{a:g} km" for a, b in pairwise(edges)]
    return np.where(np.isfinite(km), labels, -1), names


def level_terciles(best: Floats) -> tuple[Labels, list[str]]:
    """Return the tercile of each estimate (-1 where there is none), and the terciles' names with their edges.

    Terciles of the estimate, not of the observed: what is known when the interval is given. No distribution, however
    true, covers evenly across classes of the observed value itself.
    """
    names = ["low", "middle", "high"]
    known = np.isfinite(best)
    if not known.any():
        return np.full(best.shape, -1, np.int64), names
    edges = np.quantile(best[known], [1 / 3, 2 / 3])
    return np.where(known, np.searchsorted(edges, best, side="right"), -1).astype(np.int64), names
