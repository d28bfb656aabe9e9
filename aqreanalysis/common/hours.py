"""The clock of the program: whole hours since 1970-01-01 00:00 UTC, each the END of the hour that it stamps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

#: Where in its period the steps of a cube can be stamped; readings are stamped at the end.
STAMPS = ("middle", "start", "end")
#: How CF says so.
TIME_UNITS = "hours since 1970-01-01 00:00:00"
HOUR = np.timedelta64(1, "h")
EPOCH = np.datetime64("1970-01-01T00:00:00", "ns")
_NANOSECONDS = 3_600_000_000_000


def hours_since_epoch(times: pd.DatetimeIndex) -> NDArray[np.int64]:
    """Return whole hours since 1970-01-01 00:00 UTC of naive UTC (or aware) `times`, int64.

    Raises
    ------
    ObservationsError
        If a time is missing or is not on a full hour.
    """
    index = times.tz_convert("UTC").tz_localize(None) if times.tz is not None else times
    if index.hasnans:
        raise ObservationsError("a time is missing (NaT): give every hour a stamp")
    hours, rest = np.divmod(index.as_unit("ns").asi8, _NANOSECONDS)
    if rest.any():
        raise ObservationsError(
            f"time {index[int(np.argmax(rest != 0))]} is not on a full hour: average to hours first"
        )
    return hours


def times_from_hours(hours: NDArray[np.int64] | Sequence[int]) -> pd.DatetimeIndex:
    """Return the naive UTC times, datetime64[ns], of whole `hours` since 1970-01-01 00:00 UTC."""
    import pandas as pd  # not paid by who only writes a stamp

    return pd.DatetimeIndex(np.asarray(hours, dtype=np.int64) * _NANOSECONDS, dtype="datetime64[ns]", name="time")


def even_step(least: int, period: int = 24) -> int:
    """Return the least step, from `least` on, that shares no factor with a period of hours: each n-th hour of a record
    is then of every hour of the day, or with 168 of every hour of the week.

    Examples
    --------
    >>> even_step(4), even_step(9), even_step(5, 168), even_step(0)
    (5, 11, 5, 1)
    """
    return next(step for step in itertools.count(max(1, least)) if math.gcd(step, period) == 1)


def decimal_hours(times: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Return moments as hours since 1970-01-01 00:00 UTC, of any fraction."""
    return np.asarray((times.astype("datetime64[ns]") - EPOCH) / HOUR, dtype=np.float64)


def stamped(bounds: NDArray[Any], stamp: str) -> Any:
    """Return the stamps (period,) of periods from their bounds (period, 2), moments or decimal hours; of a single one
    (2,) its stamp.

    `stamp` is one of `STAMPS`.
    """
    begin, end = bounds[..., 0], bounds[..., 1]
    if stamp == "middle":
        return begin + (end - begin) / 2
    return begin if stamp == "start" else end


def stamp_within(stamps: NDArray[Any], bounds: NDArray[Any]) -> str | None:
    """Return where in their periods stamps lie, of `STAMPS`; None where they lie at no one place of all."""
    return next((stamp for stamp in STAMPS if np.array_equal(stamped(bounds, stamp), stamps)), None)


def step_ends(cube: xr.Dataset) -> NDArray[np.datetime64]:
    """Return the ends of the steps of a cube, datetime64[ns] (time,): those of its bounds, else its stamps, of which
    one within an hour stands for the end of it."""
    times = np.asarray(cube["time"].values, dtype="datetime64[ns]")
    if "time_bnds" in cube.variables:
        bounds = np.asarray(cube["time_bnds"].values)
        if np.issubdtype(bounds.dtype, np.datetime64):
            return bounds[:, 1].astype("datetime64[ns]")
    return EPOCH + np.ceil(decimal_hours(times)).astype(np.int64) * HOUR


def stamp_text(hour: int | np.int64) -> str:
    """Return hours since 1970-01-01 00:00 UTC as ``2019-01-07T01:00``."""
    return str(np.datetime64(int(hour), "h").astype("datetime64[m]"))
