"""What every method of the forecast protocol is asked, and what it answers; baselines keep theirs in a folder."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aqreanalysis.common.files import plain, replacing
from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import ModelError, ObservationsError, OutputError
from aqreanalysis.forecast.baselines import Array, ForecastBaseline, Hours, PointForecast, Records
from aqreanalysis.forecast.predictor import ForecastPredictor
from aqreanalysis.observations import Observations
from aqreanalysis.species import in_order
from aqreanalysis.splits import HIDDEN_CITY, HIDDEN_TENTH, Split

# Forecasts made at once.
_CHUNK = 64


@dataclass(frozen=True)
class ForecastTask:
    """What every method is asked: the visible stations, the hidden ones, and when forecasts begin.

    Attributes
    ----------
    records : Records
        The visible stations alone, the pollutant in task first.
    order : list of int
        Where the model's inputs stand among those of `records`.
    visible, hidden : pair of float64 arrays
        Latitudes and longitudes, degrees.
    origins : int64 (origin,)
        Positions of the last hour read.
    truth : dict
        ``visible`` and ``hidden``: float32 (origin, place, lead with daily means).
    """

    records: Records
    order: list[int]
    visible: list[npt.NDArray[np.float64]]
    hidden: list[npt.NDArray[np.float64]]
    origins: Hours
    truth: dict[str, Array]


def build_task(
    model: ForecastPredictor, observations: Observations, split: Split, key: str, every: int
) -> ForecastTask:
    """Return the task about pollutant `key`; a reading of a hidden station is in its truth and nowhere else.

    Raises
    ------
    ModelError
        If the observations lack the pollutant.
    ObservationsError
        If fewer than two stations are visible, or the unseen hours hold no whole forecast.
    """
    missing = [k for k in model.species if k not in observations.species]
    if missing:
        raise ModelError(
            f"the observations hold no {missing[0]}, which the model forecasts: give those it was made for"
        )
    role = split.roles_of(observations.stations)
    hidden = np.isin(role, (HIDDEN_TENTH, HIDDEN_CITY))
    if (~hidden).sum() < 2:
        raise ObservationsError("fewer than two stations are visible: give the observations the model was trained on")
    names = [key, *(k for k in in_order(model.inputs) if k != key)]
    values = observations.to_array(names)
    unseen = int(split.unseen_from.astype("datetime64[h]").astype(np.int64))
    seen = int(np.clip(unseen - observations.first_hour, 0, len(values)))
    first = max(seen - 1, model.history_hours - 1)
    stamps = observations.first_hour + np.arange(first, len(values) - model.lead_hours)
    origins = np.arange(first, len(values) - model.lead_hours)[stamps % every == 0]
    if not len(origins):
        raise ObservationsError(
            f"the hours from {split.unseen_from} on hold no {model.lead_hours} h after {model.history_hours} h: "
            "bring more hours"
        )
    records = [
        Records(values[:, chosen], observations.first_hour, seen, model.history_hours, model.lead_hours)
        for chosen in (~hidden, hidden)
    ]
    places = [
        [observations.lat[c].astype(np.float64), observations.lon[c].astype(np.float64)] for c in (~hidden, hidden)
    ]
    truth = {"visible": records[0].truth(origins)}
    if hidden.any():
        truth["hidden"] = records[1].truth(origins)
    order = [names.index(k) for k in model.inputs]
    return ForecastTask(records[0], order, places[0], places[1], origins, truth)


@dataclass(frozen=True)
class IntervalScores:
    """What the model says beside its two points: CRPS and whether the interval held, float32 (origin, place, lead)."""

    crps: Array
    inside: Array


def predict_model(
    model: ForecastPredictor, task: ForecastTask, key: str, where: str
) -> tuple[PointForecast, IntervalScores]:
    """Return the model's median and mean, its CRPS and coverage at the ``visible`` or the ``hidden`` stations."""
    records = task.records
    places = None if where == "visible" else (task.hidden[0], task.hidden[1])
    parts: list[list[Array]] = []
    for start in range(0, len(task.origins), _CHUNK):
        chosen = slice(start, start + _CHUNK)
        origins, truth = task.origins[chosen], task.truth[where][chosen]
        histories, stamps = records.histories(origins)[..., task.order], records.stamps(origins)
        predictive = model.forecast(histories, stamps, task.visible[0], task.visible[1], places)[key]

        def shaped(leads_first: Array, like: Array = truth) -> Array:
            return leads_first.T.reshape(like.shape)

        observed = truth.reshape(-1, truth.shape[-1]).T
        lower, upper = predictive.interval(coverage_of(model))
        inside = np.where(np.isfinite(observed), (observed >= lower) & (observed <= upper), np.nan)
        layers = predictive.best, predictive.mean, predictive.crps(observed), inside.astype(np.float32)
        parts.append([shaped(x) for x in layers])
    median, mean, crps, inside = (np.concatenate([p[i] for p in parts]) for i in range(4))
    return PointForecast(median, mean), IntervalScores(crps, inside)


def predict_baseline(method: ForecastBaseline, task: ForecastTask, weights: Array | None) -> dict[str, PointForecast]:
    """Return a fitted baseline's forecasts: at the visible stations, and what inverse distance makes of them."""
    parts = [
        method.predict(task.records.histories(origins), task.records.stamps(origins))
        for origins in np.array_split(task.origins, max(1, len(task.origins) // _CHUNK))
    ]
    here = PointForecast(np.concatenate([p.median for p in parts]), np.concatenate([p.mean for p in parts]))
    return {"visible": here} if weights is None else {"visible": here, "hidden": here.interpolated(weights)}


def predict_baseline_once(
    method: ForecastBaseline, task: ForecastTask, weights: Array | None, progress: Progress, folder: Path | None
) -> tuple[dict[str, Any], dict[str, PointForecast]]:
    """Return what was tuned of a baseline, and its forecasts; those that lie in `folder` are taken from there.

    They are known by everything that they are made from: the readings, the hours, the origins, the method.
    """
    file = None if folder is None else folder / f"{method.name}-{_digest(task, weights)}.npz"
    if file is not None and file.is_file():
        try:
            with np.load(file, allow_pickle=False) as stored:
                points = {where: PointForecast(*stored[where]) for where in task.truth}
                return json.loads(str(stored["tuned"])), points
        except (OSError, EOFError, LookupError, ValueError, zipfile.BadZipFile, zlib.error):
            file.unlink()  # damaged, as the archive's checksums tell: it is made again below
    tuned = method.fit(task.records, progress)
    points = predict_baseline(method, task, weights)
    if file is not None:
        make_folder(file.parent)
        arrays: dict[str, Any] = {where: np.stack((p.median, p.mean)) for where, p in points.items()}
        with replacing(file) as unfinished:
            np.savez(unfinished, tuned=json.dumps(plain(tuned)), **arrays)
    return tuned, points


def _digest(task: ForecastTask, weights: Array | None) -> str:
    """Return a digest of everything that a baseline's answer to `task` is made from."""
    from aqreanalysis import __version__

    records = task.records
    sizes = (__version__, records.first_hour, records.seen, records.history, records.lead, records.values.shape)
    digest = hashlib.sha256(repr(sizes).encode())
    for array in (records.values, task.origins, weights):
        digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def coverage_of(model: ForecastPredictor) -> float:
    return model.bundle.config.uncertainty.coverage


def make_folder(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write into {out}: {error.strerror}; choose another --out") from None
    return out
