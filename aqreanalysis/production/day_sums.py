"""Sums of the hours of a day, made on the way through the sweep: what means of days, months and years are made from.

The model is asked once an hour and cell, whatever the frequencies. What it says of a day is kept as a few sums a cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.model.distribution.period_means import (
    ErrorAutocovariance,
    MeansCalibration,
    accumulate_hours,
    mean_distance,
)
from aqreanalysis.model.protocol import HourlyDistribution
from aqreanalysis.production.plan import HOURS_A_DAY, Block, Plan

# What of a day and cell is kept beside its `AccumulatedHours`: readings used, hours with one, forecast hours, distance,
# hours that are not left blank.
_COUNTS = 5


@dataclass(frozen=True)
class MeanInputs:
    """What means depend on beyond the hourly numbers.

    Attributes
    ----------
    calibrations : dict
        By species key.
    plans : dict
        By frequency.
    """

    calibrations: dict[str, MeansCalibration]
    plans: dict[str, Plan]


def sums_name(key: str) -> str:
    """Return the name under which a species' sums travel and are stored."""
    return f"{key}_sums"


def sums_width(autocovariance: ErrorAutocovariance) -> int:
    """Return how many float32 values a day and cell takes."""
    return 2 + _COUNTS + 2 * len(autocovariance.lasting().hours)


def day_block(block: Block) -> Block:
    """Return a block of whole days of hours as one of days."""
    start, stop = block.time
    return Block(block.number, (start // HOURS_A_DAY, -(-stop // HOURS_A_DAY)), block.rows, block.columns)


def day_sums(
    predictive: HourlyDistribution,
    steps: slice,
    forecast: NDArray[np.bool_],
    autocovariance: ErrorAutocovariance,
    there: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Return the sums of each whole day of a block, (day, cell, value).

    Parameters
    ----------
    predictive : HourlyDistribution
        Of the hours of the block, among others.
    steps : slice
        Those of the block, whole days.
    forecast : bool (hour,)
        Which of them lie after the last reading.
    autocovariance : ErrorAutocovariance
        Of the pollutant.
    there : bool (hour, cell), optional
        Which hours of the block are not left blank, where some are: those alone are summed.
    """
    mean, error, used = (x[steps] for x in (predictive.mean, predictive.standard_error, predictive.observations_used))
    nearest = predictive.reporting_km[steps]
    if there is None:
        there = np.ones(mean.shape, dtype=bool)
    else:
        mean, error, used = (np.where(there, part, part.dtype.type(0)) for part in (mean, error, used))
    days = []
    for begin in range(0, len(mean), HOURS_A_DAY):
        day = slice(begin, begin + HOURS_A_DAY)
        sums = accumulate_hours(mean[day], error[day], autocovariance)
        counts = (
            used[day].sum(axis=0),
            (used[day] > 0).sum(axis=0),
            (forecast[day, None] & there[day]).sum(axis=0),
            mean_distance(nearest[day]),
            there[day].sum(axis=0),
        )
        days.append(np.stack((sums.total, sums.variance, *counts, *sums.left, *sums.right), axis=-1))
    return np.stack(days).astype(np.float32)
