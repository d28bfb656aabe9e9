"""What people would use instead of the model, tuned on the visible stations as a fair person would."""

from collections.abc import Callable, Sequence
from functools import partial

from aqreanalysis.errors import ConfigError, nearest_hint
from aqreanalysis.evaluation.baselines.base import Baseline, StationField, StationHistory
from aqreanalysis.evaluation.baselines.climatology import Climatology
from aqreanalysis.evaluation.baselines.deepsensor import MINUTES, DeepSensorConvNP
from aqreanalysis.evaluation.baselines.external_drift import ExternalDriftKriging
from aqreanalysis.evaluation.baselines.kriging import OrdinaryKriging
from aqreanalysis.evaluation.baselines.nearby import InverseDistance, NearestStation
from aqreanalysis.evaluation.baselines.regressors import ReadOnce
from aqreanalysis.evaluation.baselines.residual import ResidualKriging
from aqreanalysis.evaluation.baselines.spacetime import SpaceTimeKriging

#: Makers of the baselines of every run, from the plainest to the best; `register_baseline` adds one.
STANDARD: list[Callable[[], Baseline]] = [
    Climatology,
    NearestStation,
    InverseDistance,
    partial(OrdinaryKriging, "linear"),
    partial(OrdinaryKriging, "log"),
    SpaceTimeKriging,
]
#: Makers of those that read the model's covariates, and stand beside a model that has some.
WITH_COVARIATES: list[Callable[[], Baseline]] = [ExternalDriftKriging, ResidualKriging]
#: Baselines that run only where they are asked for, because they train a network and need a package of their own.
OPTIONAL: dict[str, Callable[[float], Baseline]] = {DeepSensorConvNP.name: DeepSensorConvNP}

__all__ = [
    "MINUTES",
    "OPTIONAL",
    "STANDARD",
    "WITH_COVARIATES",
    "Baseline",
    "Climatology",
    "DeepSensorConvNP",
    "ExternalDriftKriging",
    "InverseDistance",
    "NearestStation",
    "OrdinaryKriging",
    "ReadOnce",
    "ResidualKriging",
    "SpaceTimeKriging",
    "StationField",
    "StationHistory",
    "all_baselines",
    "build_optional_baselines",
    "covariate_baselines",
    "register_baseline",
]


def register_baseline(make: Callable[[], Baseline]) -> Callable[[], Baseline]:
    """Add a baseline that stands beside the model in every run from now on; return `make`, a class or another maker.

    One that needs covariates stands beside models with covariates alone. All that asks for baselines takes them from
    here: tuning, scores, tables, pictures, the report.
    """
    (WITH_COVARIATES if make().needs_covariates else STANDARD).append(make)
    return make


def all_baselines() -> list[Baseline]:
    """Return fresh, untuned baselines: those of every run, from the plainest to the best, and the registered ones."""
    return [make() for make in STANDARD]


def covariate_baselines() -> list[Baseline]:
    """Return fresh, untuned baselines that read the model's covariates, and the registered ones."""
    return [make() for make in WITH_COVARIATES]


def build_optional_baselines(names: Sequence[str], minutes: float = MINUTES) -> list[Baseline]:
    """Return those of `OPTIONAL` that are asked for, fresh and untuned, each with `minutes` for one training.

    Raises
    ------
    ConfigError
        If a name is not known, or what it needs is not installed.
    """
    for name in names:
        if name not in OPTIONAL:
            raise ConfigError(
                f"no further baseline {name!r}: there is {', '.join(OPTIONAL)}{nearest_hint(name, OPTIONAL)}; those "
                "that need no training stand beside the model in every run"
            )
    return [OPTIONAL[name](minutes) for name in names]
