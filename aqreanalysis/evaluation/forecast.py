"""The forecast protocol: two weeks in, a week out, at visible and at hidden stations, with every baseline beside.

``evaluate_forecast(model_path, observations, out, options=None, progress=None) -> dict`` is all that a caller needs:
``model_path`` the bundle's directory (or a `ForecastPredictor`), ``options`` a `ForecastEvaluationOptions`. It writes
``forecast.json`` and ``forecast.html`` (a section that needs no other file) into `out` and returns what the JSON holds;
`forecast_table` makes the table for a terminal, `forecast_section` the HTML of the section alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aqreanalysis.errors import ConfigError, ModelError, ObservationsError, OutputError
from aqreanalysis.evaluation.forecast_baselines import (
    Array,
    Climatology,
    DailyPersistence,
    ForecastBaseline,
    Hours,
    Persistence,
    Point,
    Records,
    Ridge,
    idw_weights,
)
from aqreanalysis.evaluation.forecast_report import forecast_rows, forecast_section
from aqreanalysis.evaluation.metrics import plain, write_json
from aqreanalysis.evaluation.pictures.history import influence_of_history, picture_attention, picture_history
from aqreanalysis.evaluation.scores import mae, r2, rmse
from aqreanalysis.evaluation.splits import HIDDEN_CITY, HIDDEN_TENTH, Split
from aqreanalysis.evaluation.tables import Table
from aqreanalysis.model.fields import FieldSource
from aqreanalysis.model.forecast_predictor import ForecastPredictor, load_forecaster
from aqreanalysis.observations import Observations
from aqreanalysis.species import in_order

Progress = Callable[[int, int, str], None]

MODEL, MODEL_TITLE = "aq-net", "AQ-Net"
METRICS, SECTION = "forecast.json", "forecast.html"
#: Forecasts, spread evenly, that are asked what of their history they live on.
_LOOKED_BACK = 12
SCHEMA = 1
#: Scored: the mean over the first n hours, and over the first n days of daily means.
HORIZON_HOURS, HORIZON_DAYS = (6, 12, 24), (2, 4, 7)
_CHUNK = 64


@dataclass(frozen=True)
class ForecastEvaluationOptions:
    """How a forecast is evaluated.

    Attributes
    ----------
    every : int
        A forecast begins every n-th hour of the unseen hours.
    baselines : bool
        Whether the baselines are run beside the model.
    device : str
        Where the model runs: auto, cpu or cuda.
    overwrite : bool
        Whether an earlier evaluation in the output folder may be replaced.
    covariates : FieldSource, optional
        Of a model that was trained with covariates.
    answers : Path, optional
        Folder where the baselines' forecasts are kept and looked for: they do not change with the model, and those of
        the networks among them take longer than it does.
    """

    every: int = 6
    baselines: bool = True
    device: str = "auto"
    overwrite: bool = False
    covariates: FieldSource | None = None
    answers: Path | None = None

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ConfigError(f"every = {self.every}: a forecast begins every n-th hour, n must be at least 1")


@dataclass(frozen=True)
class Question:
    """What every method is asked: the visible stations, the hidden ones, and when forecasts begin.

    Attributes
    ----------
    records : Records
        The visible stations alone, the pollutant in question first.
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


