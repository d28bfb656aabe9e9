"""Nearest station and inverse-distance weighting, each with a spread tuned on left-out visible stations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aqreanalysis.common.geodesy import distance_matrix_km
from aqreanalysis.common.progress import Progress
from aqreanalysis.evaluation.baselines.base import Baseline, Floats, SpreadModel, StationField, fit_spread
from aqreanalysis.evaluation.distributions import CensoredNormal

POWERS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
NEIGHBOURS = (3, 5, 8, 12, 16, 24, 32, 48, 96)

#: Stations nearer than this to a point weigh as if they stood there; keeps co-located instruments finite.
_CLOSEST_KM = 0.1
#: Nearest stations looked through for those that report; a hole in the network seldom is larger.
_CANDIDATES = 256
_HOURS_AT_ONCE = 24


@dataclass(frozen=True)
class Neighbours:
    """Stations around each target, nearest first: indices and kilometres, shape (target, candidate)."""

    index: npt.NDArray[np.int64]
    km: npt.NDArray[np.float64]

    @classmethod
    def around(cls, field: StationField, lat: Floats, lon: Floats, own: npt.NDArray[np.int64] | None) -> Neighbours:
        """Return the neighbours of each target, without those of its own group where `own` gives one."""
        km = distance_matrix_km(lat, lon, field.lat, field.lon)
        if own is not None:
            km = np.where(own[:, None] == field.groups[None, :], np.inf, km)
        index = np.argsort(km, axis=1, kind="stable")[:, :_CANDIDATES]
        return cls(index, np.take_along_axis(km, index, axis=1))


@dataclass(frozen=True)
class _Slab:
    """Some hours of what the candidates read, and the how-manieth reporting one each is: (hour, target, candidate)."""

    hours: slice
    near: Floats
    rank: npt.NDArray[np.int16]


def _slabs(values: Floats, neighbours: Neighbours) -> Iterator[_Slab]:
    """Yield the hours slab by slab. Ranks depend on no setting, so tuning keeps them: they cost most of the time."""
    reachable = np.isfinite(neighbours.km)
    for start in range(0, len(values), _HOURS_AT_ONCE):
        hours = slice(start, min(start + _HOURS_AT_ONCE, len(values)))
        near = values[hours][:, neighbours.index]
        report = np.isfinite(near) & reachable
        rank = np.where(report, np.cumsum(report, axis=2, dtype=np.int16), np.iinfo(np.int16).max)
        yield _Slab(hours, np.where(report, near, 0.0), rank.astype(np.int16))


def _weigh(slabs: Iterable[_Slab], km: Floats, power: float, count: int) -> Iterator[tuple[slice, Floats, Floats]]:
    """Yield (hours, estimate, weighted variance of the neighbours) with the `count` nearest that report, by slabs."""
    weight = np.where(np.isfinite(km), np.maximum(km, _CLOSEST_KM) ** -power, 0.0)
    for slab in slabs:
        w = np.where(slab.rank <= count, weight, 0.0)
        total = w.sum(axis=2)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.einsum("tpc,tpc->tp", w, slab.near) / total
            variance = np.einsum("tpc,tpc->tp", w, (slab.near - mean[:, :, None]) ** 2) / total
        yield slab.hours, mean, variance


def interpolate(
    field: StationField, lat: Floats, lon: Floats, *, power: float, count: int, own: npt.NDArray[np.int64] | None = None
) -> tuple[Floats, Floats]:
    """Return inverse-distance estimates and the weighted variance of their neighbours, each of shape (T, point).

    Parameters
    ----------
    field : StationField
        Visible stations; at each hour only those that report count.
    lat, lon : ndarray, shape (point,)
        Degrees.
    power, count : float, int
        Weights are ``distance ** -power`` over the `count` nearest stations that report.
    own : ndarray of int, shape (point,), optional
        Group of each point; stations of that group are not used (leaving out).
    """
    neighbours = Neighbours.around(field, lat, lon, own)
    return _gathered(_slabs(field.values, neighbours), neighbours, (power, count), (len(field.values), len(lat)))


def _gathered(
    slabs: Iterable[_Slab], neighbours: Neighbours, choice: tuple[float, int], shape: tuple[int, int]
) -> tuple[Floats, Floats]:
    mean, variance = np.full((2, *shape), np.nan)
    for hours, m, v in _weigh(slabs, neighbours.km, *choice):
        mean[hours], variance[hours] = m, v
    return mean, variance


@dataclass(frozen=True)
class Tuned:
    """Power and number of neighbours with the least absolute error, and what they say where left out: (T, station)."""

    power: float
    count: int
    left_out_mae: float
    estimate: Floats
    variance: Floats


def tune_weights(field: StationField, observed: Floats, start: tuple[float, int] = (2.0, 16)) -> Tuned:
    """Return the settings of inverse distance with the least absolute error against `observed` where left out.

    Parameters
    ----------
    field : StationField
        What is interpolated, at the hours of tuning.
    observed : ndarray, shape (T, station)
        What the estimate at each station is compared with: the network's own values, or others.
    start : tuple of float and int
        Power and count that the search begins with.
    """
    neighbours = Neighbours.around(field, field.lat, field.lon, field.groups)
    slabs = list(_slabs(field.values, neighbours))
    tried: dict[tuple[float, int], tuple[float, Floats, Floats]] = {}

    def error(choice: tuple[float, int]) -> float:
        if choice not in tried:
            mean, variance = _gathered(slabs, neighbours, choice, observed.shape)
            errors = np.abs(mean - observed)
            tried[choice] = (float(np.nanmean(errors)) if np.isfinite(errors).any() else np.inf, mean, variance)
        return tried[choice][0]

    power, count = start
    # One parameter after the other, twice: the error is a smooth bowl in both, and the full table costs four times.
    for _ in range(2):
        power = min(POWERS, key=lambda p: error((p, count)))
        count = min(NEIGHBOURS, key=lambda c: error((power, c)))
    return Tuned(power, count, *tried[power, count])


class NearestStation(Baseline):
    """The reading of the nearest station that reports."""

    name = "nearest"
    title = "nearest station"

    def __init__(self) -> None:
        super().__init__()
        self._spread: SpreadModel | None = None

    def tune(self, field: StationField) -> dict[str, Any]:
        sample = field.tuning_sample()
        mean, variance = interpolate(sample, sample.lat, sample.lon, power=1.0, count=1, own=sample.groups)
        self._spread = fit_spread(mean, variance, sample.values)
        self._keep_left_out(CensoredNormal(mean, self._spread.scale(mean, variance)), sample.values)
        return {"floor": self._spread.floor, "relative": self._spread.relative}

    def predict(
        self, field: StationField, lat: Floats, lon: Floats, progress: Progress | None = None
    ) -> CensoredNormal:
        assert self._spread is not None, "tune() comes first"
        mean, variance = interpolate(field, lat, lon, power=1.0, count=1)
        return CensoredNormal(mean, self._spread.scale(mean, variance))


class InverseDistance(Baseline):
    """Inverse-distance weighting; power and number of neighbours with the least absolute error when left out."""

    name = "inverse-distance"
    title = "inverse distance"

    def __init__(self) -> None:
        super().__init__()
        self.power, self.count = 2.0, 16
        self._spread: SpreadModel | None = None

    def tune(self, field: StationField) -> dict[str, Any]:
        sample = field.tuning_sample()
        tuned = tune_weights(sample, sample.values)
        self.power, self.count = tuned.power, tuned.count
        self._spread = fit_spread(tuned.estimate, tuned.variance, sample.values)
        scale = self._spread.scale(tuned.estimate, tuned.variance)
        self._keep_left_out(CensoredNormal(tuned.estimate, scale), sample.values)
        chosen = {"power": self.power, "count": self.count, "left_out_mae": tuned.left_out_mae}
        return chosen | vars(self._spread)

    def predict(
        self, field: StationField, lat: Floats, lon: Floats, progress: Progress | None = None
    ) -> CensoredNormal:
        assert self._spread is not None, "tune() comes first"
        mean, variance = interpolate(field, lat, lon, power=self.power, count=self.count)
        return CensoredNormal(mean, self._spread.scale(mean, variance))
