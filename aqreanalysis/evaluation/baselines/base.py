"""What every baseline is given and what it must answer: the visible stations of one pollutant, hour by hour."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.optimize
from sklearn.metrics.pairwise import haversine_distances

from aqreanalysis.errors import ObservationsError
from aqreanalysis.evaluation.distributions import CensoredNormal, Distribution

Floats = npt.NDArray[np.floating[Any]]
Progress = Callable[[int, int, str], None]

#: Hours that parameters are tuned on, spread evenly over those at hand.
TUNING_HOURS = 48

_EARTH_RADIUS_KM = 6371.0088
_FEWEST_READINGS = 5


def distances_km(lat_a: Floats, lon_a: Floats, lat_b: Floats, lon_b: Floats) -> npt.NDArray[np.float64]:
    """Return great-circle distances in kilometres, shape (len(a), len(b)), from degrees."""
    a, b = (np.radians(np.column_stack([lat, lon])) for lat, lon in ((lat_a, lon_a), (lat_b, lon_b)))
    return np.asarray(haversine_distances(a, b)) * _EARTH_RADIUS_KM


@dataclass(frozen=True)
class Network:
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
    """

    lat: npt.NDArray[np.float64]
    lon: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    groups: npt.NDArray[np.int64]

    def tuning_sample(self, hours: int = TUNING_HOURS) -> Network:
        """Return the network at `hours` hours spread evenly over those where enough stations report.

        Raises
        ------
        ObservationsError
            If no hour has enough readings to leave one out.
        """
        usable = np.flatnonzero(np.isfinite(self.values).sum(axis=1) >= _FEWEST_READINGS)
        if usable.size == 0:
            raise ObservationsError(
                f"no hour has {_FEWEST_READINGS} readings at visible stations, which the baselines need at least: "
                "evaluate on a longer timeline or on more stations"
            )
        picked = usable[np.unique(np.linspace(0, usable.size - 1, min(hours, usable.size)).round().astype(int))]
        return Network(self.lat, self.lon, self.values[picked], self.groups)


class Baseline(ABC):
    """A method that people would use instead of the model.

    Attributes
    ----------
    name : str
        Key in ``metrics.json``.
    title : str
        Name for people.
    """

    name: str
    title: str

    @abstractmethod
    def tune(self, network: Network) -> dict[str, Any]:
        """Return the tuned settings (plain numbers and strings, for the report), chosen on the visible stations."""

    @abstractmethod
    def predict(self, network: Network, lat: Floats, lon: Floats, progress: Progress | None = None) -> Distribution:
        """Return the predictive distribution at the points, arrays of shape (T, point), NaN where none can be given."""


@dataclass(frozen=True)
class Spread:
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


def fit_spread(estimate: Floats, variance: Floats, observed: Floats) -> Spread:
    """Return the spread with the least mean CRPS of a censored normal at left-out stations.

    Parameters
    ----------
    estimate, variance, observed : ndarray of one shape
        Estimate from the other stations, weighted variance of the neighbours it came from, and the reading.
    """
    known = np.isfinite(estimate) & np.isfinite(variance) & np.isfinite(observed)
    e, v, o = estimate[known], variance[known], observed[known]
    typical = float(np.abs(e - o).mean()) + 1e-6
    relative = typical / (float(np.abs(o).mean()) + 1e-6)

    def cost(p: Floats) -> float:
        floor, share, disagreement = np.exp(p)
        return float(CensoredNormal(e, Spread(floor, share, disagreement).scale(e, v)).crps(o).mean())

    start = np.log([typical / 2, relative / 2, 0.5])
    fitted = scipy.optimize.minimize(cost, start, method="Nelder-Mead", options={"maxiter": 120, "xatol": 0.02})
    floor, share, disagreement = (float(x) for x in np.exp(fitted.x))
    return Spread(floor, share, disagreement)
