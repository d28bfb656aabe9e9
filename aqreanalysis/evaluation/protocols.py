"""The protocols: what is hidden, which hours count, and every method given the same task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from aqreanalysis.background_air.groups import has_groups
from aqreanalysis.background_air.record import as_background
from aqreanalysis.common.geodesy import distance_matrix_km
from aqreanalysis.common.progress import Progress, stage_of
from aqreanalysis.errors import ModelError, ObservationsError
from aqreanalysis.evaluation.baselines import (
    MINUTES,
    Baseline,
    ReadOnce,
    StationField,
    StationHistory,
    all_baselines,
    build_optional_baselines,
    covariate_baselines,
)
from aqreanalysis.evaluation.baselines.base import FEWEST_READINGS
from aqreanalysis.evaluation.distributions import calibrated_level
from aqreanalysis.evaluation.options import EvaluationOptions, Hours, Protocol
from aqreanalysis.evaluation.predict_at_stations import Estimates, Targets, estimate
from aqreanalysis.evaluation.scores import Sample
from aqreanalysis.model import Predictor
from aqreanalysis.model.bundle import MODEL, MODEL_TITLE, Bundle
from aqreanalysis.observations import Observations
from aqreanalysis.splits import CALIBRATION, Split

if TYPE_CHECKING:
    from aqreanalysis.model.network.scaling import FieldSource

#: Days, spread evenly, on which the model is asked at calibration stations how wide its interval must be named.
_LEVEL_DAYS = 16


@dataclass(frozen=True)
class TaskResult:
    """Every method's estimates of one pollutant at the hidden stations of one protocol.

    Attributes
    ----------
    protocol : Protocol
        What was hidden.
    species : str
        Key of the pollutant.
    stations : list of str
        Hidden stations that have readings.
    lat, lon, nearest_km : ndarray of float64, shape (point,)
        Their places, and the distance to the nearest visible station.
    visible_lat, visible_lon : ndarray of float64, shape (station,)
        Places of the visible stations.
    hours : ndarray of int64, shape (T,)
        Hours since 1970-01-01 00:00 UTC.
    observed : ndarray of float32, shape (T, point)
        Readings.
    estimates : dict of str to Estimates
        By method, the model first.
    titles : dict of str to str
        Methods' names for people.
    tuned : dict of str to dict
        What each baseline chose on the visible stations.
    levels : dict of str to float
        Probability that each method's interval must be named by to cover what it should at left-out visible stations.
    notes : list of str
        What a reader must know to judge the figures.
    """

    protocol: Protocol
    species: str
    stations: list[str]
    lat: npt.NDArray[np.float64]
    lon: npt.NDArray[np.float64]
    nearest_km: npt.NDArray[np.float64]
    visible_lat: npt.NDArray[np.float64]
    visible_lon: npt.NDArray[np.float64]
    hours: npt.NDArray[np.int64]
    observed: npt.NDArray[np.float32]
    estimates: dict[str, Estimates]
    titles: dict[str, str]
    tuned: dict[str, dict[str, Any]]
    levels: dict[str, float | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def answered(self) -> npt.NDArray[np.bool_]:
        """Where something was observed and every method answered, shape (T, point): all are scored on these.

        A method that answers nowhere takes nothing from the others.
        """
        known = np.isfinite(self.observed)
        for name, estimates in self.estimates.items():
            if name not in self.silent:
                known = known & np.isfinite(estimates.best)
        return known

    @property
    def silent(self) -> list[str]:
        """The baselines that give no estimate where anything was observed."""
        known = int(np.isfinite(self.observed).sum())
        return [name for name, lacking in self.unanswered().items() if lacking == known and name != MODEL]

    def sample(self, method: str) -> Sample:
        """Return the method's estimates beside the observed, NaN where not every method answered."""
        return self.estimates[method].sample(self.observed).where(self.answered)

    def unanswered(self) -> dict[str, int]:
        """Return, by method, the number of observed station-hours that it gave no estimate for."""
        known = np.isfinite(self.observed)
        return {name: int((known & ~np.isfinite(e.best)).sum()) for name, e in self.estimates.items()}