def evaluate_forecast(
    model_path: str | Path | ForecastPredictor,
    observations: Observations,
    out: str | Path,
    options: ForecastEvaluationOptions | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score a long forecast and every baseline on the same origins, stations and hours that training did not see.

    Returns the content of ``forecast.json``: by pollutant, by ``visible`` and ``hidden`` stations, by method and by
    horizon n, mae (of medians), rmse and r2 (of means); for the model the CRPS too, and the coverage of the interval
    that its config asks for (``uncertainty.coverage``); and the model's share of the best baseline's error.

    Parameters
    ----------
    model_path : str, Path or ForecastPredictor
        The bundle's directory, or the model it holds.
    observations : Observations
        Readings of the network that the model was trained on.
    out : str or Path
        Directory; made if it is not there.
    options : ForecastEvaluationOptions, optional
        Origins, baselines, device.
    progress : callable, optional
        ``progress(done, total, note)``.

    Raises
    ------
    OutputError
        If `out` holds such an evaluation already and ``options.overwrite`` is not set, or cannot be written.
    ModelError, ObservationsError
        If model and observations do not fit, or no origin is left.
    """
    options = options or ForecastEvaluationOptions()
    out = Path(out)
    if (out / METRICS).exists() and not options.overwrite:
        raise OutputError(f"{out} holds a forecast evaluation already: choose another --out or pass --overwrite")
    model = (
        model_path
        if isinstance(model_path, ForecastPredictor)
        else load_forecaster(model_path, options.device, options.covariates)
    )
    split = Split.of_bundle(model.bundle)
    species: dict[str, Any] = {}
    for key in model.species:
        question = ask_forecast(model, observations, split, key, options.every)
        species[key] = _answer(model, question, key, options, progress)
        species[key] |= _look_back(model, question, key, out)
    metrics: dict[str, Any] = plain(
        {
            "schema": SCHEMA,
            "protocol": "forecast",
            "model_digest": model.digest,
            "observations_digest": observations.digest(),
            "history_hours": model.history_hours,
            "lead_hours": model.lead_hours,
            "unseen_from": str(split.unseen_from),
            "every": options.every,
            "coverage": _coverage(model),
            "species": species,
        }
    )
    _write(metrics, out)
    return metrics


def _coverage(model: ForecastPredictor) -> float:
    return model.bundle.config.uncertainty.coverage


def _look_back(model: ForecastPredictor, question: Question, key: str, out: Path) -> dict[str, Any]:
    """Draw what of their history forecasts at visible stations live on; return the pictures' words and figures."""
    some = np.unique(np.linspace(0, len(question.origins) - 1, _LOOKED_BACK).astype(int))
    origins = question.origins[some]
    histories, stamps = question.records.histories(origins)[..., question.order], question.records.stamps(origins)
    lat, lon = question.visible

    def daily_means(values: Array) -> Array:
        found = model.forecast(values, stamps, lat, lon)[key].best[model.lead_hours :]
        return found.reshape(len(found), len(origins), len(lat))

    influence = influence_of_history(daily_means, histories, model.inputs.index(key))
    attention = model.attention(histories, stamps, lat, lon)
    folder = _made(out)
    members = model.bundle.metrics.get("training", {}).get("members", [])
    untrained = bool(members) and not any(m["best_step"] for m in members)
    pictures = (
        picture_history(key, influence, folder / f"forecast_history_{key}.png"),
        picture_attention(
            key, attention, model.config.patch_hours, folder / f"forecast_attention_{key}.png", untrained
        ),
    )
    return {p.name: {"file": p.path.name, "caption": p.caption, "alt": p.alt, **p.numbers} for p in pictures}


def _made(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write into {out}: {error.strerror}; choose another --out") from None
    return out


def _write(metrics: dict[str, Any], out: Path) -> None:
    try:
        (_made(out) / SECTION).write_text(forecast_section(metrics, out, whole_page=True), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write into {out}: {error.strerror}; choose another --out") from None
    write_json(metrics, out / METRICS)


def ask_forecast(model: ForecastPredictor, observations: Observations, split: Split, key: str, every: int) -> Question:
    """Return the question about pollutant `key`; a reading of a hidden station is in its truth and nowhere else.

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
    values = observations.stacked(names)
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
    return Question(records[0], order, places[0], places[1], origins, truth)


def all_forecast_baselines() -> tuple[list[ForecastBaseline], list[str]]:
    """Return the baselines that can run here, and a note for each that cannot."""
    from aqreanalysis.evaluation.forecast_networks import Lstm, PatchTst

    found: list[ForecastBaseline] = [Persistence(), DailyPersistence(), Climatology(), Ridge(), Lstm()]
    why = PatchTst.missing()
    return (found, [why]) if why else ([*found, PatchTst()], [])


@dataclass(frozen=True)
class Spread:
    """What the model says beside its two points: CRPS and whether the interval held, float32 (origin, place, lead)."""

    crps: Array
    inside: Array


def ask_model(model: ForecastPredictor, question: Question, key: str, where: str) -> tuple[Point, Spread]:
    """Return the model's median and mean, its CRPS and coverage at the ``visible`` or the ``hidden`` stations."""
    records = question.records
    places = None if where == "visible" else (question.hidden[0], question.hidden[1])
    parts: list[list[Array]] = []
    for start in range(0, len(question.origins), _CHUNK):
        chosen = slice(start, start + _CHUNK)
        origins, truth = question.origins[chosen], question.truth[where][chosen]
        histories, stamps = records.histories(origins)[..., question.order], records.stamps(origins)
        found = model.forecast(histories, stamps, question.visible[0], question.visible[1], places)[key]

        def shaped(leads_first: Array, like: Array = truth) -> Array:
            return leads_first.T.reshape(like.shape)

        observed = truth.reshape(-1, truth.shape[-1]).T
        lower, upper = found.interval(_coverage(model))
        inside = np.where(np.isfinite(observed), (observed >= lower) & (observed <= upper), np.nan)
        parts.append([shaped(x) for x in (found.best, found.mean, found.crps(observed), inside.astype(np.float32))])
    median, mean, crps, inside = (np.concatenate([p[i] for p in parts]) for i in range(4))
    return Point(median, mean), Spread(crps, inside)


def ask_baseline(method: ForecastBaseline, question: Question, weights: Array | None) -> dict[str, Point]:
    """Return a fitted baseline's forecasts: at the visible stations, and what inverse distance makes of them."""
    parts = [
        method.predict(question.records.histories(origins), question.records.stamps(origins))
        for origins in np.array_split(question.origins, max(1, len(question.origins) // _CHUNK))
    ]
    here = Point(np.concatenate([p.median for p in parts]), np.concatenate([p.mean for p in parts]))
    return {"visible": here} if weights is None else {"visible": here, "hidden": here.moved(weights)}


def answer_once(
    method: ForecastBaseline, question: Question, weights: Array | None, progress: Progress, folder: Path | None
) -> tuple[dict[str, Any], dict[str, Point]]:
    """Return what was tuned of a baseline, and its forecasts; those that lie in `folder` are taken from there.

    They are known by everything that they are made from: the readings, the hours, the origins, the method.
    """
    kept = None if folder is None else folder / f"{method.name}-{_digest(question, weights)}.npz"
    if kept is not None and kept.is_file():
        with np.load(kept, allow_pickle=False) as found:
            points = {where: Point(*found[where]) for where in question.truth}
            return json.loads(str(found["tuned"])), points
    tuned = method.fit(question.records, progress)
    points = ask_baseline(method, question, weights)
    if kept is not None:
        _made(kept.parent)
        arrays: dict[str, Any] = {where: np.stack((p.median, p.mean)) for where, p in points.items()}
        unfinished = kept.with_suffix(".part.npz")
        np.savez(unfinished, tuned=json.dumps(plain(tuned)), **arrays)
        unfinished.rename(kept)
    return tuned, points


def _digest(question: Question, weights: Array | None) -> str:
    """Return a digest of everything that a baseline's answer to `question` is made from."""
    from aqreanalysis import __version__

    records = question.records
    told = (__version__, records.first_hour, records.seen, records.history, records.lead, records.values.shape)
    digest = hashlib.sha256(repr(told).encode())
    for array in (records.values, question.origins, weights):
        digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _answer(
    model: ForecastPredictor,
    question: Question,
    key: str,
    options: ForecastEvaluationOptions,
    progress: Progress | None,
) -> dict[str, Any]:
    methods, notes = all_forecast_baselines() if options.baselines else ([], ["the baselines were not asked for"])
    tell = progress or (lambda done, total, note: None)
    total = 1000 * (len(methods) + 1)
    points: dict[str, dict[str, Point]] = {MODEL: {}}
    spreads: dict[str, Spread] = {}
    for where in question.truth:
        points[MODEL][where], spreads[where] = ask_model(model, question, key, where)
    tuned: dict[str, Any] = {}
    weights: Array | None = None
    if "hidden" in question.truth and methods:
        weights, tuned["inverse-distance"] = idw_weights(question.records, question.visible, question.hidden)
    for number, method in enumerate(methods, 1):
        tell(1000 * number, total, method.title)

        def step(done: int, of: int, note: str, number: int = number) -> None:
            tell(1000 * number + 1000 * done // of, total, note)

        tuned[method.name], points[method.name] = answer_once(method, question, weights, step, options.answers)
    titles = {MODEL: MODEL_TITLE, **{m.name: m.title for m in methods}}
    result: dict[str, Any] = {"origins": len(question.origins), "notes": notes, "tuned": tuned}
    for where, truth in question.truth.items():
        result[where] = _scored(truth, {n: p[where] for n, p in points.items()}, spreads[where], titles)
    return result


def horizons(lead: int) -> dict[str, npt.NDArray[np.int64]]:
    """Return the leads behind each horizon, ``6 h`` ... and ``2 d`` ..., of forecasts over `lead` hours."""
    hourly = {f"{n} h": np.arange(n) for n in HORIZON_HOURS if n <= lead}
    return hourly | {f"{n} d": lead + np.arange(n) for n in HORIZON_DAYS if 24 * n <= lead}


def _scored(truth: Array, points: dict[str, Point], spread: Spread, titles: dict[str, str]) -> dict[str, Any]:
    """Return the scores of all methods where all have answered."""
    answered = np.isfinite(truth)
    for point in points.values():
        answered &= np.isfinite(point.median) & np.isfinite(point.mean)
    known = np.where(answered, truth, np.nan)
    lead = truth.shape[-1] * 24 // 25
    found: dict[str, Any] = {
        "stations": int(answered.any(axis=(0, 2)).sum()),
        "unanswered": int(np.isfinite(truth).sum() - answered.sum()),
        "methods": {name: {"title": titles[name], "horizons": {}} for name in points},
        "against_best_baseline": {},
    }
    for label, leads in horizons(lead).items():
        observed = known[..., leads]
        for name, point in points.items():
            median, mean = point.median[..., leads], point.mean[..., leads]
            scores = {
                "n": int(np.isfinite(observed).sum()),
                "mae": mae(median, observed),
                "rmse": rmse(mean, observed),
                "r2": r2(mean, observed),
            }
            if name == MODEL:
                seen = answered[..., leads]
                scores |= {
                    "crps": float(spread.crps[..., leads][seen].mean()) if seen.any() else float("nan"),
                    "coverage": float(spread.inside[..., leads][seen].mean()) if seen.any() else float("nan"),
                }
            found["methods"][name]["horizons"][label] = scores
        found["against_best_baseline"][label] = _ratios(found["methods"], label)
    return found


def _ratios(methods: dict[str, Any], label: str) -> dict[str, Any]:
    others = [name for name in methods if name != MODEL]
    ratios = {}
    for score in ("mae", "rmse"):
        values = {n: methods[n]["horizons"][label][score] for n in others}
        values = {n: v for n, v in values.items() if np.isfinite(v) and v > 0}
        if values:
            best = min(values, key=lambda n: values[n])
            ratios[score] = {"ratio": methods[MODEL]["horizons"][label][score] / values[best], "best": best}
    return ratios


def forecast_table(metrics: dict[str, Any]) -> Table:
    """Return the scores, a row a method and horizon, with the ratios to the best baseline below."""
    header, rows = forecast_rows(metrics)
    lines = []
    for key, found in metrics["species"].items():
        for where in ("visible", "hidden"):
            for label, ratio in found.get(where, {}).get("against_best_baseline", {}).items():
                text = ", ".join(f"{n.upper()} {r['ratio']:.3f} ({r['best']})" for n, r in ratio.items())
                lines.append(f"{key}, {where} stations, {label}: AQ-Net over the best baseline: {text}")
        lines += [f"{key}: {note}" for note in found["notes"]]
    return Table(header, rows, 4, lines)
