"""A trained model asked at points, block by block of whole UTC days, from the visible stations only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import ModelError
from aqreanalysis.evaluation.distributions import Distribution
from aqreanalysis.evaluation.scores import Sample
from aqreanalysis.model import Predictor
from aqreanalysis.observations import Observations, window

Array = npt.NDArray[np.float32]

#: Days a block: memory grows with it, and the encoder's overhead a block shrinks.
BLOCK_DAYS = 2


@dataclass(frozen=True)
class Estimates:
    """Estimates of one pollutant at points, and how they stand to what was observed there.

    Attributes
    ----------
    hours : ndarray of int64, shape (T,)
        Stamps (end of the hour), hours since 1970-01-01 00:00 UTC.
    best, standard_error, lower, upper : ndarray of float32, shape (T, point)
        In the pollutant's units; bounds of the interval that was asked for.
    crps, pit : ndarray of float32, shape (T, point)
        Continuous ranked probability score, in the pollutant's units, and distribution function at the observed; NaN
        where nothing was observed.
    calibrated_lower, calibrated_upper : ndarray of float32, shape (T, point)
        Bounds of the interval that covered what it should at left-out visible stations; NaN where none was asked for.
    """

    hours: npt.NDArray[np.int64]
    best: Array
    standard_error: Array
    lower: Array
    upper: Array
    crps: Array
    pit: Array
    calibrated_lower: Array
    calibrated_upper: Array

    @classmethod
    def of(
        cls,
        distribution: Distribution,
        hours: npt.NDArray[np.int64],
        observed: npt.NDArray[Any],
        coverage: float,
        level: float | None = None,
    ) -> Estimates:
        """Return what `distribution` says against `observed` (T, point), with intervals of `coverage` and `level`."""
        lower, upper = distribution.interval(coverage)
        named = (np.full_like(lower, np.nan),) * 2 if level is None else distribution.interval(level)
        arrays = {
            "best": distribution.best,
            "standard_error": distribution.standard_error,
            "lower": lower,
            "upper": upper,
            "crps": distribution.crps(observed),
            "pit": np.where(np.isfinite(observed), distribution.cdf(observed), np.nan),
            "calibrated_lower": named[0],
            "calibrated_upper": named[1],
        }
        return cls(hours=hours, **{name: np.asarray(a, dtype=np.float32) for name, a in arrays.items()})

    def sample(self, observed: npt.NDArray[Any]) -> Sample:
        """Return the estimates beside `observed`, shape (T, point), for the scores."""
        return Sample(self.best, self.standard_error, self.lower, self.upper, self.crps, self.pit, observed)


@dataclass(frozen=True)
class Targets:
    """Where and when estimates are wanted.

    Attributes
    ----------
    lat, lon : ndarray of float64, shape (point,)
        Degrees.
    hours : ndarray of int64, shape (T,)
        Stamps wanted, increasing, hours since 1970-01-01 00:00 UTC.
    observed : mapping of str to ndarray, shape (T, point)
        Readings at the points by pollutant, only to score against; the model never sees them. A pollutant that is
        missing here was not observed.
    """

    lat: npt.NDArray[np.float64]
    lon: npt.NDArray[np.float64]
    hours: npt.NDArray[np.int64]
    observed: Mapping[str, npt.NDArray[Any]]


def estimate(
    model: Predictor,
    visible: Observations,
    targets: Targets,
    *,
    coverage: float = 0.9,
    levels: Mapping[str, float] | None = None,
    progress: Progress | None = None,
) -> dict[str, Estimates]:
    """Return the model's estimates at the targets by pollutant, from the stations of `visible` alone.

    Memory holds one block of `BLOCK_DAYS` days of states beside the answers.

    Parameters
    ----------
    model : Predictor
        A trained model.
    visible : Observations
        The stations that the model may read. Hidden stations must not be in it: nothing else keeps them out.
    targets : Targets
        Points and hours.
    coverage : float
        Probability of the interval.
    levels : mapping of str to float, optional
        By pollutant, the probability of a second one: see `Estimates`.
    progress : callable, optional
        Called as ``progress(days done, days, "model")``.

    Raises
    ------
    ModelError
        If the observations hold none of the pollutants that the model reads.
    """
    if not set(model.inputs) & set(visible.species):
        raise ModelError(
            f"the model reads {', '.join(model.inputs)} and the observations hold {', '.join(visible.species)}: "
            "none is common; train on these observations or give others"
        )
    places = model.geometry(visible.lat, visible.lon, targets.lat, targets.lon)
    parts: dict[str, list[Estimates]] = {key: [] for key in model.species}
    blocks = list(_blocks(targets.hours))
    for done, (first_day, days) in enumerate(blocks, start=1):
        start = first_day * 24 + 1
        values, stamps = window(
            visible, model.inputs, start - model.history_hours, model.history_hours + 24 * days + model.lookahead_hours
        )
        answer = model.predict(model.encode(values, stamps, visible.lat, visible.lon), places)
        inside = (targets.hours >= start) & (targets.hours < start + 24 * days)
        rows = targets.hours[inside] - start
        for key in model.species:
            observed = np.full((24 * days, len(targets.lat)), np.nan, np.float32)
            if key in targets.observed:
                observed[rows] = targets.observed[key][inside]
            level = (levels or {}).get(key)
            block = Estimates.of(answer[key], start + np.arange(24 * days), observed, coverage, level)
            parts[key].append(_rows(block, rows))
        if progress is not None:
            progress(done, len(blocks), "model")
    return {key: _joined(pieces) for key, pieces in parts.items()}


def _blocks(hours: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield (first UTC day since 1970, number of days) of blocks that hold all `hours`; a day holds 01:00 to 24:00."""
    days = np.unique((hours - 1) // 24)
    start = 0
    while start < len(days):
        stop = start + 1
        while stop < len(days) and stop - start < BLOCK_DAYS and days[stop] == days[start] + stop - start:
            stop += 1
        yield int(days[start]), stop - start
        start = stop


def _rows(estimates: Estimates, rows: npt.NDArray[np.int64]) -> Estimates:
    return Estimates(**{name: getattr(estimates, name)[rows] for name in estimates.__dataclass_fields__})


def _joined(parts: list[Estimates]) -> Estimates:
    names = Estimates.__dataclass_fields__
    return Estimates(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})
