"""The protocols by name, and how an evaluation is run.

A protocol says who is hidden and which hours count. ``hidden-tenth`` and ``leave-city-out`` score the hours of
training at stations that training did not see; ``unseen-time`` asks both tasks of the last hours, which training
did not see either. ``station-folds`` and ``city-folds`` train a model a fold. ``forecast`` asks a model of another
kind, one that was trained to look ahead: `evaluate_forecast` answers it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from aqreanalysis.common.progress import Progress
from aqreanalysis.configs import Config
from aqreanalysis.errors import ConfigError, nearest_hint
from aqreanalysis.evaluation.baselines import MINUTES, build_optional_baselines
from aqreanalysis.observations import Observations
from aqreanalysis.splits import HIDDEN_CITY, HIDDEN_TENTH

if TYPE_CHECKING:
    from aqreanalysis.covariates import StaticFields
    from aqreanalysis.model.network.scaling import FieldSource, Paths

Hours = Literal["seen", "unseen", "all"]

#: Every fifth hour is scored by default: five and twenty-four have no common factor, so every hour of the day counts.
EVERY = 5

UNSEEN_TIME = "unseen-time"
STATION_FOLDS = "station-folds"
CITY_FOLDS = "city-folds"
FORECAST = "forecast"


@dataclass(frozen=True)
class Protocol:
    """A question about places without a station.

    Attributes
    ----------
    name : str
        Key in ``metrics.json``.
    role : str
        Role of the stations that are hidden; empty where a fold of the network is.
    together : bool
        Whether baselines are tuned by leaving out whole cities, because whole cities are hidden.
    title : str
        For people.
    hours : {"seen", "unseen", "all"}
        Hours that count: those of training, the later ones, or both.
    """

    name: str
    role: str
    together: bool
    title: str
    hours: Hours


PROTOCOLS: dict[str, Protocol] = {
    p.name: p
    for p in (
        Protocol("hidden-tenth", HIDDEN_TENTH, False, "single stations hidden", "seen"),
        Protocol("leave-city-out", HIDDEN_CITY, True, "whole cities hidden", "seen"),
        Protocol("unseen-time-hidden-tenth", HIDDEN_TENTH, False, "single stations hidden, unseen hours", "unseen"),
        Protocol("unseen-time-leave-city-out", HIDDEN_CITY, True, "whole cities hidden, unseen hours", "unseen"),
    )
}
#: Those that train a model a fold; the role is empty, since a fold of the network is hidden.
FOLD_PROTOCOLS: dict[str, Protocol] = {
    STATION_FOLDS: Protocol(STATION_FOLDS, "", False, "each station hidden in one of the folds", "all"),
    CITY_FOLDS: Protocol(CITY_FOLDS, "", True, "each city hidden in one of the folds", "all"),
}

#: What can be asked for, in the order it is run.
NAMES = ("hidden-tenth", "leave-city-out", UNSEEN_TIME, STATION_FOLDS, CITY_FOLDS, FORECAST)

Trainer = Callable[[Observations, Config, Path, Progress | None], Path]


@dataclass(frozen=True)
class FoldOptions:
    """How ``station-folds`` and ``city-folds`` train.

    Attributes
    ----------
    train : callable, optional
        ``train(observations, config, out, progress) -> Path``: trains a bundle into `out` and goes on with a stopped
        training there. This room trains nothing itself.
    config : Config, optional
        What each fold is trained with; that of the model beside it if None.
    folds : int
        Number of folds.
    seed : int
        Of the draw of the folds.
    minutes : float, optional
        Limit of a fold's training, in minutes, in the place of the config's.
    epochs : int, optional
        Epochs of a fold's training, in the place of the config's.
    """

    train: Trainer | None = None
    config: Config | None = None
    folds: int = 5
    seed: int = 0
    minutes: float | None = None
    epochs: int | None = None

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ConfigError(f"folds = {self.folds}: at least 2 are needed, each is hidden from the others")
        if self.minutes is not None and self.minutes <= 0:
            raise ConfigError(f"minutes = {self.minutes:g} a fold: give more than 0")
        if self.epochs is not None and self.epochs < 1:
            raise ConfigError(f"epochs = {self.epochs} a fold: give at least 1")


@dataclass(frozen=True)
class EvaluationOptions:
    """How an evaluation is run.

    Attributes
    ----------
    protocols : tuple of str
        Of `NAMES`, or ``all``: every one but forecast, which another kind of model answers, and city-folds, which
        trains as many models once more.
    hours : {"seen", "unseen", "all"}, optional
        Hours that count for hidden-tenth and leave-city-out, in the place of their own (those of training). With
        ``unseen`` they are parts of unseen-time and go by its name.
    every : int
        Every n-th hour counts (hours since 1970 divisible by it), for every method alike; 1 for all.
    seed : int
        Of the bootstrap that puts intervals on the ratios of scores.
    device : str
        Where the model runs: auto, cpu or cuda.
    overwrite : bool
        Whether an earlier evaluation in the output folder may be replaced.
    folds : FoldOptions
        For station-folds and city-folds.
    covariates : FieldSource or paths, optional
        Of a model that was trained with covariates.
    static : StaticFields or paths, optional
        Of a model whose drift reads them.
    optional_baselines : tuple of str
        Baselines of `baselines.OPTIONAL` that stand beside the others where a trained model is asked; folds run
        without them.
    optional_minutes : float
        Limit of one training of such a baseline (a pollutant in a protocol), in minutes.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> [protocol.name for protocol in aq.EvaluationOptions(("hidden-tenth",), hours="all").hidden()]
    ['hidden-tenth']
    """

    protocols: tuple[str, ...] = (UNSEEN_TIME,)
    hours: Hours | None = None
    every: int = EVERY
    seed: int = 0
    device: str = "auto"
    overwrite: bool = False
    folds: FoldOptions = field(default_factory=FoldOptions)
    covariates: FieldSource | Paths | None = None
    static: StaticFields | Paths | None = None
    optional_baselines: tuple[str, ...] = ()
    optional_minutes: float = MINUTES

    def __post_init__(self) -> None:
        # Now and not after an hour of evaluation: what is asked for must be known and installed.
        build_optional_baselines(self.optional_baselines, self.optional_minutes)
        known = (*NAMES, *PROTOCOLS, "all")
        for name in self.protocols:
            if name not in known:
                raise ConfigError(
                    f"no protocol {name!r}: there are {', '.join((*NAMES, 'all'))}{nearest_hint(name, known)}"
                )
        if FORECAST in self.protocols:
            raise ConfigError("protocol forecast asks a model that was trained to look ahead: use evaluate_forecast")
        if not self.protocols:
            raise ConfigError(f"no protocol is named: choose of {', '.join((*NAMES, 'all'))}")
        if self.hours not in (None, "seen", "unseen", "all"):
            raise ConfigError(f"hours = {self.hours!r}: choose 'seen', 'unseen' or 'all'")
        if self.hours is not None and not self.names & {"hidden-tenth", "leave-city-out"}:
            raise ConfigError(
                f"hours = {self.hours!r} is for hidden-tenth and leave-city-out; {', '.join(self.protocols)} says "
                "itself which hours count: leave it out, or name those two"
            )
        if self.every < 1:
            raise ConfigError(f"every = {self.every}: every n-th hour counts, n must be at least 1")

    def opened(self, config: Config) -> EvaluationOptions:
        """Return the options with their files opened, read as the config of the model says."""
        if self.covariates is None and self.static is None:
            return self
        from aqreanalysis.covariates.given import as_covariates, as_static

        covariates = as_covariates(self.covariates, config.covariates, trained=True)
        return replace(self, covariates=covariates, static=as_static(self.static, config.drift, trained=True))

    @property
    def field_source(self) -> FieldSource | None:
        """The covariates, after `opened`."""
        return cast("FieldSource | None", self.covariates)

    @property
    def static_source(self) -> StaticFields | None:
        """The static fields, after `opened`."""
        return cast("StaticFields | None", self.static)

    @property
    def names(self) -> frozenset[str]:
        """What was asked for, ``all`` spelt out."""
        return frozenset(NAMES) - {FORECAST, CITY_FOLDS} if "all" in self.protocols else frozenset(self.protocols)

    @property
    def needs_model(self) -> bool:
        """Whether a protocol is among them that asks a trained model."""
        return not self.names <= set(FOLD_PROTOCOLS)

    def hidden(self) -> list[Protocol]:
        """Return the protocols that ask a trained model about hidden stations, in the order of `PROTOCOLS`."""
        wanted: dict[str, Protocol] = {}
        for name, protocol in PROTOCOLS.items():
            if name in self.names:
                if protocol.hours == "seen" and self.hours == "unseen":
                    protocol = PROTOCOLS[f"{UNSEEN_TIME}-{name}"]
                elif protocol.hours == "seen" and self.hours == "all":
                    protocol = replace(protocol, title=f"{protocol.title}, all hours", hours="all")
                wanted[protocol.name] = protocol
            elif protocol.hours == "unseen" and UNSEEN_TIME in self.names:
                wanted[name] = protocol
        return sorted(wanted.values(), key=lambda p: list(PROTOCOLS).index(p.name))