def hours_of(observations: Observations, split: Split, choice: Hours, every: int) -> npt.NDArray[np.int64]:
    """Return the stamps that count, hours since 1970-01-01 00:00 UTC, increasing.

    Parameters
    ----------
    observations : Observations
        The timeline.
    split : Split
        From when on training saw nothing.
    choice : {"seen", "unseen", "all"}
        Hours of training, the later ones, or both.
    every : int
        Every n-th counts: those divisible by it.

    Raises
    ------
    ObservationsError
        If none is left, saying why.
    """
    hours = observations.hours
    first = int(split.unseen_from.astype("datetime64[h]").astype(np.int64))
    if choice == "unseen":
        hours = hours[hours >= first]
        if hours.size == 0:
            raise ObservationsError(
                f"the observations end {observations.times[-1]}, before the hours that training did not see "
                f"(from {split.unseen_from}): give later observations, or score the hours of training with hours=seen"
            )
    elif choice == "seen":
        hours = hours[hours < first]
        if hours.size == 0:
            raise ObservationsError(
                f"the observations begin {observations.times[0]}, after the hours of training (before "
                f"{split.unseen_from}): give earlier observations, or score later hours with protocol unseen-time"
            )
    thinned = hours[hours % every == 0]
    if thinned.size == 0:
        raise ObservationsError(f"{hours.size} hours hold none divisible by every = {every}: lower it")
    return thinned


@dataclass(frozen=True)
class EvaluationTask:
    """What every method is asked in one protocol, and all that it may see.

    Attributes
    ----------
    protocol : Protocol
        What is hidden.
    visible : Observations
        All stations but the hidden ones.
    stations : list of str
        The hidden stations.
    targets : Targets
        Their places, the hours, and their readings to score against.
    groups : ndarray of int, shape (visible station,)
        Stations that are left out together when a baseline is tuned.
    calibration : ndarray of bool, shape (visible station,)
        Visible stations that training did not fit its weights to: the model's own left-out stations, at which it is
        told how wide its interval must be named, as baselines are at theirs.
    notes : list of str
        What a reader must know to judge the answers.
    optional_baselines : tuple of str
        Baselines that are asked beside those of every run.
    optional_minutes : float
        Limit of one training of such a baseline, in minutes.
    covariates : FieldSource, optional
        Of the model, for the baselines that read them; None where it has none.
    informed : Observations, optional
        What the model reads in place of `visible`: it, and kerbs, works and cheap sensors as background air.
    """

    protocol: Protocol
    visible: Observations
    stations: list[str]
    targets: Targets
    groups: npt.NDArray[np.int64]
    calibration: npt.NDArray[np.bool_]
    notes: list[str]
    optional_baselines: tuple[str, ...] = ()
    optional_minutes: float = MINUTES
    covariates: FieldSource | None = None
    informed: Observations | None = None

    def informed_by(self, record: Observations, bundle: Bundle) -> EvaluationTask:
        """Return the task with the stations of a record that are not of background air for the model to read.

        Where whole cities are hidden so are their kerbs and sensors; baselines interpolate background stations alone.
        """
        if not has_groups(record):
            return self
        scored = set(self.visible.stations) | set(self.stations)
        km = distance_matrix_km(record.lat, record.lon, self.targets.lat, self.targets.lon).min(axis=1)
        apart = bundle.config.split.cluster_km if self.protocol.together else -1.0
        city = record.city or record.stations
        gone = {name for name, station in zip(city, record.stations, strict=True) if station in self.stations}
        near = (km <= apart) | (np.isin(city, list(gone)) & self.protocol.together)
        more = [s for s, hides in zip(record.stations, near, strict=True) if s not in scored and not hides]
        visible = record.select(stations=[s for s in record.stations if s in {*self.visible.stations, *more}])
        informed = as_background(visible, bundle.groups, bundle.scaling)
        count = len(informed.stations) - len(self.visible.stations)
        note = f"{count} stations that are not of background air inform the model; baselines have background stations"
        return replace(self, informed=informed, notes=[*self.notes, note] if count else self.notes)

    def with_covariates(self, source: FieldSource | None, ground: bool = False) -> EvaluationTask:
        """Return the task with what `source` holds at the visible and the hidden stations, read once.

        With `ground` height and population stand beside it; without a source there is nothing.
        """
        if source is None:
            return self
        lat, lon = (
            np.concatenate([getattr(self.visible, name), getattr(self.targets, name)]) for name in ("lat", "lon")
        )
        return replace(self, covariates=ReadOnce.of(source, lat, lon, self.targets.hours, ground))

    def why_unscored(self, key: str) -> str:
        """Return why a pollutant cannot be scored, as a phrase about it; nothing where it can."""
        if not np.isfinite(self.targets.observed[key]).any():
            return f"none of the {len(self.stations)} hidden stations read it at the hours that count"
        rows = self.targets.hours - self.visible.first_hour
        most = int(np.isfinite(self.visible.values(key)[rows]).sum(axis=1).max())
        if most < FEWEST_READINGS:
            return f"at most {most} visible stations read it in an hour, and {FEWEST_READINGS} are needed"
        return ""

    def baselines(self) -> list[Baseline]:
        """Return the baselines that are asked, fresh and untuned."""
        return make_baselines(self.optional_baselines, self.covariates is not None, self.optional_minutes)

    def station_field(self, key: str) -> StationField:
        """Return the visible stations' readings of one pollutant at the hours that count, and all they ever read."""
        record = StationHistory(self.visible.first_hour, self.visible.values(key))
        hours = self.targets.hours
        values = record.values[hours - record.first_hour].astype(np.float64)
        return StationField(self.visible.lat, self.visible.lon, values, self.groups, hours, record, self.covariates)


