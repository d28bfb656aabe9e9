"""The clock by which QGIS steps through a mesh, set so that each frame shows one step and none is empty.

QGIS shows in a frame the step whose stamp is nearest to the frame's beginning, and nothing if that lies before the
first stamp or after the last (`QgsMeshDataProviderTemporalCapabilities`). Stamps are in the middle of their periods;
set back so that the first lies where the first frame begins, they fall together with frames that begin as the periods.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.common.hours import HOUR

#: Of a mesh layer: the step nearest to the beginning of a frame (`FindClosestDatasetFromStartRangeTime`).
NEAREST = "1"
_DAY = pd.Timedelta(days=1)
# Periods of the calendar: QGIS' unit, how many days they have, how many QGIS counts for frames, and how it goes on.
_CALENDAR = (
    ("mon", (28, 31), pd.Timedelta(days=30), pd.DateOffset(months=1)),
    ("y", (365, 366), pd.Timedelta(days=365.25), pd.DateOffset(years=1)),
)


@dataclass(frozen=True)
class Clock:
    """Settings of QGIS' temporal controller and of the mesh.

    Attributes
    ----------
    begin, end : Timestamp
        Range of the controller, UTC.
    step : int
        Length of a frame, in `unit`.
    unit : str
        As QGIS writes it: ``min``, ``h``, ``mon`` or ``y``.
    behind : Timedelta
        By how much the stamps are set back.
    """

    begin: pd.Timestamp
    end: pd.Timestamp
    step: int
    unit: str
    behind: pd.Timedelta


def clock_of(times: NDArray[np.datetime64], bounds: NDArray[np.datetime64]) -> Clock:
    """Return the clock of steps stamped `times`, of the periods `bounds` (time, 2)."""
    hours = (bounds[:, 1] - bounds[:, 0]) / HOUR
    stamps = pd.DatetimeIndex(times)
    for unit, (least, most), counted, period in _CALENDAR:
        if least * 24 <= hours.min() and hours.max() <= most * 24:
            clock = _calendar(stamps, bounds, (unit, counted, period))
            return clock or _even(stamps, bounds)
    if np.ptp(hours) == 0 and hours[0] % 1 == 0:
        first, last = pd.Timestamp(bounds[0, 0]), pd.Timestamp(bounds[-1, 1])
        return Clock(first, last, round(float(hours[0])), "h", stamps[0] - first)
    return _even(stamps, bounds)


def _calendar(
    stamps: pd.DatetimeIndex, bounds: NDArray[np.datetime64], kind: tuple[str, pd.Timedelta, pd.DateOffset]
) -> Clock | None:
    """Return a clock that goes by months or years; None if QGIS could not count its frames.

    The last stamp must not lie before the last frame. Where the first period is longer than the last, and its middle
    further from its beginning, frames begin with the last day of each period instead of the first.
    """
    unit, counted, period = kind
    begin = pd.Timestamp(bounds[0, 0])
    if stamps[0] - begin > stamps[-1] - pd.Timestamp(bounds[-1, 0]):
        begin = pd.Timestamp(bounds[0, 1]) - _DAY
    frames = pd.DatetimeIndex([begin + number * period for number in range(len(stamps))])
    # QGIS counts as many frames as `counted` fits into the range, begun ones too.
    end = begin + len(stamps) * counted
    clock = Clock(begin, end, 1, unit, stamps[0] - begin)
    return clock if frames[-1] < end and _shows_each(stamps - clock.behind, frames) else None


def _even(stamps: pd.DatetimeIndex, bounds: NDArray[np.datetime64]) -> Clock:
    """Return a clock of even frames from the first stamp to the last, for what no calendar of QGIS fits."""
    begin, count = pd.Timestamp(bounds[0, 0]), len(stamps)
    span = stamps[-1] - stamps[0] if count > 1 else pd.Timestamp(bounds[0, 1]) - begin
    step = max(1, int(span / max(count - 1, 1) / pd.Timedelta(minutes=1)))
    return Clock(begin, begin + count * pd.Timedelta(minutes=step), step, "min", stamps[0] - begin)


def _shows_each(stamps: pd.DatetimeIndex, frames: pd.DatetimeIndex) -> bool:
    """Return whether each frame shows its own step."""
    if frames[0] < stamps[0] or frames[-1] > stamps[-1]:
        return False
    return bool((stamps.get_indexer(frames, method="nearest") == np.arange(len(stamps))).all())
