"""What people would use instead of the model, tuned on the visible stations as a fair person would."""

from collections.abc import Callable, Sequence
from functools import partial

from aqreanalysis.errors import ConfigError, nearest_hint
from aqreanalysis.evaluation.baselines.base import Baseline, StationField, StationHistory
from aqreanalysis.evaluation.baselines.climatology import Climatology
from aqreanalysis.evaluation.baselines.deepsensor import MINUTES, DeepSensorConvNP
from aqreanalysis.evaluation.baselines.kriging import OrdinaryKriging
from aqreanalysis.evaluation.baselines.nearby import InverseDistance, NearestStation
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
#: Baselines that run only where they are asked for, because they train a network and need a package of their own.
OPTIONAL: dict[str, Callable[[float], Baseline]] = {DeepSensorConvNP.name: DeepSensorConvNP}

__all__ = [
    "MINUTES",
    "OPTIONAL",
    "STANDARD",
    "Baseline",
    "Climatology",
    "DeepSensorConvNP",
    "InverseDistance",
    "NearestStation",
    "OrdinaryKriging",
    "SpaceTimeKriging",
    "StationField",
    "StationHistory",
    "all_baselines",
    "build_optional_baselines",
    "register_baseline",
]


def register_baseline(make: Callable[[], Baseline]) -> Callable[[], Baseline]:
    """Add a baseline that stands beside the model in every run from now on; return `make`, a class or another maker.

    All that asks for baselines takes it from here: tuning, scores, tables, pictures, the report.
    """
    STANDARD.append(make)
    return make


def all_baselines() -> list[Baseline]:
    """Return fresh, untuned baselines: those of every run, from the plainest to the best, and the registered ones."""
    return [make() for make in STANDARD]


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
