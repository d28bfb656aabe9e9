"""``evaluate``: protocols, baselines and model in one run, and what is written about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aqreanalysis.background_air.groups import background_only
from aqreanalysis.common.files import as_path, plain, write_json
from aqreanalysis.common.progress import Progress, part_of
from aqreanalysis.common.sole_writer import sole_writer
from aqreanalysis.configs import Config
from aqreanalysis.errors import ConfigError, ModelError, ObservationsError, OutputError, wrong_type
from aqreanalysis.evaluation.cross_validation import run_folds
from aqreanalysis.evaluation.instrument_floor import floor_scores, measure_floor
from aqreanalysis.evaluation.metrics import SCHEMA, score_task
from aqreanalysis.evaluation.options import FOLD_PROTOCOLS, STATION_FOLDS, EvaluationOptions
from aqreanalysis.evaluation.pictures import draw_pictures, inspect_model
from aqreanalysis.evaluation.pictures.style import Picture
from aqreanalysis.evaluation.protocols import (
    EvaluationTask,
    NothingHiddenError,
    TaskResult,
    build_task,
    run_protocol,
)
from aqreanalysis.evaluation.report import write_report
from aqreanalysis.evaluation.tables import record_in_bundle
from aqreanalysis.evaluation.verdict import verdict
from aqreanalysis.model import Predictor
from aqreanalysis.model.bundle import MODEL, bundle_config
from aqreanalysis.model.predictor import AnalysisPredictor, load_analysis
from aqreanalysis.observations import Observations, ReadOptions, read_observations
from aqreanalysis.species import SPECIES
from aqreanalysis.splits import Split, split_for

METRICS = "metrics.json"
REPORT = "report.html"
_LOCK = ".lock"
FOLDS = "folds"
#: What the metrics say besides where the model was scored on a network of which training saw no station.
NEVER_SEEN = {
    "network": "another than that of the training: its stations and hours are all unseen, and which are hidden was "
    "drawn here"
}


def evaluate(
    model: str | Path | Predictor | None,
    observations: Observations | str | Path | Sequence[str | Path],
    out: str | Path,
    options: EvaluationOptions | None = None,
    *,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score a model at stations that it never saw, with every baseline on the same hours and stations.

    Returns the content of ``metrics.json``: under ``species``, by pollutant and protocol, the scores of each method
    overall and by class, its share of the best baseline's with bounds of a bootstrap, and of every hour those of daily
    and monthly means. What cannot be scored, for want of stations, is left out, and named under ``skipped``. Writes
    that file into `out`, pictures, ``report.html``, which needs no other file, and their numbers as ``report.json``; a
    bundle given as a directory gets the scores too. Folds go on from their work in `out`.

    Parameters
    ----------
    model : str, Path, Predictor or None
        A bundle's directory, or the model it holds; None where no protocol asks for one.
    observations : Observations, str, Path or sequence of paths
        Of the network that the model was trained on, or of another, on which a split is drawn (`split_for`); or where
        `read_observations` finds them.
    out : str or Path
        Directory; made if it is not there.
    options : EvaluationOptions, optional
        Protocols, hours, device; defaults as documented there.
    progress : callable, optional
        ``progress(done, total, note)``.

    Raises
    ------
    ConfigError
        If a protocol asks for a model and there is none, or one of folds for a config or a way to train.
    OutputError
        If `out` holds an evaluation already and ``options.overwrite`` is not set, or cannot be written.
    ModelError, ObservationsError
        If model and observations do not fit, or no hour is left to score.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> from aqreanalysis.evaluation import EvaluationOptions
    >>> options = EvaluationOptions(protocols=("hidden-tenth",), hours="unseen", every=12)
    >>> metrics = aq.evaluate("models/north", aq.read_observations("obs.parquet"), "evaluation/north", options)
    >>> sorted(metrics["species"]["pm25"])
    ['unseen-time-hidden-tenth']
    """
    options = EvaluationOptions() if options is None else options
    if not isinstance(options, EvaluationOptions):
        raise wrong_type("options", options, "EvaluationOptions(...)")
    read_by = bundle_config(model) if isinstance(model, str | Path) else options.folds.config
    options = options if read_by is None else options.opened(read_by)
    predictor = _predictor(model, options)
    config, folder = _config(predictor, options), _folder(as_path(out), options.overwrite)
    observations = read_observations(observations, config.columns, ReadOptions(quality=config.quality))
    home = Path(model) if isinstance(model, str | Path) else None
    scored = background_only(observations)
    with sole_writer(folder, folder / _LOCK):
        return _evaluate(Asked(predictor, scored, config, folder, options, home, observations), progress)


