"""What every baseline is given and what it must answer: the visible stations of one pollutant, hour by hour."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.optimize

from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import ObservationsError
from aqreanalysis.evaluation.distributions import CensoredNormal, Distribution

if TYPE_CHECKING:
    from aqreanalysis.model.network.scaling import FieldSource

Floats = npt.NDArray[np.floating[Any]]

#: Hours that parameters are tuned on, spread evenly over those at hand.
TUNING_HOURS = 48

#: Visible stations that must read a pollutant in one hour: fewer tell nothing where one is left out.
FEWEST_READINGS = 5
#: Left-out readings that a spread is fitted to; more of them change its three numbers by less than a per cent.
_SPREAD_READINGS = 6000


@dataclass(frozen=True)
class StationHistory:
    """All that the visible stations ever read of one pollutant, for the baselines that look beyond the hour.

    Attributes
    ----------
    first_hour : int
        Stamp of the first row, hours since 1970-01-01 00:00 UTC; the rows follow hour by hour.
    values : ndarray of float32, shape (hour, station)
        Readings, NaN where missing.
    """

    first_hour: int
    values: npt.NDArray[np.float32]


@dataclass(frozen=True)
class StationField:
    """The visible stations and their readings of one pollutant.

    Attributes
    ----------
    lat, lon : ndarray of float64, shape (station,)
        Degrees.
    values : ndarray of float64, shape (T, station)
        Readings, NaN where missing.
    groups : ndarray of int, shape (station,)
        Stations of one number are left out together in tuning: each its own for the protocol that hides single
        stations, a number a city for the one that hides cities. A baseline is so tuned for the question it is asked.
    hours : ndarray of int64, shape (T,), optional
        Stamps of the rows of `values`, hours since 1970-01-01 00:00 UTC.
    history : StationHistory, optional
        Readings of the same stations at all hours. It and `hours` are wanted by climatology and space-time kriging.
    covariates : FieldSource, optional
        The model's covariates, to be had at stations and at points. They and `hours` are wanted by residual kriging and
        kriging with external drift.
    """

    lat: npt.NDArray[np.float64]
    lon: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    groups: npt.NDArray[np.int64]
    hours: npt.NDArray[np.int64] | None = None
    history: StationHistory | None = None
    covariates: FieldSource | None = None

    def tuning_sample(self, hours: int = TUNING_HOURS) -> StationField:
        """Return the field at `hours` hours spread evenly over those where enough stations report.

        Raises
        ------
        ObservationsError
            If no hour has enough readings to leave one out.
        """
        usable = np.flatnonzero(np.isfinite(self.values).sum(axis=1) >= FEWEST_READINGS)
        if usable.size == 0:
            raise ObservationsError(
                f"no hour has {FEWEST_READINGS} readings at visible stations, which the baselines need at least: "
                "evaluate on a longer timeline or on more stations"
            )
        picked = usable[np.unique(np.linspace(0, usable.size - 1, min(hours, usable.size)).round().astype(int))]
        stamps = None if self.hours is None else self.hours[picked]
        return replace(self, values=self.values[picked], hours=stamps)

    def timeline(self) -> tuple[npt.NDArray[np.int64], StationHistory]:
        """Return `hours` and `history`, for a baseline that cannot do without them."""
        if self.hours is None or self.history is None:
            raise ValueError("this baseline looks beyond the hour: give the field its hours and its history")
        return self.hours, self.history

    def covariates_at(self, lat: Floats, lon: Floats) -> Floats:
        """Return the covariates at places and at `hours`, float64 (T, place, field), NaN where missing."""
        if self.hours is None or self.covariates is None:
            raise ValueError("this baseline reads covariates: give the field its hours and its covariates")
        places = np.asarray(lat, np.float64), np.asarray(lon, np.float64)
        return self.covariates.at(*places, self.hours).astype(np.float64)


class Baseline(ABC):
    """A method that people would use instead of the model.

    Attributes
    ----------
    name : str
        Key in ``metrics.json``.
    title : str
        Name for people.
    needs_covariates : bool
        Whether it stands beside models with covariates alone, because it reads them itself.
    asked_at_cells : bool
        Whether it is asked at every cell of a cube where nobody names it: not if that takes many times as long as all
        others together.
    left_out_pit : ndarray
        After tuning: distribution function at the readings of visible stations that were left out as the protocol
        hides them. It tells how wide an interval must be named to cover what it should (`calibrated_level`).
    """

    name: str
    title: str
    needs_covariates: bool = False
    asked_at_cells: bool = True

    def __init__(self) -> None:
        self.left_out_pit: Floats = np.empty(0)

    @abstractmethod
    def tune(self, field: StationField) -> dict[str, Any]:
        """Return the tuned settings (plain numbers and strings, for the report), chosen on the visible stations."""

    @abstractmethod
    def predict(self, field: StationField, lat: Floats, lon: Floats, progress: Progress | None = None) -> Distribution:
        """Return the predictive distribution at the points, arrays of shape (T, point), NaN where none can be given."""

    def _keep_left_out(self, answer: Distribution, observed: Floats) -> None:
        pit = np.asarray(answer.cdf(observed), np.float64)
        self.left_out_pit = pit[np.isfinite(pit) & np.isfinite(observed)]


@dataclass(frozen=True)
class SpreadModel:
    """Standard deviation of an interpolation's error as the root of a sum of squares.

    ``scale^2 = floor^2 + (relative * estimate)^2 + (disagreement^2) * variance of the neighbours``, fitted to the
    errors at left-out visible stations by the least mean CRPS.
    """

    floor: float
    relative: float
    disagreement: float

    def scale(self, estimate: Floats, variance: Floats) -> Floats:
        """Return the standard deviation, shape of `estimate`."""
        square = self.floor**2 + (self.relative * estimate) ** 2 + self.disagreement**2 * variance
        return np.asarray(np.sqrt(square))


def subsample(known: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return `known` with at most some thousand entries left, spread evenly: what a spread is fitted to."""
    at = np.flatnonzero(known)
    few = at[np.unique(np.linspace(0, len(at) - 1, min(len(at), _SPREAD_READINGS)).astype(np.int64))] if len(at) else at
    left = np.zeros(known.size, dtype=bool)
    left[few] = True
    return left.reshape(known.shape)


def fit_spread(estimate: Floats, variance: Floats, observed: Floats) -> SpreadModel:
    """Return the spread with the least mean CRPS of a censored normal at left-out stations.

    Parameters
    ----------
    estimate, variance, observed : ndarray of one shape
        Estimate from the other stations, weighted variance of the neighbours it came from, and the reading.
    """
    known = subsample(np.isfinite(estimate) & np.isfinite(variance) & np.isfinite(observed))
    e, v, o = estimate[known], variance[known], observed[known]
    typical = float(np.abs(e - o).mean()) + 1e-6
    relative = typical / (float(np.abs(o).mean()) + 1e-6)

    def cost(p: Floats) -> float:
        floor, share, disagreement = np.exp(p)
        return float(CensoredNormal(e, SpreadModel(floor, share, disagreement).scale(e, v)).crps(o).mean())

    start = np.log([typical / 2, relative / 2, 0.5])
    fitted = scipy.optimize.minimize(cost, start, method="Nelder-Mead", options={"maxiter": 120, "xatol": 0.02})
    floor, share, disagreement = (float(x) for x in np.exp(fitted.x))
    return SpreadModel(floor, share, disagreement)
