"""Calendar periods of a cube's timeline, in UTC or in a fixed offset from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.common.hours import HOUR
from aqreanalysis.errors import OutputError
from aqreanalysis.export.source import CubeSource

PERIODS = ("day", "month", "year")
_LABELS = {"day": "%Y%m%d", "month": "%Y%m", "year": "%Y"}
_CODES = {"day": "D", "month": "M", "year": "Y"}
#: Share of a period's hours that must be there for its statistic to stand (EU 2008/50/EC annex XI, US 40 CFR 50).
MIN_SHARE = 0.75


@dataclass(frozen=True)
class Period:
    """One day, month or year.

    Attributes
    ----------
    label : str
        ``20190107``, ``201901`` or ``2019``, of the local calendar.
    bounds : datetime64[ns] (2,)
        Beginning and end, UTC.
    steps : slice
        Steps of the cube that lie in it.
    share : float
        Share of its hours that these steps cover.
    """

    label: str
    bounds: NDArray[np.datetime64]
    steps: slice
    share: float

    @property
    def hours(self) -> float:
        """Length."""
        return float((self.bounds[1] - self.bounds[0]) / HOUR)


def check_offset(utc_offset: int) -> int:
    """Return the offset if it is one.

    Raises
    ------
    OutputError
        If it lies outside -12..14 hours.
    """
    if not -12 <= utc_offset <= 14:
        raise OutputError(f"UTC offset {utc_offset}: give whole hours between -12 and 14, for example 8 for China")
    return utc_offset


def periods_of(source: CubeSource, period: str, utc_offset: int = 0, min_share: float = 0.0) -> list[Period]:
    """Return the periods that the cube's steps touch, in order.

    A step belongs to the period in which it begins; a step that is longer than a period belongs to none.

    Parameters
    ----------
    source : CubeSource
        The cube.
    period : str
        ``day``, ``month`` or ``year``.
    utc_offset : int
        Hours that local standard time is ahead of UTC; regulations count days so, without daylight saving.
    min_share : float
        Refuse a cube that covers no period by at least that share.

    Raises
    ------
    OutputError
        If the cube's steps are longer than the period, or none is covered enough.
    """
    begins = pd.DatetimeIndex(source.bounds[:, 0]) + pd.Timedelta(hours=check_offset(utc_offset))
    lengths = (source.bounds[:, 1] - source.bounds[:, 0]) / HOUR
    own = begins.to_period(_CODES[period])
    periods = []
    for one in own.unique():
        steps = np.flatnonzero(own == one)
        first = one.start_time - pd.Timedelta(hours=utc_offset)
        last = (one + 1).start_time - pd.Timedelta(hours=utc_offset)
        hours = (last - first) / pd.Timedelta(hours=1)
        if lengths[steps].max() > hours + 1e-6:
            raise OutputError(f"{source.path} has steps of {lengths[steps].max():g} h, longer than a {period}")
        bounds = np.array([first.to_datetime64(), last.to_datetime64()], dtype="datetime64[ns]")
        share = float(lengths[steps].sum() / hours)
        label = one.start_time.strftime(_LABELS[period])
        periods.append(Period(label, bounds, slice(int(steps[0]), int(steps[-1]) + 1), share))
    if min_share and not any(p.share >= min_share - 1e-9 for p in periods):
        best = max(periods, key=lambda p: p.share)
        raise OutputError(
            f"{source.path} covers no {period} by {min_share:.0%} (most: {best.label} by {best.share:.0%}); "
            "take a shorter period, a longer cube, or a lower --min-share of export aggregate, whose file export cog "
            "takes"
        )
    return periods
