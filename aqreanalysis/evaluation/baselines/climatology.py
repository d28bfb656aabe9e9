"""Climatology: what each visible station usually reads at that hour of day in that season, spread over space."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from aqreanalysis.common.progress import Progress
from aqreanalysis.evaluation.baselines.base import (
    Baseline,
    Floats,
    SpreadModel,
    StationField,
    StationHistory,
    fit_spread,
)
from aqreanalysis.evaluation.baselines.nearby import interpolate, tune_weights
from aqreanalysis.evaluation.distributions import CensoredNormal
from aqreanalysis.evaluation.strata import season_of

#: Readings that a station's usual value is taken from at least, of a season and hour of day or of a wider class.
_FEWEST = 5
_CLASSES = 4 * 24


def _class_of(hours: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return season and hour of day (UTC) as one number, shape of `hours`."""
    return season_of(hours) * 24 + hours % 24


def climatology(history: StationHistory) -> Floats:
    """Return each station's median reading by season and hour of day, shape (4 * 24, station), NaN where too few.

    A season and hour with too few readings takes the hour of day of all seasons, or else the whole record, so that a
    short record has a climatology too. The whole record of the visible stations counts, also the hours that a model was
    not trained on: these readings are at hand where the map is wanted.
    """
    label = _class_of(history.first_hour + np.arange(len(history.values)))
    table = _medians(history.values, label, _CLASSES)
    by_hour = _medians(history.values, label % 24, 24)
    overall = _medians(history.values, np.zeros_like(label), 1)
    wider = np.where(np.isfinite(by_hour), by_hour, overall)
    return np.where(np.isfinite(table), table, np.tile(wider, (_CLASSES // 24, 1)))


def _medians(values: Floats, label: npt.NDArray[np.int64], classes: int) -> Floats:
    """Return each station's median of a class, shape (classes, station), NaN where it has fewer than `_FEWEST`."""
    table = np.full((classes, values.shape[1]), np.nan)
    for number in np.unique(label):
        rows = values[label == number]
        enough = np.isfinite(rows).sum(axis=0) >= _FEWEST
        table[number, enough] = np.nanmedian(rows[:, enough], axis=0)
    return table


class Climatology(Baseline):
    """The stations' usual readings at that hour of day and season, interpolated by inverse distance.

    No reading of the hour itself counts: what a map would say that knows the place and the calendar only.
    """

    name = "climatology"
    title = "climatology by hour and season"

    def __init__(self) -> None:
        super().__init__()
        self.power, self.count = 1.0, 16
        self._spread: SpreadModel | None = None

    def tune(self, field: StationField) -> dict[str, Any]:
        sample = field.tuning_sample()
        tuned = tune_weights(_usual(sample), sample.values)
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
        mean, variance = interpolate(_usual(field), lat, lon, power=self.power, count=self.count)
        return CensoredNormal(mean, self._spread.scale(mean, variance))


def _usual(field: StationField) -> StationField:
    """Return the field with each station's usual value in the place of its readings."""
    hours, history = field.timeline()
    values = climatology(history)[_class_of(hours)].astype(np.float64)
    return replace(field, values=values)