class NothingHiddenError(ModelError):
    """A protocol that hides stations of which the observations have none."""


def build_task(
    observations: Observations, split: Split, protocol: Protocol, options: EvaluationOptions
) -> EvaluationTask:
    """Return the protocol's task: hidden are the stations of its role, visible all others of the observations.

    Stations that the split does not know are visible; the hours are the protocol's.

    Raises
    ------
    NothingHiddenError
        If no hidden station of the protocol is in the observations.
    ObservationsError
        If no hour is left to score.
    """
    hidden = split.roles_of(observations.stations) == protocol.role
    if not hidden.any():
        raise NothingHiddenError(
            f"protocol {protocol.name}: none of the stations that the model's split hides ({protocol.role}) is among "
            f"the {len(hidden)} stations of the observations, and some of its training are; give all stations of that "
            "network, or only stations of another"
        )
    hours = hours_of(observations, split, protocol.hours, options.every)
    task = mask_stations(observations, hidden, split, protocol, hours)
    return replace(task, optional_baselines=options.optional_baselines, optional_minutes=options.optional_minutes)


def mask_stations(
    observations: Observations,
    hidden: npt.NDArray[np.bool_],
    split: Split,
    protocol: Protocol,
    hours: npt.NDArray[np.int64],
) -> EvaluationTask:
    """Return the task at the stations where `hidden` (station,) is True; `split` names cities and roles."""
    stations = np.array(observations.stations)
    visible = observations.select(stations=stations[~hidden].tolist())
    rows = hours - observations.first_hour
    observed = {k: observations.values(k)[rows][:, hidden] for k in observations.species}
    groups, notes = _tuning_groups(visible, split, protocol)
    targets = Targets(observations.lat[hidden], observations.lon[hidden], hours, observed)
    calibration = _calibration(visible, split, protocol)
    return EvaluationTask(protocol, visible, stations[hidden].tolist(), targets, groups, calibration, notes)


@dataclass(frozen=True)
class Prediction:
    """What one method says at the hidden stations, and what it chose on the visible ones.

    Attributes
    ----------
    estimates : Estimates
        Its answers.
    tuned : dict
        Settings, for the report.
    level : float or None
        Probability that its central interval must be named by to cover what was asked for at left-out visible
        stations; None where it was not told.
    """

    estimates: Estimates
    tuned: dict[str, Any]
    level: float | None


def predict_baselines(
    task: EvaluationTask, key: str, coverage: float, progress: Progress | None = None
) -> dict[str, Prediction]:
    """Return what each baseline says of a pollutant, by its name."""
    stations, targets = task.station_field(key), task.targets
    baselines = task.baselines()
    predictions: dict[str, Prediction] = {}
    # Kriging matrices of some hundred rows gain nothing from BLAS threads, which on a busy machine wait for each other:
    # 541 s with them and 57 to 129 s without were seen for one draw of china_north_2019 on two busy cores.
    with threadpool_limits(1, user_api="blas"):
        for i, baseline in enumerate(baselines):
            tuned, stage = baseline.tune(stations), stage_of(progress, i, len(baselines))
            level = calibrated_level(baseline.left_out_pit, coverage)
            answer = baseline.predict(stations, targets.lat, targets.lon, stage)
            observed = targets.observed[key].astype(np.float64)
            estimates = Estimates.of(answer, targets.hours, observed, coverage, level)
            predictions[baseline.name] = Prediction(estimates, tuned, level)
            if stage is not None:
                stage(1, 1, baseline.title)
    return predictions


