"""Slices of the timeline anchored to absolute hours: model windows, NaN outside what was observed, and parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.common.large_arrays import zeros_mapped
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.backing import BLOCK_HOURS
from aqreanalysis.observations.dataset import Observations


def window(
    observations: Observations, inputs: Sequence[str], first_hour: int, hours: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the usable readings of some hours, and their stamps.

    Parameters
    ----------
    observations : Observations
        Where the readings come from.
    inputs : sequence of str
        Pollutant keys; one that the observations lack is NaN throughout.
    first_hour : int
        Stamp of the first hour, in hours since 1970-01-01 00:00 UTC.
    hours : int
        How many hours.

    Returns
    -------
    values : ndarray
        float32 (hours, station, input), in the units of `SPECIES`; NaN where missing, flagged, or outside the span of
        the observations. A copy, free to change; a very long one is a mapped file (see `zeros_mapped`).
    stamps : ndarray
        int64 (hours,), hours since 1970-01-01 00:00 UTC.

    Raises
    ------
    ObservationsError
        If `hours` is not positive.
    """
    if hours < 1:
        raise ObservationsError(f"a window of {hours} hours: it needs at least one")
    begin = int(first_hour) - observations.first_hour
    out = zeros_mapped((hours, len(observations.stations), len(inputs)), np.float32)
    lo, hi = max(begin, 0), min(begin + hours, len(observations.times))
    if lo >= hi:
        out[:] = np.nan
    else:
        out[: lo - begin] = np.nan
        out[hi - begin :] = np.nan
        for row in range(lo, hi, BLOCK_HOURS):
            end = min(row + BLOCK_HOURS, hi)
            out[row - begin : end - begin] = observations.hours_slice(inputs, row, end)
    return out, np.arange(first_hour, first_hour + hours, dtype=np.int64)


def part_of(observations: Observations, span: tuple[int, int]) -> Observations:
    """Return the hours of a span alone, with what they are part of in `full_span`; all where there is none of the span.

    Parameters
    ----------
    observations : Observations
        In memory. Their report becomes that of the part.
    span : (int, int)
        First and last stamp, hours since 1970-01-01.
    """
    begin = max(span[0] - observations.first_hour, 0)
    end = min(span[1] + 1 - observations.first_hour, len(observations.times))
    if begin >= end:
        return observations
    part = Observations(observations.dataset.isel(time=slice(begin, end)))
    part.full_span, part.report = observations.observed_span(), observations.report
    return part
