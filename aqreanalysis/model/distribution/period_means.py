"""The predictive distribution of a mean over many hours: errors of neighbouring hours go together.

The error of a mean is not the mean of the hourly errors (they would have to be equal) nor that over the square root of
the hours (they would have to be independent). Here the hourly errors, each in units of its own standard error, have a
covariance over lag that was measured at calibration stations; the double sum over the hours of a period gives the
standard deviation of its mean, and a table of what such means were off by gives the shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.model.distribution.smoothstep import smoothstep_weights_f64
from aqreanalysis.model.kernels import multiply

Array = NDArray[np.float32]
Table = NDArray[np.float64]

# Probabilities at which the shape of the distribution is tabled: midpoints of a hundred equal parts.
PROBABILITIES = np.round((np.arange(100) + 0.5) / 100, 4)
# Frequencies whose means are calibrated, with the days of the means that they are calibrated on.
MEAN_DAYS = {"daily": 1, "monthly": 30, "annual": 365}


@dataclass(frozen=True)
class ErrorAutocovariance:
    """Covariance of the hourly error, in units of its standard error, over the lag: a sum of exponentials.

    Attributes
    ----------
    hours : float64 (term,)
        Time scales; 0 is noise of the single hour, infinity is the lasting bias of a place.
    weights : float64 (term,)
        Not negative, so the covariance is one. Their sum is the error's mean square.
    """

    hours: Table
    weights: Table

    @property
    def decay(self) -> Table:
        """What is left of each term after an hour, (term,)."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.exp(-1.0 / self.hours))

    def covariance(self, lag_hours: NDArray[Any]) -> Table:
        """Return the covariance at each lag."""
        return np.asarray((self.weights * self.decay ** np.asarray(lag_hours, dtype=np.float64)[..., None]).sum(-1))

    def lasting(self) -> ErrorAutocovariance:
        """Return the terms that reach from one hour to the next and are there at all."""
        lasting = (self.hours > 0) & (self.weights > 0)
        return ErrorAutocovariance(self.hours[lasting], self.weights[lasting])


@dataclass(frozen=True)
class AccumulatedHours:
    """What of a run of hours decides the mean over it, and over any longer period that it is part of.

    Attributes
    ----------
    hours : int
        Length of the run.
    total : float64 (place,)
        Sum of the hourly means, in the pollutant's units.
    variance : float64 (place,)
        Variance of the error of that sum.
    left, right : float64 (term, place)
        Standard errors of the hours, summed with what is left of each lasting term of the `ErrorAutocovariance` at the
        run's first and at its last hour.
    """

    hours: int
    total: Table
    variance: Table
    left: Table
    right: Table

    def joined(self, later: AccumulatedHours, autocovariance: ErrorAutocovariance) -> AccumulatedHours:
        """Return the sums of this run and the one that follows it."""
        lasting = autocovariance.lasting()
        decay = lasting.decay[:, None]
        crossing = (lasting.weights[:, None] * decay * self.right * later.left).sum(axis=0)
        return AccumulatedHours(
            self.hours + later.hours,
            self.total + later.total,
            self.variance + later.variance + 2 * crossing,
            self.left + decay**self.hours * later.left,
            self.right * decay**later.hours + later.right,
        )


def accumulate_hours(
    mean: NDArray[Any], standard_error: NDArray[Any], autocovariance: ErrorAutocovariance
) -> AccumulatedHours:
    """Return the sums of a run of hours.

    Parameters
    ----------
    mean, standard_error : float (hour, place)
        Of the hourly distributions; an hour that does not count has 0 in both.
    autocovariance : ErrorAutocovariance
        Of the pollutant.
    """
    lasting = autocovariance.lasting()
    decay, weights = lasting.decay[:, None], lasting.weights[:, None]
    hours, places = mean.shape
    total, squares, crossing = np.zeros(places), np.zeros(places), np.zeros(places)
    left, right = np.zeros((len(decay), places)), np.zeros((len(decay), places))
    for hour in range(hours):
        error = np.asarray(standard_error[hour], dtype=np.float64)
        right *= decay
        crossing += (weights * right).sum(axis=0) * error
        right += error
        left += decay**hour * error
        squares += error**2
        total += mean[hour]
    return AccumulatedHours(hours, total, autocovariance.weights.sum() * squares + 2 * crossing, left, right)


