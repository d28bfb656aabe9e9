"""The forecast protocol: two weeks in, a week out, at visible and at hidden stations, with every baseline beside.

``evaluate_forecast(model_path, observations, out, options=None, progress=None) -> dict`` is all that a caller needs:
``model_path`` the bundle's directory (or a `ForecastPredictor`), ``options`` a `ForecastEvaluationOptions`. It writes
``forecast.json`` and ``forecast.html`` (a section that needs no other file) into `out` and returns what the JSON holds;
`forecast_table` makes the table for a terminal, `forecast_section` the HTML of the section alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aqreanalysis.background_air.groups import background_only
from aqreanalysis.common.files import plain, replacing, write_json
from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import ConfigError, OutputError
from aqreanalysis.evaluation.scores import mae, r2, rmse
from aqreanalysis.evaluation.tables import Table, write_scores
from aqreanalysis.forecast.baselines import (
    Array,
    DailyPersistence,
    ForecastBaseline,
    Persistence,
    PointForecast,
    Ridge,
    SeasonalClimatology,
    idw_weights,
)
from aqreanalysis.forecast.pictures import influence_of_history, picture_attention, picture_history
from aqreanalysis.forecast.predictor import SCORES, ForecastPredictor, load_forecaster
from aqreanalysis.forecast.protocol import (
    ForecastTask,
    IntervalScores,
    build_task,
    coverage_of,
    make_folder,
    predict_baseline_once,
    predict_model,
)
from aqreanalysis.forecast.report import card_section, forecast_rows, forecast_section
from aqreanalysis.model.bundle import MODEL, MODEL_TITLE
from aqreanalysis.model.network.scaling import FieldSource
from aqreanalysis.observations import Observations
from aqreanalysis.splits import Split

METRICS, SECTION = "forecast.json", "forecast.html"
#: Forecasts, spread evenly, that are asked what of their history they live on.
_LOOKED_BACK = 12
SCHEMA = 1
#: Scored: the mean over the first n hours, and over the first n days of daily means.
HORIZON_HOURS, HORIZON_DAYS = (6, 12, 24), (2, 4, 7)


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

    A bundle given as a directory gets the scores too, into its ``metrics.json`` and its model card: the cubes that it
    makes say them.

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
        If `out` holds such an evaluation already and ``options.overwrite`` is not set, or it or the bundle cannot be
        written.
    ModelError, ObservationsError
        If model and observations do not fit, or no origin is left.
    """
    options, observations = options or ForecastEvaluationOptions(), background_only(observations)
    out = Path(out)
    if (out / METRICS).exists() and not options.overwrite:
        raise OutputError(f"{out} holds a forecast evaluation already: choose another --out or pass --overwrite")
    model = model_path
    if not isinstance(model, ForecastPredictor):
        model = load_forecaster(model, options.device, options.covariates)
    split = Split.of_bundle(model.bundle)
    species: dict[str, Any] = {}
    for key in model.species:
        task = build_task(model, observations, split, key, options.every)
        species[key] = _score_species(model, task, key, options, progress)
        species[key] |= _draw_history(model, task, key, out)
    asked = {
        "observations_digest": observations.digest(),
        "unseen_from": str(split.unseen_from),
        "every": options.every,
    }
    metrics: dict[str, Any] = plain(_model_facts(model) | asked | {"species": species})
    _write(metrics, out)
    if isinstance(model_path, str | Path):
        write_scores(model.bundle, Path(model_path), SCORES, _scores_alone(metrics), card_section(metrics))
    return metrics


def _model_facts(model: ForecastPredictor) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "protocol": "forecast",
        "model_digest": model.digest,
        "history_hours": model.history_hours,
        "lead_hours": model.lead_hours,
        "coverage": coverage_of(model),
    }


