"""The protocols: what is hidden, which hours count, and every method asked the same question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from aqreanalysis.errors import ConfigError, ModelError, ObservationsError, nearest_hint
from aqreanalysis.evaluation.baselines import Network, all_baselines, distances_km
from aqreanalysis.evaluation.baselines.base import Progress
from aqreanalysis.evaluation.estimate import Estimates, Model, Targets, estimate
from aqreanalysis.evaluation.scores import Sample
from aqreanalysis.evaluation.splits import HIDDEN_CITY, HIDDEN_TENTH, Split
from aqreanalysis.observations import Observations

MODEL = "aq-net"
MODEL_TITLE = "AQ-Net"

#: Every fifth hour is scored by default: five and twenty-four have no common factor, so every hour of the day counts.
EVERY = 5


@dataclass(frozen=True)
class Protocol:
    """What is hidden: the stations of one role; `together` says whether cities are left out whole in tuning."""

    name: str
    role: str
    together: bool
    title: str


PROTOCOLS: dict[str, Protocol] = {
    p.name: p
    for p in (
        Protocol("hidden-tenth", HIDDEN_TENTH, False, "single stations hidden"),
        Protocol("leave-city-out", HIDDEN_CITY, True, "whole cities hidden"),
    )
}


@dataclass(frozen=True)
class EvaluationOptions:
    """How an evaluation is run.

    Attributes
    ----------
    protocols : tuple of str
        Names in `PROTOCOLS`.
    hours : {"unseen", "all"}
        Hours that count: the last share of the timeline, which training never saw, or all of it.
    every : int
        Every n-th hour counts (hours since 1970 divisible by it), for every method alike; 1 for all.
    device : str
        Where the model runs: auto, cpu or cuda.
    overwrite : bool
        Whether an earlier evaluation in the output folder may be replaced.
    """

    protocols: tuple[str, ...] = ("hidden-tenth", "leave-city-out")
    hours: Literal["unseen", "all"] = "unseen"
    every: int = EVERY
    device: str = "auto"
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name in self.protocols:
            if name not in PROTOCOLS:
                raise ConfigError(
                    f"no protocol {name!r}: there are {', '.join(PROTOCOLS)}{nearest_hint(name, PROTOCOLS)}"
                )
        if not self.protocols:
            raise ConfigError(f"no protocol is named: choose of {', '.join(PROTOCOLS)}")
        if self.hours not in ("unseen", "all"):
            raise ConfigError(f"hours = {self.hours!r}: choose 'unseen' or 'all'")
        if self.every < 1:
            raise ConfigError(f"every = {self.every}: every n-th hour counts, n must be at least 1")


@dataclass(frozen=True)
class Outcome:
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
    notes: list[str] = field(default_factory=list)

    @property
    def answered(self) -> npt.NDArray[np.bool_]:
        """Where something was observed and every method answered, shape (T, point): all are scored on these."""
        known = np.isfinite(self.observed)
        for found in self.estimates.values():
            known = known & np.isfinite(found.best)
        return known

    def sample(self, method: str) -> Sample:
        """Return the method's estimates beside the observed, NaN where not every method answered."""
        return self.estimates[method].sample(self.observed).where(self.answered)

    def unanswered(self) -> dict[str, int]:
        """Return, by method, the number of observed station-hours that it gave no estimate for."""
        known = np.isfinite(self.observed)
        return {name: int((known & ~np.isfinite(e.best)).sum()) for name, e in self.estimates.items()}


def hours_of(observations: Observations, split: Split, options: EvaluationOptions) -> npt.NDArray[np.int64]:
    """Return the stamps that count, hours since 1970-01-01 00:00 UTC, increasing.

    Raises
    ------
    ObservationsError
        If none is left, saying why.
    """
    hours = observations.hours
    if options.hours == "unseen":
        first = int(split.unseen_from.astype("datetime64[h]").astype(np.int64))
        hours = hours[hours >= first]
        if hours.size == 0:
            raise ObservationsError(
                f"the observations end {observations.times[-1]}, before the hours that training did not see "
                f"(from {split.unseen_from}): give later observations, or score the hours of training with hours=all"
            )
    kept = hours[hours % options.every == 0]
    if kept.size == 0:
        raise ObservationsError(f"{hours.size} hours hold none divisible by every = {options.every}: lower it")
    return kept