def _model_levels(model: Predictor, task: EvaluationTask, coverage: float) -> dict[str, float]:
    """Return, by pollutant, the level at which the model covers `coverage` of the calibration stations' readings.

    They are left out all at once and seen from the other visible stations, on some whole days of the task.
    """
    among = task.calibration
    if not among.any() or among.all():
        return {}
    visible, hours = task.visible, task.targets.hours
    stations = np.array(visible.stations)
    days = np.unique((hours - 1) // 24)
    days = days[np.unique(np.linspace(0, len(days) - 1, min(len(days), _LEVEL_DAYS)).round().astype(int))]
    hours = hours[np.isin((hours - 1) // 24, days)]
    observed = {k: visible.values(k)[hours - visible.first_hour][:, among] for k in visible.species}
    targets = Targets(visible.lat[among], visible.lon[among], hours, observed)
    answers = estimate(model, visible.select(stations=stations[~among].tolist()), targets, coverage=coverage)
    levels = {key: calibrated_level(estimates.pit, coverage) for key, estimates in answers.items()}
    return {key: level for key, level in levels.items() if level is not None}


def run_protocol(model: Predictor, task: EvaluationTask, progress: Progress | None = None) -> list[TaskResult]:
    """Return the answers of model and baselines to one task, for each pollutant that both sides have and that can be
    scored (`EvaluationTask.why_unscored`).

    Raises
    ------
    ModelError
        If model and observations share no pollutant.
    """
    visible, targets = task.visible, task.targets
    keys = [k for k in model.species if k in visible.species]
    if not keys:
        raise ModelError(
            f"the model estimates {', '.join(model.species)} and the observations hold "
            f"{', '.join(visible.species)}: none is common; train on these observations or give others"
        )
    keys = [key for key in keys if not task.why_unscored(key)]
    if not keys:
        return []
    task = task.with_covariates(model.covariates, model.config.model.geography)
    stages = [stage_of(progress, number, 1 + len(keys), f"{task.protocol.title}: ") for number in range(1 + len(keys))]
    coverage = model.config.uncertainty.coverage
    levels = _model_levels(model, task, coverage)
    read = visible if task.informed is None else task.informed
    answers = estimate(model, read, targets, coverage=coverage, levels=levels, progress=stages[0])
    results = []
    titles = method_titles(task.optional_baselines, task.covariates is not None)
    for number, key in enumerate(keys, start=1):
        predictions = {MODEL: Prediction(answers[key], {}, levels.get(key))}
        predictions |= predict_baselines(task, key, coverage, stages[number])
        result = TaskResult(
            protocol=task.protocol,
            species=key,
            stations=task.stations,
            lat=targets.lat,
            lon=targets.lon,
            nearest_km=distance_matrix_km(targets.lat, targets.lon, visible.lat, visible.lon).min(axis=1),
            visible_lat=visible.lat,
            visible_lon=visible.lon,
            hours=targets.hours,
            observed=targets.observed[key],
            estimates={name: answer.estimates for name, answer in predictions.items()},
            titles=titles,
            tuned={name: answer.tuned for name, answer in predictions.items() if name != MODEL},
            levels={name: answer.level for name, answer in predictions.items()},
            notes=task.notes,
        )
        said = [f"{titles[name]} has no estimate here and is compared with nothing" for name in result.silent]
        results.append(replace(result, notes=[*result.notes, *said]))
    return results


def make_baselines(optional: Sequence[str] = (), covariates: bool = False, minutes: float = MINUTES) -> list[Baseline]:
    """Return fresh, untuned baselines: those of every run, those that read covariates where there are, `optional`."""
    readers = covariate_baselines() if covariates else []
    return [*all_baselines(), *readers, *build_optional_baselines(optional, minutes)]


def method_titles(optional: Sequence[str] = (), covariates: bool = False) -> dict[str, str]:
    """Return the methods' names for people, by their key, the model first, `optional` baselines last."""
    return {MODEL: MODEL_TITLE} | {b.name: b.title for b in make_baselines(optional, covariates)}


def _calibration(visible: Observations, split: Split, protocol: Protocol) -> npt.NDArray[np.bool_]:
    """Return the visible stations that the model is asked at for its level, shape (station,).

    Where whole cities are hidden, those whose whole city served calibration, if there are any: they alone stand as far
    from the rest as hidden cities do.
    """
    calibration = split.roles_of(visible.stations) == CALIBRATION
    if not protocol.together:
        return calibration
    city = dict(zip(split.stations, split.city, strict=True))
    names = np.array([city.get(s, s) for s in visible.stations])
    whole = calibration & ~np.isin(names, names[~calibration])
    return whole if whole.any() else calibration


def _tuning_groups(visible: Observations, split: Split, protocol: Protocol) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return the number of the group that each visible station is left out with in tuning, and notes on it."""
    alone = np.arange(len(visible.stations), dtype=np.int64)
    if not protocol.together:
        return alone, []
    city = dict(zip(split.stations, split.city, strict=True))
    names = [city.get(s, s) for s in visible.stations]
    numbers = np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)
    if len(set(names)) < 2:
        return alone, ["the visible stations form one city: baselines were tuned by leaving out single stations"]
    return numbers, []
