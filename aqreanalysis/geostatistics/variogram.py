"""The empirical variogram pooled over hours, and the models fitted to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.optimize

Floats = npt.NDArray[np.floating[Any]]

_BINS = 24
_FEWEST_PAIRS = 30
#: Relative change at which a fit ends: beyond it parameters wander along a valley that no estimate notices.
TOLERANCE = 1e-4


def _exponential(h: Floats, reach: float) -> Floats:
    return -np.expm1(-h / reach)


def _spherical(h: Floats, reach: float) -> Floats:
    t = np.minimum(h / reach, 1.0)
    return 1.5 * t - 0.5 * t**3


def _matern(h: Floats, reach: float) -> Floats:
    """Matern with smoothness 3/2."""
    t = h / reach
    return 1.0 - (1.0 + t) * np.exp(-t)


_STRUCTURES: dict[str, tuple[Callable[[Floats, float], Floats], ...]] = {
    "exponential": (_exponential,),
    "spherical": (_spherical,),
    "two exponentials": (_exponential, _exponential),
    "spherical and exponential": (_spherical, _exponential),
    "matern and exponential": (_matern, _exponential),
}
FAMILIES = tuple(_STRUCTURES)


@dataclass(frozen=True)
class Variogram:
    """A nugget and one or two nested structures, in units of the hour's own variance scale.

    Attributes
    ----------
    family : str
        One of `FAMILIES`.
    nugget : float
        Semivariance just above distance zero.
    sills, ranges : tuple of float
        One pair a structure; ranges in kilometres.
    """

    family: str
    nugget: float
    sills: tuple[float, ...]
    ranges: tuple[float, ...]

    def __call__(self, km: Floats) -> Floats:
        """Return the semivariance at distances `km`; zero at zero, `nugget` just above."""
        km = np.asarray(km, np.float64)
        gamma = np.full(km.shape, self.nugget)
        for shape, sill, reach in zip(_STRUCTURES[self.family], self.sills, self.ranges, strict=True):
            gamma = gamma + sill * shape(km, reach)
        return np.where(km > 0, gamma, 0.0)

    @property
    def sill(self) -> float:
        """Semivariance far away: nugget and sills together, the variance of the field."""
        return self.nugget + sum(self.sills)

    def covariance(self, km: Floats) -> Floats:
        """Return the covariance at distances `km`: the sill at zero, falling to nothing far away."""
        return self.sill - self(km)


@dataclass(frozen=True)
class Empirical:
    """Binned semivariance: mean distance, mean semivariance and number of pairs, each of shape (bin,)."""

    km: npt.NDArray[np.float64]
    gamma: npt.NDArray[np.float64]
    pairs: npt.NDArray[np.float64]


def empirical_variogram(values: Floats, km: Floats) -> Empirical:
    """Return the variogram of `values` (T, station) pooled over hours, each hour divided by its own variance.

    Matheron's estimator in bins of equal width in log distance: most pairs are far apart, and what kriging lives on
    is near. Hours are divided by their variance, so that one haze episode does not decide alone.

    Parameters
    ----------
    values : ndarray, shape (T, station)
        Readings, NaN where missing.
    km : ndarray, shape (station, station)
        Distances.
    """
    i, j = np.triu_indices(len(km), k=1)
    apart = km[i, j]
    i, j, apart = i[apart > 0], j[apart > 0], apart[apart > 0]
    reach = 0.6 * float(apart.max())
    lowest = max(float(np.quantile(apart, 0.0005)), 0.2)
    edges = np.geomspace(min(lowest, reach / 2), reach, _BINS)
    label = np.searchsorted(edges, apart, side="right")
    total, count = np.zeros(_BINS + 1), np.zeros(_BINS + 1)
    for hour in values:
        variance = float(np.nanvar(hour)) if np.isfinite(hour).sum() > 2 else 0.0
        if variance <= 0:
            continue
        half_square = 0.5 * (hour[i] - hour[j]) ** 2 / variance
        known = np.isfinite(half_square)
        total += np.bincount(label[known], half_square[known], minlength=_BINS + 1)
        count += np.bincount(label[known], minlength=_BINS + 1)
    distance = np.bincount(label, apart, minlength=_BINS + 1) / np.maximum(np.bincount(label, minlength=_BINS + 1), 1)
    full = count >= _FEWEST_PAIRS
    full[_BINS] = False  # beyond `reach`: too few independent pairs
    return Empirical(distance[full], total[full] / count[full], count[full])


def fit_variogram(family: str, data: Empirical) -> Variogram:
    """Return the variogram of `family` nearest to the empirical one, by least squares weighted as Cressie (1985) does.

    Parameters are fitted as logarithms, so that all stay positive, from a few starts of which the best is kept.
    """
    count = len(_STRUCTURES[family])
    weight = np.sqrt(data.pairs)
    top = float(data.gamma.max())

    def unpack(p: Floats) -> Variogram:
        nugget, *rest = np.exp(p).tolist()
        return Variogram(family, nugget, tuple(rest[:count]), tuple(rest[count:]))

    def misfit(p: Floats) -> Floats:
        gamma = unpack(p)(data.km)
        return weight * (data.gamma / gamma - 1.0) / weight.mean()

    shortest, longest = float(data.km.min()), float(data.km.max())
    low = np.log([1e-4 * top] + [1e-3 * top] * count + [0.5 * shortest] * count)
    high = np.log([top] + [5.0 * top] * count + [5.0 * longest] * count)
    best: scipy.optimize.OptimizeResult | None = None
    for fraction in (0.02, 0.1, 0.3):
        spans = np.geomspace(max(fraction * longest / 4, shortest), longest / 2, count + 1)[:count]
        start = np.log([max(0.1 * top, 2e-4 * top)] + [0.9 * top / count] * count + spans.tolist())
        first = np.clip(start, low + 1e-6, high - 1e-6)
        fitted = scipy.optimize.least_squares(misfit, first, bounds=(low, high), ftol=TOLERANCE, xtol=TOLERANCE)
        if best is None or fitted.cost < best.cost:
            best = fitted
    assert best is not None
    return unpack(best.x)
