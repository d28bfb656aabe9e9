"""Season and local hour of day of a reading, as classes that scores are given by."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]

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
