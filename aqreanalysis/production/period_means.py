"""Means of days, months and years, joined tile by tile from the sums of days that the sweep left.

Those lie in a store of their own beside the unfinished cubes, so memory knows no more than a month of one tile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.model.distribution.period_means import AccumulatedHours, MeanPredictive, mean_distance
from aqreanalysis.production.layers import LEFT_BLANK, MEAN_FLAGS, LayerNames
from aqreanalysis.production.plan import HOURS_A_DAY, Block, Plan
from aqreanalysis.production.sweep import SweepInputs, round_bits

# Days read together when periods are joined.
DAYS_AT_ONCE = 31
# Share of a period's hours with a reading near the cell, under which its mean is flagged.
COMPLETE = 0.75

ReadSums = Callable[[str, Block], NDArray[np.float32]]


@dataclass(frozen=True)
class _Period:
    """What is known of one period at the cells of a tile; `there` is its hours that are not left blank."""

    sums: AccumulatedHours
    used: NDArray[np.float64]
    observed: NDArray[np.float64]
    forecast: NDArray[np.float64]
    there: NDArray[np.float64]
    day_km: list[NDArray[np.float64]]

    @property
    def nearest_km(self) -> NDArray[np.float64]:
        """Distance to the nearest station that reports, mean over the days at which one does."""
        return mean_distance(np.stack(self.day_km))


def mean_block(inputs: SweepInputs, frequency: str, block: Block, read: ReadSums) -> dict[str, NDArray[Any]]:
    """Return the layers of one block of means: name -> array (period, row, column).

    Parameters
    ----------
    inputs : SweepInputs
        With `MeanInputs`.
    frequency : str
        Of the cube.
    block : Block
        Periods, rows, columns.
    read : callable
        ``read(key, block)`` -> the sums of a block of days, float32 (day, row, column, value), NaN where masked.
    """
    assert inputs.means is not None, "the run has no means"
    plan: Plan = inputs.means.plans[frequency]
    (t0, t1), (r0, r1), (c0, c1) = block.time, block.rows, block.columns
    shape = (t1 - t0, r1 - r0, c1 - c0)
    layers: dict[str, NDArray[Any]] = {}
    for key in inputs.species:
        names: LayerNames = inputs.names(key)
        floats = names.best, names.standard_error, names.lower, names.upper, names.distance, *names.exceedance
        for name in floats:
            layers[name] = np.full(shape, np.nan, dtype=np.float32)
        layers[names.flag] = np.full(shape, MEAN_FLAGS["masked"], dtype=np.int8)
        layers[names.used] = np.full(shape, -1, dtype=np.int32)
        layers[names.hours] = np.full(shape, -1, dtype=np.int16)
        for place, (begin, end) in enumerate(plan.bounds[t0:t1].tolist()):
            days = ((begin - plan.first_hour + 1) // HOURS_A_DAY, (end - plan.first_hour + 1) // HOURS_A_DAY)
            wanted, period = _read_period(inputs, key, (days, block), read)
            if period is None:
                continue
            _fill(inputs, key, (frequency, period), {name: layer[place] for name, layer in layers.items()}, wanted)
    return layers


def _read_period(
    inputs: SweepInputs, key: str, where: tuple[tuple[int, int], Block], read: ReadSums
) -> tuple[NDArray[np.bool_], _Period | None]:
    """Return which cells of the block have values, and the period of the days in `where` joined from its days."""
    assert inputs.means is not None, "the run has no means"
    (first, last), block = where
    autocovariance = inputs.means.calibrations[key].autocovariance
    terms = len(autocovariance.lasting().hours)
    period: _Period | None = None
    wanted = np.zeros((block.rows[1] - block.rows[0], block.columns[1] - block.columns[0]), dtype=bool)
    for begin in range(first, last, DAYS_AT_ONCE):
        slab = read(key, Block(0, (begin, min(begin + DAYS_AT_ONCE, last)), block.rows, block.columns))
        wanted = np.isfinite(slab[0, :, :, 0])
        if not wanted.any():
            return wanted, None
        for values in slab[:, wanted].astype(np.float64).transpose(0, 2, 1):
            total, variance, used, observed, forecast, nearest, there, *rest = values
            sums = AccumulatedHours(
                HOURS_A_DAY,
                total,
                variance,
                np.reshape(rest[:terms], (terms, total.size)),
                np.reshape(rest[terms:], (terms, total.size)),
            )
            if period is None:
                period = _Period(sums, used, observed, forecast, there, [nearest])
            else:
                period = _Period(
                    period.sums.joined(sums, autocovariance),
                    period.used + used,
                    period.observed + observed,
                    period.forecast + forecast,
                    period.there + there,
                    [*period.day_km, nearest],
                )
    return wanted, period


def _fill(
    inputs: SweepInputs,
    key: str,
    given: tuple[str, _Period],
    maps: dict[str, NDArray[Any]],
    wanted: NDArray[np.bool_],
) -> None:
    """Write the layers of one species and period at the wanted cells; `maps` are (row, column)."""
    assert inputs.means is not None, "the run has no means"
    frequency, period = given
    names, flag_thresholds = inputs.names(key), inputs.flag_thresholds
    hours, beyond = period.there, flag_thresholds.extrapolation[key]
    calibration = inputs.means.calibrations[key]
    predictive = MeanPredictive(period.sums, period.nearest_km, calibration, frequency, np.maximum(hours, 1))
    lower, upper = predictive.interval(inputs.coverage)
    # As it is written, and so as the flags are told by it.
    nearest = round_bits(np.asarray(period.nearest_km, np.float32), inputs.keepbits)
    values = {
        names.best: predictive.best,
        names.standard_error: predictive.standard_error,
        names.lower: lower,
        names.upper: upper,
    }
    for name, threshold in zip(names.exceedance, inputs.thresholds.get(key, ()), strict=True):
        values[name] = predictive.exceedance(threshold)
    for name, layer in values.items():
        there = np.where(hours > 0, layer, np.float32(np.nan)).astype(np.float32)
        maps[name][wanted] = round_bits(there, inputs.keepbits)
    maps[names.distance][wanted] = np.where(np.isinf(nearest), np.float32(np.nan), nearest)
    maps[names.used][wanted] = period.used
    maps[names.hours][wanted] = period.observed
    conditions = {
        "contains_forecast_hours": period.forecast > 0,
        "few_hours_with_observations": period.observed < COMPLETE * hours,
        "extrapolated_beyond_network": nearest > beyond.km,
        "few_neighbours": period.used < flag_thresholds.few_neighbours * hours,
        "left_blank": hours == 0,
    }
    flags = np.zeros(period.used.shape, dtype=np.int8)
    for name, holds in conditions.items():
        flags |= np.where(holds, (MEAN_FLAGS | LEFT_BLANK)[name], 0).astype(np.int8)
    maps[names.flag][wanted] = flags
