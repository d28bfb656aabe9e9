"""Ordinary kriging hour by hour, of concentrations or of their logarithms.

PyKrige does the kriging. The variogram is fitted once to all hours (an hour's few hundred readings fit their own
badly), every family is tried, and the one with the least error at left-out visible stations is kept, as is the offset
in the logarithm; so is the spread, because kriging variance from a pooled variogram has the right shape in space but
not the right size in every hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.optimize
from pykrige.ok import OrdinaryKriging as PyKrigeOrdinary
from pyproj import Proj

from aqreanalysis.errors import ObservationsError
from aqreanalysis.evaluation.baselines.base import Baseline, Floats, Network, Progress
from aqreanalysis.evaluation.baselines.variogram import FAMILIES, Variogram, empirical, fit
from aqreanalysis.evaluation.distributions import CensoredNormal, ShiftedLogNormal

#: Offsets in the logarithm that are tried, as shares of the median reading.
OFFSETS = (0.3, 0.02, 0.1, 1.0)

_FEWEST_READINGS = 5
_SCALE_NEIGHBOURS = 4
#: Co-located instruments are moved this far apart: at distance zero two rows of the kriging matrix would be equal.
_APART_KM = 0.001


@dataclass(frozen=True)
class _Spread:
    """How the kriging variance becomes the error's: fitted exponents and a factor.

    ``scale^2 = factor * kriging variance * (hour's scale)^hour * (typical scale)^(1 - hour) * (level)^(2 * level)``
    """

    factor: float
    hour: float
    level: float
    typical: float
    mean_level: float

    def scale(self, variance: Floats, hours: Floats, estimate: Floats) -> Floats:
        """Return the standard deviation, shape (T, point), from the kriging variance (T, point) and scale (T, 1)."""
        size = np.maximum(hours, 1e-9) ** self.hour * self.typical ** (1 - self.hour)
        level = (np.maximum(estimate, 0.02 * self.mean_level) / self.mean_level) ** (2 * self.level)
        return np.asarray(np.sqrt(self.factor * np.maximum(variance, 1e-9) * size * level))


class OrdinaryKriging(Baseline):
    """Ordinary kriging with a pooled variogram; `space` says whether concentrations or logarithms are kriged."""

    def __init__(self, space: Literal["linear", "log"]) -> None:
        self.space = space
        self.name = "kriging" if space == "linear" else "log-kriging"
        self.title = "kriging" if space == "linear" else "kriging of the logarithm"
        self._variogram: Variogram | None = None
        self._spread: _Spread | None = None
        self._offset = 0.0

    def tune(self, network: Network) -> dict[str, Any]:
        sample = network.tuning_sample()
        x, y = _project(sample, sample.lat, sample.lon)
        km = np.hypot(x[:, None] - x[None, :], y[:, None] - y[None, :])
        best = np.inf
        kept: _LeftOut | None = None
        for offset, families in self._choices(sample):
            z = self._forward(sample.values, offset)
            data = empirical(z, km)
            # After the first offset only the family that won there is fitted again: it hardly depends on the offset.
            for family in families if self._variogram is None else (self._variogram.family,):
                variogram = fit(family, data)
                left_out = _leave_out(z, km, variogram, sample.groups)
                errors = np.abs(self._back(left_out.estimate, offset) - sample.values)
                error = float(np.nanmean(errors)) if np.isfinite(errors).any() else np.inf
                if error < best:
                    best, self._variogram, self._offset, kept = error, variogram, offset, left_out
        if self._variogram is None or kept is None:
            raise ObservationsError("kriging: no visible station can be left out; hide fewer stations or bring more")
        z = self._forward(sample.values, self._offset)
        self._spread = self._fit_spread(kept, _hour_scale(z, km, self._variogram), sample.values)
        return {"left_out_mae": best, "offset": self._offset, **vars(self._variogram), "spread": vars(self._spread)}

    def predict(
        self, network: Network, lat: Floats, lon: Floats, progress: Progress | None = None
    ) -> CensoredNormal | ShiftedLogNormal:
        assert self._variogram is not None and self._spread is not None, "tune() comes first"
        variogram = self._variogram
        x, y = _project(network, network.lat, network.lon)
        px, py = _project(network, lat, lon)
        z = self._forward(network.values, self._offset)
        estimate, variance = np.full((2, len(z), len(lat)), np.nan)
        for t, hour in enumerate(z):
            reports = np.isfinite(hour)
            if reports.sum() >= _FEWEST_READINGS:
                estimate[t], variance[t] = _krige(x[reports], y[reports], hour[reports], px, py, variogram)
            if progress is not None:
                progress(t + 1, len(z), self.title)
        km = np.hypot(x[:, None] - x[None, :], y[:, None] - y[None, :])
        scale = self._spread.scale(variance, _hour_scale(z, km, variogram), estimate)
        if self.space == "log":
            return ShiftedLogNormal(estimate, scale, self._offset)
        return CensoredNormal(estimate, scale)

    def _choices(self, sample: Network) -> list[tuple[float, tuple[str, ...]]]:
        """Return the offsets to try, each with the families to try, from a middling offset on."""
        if self.space == "linear":
            return [(0.0, FAMILIES)]
        median = max(float(np.nanmedian(sample.values)), 1e-3)
        return [(share * median, FAMILIES) for share in OFFSETS]

    def _forward(self, values: Floats, offset: float) -> Floats:
        return np.log(np.maximum(values, 0.0) + offset) if self.space == "log" else values

    def _back(self, z: Floats, offset: float) -> Floats:
        return np.maximum(np.exp(z) - offset if self.space == "log" else z, 0.0)

    def _fit_spread(self, left_out: _LeftOut, hours: Floats, observed: Floats) -> _Spread:
        """Return the spread with the least mean CRPS at the left-out stations."""
        known = np.isfinite(left_out.estimate) & np.isfinite(observed)
        e, v, o = left_out.estimate[known], left_out.variance[known], observed[known]
        h = np.broadcast_to(hours, known.shape)[known]
        typical, mean_level = float(np.median(h)), float(np.mean(np.abs(e))) + 1e-9

        def spread(p: Floats) -> _Spread:
            # The logarithm's error is already relative to the level.
            level = float(p[2]) if self.space == "linear" else 0.0
            return _Spread(float(np.exp(p[0])), float(p[1]), level, typical, mean_level)

        def cost(p: Floats) -> float:
            scale = spread(p).scale(v, h, e)
            family = ShiftedLogNormal(e, scale, self._offset) if self.space == "log" else CensoredNormal(e, scale)
            return float(family.crps(o).mean())

        start = np.array([0.0, 0.5, 0.5])
        return spread(scipy.optimize.minimize(cost, start, method="Nelder-Mead", options={"maxiter": 120}).x)


def _project(network: Network, lat: Floats, lon: Floats) -> tuple[Floats, Floats]:
    """Return kilometres east and north in the equal-area projection centred on the network (PyKrige is fast there)."""
    # The mean of unit vectors, and not of degrees: a network may stand across the date line.
    phi, lam = np.radians(network.lat), np.radians(network.lon)
    vectors = np.column_stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])
    east, north, up = vectors.mean(axis=0)
    centre_lat, centre_lon = np.degrees(np.arctan2(up, np.hypot(east, north))), np.degrees(np.arctan2(north, east))
    x, y = Proj(proj="laea", lat_0=centre_lat, lon_0=centre_lon, ellps="WGS84", units="km")(lon, lat)
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    _, first, same = np.unique(np.column_stack([x, y]).round(6), axis=0, return_index=True, return_inverse=True)
    twin = first[same.ravel()] != np.arange(len(x))
    return x + np.where(twin, _APART_KM * np.cumsum(twin), 0.0), y


def _krige(x: Floats, y: Floats, z: Floats, px: Floats, py: Floats, variogram: Variogram) -> tuple[Floats, Floats]:
    """Return the kriging estimate and variance at the points, each of shape (point,)."""
    system = PyKrigeOrdinary(
        x,
        y,
        z,
        variogram_model="custom",
        variogram_parameters=[],
        variogram_function=lambda _, km: variogram(km),
        nlags=2,
    )
    estimate, variance = system.execute("points", px, py, backend="vectorized")
    return np.asarray(estimate), np.asarray(variance)


@dataclass(frozen=True)
class _LeftOut:
    """Estimate and kriging variance of each reading from the stations of other groups, shape (T, station)."""

    estimate: Floats
    variance: Floats


def _leave_out(z: Floats, km: Floats, variogram: Variogram, groups: npt.NDArray[np.int64]) -> _LeftOut:
    """Return what kriging from the other groups says at every station, from one inverse an hour.

    With B the inverse of the bordered kriging matrix, the errors of a group G left out are ``inv(B_GG) (B z)_G`` and
    their covariance ``inv(B_GG)`` (Dubrule 1983). PyKrige knows no such short cut, and kriging each group anew would
    cost some hundred times as much.
    """
    estimate, variance = np.full((2, *z.shape), np.nan)
    gamma = variogram(km)
    for t, hour in enumerate(z):
        at = np.flatnonzero(np.isfinite(hour))
        if at.size < _FEWEST_READINGS or np.unique(groups[at]).size < 2:
            continue
        bordered = np.ones((at.size + 1, at.size + 1))
        bordered[:-1, :-1] = -gamma[np.ix_(at, at)]
        bordered[-1, -1] = 0.0
        inverse = scipy.linalg.inv(bordered, check_finite=False)
        product = inverse[:-1, :-1] @ hour[at]
        # Most groups hold one station: their inverses are reciprocals, taken all at once.
        single = 1.0 / np.diag(inverse)[:-1]
        estimate[t, at], variance[t, at] = hour[at] - single * product, single
        for members in _groups_of_several(groups[at]):
            covariance = np.linalg.inv(inverse[np.ix_(members, members)])
            where = at[members]
            estimate[t, where] = hour[where] - covariance @ product[members]
            variance[t, where] = np.diag(covariance)
    return _LeftOut(estimate, variance)


def _groups_of_several(groups: npt.NDArray[np.int64]) -> list[npt.NDArray[np.intp]]:
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    return [part for part in parts if part.size > 1]


def _hour_scale(z: Floats, km: Floats, variogram: Variogram) -> Floats:
    """Return by how much an hour varies more than the pooled variogram says, shape (T, 1).

    The mean over pairs of near stations of their half squared difference over the model's semivariance.
    """
    near = np.argsort(km, axis=1, kind="stable")[:, 1 : 1 + _SCALE_NEIGHBOURS]
    gamma = np.take_along_axis(variogram(km), near, axis=1)
    scale = np.full((len(z), 1), np.nan)
    for t, hour in enumerate(z):
        ratio = 0.5 * (hour[:, None] - hour[near]) ** 2 / np.maximum(gamma, 1e-12)
        if np.isfinite(ratio).any():
            scale[t, 0] = np.nanmean(ratio)
    known = np.isfinite(scale)
    return np.where(known, scale, np.median(scale[known]) if known.any() else 1.0)