def _scores_alone(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics without what the pictures show."""
    species = {
        key: {name: part for name, part in scores.items() if name in ("origins", "visible", "hidden")}
        for key, scores in metrics["species"].items()
    }
    return {**metrics, "species": species}


def _draw_history(model: ForecastPredictor, task: ForecastTask, key: str, out: Path) -> dict[str, Any]:
    """Draw what of their history forecasts at visible stations live on; return the pictures' words and figures."""
    some = np.unique(np.linspace(0, len(task.origins) - 1, _LOOKED_BACK).astype(int))
    origins = task.origins[some]
    histories, stamps = task.records.histories(origins)[..., task.order], task.records.stamps(origins)
    lat, lon = task.visible

    def daily_means(values: Array) -> Array:
        medians = model.forecast(values, stamps, lat, lon)[key].best[model.lead_hours :]
        return medians.reshape(len(medians), len(origins), len(lat))

    influence = influence_of_history(daily_means, histories, model.inputs.index(key))
    attention = model.attention(histories, stamps, lat, lon)
    folder = make_folder(out)
    members = model.bundle.metrics.get("training", {}).get("members", [])
    untrained = bool(members) and not any(m["best_step"] for m in members)
    pictures = (
        picture_history(key, influence, folder / f"forecast_history_{key}.png"),
        picture_attention(
            key, attention, model.settings.patch_hours, folder / f"forecast_attention_{key}.png", untrained
        ),
    )
    return {p.name: {"file": p.path.name, "caption": p.caption, "alt": p.alt, **p.numbers} for p in pictures}


def _write(metrics: dict[str, Any], out: Path) -> None:
    try:
        with replacing(make_folder(out) / SECTION) as part:
            part.write_text(forecast_section(metrics, out, whole_page=True), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write into {out}: {error.strerror}; choose another --out") from None
    write_json(metrics, out / METRICS)


def all_forecast_baselines() -> tuple[list[ForecastBaseline], list[str]]:
    """Return the baselines that can run here, and a note for each that cannot."""
    from aqreanalysis.forecast.network_baselines import Lstm, PatchTst

    methods: list[ForecastBaseline] = [Persistence(), DailyPersistence(), SeasonalClimatology(), Ridge(), Lstm()]
    why = PatchTst.missing()
    return (methods, [why]) if why else ([*methods, PatchTst()], [])


def _score_species(
    model: ForecastPredictor,
    task: ForecastTask,
    key: str,
    options: ForecastEvaluationOptions,
    progress: Progress | None,
) -> dict[str, Any]:
    methods, notes = all_forecast_baselines() if options.baselines else ([], ["the baselines were not asked for"])
    tell = progress or (lambda done, total, note: None)
    total = 1000 * (len(methods) + 1)
    points: dict[str, dict[str, PointForecast]] = {MODEL: {}}
    intervals: dict[str, IntervalScores] = {}
    for where in task.truth:
        points[MODEL][where], intervals[where] = predict_model(model, task, key, where)
    tuned: dict[str, Any] = {}
    weights: Array | None = None
    if "hidden" in task.truth and methods:
        weights, tuned["inverse-distance"] = idw_weights(task.records, task.visible, task.hidden)
    for number, method in enumerate(methods, 1):
        tell(1000 * number, total, method.title)

        def step(done: int, of: int, note: str, number: int = number) -> None:
            tell(1000 * number + 1000 * done // of, total, note)

        tuned[method.name], points[method.name] = predict_baseline_once(method, task, weights, step, options.answers)
    titles = {MODEL: MODEL_TITLE, **{m.name: m.title for m in methods}}
    result: dict[str, Any] = {"origins": len(task.origins), "notes": notes, "tuned": tuned}
    for where, truth in task.truth.items():
        result[where] = _scored(truth, {n: p[where] for n, p in points.items()}, intervals[where], titles)
    return result


def horizons(lead: int) -> dict[str, npt.NDArray[np.int64]]:
    """Return the leads behind each horizon, ``6 h`` ... and ``2 d`` ..., of forecasts over `lead` hours."""
    hourly = {f"{n} h": np.arange(n) for n in HORIZON_HOURS if n <= lead}
    return hourly | {f"{n} d": lead + np.arange(n) for n in HORIZON_DAYS if 24 * n <= lead}


def _scored(
    truth: Array, points: dict[str, PointForecast], spread: IntervalScores, titles: dict[str, str]
) -> dict[str, Any]:
    """Return the scores of all methods where all have answered."""
    answered = np.isfinite(truth)
    for point in points.values():
        answered &= np.isfinite(point.median) & np.isfinite(point.mean)
    known = np.where(answered, truth, np.nan)
    lead = truth.shape[-1] * 24 // 25
    scored: dict[str, Any] = {
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
            scored["methods"][name]["horizons"][label] = scores
        scored["against_best_baseline"][label] = _ratios(scored["methods"], label)
    return scored


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
    for key, scores in metrics["species"].items():
        for where in ("visible", "hidden"):
            for label, ratio in scores.get(where, {}).get("against_best_baseline", {}).items():
                text = ", ".join(f"{n.upper()} {r['ratio']:.3f} ({r['best']})" for n, r in ratio.items())
                lines.append(f"{key}, {where} stations, {label}: AQ-Net over the best baseline: {text}")
        lines += [f"{key}: {note}" for note in scores["notes"]]
    return Table(header, rows, 4, lines)
