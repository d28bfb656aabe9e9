"""Covariance over distance and lag, and its fit to the variogram that a record shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.optimize

from aqreanalysis.geostatistics.variogram import TOLERANCE

Floats = npt.NDArray[np.floating[Any]]

_VARIOGRAM_LAGS = (0, 1, 2, 3, 6)
_BINS = 16
_FEWEST_PAIRS = 30


@dataclass(frozen=True)
class SpaceTimeCovariance:
    """``sum_i sills_i exp(-h / ranges_i - u / hours_i) + [h = 0] own exp(-u / own_hours) + [h = u = 0] noise``.

    Attributes
    ----------
    sills, ranges, hours : tuple of float
        One a separable part; ranges in kilometres, hours are the parts' memories.
    own, own_hours : float
        What a station reads beside its surroundings, and for how long.
    noise : float
        What it reads for one hour only.
    """

    sills: tuple[float, ...]
    ranges: tuple[float, ...]
    hours: tuple[float, ...]
    own: float
    own_hours: float
    noise: float

    @property
    def sill(self) -> float:
        """Variance of a reading."""
        return sum(self.sills) + self.own + self.noise

    def __call__(self, km: Floats, lag: Floats) -> Floats:
        """Return the covariance at distances `km` and lags in hours, which broadcast; distance 0 is one station."""
        km, lag = np.asarray(km, np.float64), np.abs(np.asarray(lag, np.float64))
        shared = sum(
            sill * np.exp(-km / reach - lag / memory)
            for sill, reach, memory in zip(self.sills, self.ranges, self.hours, strict=True)
        )
        same = np.where(km > 0, 0.0, self.own * np.exp(-lag / self.own_hours) + np.where(lag > 0, 0.0, self.noise))
        return np.asarray(shared + same)

    def semivariance(self, km: Floats) -> Floats:
        """Return the semivariance at lag zero, as the spatial kriging's `Variogram` does."""
        return self.sill - self(km, np.zeros(()))


@dataclass(frozen=True)
class _Binned:
    """The empirical variogram: mean distance (0 for one station), lag, semivariance and pairs, each of shape (bin,)."""

    km: Floats
    lag: Floats
    gamma: Floats
    pairs: Floats


def space_time_variogram(z: Floats, km: Floats, rows: npt.NDArray[np.int64]) -> _Binned:
    """Return half the mean squared differences over distance and lag, each divided by the two hours' variances.

    Parameters
    ----------
    z : ndarray, shape (hour, station)
        Logarithms of the whole record.
    km : ndarray, shape (station, station)
        Distances.
    rows : ndarray of int
        Rows of `z` that the differences begin at.
    """
    i, j = np.nonzero(~np.eye(len(km), dtype=bool))
    apart = km[i, j]
    i, j, apart = i[apart > 0], j[apart > 0], apart[apart > 0]
    reach = 0.6 * float(apart.max())
    edges = np.geomspace(min(max(float(np.quantile(apart, 0.001)), 0.2), reach / 2), reach, _BINS)
    label = np.searchsorted(edges, apart, side="right")
    inside = label < _BINS
    i, j, apart, label = i[inside], j[inside], apart[inside], label[inside]
    centre = np.bincount(label, apart, minlength=_BINS) / np.maximum(np.bincount(label, minlength=_BINS), 1)
    parts = []
    for lag in _VARIOGRAM_LAGS:
        apart_total, apart_count, own_total, own_count = np.zeros(_BINS), np.zeros(_BINS), 0.0, 0
        for row in rows[rows + lag < len(z)]:
            here, there = z[row], z[row + lag]
            size = _spread_of(here) * _spread_of(there)
            if not size > 0:
                continue
            square = 0.5 * (here[i] - there[j]) ** 2 / size
            known = np.isfinite(square)
            apart_total += np.bincount(label[known], square[known], minlength=_BINS)
            apart_count += np.bincount(label[known], minlength=_BINS)
            own = 0.5 * (here - there) ** 2 / size
            own_total, own_count = own_total + float(np.nansum(own)), own_count + int(np.isfinite(own).sum())
        full = apart_count >= _FEWEST_PAIRS
        parts += [
            (c, lag, t / n, n) for c, t, n in zip(centre[full], apart_total[full], apart_count[full], strict=True)
        ]
        if lag and own_count >= _FEWEST_PAIRS:
            # One station against itself is one bin of some twenty, and all that tells how long its own part lasts.
            parts.append((0.0, lag, own_total / own_count, float(np.median(apart_count[full]))))
    return _Binned(*(np.array(column, np.float64) for column in zip(*parts, strict=True)))


def _spread_of(hour: Floats) -> float:
    return float(np.nanstd(hour)) if np.isfinite(hour).sum() > 2 else 0.0


def fit_space_time_covariance(data: _Binned) -> SpaceTimeCovariance:
    """Return the covariance nearest to the variogram, by least squares weighted as Cressie (1985) does."""
    weight = np.sqrt(data.pairs)
    weight = weight / weight.mean()
    top, longest = float(data.gamma.max()), float(data.km.max())

    def unpack(p: Floats) -> SpaceTimeCovariance:
        a, b, near, far, quick, slow, own, own_hours, noise = np.exp(p).tolist()
        return SpaceTimeCovariance((a, b), (near, far), (quick, slow), own, own_hours, noise)

    def misfit(p: Floats) -> Floats:
        covariance = unpack(p)
        gamma = covariance.sill - covariance(data.km, data.lag)
        return weight * (data.gamma / np.maximum(gamma, 1e-9) - 1.0)

    low = np.log([1e-3 * top] * 2 + [1.0, 1.0] + [0.5, 0.5] + [1e-4 * top, 0.5, 1e-3 * top])
    high = np.log([5 * top] * 2 + [5 * longest] * 2 + [1e3, 1e4] + [top, 1e4, top])
    best = None
    for near in (0.02, 0.1):
        start = np.log([0.3 * top, 0.6 * top, near * longest, longest / 2, 6.0, 48.0, 0.1 * top, 24.0, 0.05 * top])
        first = np.clip(start, low + 1e-6, high - 1e-6)
        fitted = scipy.optimize.least_squares(misfit, first, bounds=(low, high), ftol=TOLERANCE, xtol=TOLERANCE)
        if best is None or fitted.cost < best.cost:
            best = fitted
    assert best is not None
    return unpack(best.x)
