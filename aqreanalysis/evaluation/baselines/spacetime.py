"""Space-time kriging of the logarithm: neighbours in space at several hours, a Gaussian process with local systems.

The covariance is a sum of separable exponentials in distance and lag, a part of each station's own that lasts for a
while, and noise; it is fitted to the variogram over distance and lag, pooled over hours as the spatial one is. What a
point is estimated from - how many stations, which lags - is chosen at left-out visible stations. Later hours count as
well as earlier ones, as they do for the model: this is an analysis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.optimize

from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import ObservationsError
from aqreanalysis.evaluation.baselines.base import Baseline, Floats, Network, Record, distances_km
from aqreanalysis.evaluation.baselines.kriging import back, forward, offsets
from aqreanalysis.evaluation.baselines.spread import KrigingSpread, LeftOut, fit_kriging_spread, hour_scale
from aqreanalysis.evaluation.baselines.variogram import TOLERANCE
from aqreanalysis.evaluation.distributions import ShiftedLogNormal

#: Number of stations and lags in hours that a point is estimated from: what is tried.
CHOICES: tuple[tuple[int, tuple[int, ...]], ...] = (
    (32, (0,)),
    (24, (-1, 0, 1)),
    (32, (-1, 0, 1)),
    (16, (-2, -1, 0, 1, 2)),
    (16, (-6, -3, -1, 0, 1, 3, 6)),
)

_VARIOGRAM_LAGS = (0, 1, 2, 3, 6)
_BINS = 16
_FEWEST_PAIRS = 30
_FEWEST_READINGS = 3
_CHOICE_HOURS = 16
#: Hours that the variogram is pooled over, each with those that follow it by a lag.
_VARIOGRAM_HOURS = 24
#: Stations at which a choice is tried; a few hundred hours and stations tell settings apart that matter.
_CHOICE_STATIONS = 160
#: Systems solved at once: memory.
_AT_ONCE = 256


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


def fit_covariance(data: _Binned) -> SpaceTimeCovariance:
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


@dataclass(frozen=True)
class _Around:
    """The stations that points are estimated from: indices and distances, shape (point, station), and theirs."""

    index: npt.NDArray[np.int64]
    km: Floats
    mutual: Floats

    @classmethod
    def nearest(cls, network: Network, towards: Floats, count: int) -> _Around:
        """Return the `count` nearest by `towards` (point, station), infinite where a station must not be used."""
        index = np.argsort(towards, axis=1, kind="stable")[:, :count]
        mutual = _station_km(network)
        return cls(index, np.take_along_axis(towards, index, axis=1), mutual[index[:, :, None], index[:, None, :]])


def _station_km(network: Network) -> Floats:
    """Return the stations' mutual distances; two instruments at one place stand a metre apart, each is itself."""
    km = np.maximum(distances_km(network.lat, network.lon, network.lat, network.lon), 0.001)
    np.fill_diagonal(km, 0.0)
    return km


def krige_local(
    z: Floats, rows: npt.NDArray[np.int64], around: _Around, covariance: SpaceTimeCovariance, lags: tuple[int, ...]
) -> tuple[Floats, Floats]:
    """Return ordinary-kriging estimates and variances from each point's own neighbours and lags, shape (T, point).

    Parameters
    ----------
    z : ndarray, shape (hour, station)
        Logarithms of the whole record, NaN where missing.
    rows : ndarray of int, shape (T,)
        Rows of `z` that are wanted.
    around : _Around
        Neighbours of the points.
    covariance : SpaceTimeCovariance
        Fitted.
    lags : tuple of int
        Hours around each that count.
    """
    steps = np.array(lags)
    within = (rows[:, None] + steps >= 0) & (rows[:, None] + steps < len(z))
    at = np.clip(rows[:, None] + steps, 0, len(z) - 1)
    estimate, variance = np.full((2, len(rows), len(around.index)), np.nan)
    between = np.abs(steps[:, None] - steps[None, :])
    for p, index in enumerate(around.index):
        usable = np.isfinite(around.km[p])
        among = covariance(around.mutual[p][None, :, None, :], between[:, None, :, None])
        size = among.shape[0] * among.shape[1]
        # Never zero: a point at a station's very place is still no reading of that instrument.
        towards = covariance(np.maximum(around.km[p], 0.001)[None, :], steps[:, None]).reshape(size)
        values = np.where(within[:, :, None], z[at[:, :, None], index[None, None, :]], np.nan)
        values = np.where(usable, values, np.nan).reshape(len(rows), size)
        estimate[:, p], variance[:, p] = _solved(among.reshape(size, size), towards, values, covariance.sill)
    return estimate, variance


def _solved(among: Floats, towards: Floats, values: Floats, sill: float) -> tuple[Floats, Floats]:
    """Return estimate and variance of one point at each row of `values` (T, n), where NaN takes no part."""
    known = np.isfinite(values)
    estimate, variance = np.full((2, len(values)), np.nan)
    enough = np.flatnonzero(known.sum(axis=1) >= _FEWEST_READINGS)
    identity = np.eye(len(among))
    # Hours that miss the same readings share one system.
    for start in range(0, len(enough), _AT_ONCE):
        rows = enough[start : start + _AT_ONCE]
        masks, member = np.unique(known[rows], axis=0, return_inverse=True)
        both = masks[:, :, None] & masks[:, None, :]
        systems = np.where(both, among, identity)
        right = np.stack([np.where(masks, towards, 0.0), masks.astype(np.float64)], axis=-1)
        solved = np.linalg.solve(systems, right)
        simple, ones = solved[..., 0], solved[..., 1]
        missing, total = 1.0 - simple.sum(axis=1), ones.sum(axis=1)
        weights = simple + (missing / total)[:, None] * ones
        estimate[rows] = (weights[member.ravel()] * np.where(known[rows], values[rows], 0.0)).sum(axis=1)
        spent = (np.where(masks, towards, 0.0) * simple).sum(axis=1)
        variance[rows] = (sill - spent + missing**2 / total)[member.ravel()]
    return estimate, variance


