"""What people would use instead of the model, tuned on the visible stations as a fair person would."""

from collections.abc import Callable, Sequence

from aqreanalysis.errors import ConfigError, nearest_hint
from aqreanalysis.evaluation.baselines.base import Baseline, Network, Record
from aqreanalysis.evaluation.baselines.climatology import Climatology
from aqreanalysis.evaluation.baselines.deepsensor import MINUTES, DeepSensorConvNP
from aqreanalysis.evaluation.baselines.kriging import OrdinaryKriging
from aqreanalysis.evaluation.baselines.nearby import InverseDistance, NearestStation
from aqreanalysis.evaluation.baselines.spacetime import SpaceTimeKriging

#: Baselines that run only where they are asked for, because they train a network and need a package of their own.
FURTHER: dict[str, Callable[[float], Baseline]] = {DeepSensorConvNP.name: DeepSensorConvNP}

__all__ = [
    "FURTHER",
    "MINUTES",
    "Baseline",
    "Climatology",
    "DeepSensorConvNP",
    "InverseDistance",
    "NearestStation",
    "Network",
    "OrdinaryKriging",
    "Record",
    "SpaceTimeKriging",
    "all_baselines",
    "further_baselines",
]


def all_baselines() -> list[Baseline]:
    """Return fresh, untuned baselines, from the plainest to the best."""
    return [
        Climatology(),
        NearestStation(),
        InverseDistance(),
        OrdinaryKriging("linear"),
        OrdinaryKriging("log"),
        SpaceTimeKriging(),
    ]


def further_baselines(names: Sequence[str], minutes: float = MINUTES) -> list[Baseline]:
    """Return those of `FURTHER` that are asked for, fresh and untuned, each with `minutes` for one training.

    Raises
    ------
    ConfigError
        If a name is not known, or what it needs is not installed.
    """
    for name in names:
        if name not in FURTHER:
            raise ConfigError(
                f"no further baseline {name!r}: there is {', '.join(FURTHER)}{nearest_hint(name, FURTHER)}; those that "
                "need no training stand beside the model in every run"
            )
    return [FURTHER[name](minutes) for name in names]
