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

from aqreanalysis.common.geodesy import distance_matrix_km
from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import ObservationsError
from aqreanalysis.evaluation.baselines.base import Baseline, Floats, StationField, StationHistory
from aqreanalysis.evaluation.baselines.kriging import back, forward, offsets
from aqreanalysis.evaluation.baselines.spread import KrigingSpread, fit_kriging_spread, hour_scale
from aqreanalysis.evaluation.distributions import ShiftedLogNormal
from aqreanalysis.geostatistics.kriging import LeftOut, kriging_of_known
from aqreanalysis.geostatistics.space_time import SpaceTimeCovariance, fit_space_time_covariance, space_time_variogram

#: Number of stations and lags in hours that a point is estimated from: what is tried.
CHOICES: tuple[tuple[int, tuple[int, ...]], ...] = (
    (32, (0,)),
    (24, (-1, 0, 1)),
    (32, (-1, 0, 1)),
    (16, (-2, -1, 0, 1, 2)),
    (16, (-6, -3, -1, 0, 1, 3, 6)),
)

_FEWEST_READINGS = 3
_CHOICE_HOURS = 16
#: Hours that the variogram is pooled over, each with those that follow it by a lag.
_VARIOGRAM_HOURS = 24
#: Stations at which a choice is tried; a few hundred hours and stations tell settings apart that matter.
_CHOICE_STATIONS = 160


@dataclass(frozen=True)
class _Around:
    """The stations that points are estimated from: indices and distances, shape (point, station), and theirs."""

    index: npt.NDArray[np.int64]
    km: Floats
    mutual: Floats

    @classmethod
    def nearest(cls, field: StationField, km: Floats, count: int) -> _Around:
        """Return the `count` nearest by `km` (point, station), infinite where a station must not be used."""
        index = np.argsort(km, axis=1, kind="stable")[:, :count]
        mutual = _station_km(field)
        return cls(index, np.take_along_axis(km, index, axis=1), mutual[index[:, :, None], index[:, None, :]])


def _station_km(field: StationField) -> Floats:
    """Return the stations' mutual distances; two instruments at one place stand a metre apart, each is itself."""
    km = np.maximum(distance_matrix_km(field.lat, field.lon, field.lat, field.lon), 0.001)
    np.fill_diagonal(km, 0.0)
    return km