class SpaceTimeKriging(Baseline):
    """Local ordinary kriging of logarithms over stations and hours."""

    name = "space-time-kriging"
    title = "space-time kriging of the logarithm"

    def __init__(self) -> None:
        super().__init__()
        self._covariance: SpaceTimeCovariance | None = None
        self._spread: KrigingSpread | None = None
        self._offset = 0.0
        self._count, self._lags = CHOICES[0]

    def tune(self, network: Network) -> dict[str, Any]:
        sample = network.tuning_sample()
        hours, record = sample.timeline()
        pooled = sample.tuning_sample(_VARIOGRAM_HOURS).timeline()[0] - record.first_hour
        km = _station_km(network)
        best = np.inf
        for offset in offsets(sample):
            z = _logarithms(record, offset)
            covariance = fit_covariance(space_time_variogram(z, km, pooled))
            # After the first offset only the neighbourhood that won there is tried.
            for count, lags in CHOICES if self._covariance is None else ((self._count, self._lags),):
                error = self._error(sample, z, covariance, offset, (count, lags))
                if error < best:
                    best, kept = error, (covariance, offset, count, lags)
            if np.isfinite(best):
                self._covariance, self._offset, self._count, self._lags = kept
        if self._covariance is None:
            raise ObservationsError(
                "space-time kriging: no visible station can be left out; hide fewer stations or bring more"
            )
        z = _logarithms(record, self._offset)
        left_out = self._left_out(sample, z, self._covariance, (self._count, self._lags))
        size = hour_scale(z[hours - record.first_hour], km, self._covariance.semivariance)
        self._spread, answer = fit_kriging_spread(left_out, size, sample.values, self._offset)
        self._keep_left_out(answer, sample.values)
        chosen = {"left_out_mae": best, "offset": self._offset, "count": self._count, "lags_hours": list(self._lags)}
        return chosen | {**vars(self._covariance), "spread": vars(self._spread)}

    def predict(self, network: Network, lat: Floats, lon: Floats, progress: Progress | None = None) -> ShiftedLogNormal:
        assert self._covariance is not None and self._spread is not None, "tune() comes first"
        hours, record = network.timeline()
        rows = hours - record.first_hour
        z = _logarithms(record, self._offset)
        around = _Around.nearest(network, distances_km(lat, lon, network.lat, network.lon), self._count)
        estimate, variance = np.full((2, len(hours), len(lat)), np.nan)
        for p in range(len(lat)):
            one = _Around(around.index[p : p + 1], around.km[p : p + 1], around.mutual[p : p + 1])
            found = krige_local(z, rows, one, self._covariance, self._lags)
            estimate[:, p], variance[:, p] = found[0][:, 0], found[1][:, 0]
            if progress is not None:
                progress(p + 1, len(lat), self.title)
        size = hour_scale(z[rows], _station_km(network), self._covariance.semivariance)
        return ShiftedLogNormal(estimate, self._spread.scale(variance, size, estimate), self._offset)

    def _error(
        self,
        sample: Network,
        z: Floats,
        covariance: SpaceTimeCovariance,
        offset: float,
        choice: tuple[int, tuple[int, ...]],
    ) -> float:
        """Return the mean absolute error of a choice at some left-out stations and hours, infinite without answers."""
        few = sample.tuning_sample(_CHOICE_HOURS)
        stations = np.unique(np.linspace(0, len(sample.lat) - 1, _CHOICE_STATIONS).astype(np.int64))
        found = self._left_out(few, z, covariance, choice, stations)
        errors = np.abs(back(found.estimate, offset) - few.values)
        return float(np.nanmean(errors)) if np.isfinite(errors).any() else np.inf

    @staticmethod
    def _left_out(
        sample: Network,
        z: Floats,
        covariance: SpaceTimeCovariance,
        choice: tuple[int, tuple[int, ...]],
        stations: npt.NDArray[np.int64] | None = None,
    ) -> LeftOut:
        """Return what the other groups say at the hours of `sample`, at `stations` or at all, NaN elsewhere."""
        hours, record = sample.timeline()
        at = np.arange(len(sample.lat)) if stations is None else stations
        towards = np.where(sample.groups[at][:, None] == sample.groups[None, :], np.inf, _station_km(sample)[at])
        around = _Around.nearest(sample, towards, choice[0])
        estimate, variance = np.full((2, *sample.values.shape), np.nan)
        found = krige_local(z, hours - record.first_hour, around, covariance, choice[1])
        estimate[:, at], variance[:, at] = found
        return LeftOut(estimate, variance)


def _logarithms(record: Record, offset: float) -> Floats:
    return forward(record.values.astype(np.float64), offset)