@dataclass(frozen=True)
class Asked:
    """What an evaluation is made of: model, records, config, the folder that it writes, and that of the bundle.

    `observations` are the stations of background air, which are scored; the `record` has all, which may inform a model.
    """

    predictor: AnalysisPredictor | None
    observations: Observations
    config: Config
    folder: Path
    options: EvaluationOptions
    bundle: Path | None
    record: Observations


def _evaluate(asked: Asked, progress: Progress | None) -> dict[str, Any]:
    """Return and write the scores; arguments in `asked`."""
    predictor, observations, folder = asked.predictor, asked.observations, asked.folder
    at_home = predictor is None or Split.of_bundle(predictor.bundle).knows(observations)
    skipped: list[str] = []
    answers = _results(asked, Course(progress, skipped))
    species, drawn, hours = _scored(answers, observations, asked.options, folder)
    if not species:
        raise ObservationsError(f"nothing can be scored: {'; '.join(skipped)}")
    metrics = plain(_metrics(species, asked)) | ({} if at_home else NEVER_SEEN)
    metrics |= {"skipped": skipped} if skipped else {}
    inside = inspect_model(predictor, observations, hours) if predictor is not None else None
    drawn |= draw_pictures([], folder, inside)
    write_report(metrics, drawn, folder / REPORT, inside.notes if inside is not None else ())
    if predictor is not None and at_home and asked.bundle is not None:
        record_in_bundle(predictor.bundle, asked.bundle, metrics)
    write_json(metrics, folder / METRICS)  # last: a folder that has it holds the whole of an evaluation
    return dict(metrics)


@dataclass(frozen=True)
class Course:
    """What is said on the way: how far an evaluation is, and in `skipped` what it leaves out."""

    progress: Progress | None
    skipped: list[str]


def _scored(
    results: Iterator[TaskResult], observations: Observations, options: EvaluationOptions, folder: Path
) -> tuple[dict[str, dict[str, Any]], dict[str, list[Picture]], npt.NDArray[np.int64]]:
    """Return the scores and the pictures of all results by pollutant and protocol, and the hours of the last.

    One after the other, and let go: the answers of all methods for all protocols would fill the memory.
    """
    species: dict[str, dict[str, Any]] = {}
    drawn: dict[str, list[Picture]] = {}
    hours = observations.hours[:0]
    for result in results:
        task_scores = score_task(result, options.every, options.seed)
        floor = measure_floor(observations, result.species, result.hours)
        task_scores["instrument_floor"] = None if floor is None else floor_scores(floor, task_scores, MODEL)
        species.setdefault(result.species, {})[result.protocol.name] = task_scores
        drawn |= draw_pictures([result], folder)
        hours = result.hours
    return species, drawn, hours


def _predictor(model: str | Path | Predictor | None, options: EvaluationOptions) -> AnalysisPredictor | None:
    if model is None:
        if options.needs_model:
            raise ConfigError(
                f"protocol {', '.join(sorted(options.names - set(FOLD_PROTOCOLS)))} asks a trained model: give one; "
                f"only {' and '.join(FOLD_PROTOCOLS)} train their own"
            )
        return None
    if not isinstance(model, Predictor):
        return load_analysis(model, options.device, options.field_source, options.static_source)
    if not isinstance(model, AnalysisPredictor):
        raise ModelError("the model is a long forecast: score it with 'aqreanalysis evaluate --protocol forecast'")
    return model


