"""Nearest station and inverse-distance weighting, each with a spread tuned on left-out visible stations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aqreanalysis.evaluation.baselines.base import (
    Baseline,
    Floats,
    Network,
    Progress,
    Spread,
    distances_km,
    fit_spread,
)
from aqreanalysis.evaluation.distributions import CensoredNormal

POWERS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
NEIGHBOURS = (3, 5, 8, 12, 16, 24, 32, 48, 96)

#: Stations nearer than this to a point weigh as if they stood there; keeps co-located instruments finite.
_CLOSEST_KM = 0.1
#: Nearest stations looked through for those that report; a hole in the network seldom is larger.
_CANDIDATES = 256
_HOURS_AT_ONCE = 24


@dataclass(frozen=True)
class _Neighbours:
    """Stations around each target, nearest first: indices and kilometres, shape (target, candidate)."""

    index: npt.NDArray[np.int64]
    km: npt.NDArray[np.float64]

    @classmethod
    def around(cls, network: Network, lat: Floats, lon: Floats, own: npt.NDArray[np.int64] | None) -> _Neighbours:
        """Return the neighbours of each target, without those of its own group where `own` gives one."""
        km = distances_km(lat, lon, network.lat, network.lon)
        if own is not None:
            km = np.where(own[:, None] == network.groups[None, :], np.inf, km)
        index = np.argsort(km, axis=1, kind="stable")[:, :_CANDIDATES]
        return cls(index, np.take_along_axis(km, index, axis=1))


def _interpolate(
    values: Floats, neighbours: _Neighbours, power: float, count: int
) -> Iterator[tuple[slice, Floats, Floats]]:
    """Yield (hours, estimate, weighted variance of the neighbours) with the `count` nearest that report, by slabs."""
    finite_km = np.isfinite(neighbours.km)
    weight = np.where(finite_km, np.maximum(neighbours.km, _CLOSEST_KM) ** -power, 0.0)
    for start in range(0, len(values), _HOURS_AT_ONCE):
        hours = slice(start, min(start + _HOURS_AT_ONCE, len(values)))
        near = values[hours][:, neighbours.index]
        report = np.isfinite(near) & finite_km
        used = report & (np.cumsum(report, axis=2) <= count)
        w = np.where(used, weight, 0.0)
        near = np.where(used, near, 0.0)
        total = w.sum(axis=2)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (w * near).sum(axis=2) / total
            variance = (w * (near - mean[:, :, None]) ** 2).sum(axis=2) / total
        yield hours, mean, variance


def interpolate(
    network: Network, lat: Floats, lon: Floats, *, power: float, count: int, own: npt.NDArray[np.int64] | None = None
) -> tuple[Floats, Floats]:
    """Return inverse-distance estimates and the weighted variance of their neighbours, each of shape (T, point).

    Parameters
    ----------
    network : Network
        Visible stations; at each hour only those that report count.
    lat, lon : ndarray, shape (point,)
        Degrees.
    power, count : float, int
        Weights are ``distance ** -power`` over the `count` nearest stations that report.
    own : ndarray of int, shape (point,), optional
        Group of each point; stations of that group are not used (leaving out).
    """
    neighbours = _Neighbours.around(network, lat, lon, own)
    mean = np.full((len(network.values), len(lat)), np.nan)
    variance = mean.copy()
    for hours, m, v in _interpolate(network.values, neighbours, power, count):
        mean[hours], variance[hours] = m, v
    return mean, variance


class NearestStation(Baseline):
    """The reading of the nearest station that reports."""

    name = "nearest"
    title = "nearest station"

    def __init__(self) -> None:
        self._spread: Spread | None = None

    def tune(self, network: Network) -> dict[str, Any]:
        sample = network.tuning_sample()
        mean, variance = interpolate(sample, sample.lat, sample.lon, power=1.0, count=1, own=sample.groups)
        self._spread = fit_spread(mean, variance, sample.values)
        return {"floor": self._spread.floor, "relative": self._spread.relative}

    def predict(self, network: Network, lat: Floats, lon: Floats, progress: Progress | None = None) -> CensoredNormal:
        assert self._spread is not None, "tune() comes first"
        mean, variance = interpolate(network, lat, lon, power=1.0, count=1)
        return CensoredNormal(mean, self._spread.scale(mean, variance))


class InverseDistance(Baseline):
    """Inverse-distance weighting; power and number of neighbours with the least absolute error when left out."""

    name = "inverse-distance"
    title = "inverse distance"

    def __init__(self) -> None:
        self.power, self.count = 2.0, 16
        self._spread: Spread | None = None

    def tune(self, network: Network) -> dict[str, Any]:
        sample = network.tuning_sample()
        neighbours = _Neighbours.around(sample, sample.lat, sample.lon, sample.groups)
        errors: dict[tuple[float, int], float] = {}

        def error(choice: tuple[float, int]) -> float:
            if choice not in errors:
                parts = _interpolate(sample.values, neighbours, *choice)
                errors[choice] = float(
                    np.nanmean(np.concatenate([np.abs(mean - sample.values[hours]) for hours, mean, _ in parts]))
                )
            return errors[choice]

        # One parameter after the other, twice: the error is a smooth bowl in both, and the full table costs four times.
        for _ in range(2):
            self.power = min(POWERS, key=lambda power: error((power, self.count)))
            self.count = min(NEIGHBOURS, key=lambda count: error((self.power, count)))
        chosen = {"power": self.power, "count": self.count}
        mean, variance = interpolate(
            sample, sample.lat, sample.lon, power=self.power, count=self.count, own=sample.groups
        )
        self._spread = fit_spread(mean, variance, sample.values)
        return chosen | {"left_out_mae": error((self.power, self.count)), **vars(self._spread)}

    def predict(self, network: Network, lat: Floats, lon: Floats, progress: Progress | None = None) -> CensoredNormal:
        assert self._spread is not None, "tune() comes first"
        mean, variance = interpolate(network, lat, lon, power=self.power, count=self.count)
        return CensoredNormal(mean, self._spread.scale(mean, variance))
