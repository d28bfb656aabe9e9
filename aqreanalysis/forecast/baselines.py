"""What people would forecast with instead: persistence, climatology, linear regression; networks beside this file.

Every baseline answers with two numbers for a lead, a median (scored by absolute error) and a mean (scored by squared
error), so that none is judged by an error that it was not made for. They learn from the visible stations and the hours
that the model saw, and from nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from aqreanalysis.common.geodesy import distance_matrix_km
from aqreanalysis.common.progress import Progress
from aqreanalysis.evaluation.baselines.base import StationField
from aqreanalysis.evaluation.baselines.nearby import InverseDistance

Array = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Hours = npt.NDArray[np.int64]

#: A day's mean needs so many of its hours; the same number as in training.
FEWEST_HOURS = 18
_HOURS_OF_YEAR = 365.2425 * 24
_CLOSEST_KM = 0.1
# A climatology of a month and an hour of day takes the days this near to the middle of the month.
_SEASON_DAYS = 23.0
_RIDGE_HOURS, _RIDGE_EVERY = 48, 5
_RIDGE_EDGES = (0, 3, 6, 12, 24, 48, 96)
_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True)
class Records:
    """Readings of the visible stations, and where a forecast begins and ends.

    Attributes
    ----------
    values : float32 (hour, station, input)
        In their units, NaN where missing; the pollutant that is forecast comes first.
    first_hour : int
        Stamp of the first hour, in hours since 1970-01-01.
    seen : int
        How many of the hours training may see.
    history, lead : int
        Hours before and after an origin; `lead` in whole days.
    """

    values: Array
    first_hour: int
    seen: int
    history: int
    lead: int

    @property
    def target(self) -> Array:
        """The pollutant that is forecast, float32 (hour, station)."""
        return self.values[..., 0]

    def training_origins(self, every: int, part: str = "all") -> Hours:
        """Return positions of the last hours read, every n-th, whose leads were all seen.

        `part` is ``all``, ``fit`` (the first five sixths) or ``tune`` (the rest, its leads in no window of the other).
        """
        origins = np.arange(self.history - 1, self.seen - self.lead, every, dtype=np.int64)
        edge = self.history + (self.seen - self.history) * 5 // 6
        return {"all": origins, "fit": origins[origins + self.lead < edge], "tune": origins[origins >= edge]}[part]

    def histories(self, origins: Hours) -> Array:
        """Return float32 (origin, hour, station, input), the last hour read at the end."""
        return self.values[origins[:, None] + np.arange(1 - self.history, 1)]

    def truth(self, origins: Hours) -> Array:
        """Return float32 (origin, station, lead): hourly means, then the means of each 24 of them."""
        hourly = np.moveaxis(self.target[origins[:, None] + np.arange(1, self.lead + 1)], 1, -1)
        return with_daily(hourly)

    def stamps(self, origins: Hours) -> Hours:
        """Return the origins' stamps in hours since 1970-01-01."""
        return origins + self.first_hour


def with_daily(hourly: Array) -> Array:
    """Return `hourly` (..., lead) with the means of each 24 leads behind, NaN where fewer than 18 are known."""
    days = hourly.reshape(*hourly.shape[:-1], -1, 24)
    count = np.isfinite(days).sum(axis=-1)
    mean = np.nansum(days, axis=-1, dtype=np.float64) / np.maximum(count, 1)
    daily = np.where(count >= FEWEST_HOURS, mean, np.nan).astype(np.float32)
    return np.concatenate([hourly, daily], axis=-1)


@dataclass(frozen=True)
class PointForecast:
    """A baseline's two answers, float32 (origin, place, lead)."""

    median: Array
    mean: Array

    def interpolated(self, weights: Array) -> PointForecast:
        """Return the forecasts at other places: `weights` (place, station) over the stations that have one."""

        def move(x: Array) -> Array:
            known = np.isfinite(x)
            share = np.einsum("ps,osl->opl", weights, known.astype(np.float32), optimize=True)
            total = np.einsum("ps,osl->opl", weights, np.where(known, x, 0), optimize=True)
            return np.divide(total, share, out=np.full_like(total, np.nan), where=share > 1e-6)

        return PointForecast(move(self.median), move(self.mean))