def _config(predictor: AnalysisPredictor | None, options: EvaluationOptions) -> Config:
    """Return the config of the model, or the one that folds are trained with."""
    config = options.folds.config or (predictor.config if predictor else None)
    if config is None:
        raise ConfigError("folds train a model each: give a model, whose config is used, or a config")
    return config


def _results(asked: Asked, course: Course) -> Iterator[TaskResult]:
    """Yield the answers to every task that the options name, one pollutant and protocol after the other."""
    predictor, observations, options = asked.predictor, asked.observations, asked.options
    hidden = options.hidden()
    folds = [protocol for name, protocol in FOLD_PROTOCOLS.items() if name in options.names]
    parts = len(hidden) + len(folds)
    if predictor is not None and hidden:
        split = split_for(predictor.bundle, observations)
        for number, protocol in enumerate(hidden):
            try:
                task = build_task(observations, split, protocol, options)
            except NothingHiddenError as error:
                if parts == 1:
                    raise
                course.skipped.append(str(error))
                continue
            task = task.informed_by(asked.record, predictor.bundle)
            course.skipped.extend(_unscored(task, predictor))
            yield from run_protocol(predictor, task, part_of(course.progress, number, parts))
    for number, protocol in enumerate(folds, start=len(hidden)):
        work = asked.folder / (FOLDS if protocol.name == STATION_FOLDS else protocol.name)
        said = [without_others(asked)] if without_others(asked) else []
        scored = []
        for result in run_folds(
            observations, asked.config, work, options, protocol, part_of(course.progress, number, parts)
        ):
            scored.append(result.species)
            yield replace(result, notes=[*result.notes, *said])
        course.skipped.extend(
            f"{SPECIES[key].title}, {protocol.name}: no fold has a station that read it and enough others that did"
            for key in asked.config.species
            if key in observations.species and key not in scored
        )


def without_others(asked: Asked) -> str:
    """Return what is said of folds where stations that are not of background air inform a map; else nothing.

    Each fold trains its model, and reads, background stations alone: what the others tell it would have to be learned
    fold by fold.
    """
    others = len(asked.record.stations) - len(asked.observations.stations)
    if not others or not set(FOLD_PROTOCOLS) & asked.options.names:
        return ""
    return (
        f"folds are of background stations alone: what the {others} others (kerbs, industry, sensors) tell a map is "
        "not in these scores"
    )


def _unscored(task: EvaluationTask, predictor: AnalysisPredictor) -> list[str]:
    """Return what is said of the pollutants of a task that cannot be scored."""
    reasons = {key: task.why_unscored(key) for key in predictor.species if key in task.visible.species}
    return [f"{SPECIES[key].title}, {task.protocol.name}: {reason}" for key, reason in reasons.items() if reason]


def _metrics(species: dict[str, dict[str, Any]], run: Asked) -> dict[str, Any]:
    predictor, observations, config, options = run.predictor, run.observations, run.config, run.options
    asked = [task_scores for protocols in species.values() for task_scores in protocols.values()]
    return {
        "schema": SCHEMA,
        "model_digest": predictor.digest if predictor else "",
        "observations_digest": observations.digest(),
        "observations": {"stations": len(observations.stations), **observations.attributes},
        "coverage": config.uncertainty.coverage,
        "hours": {
            "choice": " and ".join(dict.fromkeys(task_scores["hours_choice"] for task_scores in asked)),
            "every": options.every,
            "first": min(task_scores["first"] for task_scores in asked),
            "last": max(task_scores["last"] for task_scores in asked),
        },
        "species": species,
        "verdict": " ".join(part for part in (verdict(species), _sentence(without_others(run))) if part),
    }


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _folder(out: Path, overwrite: bool) -> Path:
    if (out / METRICS).exists() and not overwrite:
        raise OutputError(f"{out} holds an evaluation already ({METRICS}): choose another --out or pass --overwrite")
    try:
        out.mkdir(parents=True, exist_ok=True)
        if overwrite:
            (out / METRICS).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write into {out}: {error.strerror}; choose another --out") from None
    return out
