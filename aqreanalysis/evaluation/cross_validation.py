"""Every station is hidden once, alone or with its city, each time from a model that was trained without its fold.

What a finished fold answered lies in the work folder, so a stopped run goes on where it stopped; answers are read back
a pollutant at a time, since a year of all stations and methods is too much for memory at once.
"""

from __future__ import annotations

import json
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aqreanalysis.common.files import write_json
from aqreanalysis.common.fingerprint import check_fingerprint
from aqreanalysis.common.geodesy import distance_matrix_km
from aqreanalysis.common.progress import Progress, stage_of
from aqreanalysis.configs import Config
from aqreanalysis.errors import ConfigError, ObservationsError, OutputError, in_one_line
from aqreanalysis.evaluation.baselines import covariate_baselines
from aqreanalysis.evaluation.options import FOLD_PROTOCOLS, STATION_FOLDS, EvaluationOptions, FoldOptions, Protocol
from aqreanalysis.evaluation.predict_at_stations import Estimates
from aqreanalysis.evaluation.protocols import TaskResult, hours_of, mask_stations, method_titles, run_protocol
from aqreanalysis.model import training_fingerprint
from aqreanalysis.model.predictor import load_analysis
from aqreanalysis.observations import Observations
from aqreanalysis.splits import Split, draw_split

_FINGERPRINT = "folds.json"
#: Written last: a fold with it is whole.
_ANSWERS = "answers.json"
_FIELDS = tuple(name for name in Estimates.__dataclass_fields__ if name != "hours")