def krige_local(
    z: Floats, rows: npt.NDArray[np.int64], around: _Around, covariance: SpaceTimeCovariance, lags: tuple[int, ...]
) -> tuple[Floats, Floats]:
    """Return ordinary-kriging estimates and variances from each point's own neighbours and lags, shape (T, point).

    Parameters
    ----------
    z : ndarray, shape (hour, station)
        Logarithms of the whole history, NaN where missing.
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
        to_point = covariance(np.maximum(around.km[p], 0.001)[None, :], steps[:, None]).reshape(size)
        values = np.where(within[:, :, None], z[at[:, :, None], index[None, None, :]], np.nan)
        values = np.where(usable, values, np.nan).reshape(len(rows), size)
        system = among.reshape(size, size)
        kriged = kriging_of_known(system, to_point, values, covariance.sill, _FEWEST_READINGS)
        estimate[:, p], variance[:, p] = kriged
    return estimate, variance


class SpaceTimeKriging(Baseline):
    """Local ordinary kriging of logarithms over stations and hours."""

    name = "space-time-kriging"
    title = "space-time kriging of the logarithm"
    # A system a cell and hour.
    asked_at_cells = False

    def __init__(self) -> None:
        super().__init__()
        self._covariance: SpaceTimeCovariance | None = None
        self._spread: KrigingSpread | None = None
        self._offset = 0.0
        self._count, self._lags = CHOICES[0]

    def tune(self, field: StationField) -> dict[str, Any]:
        sample = field.tuning_sample()
        hours, history = sample.timeline()
        pooled = sample.tuning_sample(_VARIOGRAM_HOURS).timeline()[0] - history.first_hour
        km = _station_km(field)
        best = np.inf
        for offset in offsets(sample):
            z = _logarithms(history, offset)
            covariance = fit_space_time_covariance(space_time_variogram(z, km, pooled))
            # After the first offset only the neighbourhood that won there is tried.
            for count, lags in CHOICES if self._covariance is None else ((self._count, self._lags),):
                error = self._error(sample, z, covariance, offset, (count, lags))
                if error < best:
                    best, settings = error, (covariance, offset, count, lags)
            if np.isfinite(best):
                self._covariance, self._offset, self._count, self._lags = settings
        if self._covariance is None:
            raise ObservationsError(
                "space-time kriging: no visible station can be left out; hide fewer stations or bring more"
            )
        z = _logarithms(history, self._offset)
        left_out = self._left_out(sample, z, self._covariance, (self._count, self._lags))
        size = hour_scale(z[hours - history.first_hour], km, self._covariance.semivariance)
        self._spread, answer = fit_kriging_spread(left_out, size, sample.values, self._offset)
        self._keep_left_out(answer, sample.values)
        chosen = {"left_out_mae": best, "offset": self._offset, "count": self._count, "lags_hours": list(self._lags)}
        return chosen | {**vars(self._covariance), "spread": vars(self._spread)}

    def predict(
        self, field: StationField, lat: Floats, lon: Floats, progress: Progress | None = None
    ) -> ShiftedLogNormal:
        assert self._covariance is not None and self._spread is not None, "tune() comes first"
        hours, history = field.timeline()
        rows = hours - history.first_hour
        z = _logarithms(history, self._offset)
        around = _Around.nearest(field, distance_matrix_km(lat, lon, field.lat, field.lon), self._count)
        estimate, variance = np.full((2, len(hours), len(lat)), np.nan)
        for p in range(len(lat)):
            one = _Around(around.index[p : p + 1], around.km[p : p + 1], around.mutual[p : p + 1])
            kriged = krige_local(z, rows, one, self._covariance, self._lags)
            estimate[:, p], variance[:, p] = kriged[0][:, 0], kriged[1][:, 0]
            if progress is not None:
                progress(p + 1, len(lat), self.title)
        size = hour_scale(z[rows], _station_km(field), self._covariance.semivariance)
        return ShiftedLogNormal(estimate, self._spread.scale(variance, size, estimate), self._offset)

    def _error(
        self,
        sample: StationField,
        z: Floats,
        covariance: SpaceTimeCovariance,
        offset: float,
        choice: tuple[int, tuple[int, ...]],
    ) -> float:
        """Return the mean absolute error of a choice at some left-out stations and hours, infinite without answers."""
        few = sample.tuning_sample(_CHOICE_HOURS)
        stations = np.unique(np.linspace(0, len(sample.lat) - 1, _CHOICE_STATIONS).astype(np.int64))
        left_out = self._left_out(few, z, covariance, choice, stations)
        errors = np.abs(back(left_out.estimate, offset) - few.values)
        return float(np.nanmean(errors)) if np.isfinite(errors).any() else np.inf

    @staticmethod
    def _left_out(
        sample: StationField,
        z: Floats,
        covariance: SpaceTimeCovariance,
        choice: tuple[int, tuple[int, ...]],
        stations: npt.NDArray[np.int64] | None = None,
    ) -> LeftOut:
        """Return what the other groups say at the hours of `sample`, at `stations` or at all, NaN elsewhere."""
        hours, history = sample.timeline()
        at = np.arange(len(sample.lat)) if stations is None else stations
        km = np.where(sample.groups[at][:, None] == sample.groups[None, :], np.inf, _station_km(sample)[at])
        around = _Around.nearest(sample, km, choice[0])
        estimate, variance = np.full((2, *sample.values.shape), np.nan)
        kriged = krige_local(z, hours - history.first_hour, around, covariance, choice[1])
        estimate[:, at], variance[:, at] = kriged
        return LeftOut(estimate, variance)


def _logarithms(history: StationHistory, offset: float) -> Floats:
    return forward(history.values.astype(np.float64), offset)