@dataclass(frozen=True)
class MeanTable:
    """Shape of the standardised error of a mean, by distance to the nearest station and by level.

    Attributes
    ----------
    distance_km : float64 (distance,)
        Nodes; constant beyond the ends.
    level : float64 (level,)
        Nodes: logarithm of concentration plus offset; constant beyond the ends.
    quantiles : float64 (distance, level, probability)
        At `PROBABILITIES`, increasing, the median zero.
    days : int
        Length of the means that it was calibrated on.
    means, stations : int
        How many they were, and of how many stations.
    """

    distance_km: Table
    level: Table
    quantiles: Table
    days: int
    means: int
    stations: int

    def describe(self, frequency: str) -> str:
        """Return in one ASCII sentence what the interval of `frequency` rests on."""
        if self.means == 0:
            return (
                f"interval of the {frequency} mean from the covariance of hourly errors alone: the calibration "
                "stations have no mean that is long and complete enough"
            )
        kind = "daily means" if self.days == 1 else f"means over {self.days} days"
        return f"interval calibrated on {self.means} {kind} at {self.stations} stations left out of training"


@dataclass(frozen=True)
class MeansCalibration:
    """All that the means of one pollutant need beyond the hourly distributions.

    Attributes
    ----------
    offset : float
        Added before the logarithm, in the pollutant's units.
    autocovariance : ErrorAutocovariance
        Of the hourly error.
    tables : dict
        By frequency, the keys of `MEAN_DAYS`.
    """

    offset: float
    autocovariance: ErrorAutocovariance
    tables: dict[str, MeanTable]

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, lists and texts."""
        return {
            "offset": self.offset,
            # JSON has no infinity: the lasting bias of a place has null for its time scale.
            "memory_hours": [float(h) if np.isfinite(h) else None for h in self.autocovariance.hours],
            "memory_weights": self.autocovariance.weights.round(6).tolist(),
            "tables": {name: _table_to_dict(table) for name, table in self.tables.items()},
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> MeansCalibration:
        """Return the calibration from what `to_dict` gave."""
        hours = np.array([np.inf if h is None else h for h in raw["memory_hours"]], dtype=np.float64)
        autocovariance = ErrorAutocovariance(hours, np.asarray(raw["memory_weights"], dtype=np.float64))
        return cls(raw["offset"], autocovariance, {name: _table_from_dict(t) for name, t in raw["tables"].items()})


class MeanPredictive:
    """Distribution of the mean over one period at each place, (place,) throughout, in the pollutant's units.

    A log-normal distribution shifted by the offset, with the mean and the variance of the sums, its shape replaced by
    the calibrated table, and censored at zero. The best estimate is its mean, because means are added up by those who
    use them; an interval so narrow that it would leave it out is drawn to it, so lower <= best <= upper.

    Parameters
    ----------
    sums : AccumulatedHours
        Of all hours of the period.
    nearest_km : float (place,)
        Distance to the nearest station that reports, mean over the hours (`mean_distance`).
    calibration : MeansCalibration
        Of the pollutant.
    frequency : str
        Whose table is taken.
    hours : float (place,), optional
        How many hours of the period the sums hold, at least one, where some do not count; all of them where not given.
    """

    def __init__(
        self,
        sums: AccumulatedHours,
        nearest_km: NDArray[Any],
        calibration: MeansCalibration,
        frequency: str,
        hours: NDArray[Any] | None = None,
    ) -> None:
        counted = sums.hours if hours is None else hours
        location, scale = lognormal_from_moments(sums.total, sums.variance, counted, calibration.offset)
        standard = _shapes(calibration.tables[frequency], nearest_km, location)
        self._best = np.maximum(sums.total / counted, 0.0).astype(np.float32)
        # At zero concentration the shifted logarithm would go on below: a mean of concentrations does not.
        self._quantiles = np.maximum(np.exp(location[:, None] + scale[:, None] * standard) - calibration.offset, 0.0)

    def quantile(self, p: float) -> Array:
        """Return the `p` quantile, 0.005 <= p <= 0.995, float32 (place,), not negative.

        Raises
        ------
        ValueError
            If `p` lies outside the tabled range.
        """
        if not PROBABILITIES[0] <= p <= PROBABILITIES[-1]:
            raise ValueError(f"probability {p} is outside the tabled {PROBABILITIES[0]}..{PROBABILITIES[-1]}")
        position = float(np.interp(p, PROBABILITIES, np.arange(len(PROBABILITIES))))
        low = min(int(position), len(PROBABILITIES) - 2)
        share = position - low
        quantile = (1 - share) * self._quantiles[:, low] + share * self._quantiles[:, low + 1]
        return np.asarray(quantile, dtype=np.float32)

    def interval(self, coverage: float = 0.9) -> tuple[Array, Array]:
        """Return the lower and upper bound of the central interval that covers `coverage`."""
        lower, upper = self.quantile((1 - coverage) / 2), self.quantile((1 + coverage) / 2)
        return np.minimum(lower, self._best), np.maximum(upper, self._best)

    @property
    def best(self) -> Array:
        """The expectation: the mean over the hours of the hourly expectations, float32 (place,)."""
        return self._best

    @property
    def standard_error(self) -> Array:
        """The standard deviation, float32 (place,)."""
        return np.asarray(self._quantiles.std(axis=1), dtype=np.float32)

    def exceedance(self, threshold: float) -> Array:
        """Return the probability that the mean exceeds `threshold` (its units), float32 (place,)."""
        q = self._quantiles
        width = np.diff(q, axis=1)
        # Share of each step between two tabled quantiles that lies above; a step of no width is above or not.
        above = np.where(width > 0, (q[:, 1:] - threshold) / np.where(width > 0, width, 1), q[:, 1:] > threshold)
        inner = np.clip(above, 0, 1).sum(axis=1) / len(PROBABILITIES)
        ends = ((q[:, 0] > threshold).astype(np.float64) + (q[:, -1] > threshold)) * PROBABILITIES[0]
        return np.asarray(np.clip(inner + ends, 0, 1), dtype=np.float32)


def mean_distance(reporting_km: NDArray[Any]) -> Table:
    """Return the mean distance of each place over hours (hour, place); infinite where no station reports at any."""
    known = np.isfinite(reporting_km)
    total = np.where(known, reporting_km, 0.0).sum(axis=0, dtype=np.float64)
    return np.asarray(np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.inf))


def lognormal_from_moments(
    total: Table, variance: Table, hours: NDArray[Any] | int, offset: float
) -> tuple[Table, Table]:
    """Return location and scale of the normal log(mean + offset) whose mean + offset has the moments of the sums."""
    shifted = total / hours + offset
    squared = np.log1p(variance / (hours * shifted) ** 2)
    return np.log(shifted) - squared / 2, np.sqrt(squared)


def _shapes(table: MeanTable, nearest_km: NDArray[Any], level: Table) -> Table:
    """Return the tabled quantiles of each place, (place, probability)."""
    near, high = (
        smoothstep_weights_f64(np.log1p(nearest_km), np.log1p(table.distance_km)),
        smoothstep_weights_f64(level, table.level),
    )
    both = near[:, :, None] * high[:, None, :]
    quantiles = np.empty((len(level), len(PROBABILITIES)))
    multiply(both.reshape(len(level), -1), table.quantiles.reshape(-1, len(PROBABILITIES)), quantiles)
    return quantiles


def _table_to_dict(table: MeanTable) -> dict[str, Any]:
    arrays = {name: getattr(table, name).round(6).tolist() for name in ("distance_km", "level", "quantiles")}
    return {**arrays, "days": table.days, "means": table.means, "stations": table.stations}


def _table_from_dict(raw: Mapping[str, Any]) -> MeanTable:
    arrays = {name: np.asarray(raw[name], dtype=np.float64) for name in ("distance_km", "level", "quantiles")}
    return MeanTable(**arrays, days=raw["days"], means=raw["means"], stations=raw["stations"])