class ForecastBaseline(ABC):
    """A method that people would use instead of the model.

    Attributes
    ----------
    name, title : str
        Key in the scores, and name for people.
    """

    name: str
    title: str

    @abstractmethod
    def fit(self, records: Records, progress: Progress | None = None) -> dict[str, Any]:
        """Return what was tuned (plain numbers, for the report), on the hours seen."""

    @abstractmethod
    def predict(self, histories: Array, stamps: Hours) -> PointForecast:
        """Return forecasts at the stations of `histories` (origin, hour, station, input), `stamps` the origins."""


class Persistence(ForecastBaseline):
    """The last reading, for every hour and day ahead."""

    name, title = "persistence", "persistence"

    def fit(self, records: Records, progress: Progress | None = None) -> dict[str, Any]:
        self._leads = records.lead + records.lead // 24
        return {}

    def predict(self, histories: Array, stamps: Hours) -> PointForecast:
        last = last_known(histories[..., 0])[:, -1]
        answer = np.repeat(last[..., None], self._leads, axis=-1)
        return PointForecast(answer, answer)


class DailyPersistence(ForecastBaseline):
    """The last day again: each hour as the same hour of it, each day as its mean."""

    name, title = "daily-persistence", "persistence of the last day"

    def fit(self, records: Records, progress: Progress | None = None) -> dict[str, Any]:
        self._lead = records.lead
        return {}

    def predict(self, histories: Array, stamps: Hours) -> PointForecast:
        day = np.moveaxis(last_known(histories[..., 0])[:, -24:], 1, -1)
        answer = with_daily(np.tile(day, self._lead // 24))
        return PointForecast(answer, answer)


class SeasonalClimatology(ForecastBaseline):
    """Median and mean of the station's readings at the hour of day in the days of years around the month's middle."""

    name, title = "climatology", "climatology by hour and season"

    def fit(self, records: Records, progress: Progress | None = None) -> dict[str, Any]:
        self._lead = records.lead
        stamps = records.first_hour + np.arange(records.seen)
        day = stamps % _HOURS_OF_YEAR / 24
        readings = with_days(records.target[: records.seen])
        self._table = np.full((2, 12, 25, readings.shape[2]), np.nan, dtype=np.float32)
        for month in range(12):
            away = np.abs((day - (month + 0.5) * 365.2425 / 12 + 182.62) % 365.2425 - 182.62) < _SEASON_DAYS
            for hour in range(25):  # the 25th is the day's mean
                chosen = readings[1 if hour == 24 else 0][away & ((stamps % 24 == hour) | (hour == 24))]
                if np.isfinite(chosen).any():
                    with np.errstate(all="ignore"):
                        known = np.isfinite(chosen).any(axis=0)
                        self._table[0, month, hour, known] = np.nanmedian(chosen[:, known], axis=0)
                        self._table[1, month, hour, known] = np.nanmean(chosen[:, known], axis=0)
        return {"days": 2 * _SEASON_DAYS}

    def predict(self, histories: Array, stamps: Hours) -> PointForecast:
        ahead = stamps[:, None] + np.concatenate([np.arange(1, self._lead + 1), 12 + 24 * np.arange(self._lead // 24)])
        month = np.minimum((ahead % _HOURS_OF_YEAR / _HOURS_OF_YEAR * 12).astype(int), 11)
        hour = ahead % 24
        hour[:, self._lead :] = 24
        table = np.moveaxis(self._table[:, month, hour], -1, 2)
        return PointForecast(table[0], table[1])


def with_days(readings: Array) -> Array:
    """Return (2, hour, station): the readings, and at each hour the mean of the 24 up to it (NaN where too few)."""
    known = np.isfinite(readings)
    total = np.cumsum(np.where(known, readings, 0), axis=0, dtype=np.float64)
    count = np.cumsum(known, axis=0)
    total[24:], count[24:] = total[24:] - total[:-24], count[24:] - count[:-24]
    mean = np.where(count >= FEWEST_HOURS, total / np.maximum(count, 1), np.nan)
    return np.stack([readings, mean.astype(np.float32)])


def last_known(readings: Array) -> Array:
    """Return (origin, hour, station) with each gap at the last reading before it; NaN before the first."""
    hours = np.arange(readings.shape[1])[None, :, None]
    at = np.maximum.accumulate(np.where(np.isfinite(readings), hours, 0), axis=1)
    return np.take_along_axis(readings, at, axis=1)


class Ridge(ForecastBaseline):
    """Ridge regression on the last 48 hours, the daily means of the history and the clock, one for all stations.

    Each range of leads has its own: in concentrations or in their logarithms, and with its own penalty, as the last
    sixth of the hours seen says; one choice for the absolute error (the median), one for the squared (the mean).
    """

    name, title = "ridge", "linear regression (ridge)"

    def fit(self, records: Records, progress: Progress | None = None) -> dict[str, Any]:
        self._offset = 0.1 * float(np.nanmedian(records.target[: records.seen]))
        choices = [(log, penalty) for log in (False, True) for penalty in _PENALTIES]
        tune = records.training_origins(3 * _RIDGE_EVERY + 1, "tune")
        histories, stamps, truth = records.histories(tune), records.stamps(tune), records.truth(tune)
        absolute, squared = [], []
        for log in (False, True):
            moments = self._moments(records, records.training_origins(_RIDGE_EVERY, "fit"), log)
            for penalty in _PENALTIES:
                error = self._answer(histories, stamps, _solve(moments, penalty), log) - truth
                absolute.append(np.nanmean(np.abs(error), axis=(0, 1)))
                squared.append(np.nanmean(error**2, axis=(0, 1)))
        everything = {log: self._moments(records, records.training_origins(_RIDGE_EVERY), log) for log in (False, True)}
        solved = {choice: _solve(everything[choice[0]], choice[1]) for choice in choices}
        tuned_by_role: dict[str, Any] = {}
        self._chosen: dict[str, list[tuple[bool, npt.NDArray[np.bool_], Doubles]]] = {}
        for role, errors in (("median", np.stack(absolute)), ("mean", np.stack(squared))):
            tuned_by_role[role] = {}
            best = np.zeros(errors.shape[1], dtype=int)
            for label, leads in _ranges(records.lead).items():
                best[leads] = int(np.argmin(errors[:, leads].mean(axis=1)))
                log, penalty = choices[best[leads][0]]
                tuned_by_role[role][label] = {"logs": log, "penalty": penalty}
            self._chosen[role] = []
            for log in (False, True):
                here = np.array([choices[k][0] == log for k in best])
                columns = np.stack([solved[choices[k]][:, lead] for lead, k in enumerate(best)], axis=1)
                self._chosen[role].append((log, here, columns[:, here]))
        return tuned_by_role

    def predict(self, histories: Array, stamps: Hours) -> PointForecast:
        answers = []
        for role in ("median", "mean"):
            total = sum(len(leads[leads]) for _, leads, _ in self._chosen[role])
            answer = np.empty((len(stamps), histories.shape[2], total), dtype=np.float32)
            for log, leads, solved in self._chosen[role]:
                if leads.any():
                    answer[..., leads] = self._answer(histories, stamps, solved, log)
            answers.append(answer)
        return PointForecast(*answers)

    def _moments(self, records: Records, origins: Hours, log: bool) -> tuple[Doubles, Doubles]:
        gram, right = np.zeros(()), np.zeros(())
        for part in np.array_split(origins, max(1, len(origins) // 500)):
            x = self._features(records.histories(part), records.stamps(part), log)
            hourly = np.moveaxis(last_known(np.moveaxis(records.truth(part)[..., : records.lead], -1, 1)), 1, -1)
            # A lead that is missing is learned as the one before it: few windows have all of a week's hours.
            y = self._forward(with_daily(hourly), log).reshape(-1, records.lead + records.lead // 24)
            known = np.isfinite(y).all(axis=1) & np.isfinite(x).all(axis=1)
            gram, right = gram + x[known].T @ x[known], right + x[known].T @ y[known]
        return gram, right

    def _answer(self, histories: Array, stamps: Hours, solved: Doubles, log: bool) -> Array:
        x = self._features(histories, stamps, log)
        y = (x @ solved).reshape(len(stamps), histories.shape[2], -1)
        return np.maximum(np.exp(y) - self._offset if log else y, 0.0).astype(np.float32)

    def _forward(self, values: Array, log: bool) -> Doubles:
        raised = np.log(np.maximum(values, 0) + self._offset) if log else values
        return np.asarray(raised, dtype=np.float64)

    def _features(self, histories: Array, stamps: Hours, log: bool) -> Doubles:
        """Return (origin * station, feature); a missing hour is the last known one, a missing history NaN."""
        origins, hours, stations, _ = histories.shape
        filled = self._forward(last_known(histories[..., 0]), log)
        known = np.isfinite(filled)
        mean = np.where(known, filled, 0).sum(axis=1, keepdims=True) / known.sum(axis=1, keepdims=True).clip(1)
        # Before the first reading there is no last one: the history's mean; without any reading, nothing.
        filled = np.where(known, filled, np.where(known.any(axis=1, keepdims=True), mean, np.nan))
        days = filled.reshape(origins, hours // 24, 24, stations).mean(axis=2)
        own = np.concatenate([filled[:, -_RIDGE_HOURS:], days], axis=1).transpose(0, 2, 1)
        clock = np.repeat(cyclic(stamps)[:, None], stations, axis=1)
        one = np.ones((origins, stations, 1))
        return np.concatenate([own, clock, one], axis=-1).reshape(origins * stations, -1)


def _solve(moments: tuple[Doubles, Doubles], penalty: float) -> Doubles:
    """Return the coefficients (feature, lead); in units of each feature's own size, the constant (last) for nothing."""
    gram, right = moments
    shrink = penalty * np.diag(gram).copy()
    shrink[-1] = 0.0
    return np.asarray(np.linalg.solve(gram + np.diag(shrink), right))


def _ranges(lead: int) -> dict[str, Hours]:
    """Return the leads that share a choice: an hour alone says too little, a week together too much."""
    edges = [e for e in _RIDGE_EDGES if e < lead] + [lead]
    hours = {f"{a + 1} to {b} h": np.arange(a, b) for a, b in pairwise(edges)}
    return hours | {f"day {d + 1}": np.array([lead + d]) for d in range(lead // 24)}


def cyclic(stamps: Hours) -> Doubles:
    """Return sines and cosines of the day and the year and of their halves (..., 8)."""
    angles = 2 * np.pi * np.stack([n * stamps / p for p in (24, _HOURS_OF_YEAR) for n in (1, 2)], axis=-1)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)


def idw_weights(records: Records, places: list[Doubles], hidden: list[Doubles]) -> tuple[Array, dict[str, Any]]:
    """Return weights (hidden place, station), and the power and count tuned on the visible stations, left out alone.

    Parameters
    ----------
    records : Records
        Readings of the visible stations.
    places, hidden : latitudes and longitudes
        Of the visible stations, and of the hidden ones, degrees.
    """
    method = InverseDistance()
    readings = records.target[: records.seen].astype(np.float64)
    tuned = method.tune(StationField(places[0], places[1], readings, np.arange(len(places[0]))))
    km = np.maximum(distance_matrix_km(hidden[0], hidden[1], places[0], places[1]), _CLOSEST_KM)
    near = np.argsort(np.argsort(km, axis=1), axis=1) < method.count
    weights = np.where(near, km**-method.power, 0.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32), {
        "power": tuned["power"],
        "count": tuned["count"],
    }