@dataclass(frozen=True)
class Question:
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
    notes : list of str
        What a reader must know to judge the answers.
    """

    protocol: Protocol
    visible: Observations
    stations: list[str]
    targets: Targets
    groups: npt.NDArray[np.int64]
    notes: list[str]

    def network(self, key: str) -> Network:
        """Return the visible stations' readings of one pollutant at the hours that count."""
        rows = self.targets.hours - self.visible.first_hour
        values = self.visible.values(key)[rows].astype(np.float64)
        return Network(self.visible.lat, self.visible.lon, values, self.groups)


def ask(observations: Observations, split: Split, protocol: Protocol, options: EvaluationOptions) -> Question:
    """Return the protocol's question: hidden are the stations of its role, visible all others of the observations.

    Stations that the split does not know are visible.

    Raises
    ------
    ModelError
        If no hidden station of the protocol is in the observations.
    ObservationsError
        If no hour is left to score.
    """
    hidden = split.roles_of(observations.stations) == protocol.role
    if not hidden.any():
        raise ModelError(
            f"protocol {protocol.name}: none of the stations that the model's split hides ({protocol.role}) is among "
            f"the {len(hidden)} stations of the observations; evaluate on the network that it was trained on"
        )
    stations = np.array(observations.stations)
    visible = observations.select(stations=stations[~hidden].tolist())
    hours = hours_of(observations, split, options)
    rows = hours - observations.first_hour
    observed = {k: observations.values(k)[rows][:, hidden] for k in observations.species}
    groups, notes = _tuning_groups(visible, split, protocol)
    targets = Targets(observations.lat[hidden], observations.lon[hidden], hours, observed)
    return Question(protocol, visible, stations[hidden].tolist(), targets, groups, notes)


def answer_baselines(
    question: Question, key: str, coverage: float, progress: Progress | None = None
) -> tuple[dict[str, Estimates], dict[str, dict[str, Any]]]:
    """Return each baseline's estimates of a pollutant, and what it chose on the visible stations, by its name."""
    network, targets = question.network(key), question.targets
    baselines = all_baselines()
    stage = _stages(progress, len(baselines))
    found: dict[str, Estimates] = {}
    tuned: dict[str, dict[str, Any]] = {}
    # Kriging matrices of some hundred rows gain nothing from BLAS threads, which on a busy machine wait for each other:
    # 541 s with them and 57 to 129 s without were seen for one draw of china_north_2019 on two busy cores.
    with threadpool_limits(1, user_api="blas"):
        for i, baseline in enumerate(baselines):
            tuned[baseline.name] = baseline.tune(network)
            answer = baseline.predict(network, targets.lat, targets.lon, stage(i))
            observed = targets.observed[key].astype(np.float64)
            found[baseline.name] = Estimates.of(answer, targets.hours, observed, coverage)
            stage(i)(1, 1, baseline.title)
    return found, tuned


def run_protocol(model: Model, question: Question, progress: Progress | None = None) -> list[Outcome]:
    """Return the answers of model and baselines to one question, for each pollutant that both sides have.

    Raises
    ------
    ModelError
        If model and observations share no pollutant.
    """
    visible, targets = question.visible, question.targets
    keys = [k for k in model.species if k in visible.species]
    if not keys:
        raise ModelError(
            f"the model estimates {', '.join(model.species)} and the observations hold "
            f"{', '.join(visible.species)}: none is common; train on these observations or give others"
        )
    stage = _stages(progress, 1 + len(keys), question.protocol.title)
    coverage = model.config.uncertainty.coverage
    answers = estimate(model, visible, targets, coverage=coverage, progress=stage(0))
    outcomes = []
    for number, key in enumerate(keys, start=1):
        found, tuned = answer_baselines(question, key, coverage, stage(number))
        outcomes.append(
            Outcome(
                protocol=question.protocol,
                species=key,
                stations=question.stations,
                lat=targets.lat,
                lon=targets.lon,
                nearest_km=distances_km(targets.lat, targets.lon, visible.lat, visible.lon).min(axis=1),
                visible_lat=visible.lat,
                visible_lon=visible.lon,
                hours=targets.hours,
                observed=targets.observed[key],
                estimates={MODEL: answers[key]} | found,
                titles={MODEL: MODEL_TITLE} | {b.name: b.title for b in all_baselines()},
                tuned=tuned,
                notes=question.notes,
            )
        )
    return outcomes


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


def _stages(progress: Progress | None, stages: int, title: str = "") -> Callable[[int], Progress]:
    """Return a maker of callables that report one stage's progress as part of all."""

    def stage(number: int) -> Progress:
        def report(done: int, total: int, note: str) -> None:
            if progress is not None:
                text = f"{title}: {note}" if title else note
                progress(number * 1000 + round(1000 * done / max(total, 1)), stages * 1000, text)

        return report

    return stage