def draw_folds(stations: list[str], folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the fold of each station, shape (station,), of sizes that differ by one at most.

    The draw depends on the seed and on the set of stations, not on their order.

    Raises
    ------
    ObservationsError
        With fewer stations than folds.
    """
    if len(stations) < folds:
        raise ObservationsError(f"{len(stations)} stations for {folds} folds: each needs at least one; use fewer folds")
    order = np.argsort(np.array(stations), kind="stable")
    shuffled = np.random.default_rng([seed, folds]).permutation(len(stations))
    fold = np.empty(len(stations), dtype=np.int64)
    fold[order[shuffled]] = np.arange(len(stations)) % folds
    return fold


def draw_city_folds(city: Sequence[str], folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the fold of each station, shape (station,), all of a city in one and the folds as even as cities allow.

    The draw depends on the seed and on the set of cities, not on their order: one after the other goes to the fold that
    has fewest stations.

    Raises
    ------
    ObservationsError
        With fewer cities than folds.
    """
    names, number, count = np.unique(np.array(city), return_inverse=True, return_counts=True)
    if len(names) < folds:
        raise ObservationsError(f"{len(names)} cities for {folds} folds: each needs at least one; use fewer folds")
    fold, held = np.empty(len(names), dtype=np.int64), np.zeros(folds, dtype=np.int64)
    for one in np.random.default_rng([seed, folds]).permutation(len(names)):
        fold[one] = held.argmin()
        held[fold[one]] += count[one]
    return np.asarray(fold[number], np.int64)


def fold_config(config: Config, options: FoldOptions) -> Config:
    """Return what a fold is trained with: nothing else is held back, since its own stations are.

    Calibration stations stay; the limits of `options` stand above the config's.
    """
    split = config.split.model_copy(update={"hidden_stations": 0.0, "hidden_cities": 0.0, "unseen_time": 0.0})
    limits: dict[str, Any] = {}
    if options.minutes is not None:
        limits["max_minutes"] = options.minutes
    if options.epochs is not None:
        limits["epochs"] = options.epochs
    return config.model_copy(update={"split": split, "training": config.training.model_copy(update=limits)})


def run_folds(
    observations: Observations,
    config: Config,
    work: Path,
    options: EvaluationOptions,
    protocol: Protocol = FOLD_PROTOCOLS[STATION_FOLDS],
    progress: Progress | None = None,
) -> Iterator[TaskResult]:
    """Yield, pollutant by pollutant, the answers at all stations, each from the model that did not know it.

    Parameters
    ----------
    observations : Observations
        The whole network.
    config : Config
        What each fold is trained with, but for what `fold_config` changes.
    work : Path
        Folder for models and answers; finished folds in it are kept.
    options : EvaluationOptions
        Every how many hours, and how the folds are trained.
    protocol : Protocol
        Of `FOLD_PROTOCOLS`: whether a fold holds single stations or whole cities.
    progress : callable, optional
        ``progress(done, total, note)``.

    Raises
    ------
    ConfigError
        If no way to train was given.
    OutputError
        If `work` holds the folds of other observations, another config or another draw.
    """
    if options.folds.train is None:
        raise ConfigError(
            f"{protocol.name} trains a model a fold: give FoldOptions(train=...), or use the command line"
        )
    config = fold_config(config, options.folds)
    _claim(work, _fingerprint(observations, config, options), options.overwrite)
    count, seed = options.folds.folds, options.folds.seed
    if protocol.together:
        fold = draw_city_folds(draw_split(observations, config.split).city, count, seed)
    else:
        fold = draw_folds(observations.stations, count, seed)
    for number in range(count):
        folder, part = _folder(work, number), stage_of(progress, number, count, f"fold {number + 1}: ")
        if not (folder / _ANSWERS).is_file():
            _run_fold(observations, config, folder, (protocol, fold == number), options, part)
    if progress is not None:
        progress(1, 1, protocol.title)
    titles = method_titles(covariates=options.field_source is not None)
    for key in config.species:
        scored = [folder for folder in (_folder(work, n) for n in range(count)) if key in _said(folder)["tuned"]]
        if scored:
            result = _pooled(observations, key, scored, protocol, titles)
            yield replace(result, notes=_notes(protocol, count, len(scored)))


def _run_fold(
    observations: Observations,
    config: Config,
    folder: Path,
    fold: tuple[Protocol, npt.NDArray[np.bool_]],
    options: EvaluationOptions,
    progress: Progress | None,
) -> None:
    """Train without the fold's stations, ask model and baselines there, and write the answers down."""
    protocol, hidden = fold
    bundle = folder / "model"
    assert options.folds.train is not None
    if not bundle.is_dir():
        stations = np.array(observations.stations)[~hidden].tolist()
        options.folds.train(observations.select(stations=stations), config, bundle, stage_of(progress, 0, 2))
    model = load_analysis(bundle, options.device, options.field_source, options.static_source)
    split = Split.of_bundle(model.bundle)
    hours = hours_of(observations, split, protocol.hours, options.every)
    task = mask_stations(observations, hidden, split, protocol, hours)
    results = run_protocol(model, task, stage_of(progress, 1, 2))
    for result in results:
        arrays = {"observed": result.observed, "hours": result.hours}
        for method, estimates in result.estimates.items():
            arrays |= {f"{method}/{name}": getattr(estimates, name) for name in _FIELDS}
        np.savez(folder / f"{result.species}.npz", **arrays)  # type: ignore[arg-type]
    answers = {
        "stations": task.stations,
        "visible": task.visible.stations,
        "tuned": {o.species: o.tuned for o in results},
        "levels": {o.species: o.levels for o in results},
        "notes": task.notes,
    }
    write_json(answers, folder / _ANSWERS)


def _said(folder: Path) -> dict[str, Any]:
    """Return what a finished fold says of itself. Pollutants that could not be scored are not under `tuned`.

    Raises
    ------
    OutputError
        If it was damaged since.
    """
    with _refuse_damaged(folder):
        said = json.loads((folder / _ANSWERS).read_text(encoding="utf-8"))
        if not isinstance(said, dict) or not {"stations", "visible", "tuned", "levels"} <= said.keys():
            raise ValueError("it is no list of answers")
        return said


def _answers_of(folder: Path, key: str, methods: Iterable[str]) -> dict[str, npt.NDArray[np.float32]]:
    """Return what a finished fold answered of a pollutant.

    Raises
    ------
    OutputError
        If it was damaged since: the archive carries checksums.
    """
    with _refuse_damaged(folder), np.load(folder / f"{key}.npz", allow_pickle=False) as stored:
        wanted = ["hours", "observed", *(f"{method}/{name}" for method in methods for name in _FIELDS)]
        return {name: stored[name] for name in wanted}


@contextmanager
def _refuse_damaged(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, LookupError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise OutputError(
            f"the answers of a fold in {folder} cannot be read ({in_one_line(error, 100)}): delete that "
            "folder, and the same command makes it anew"
        ) from None


def _notes(protocol: Protocol, count: int, scored: int) -> list[str]:
    """Return what is said of the scores of a pollutant in `scored` of `count` folds."""
    kind = "city" if protocol.together else "station"
    notes = [f"{count} folds by {kind}, one model each; the calibrated level is the folds' mean"]
    if scored < count:
        notes.append(f"{count - scored} of the {count} folds have no station that read it, or too few others that did")
    return notes


def _pooled(
    observations: Observations, key: str, folders: Sequence[Path], protocol: Protocol, titles: Mapping[str, str]
) -> TaskResult:
    """Return the answers of folds and of the methods of `titles` as one result, each of their stations in it once."""
    place = {s: i for i, s in enumerate(observations.stations)}
    stations: list[str] = []
    nearest, observed = [], []
    parts: dict[str, list[dict[str, npt.NDArray[np.float32]]]] = {}
    tuned: dict[str, dict[str, Any]] = {}
    levels: dict[str, list[float]] = {}
    for folder in folders:
        answers, arrays = _said(folder), _answers_of(folder, key, titles)
        name = folder.name.replace("-", " ")
        here, others = ([place[s] for s in answers[k]] for k in ("stations", "visible"))
        km = distance_matrix_km(
            observations.lat[here], observations.lon[here], observations.lat[others], observations.lon[others]
        )
        stations += answers["stations"]
        nearest.append(km.min(axis=1))
        hours = arrays["hours"].astype(np.int64)
        observed.append(arrays["observed"])
        for method in titles:
            parts.setdefault(method, []).append({name: arrays[f"{method}/{name}"] for name in _FIELDS})
        for method, chosen in answers["tuned"][key].items():
            tuned.setdefault(method, {})[name] = chosen
        for method, level in answers["levels"][key].items():
            levels.setdefault(method, []).extend([] if level is None else [level])
    at = [place[s] for s in stations]
    return TaskResult(
        protocol=protocol,
        species=key,
        stations=stations,
        lat=observations.lat[at],
        lon=observations.lon[at],
        nearest_km=np.concatenate(nearest),
        visible_lat=observations.lat,
        visible_lon=observations.lon,
        hours=hours,
        observed=np.concatenate(observed, axis=1),
        estimates={
            method: Estimates(hours=hours, **{n: np.concatenate([p[n] for p in of_folds], axis=1) for n in _FIELDS})
            for method, of_folds in parts.items()
        },
        titles=dict(titles),
        tuned=tuned,
        levels={method: float(np.mean(of_folds)) if of_folds else None for method, of_folds in levels.items()},
    )


def _folder(work: Path, number: int) -> Path:
    return work / f"fold-{number + 1}"


def _fingerprint(observations: Observations, config: Config, options: EvaluationOptions) -> dict[str, Any]:
    own: dict[str, Any] = {"folds": options.folds.folds, "seed": options.folds.seed, "every": options.every}
    if options.field_source is not None:
        own["covariates"] = options.field_source.digest()
        # Folds that were asked before these baselines stood beside the model lack their answers.
        own["covariate_baselines"] = [baseline.name for baseline in covariate_baselines()]
    if options.static_source is not None:
        own["static fields"] = options.static_source.digest()
    return training_fingerprint(observations.digest(), config) | own


def _claim(work: Path, mine: dict[str, Any], overwrite: bool) -> None:
    """Make the work folder, or make sure that the folds in it are those of this very run."""
    record = work / _FINGERPRINT
    if record.is_file():
        try:
            check_fingerprint(record, mine, "folds", "choose another --out, or begin anew with --overwrite")
            return
        except OutputError:
            if not overwrite:
                raise
        shutil.rmtree(work)
    try:
        for number in range(int(mine["folds"])):
            _folder(work, number).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write into {work}: {error.strerror}; choose another --out") from None
    write_json(mine, record)
