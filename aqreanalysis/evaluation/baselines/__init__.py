"""What people would use instead of the model, tuned on the visible stations as a fair person would."""

from aqreanalysis.evaluation.baselines.base import Baseline, Network, Record, distances_km
from aqreanalysis.evaluation.baselines.climatology import Climatology
from aqreanalysis.evaluation.baselines.kriging import OrdinaryKriging
from aqreanalysis.evaluation.baselines.nearby import InverseDistance, NearestStation
from aqreanalysis.evaluation.baselines.spacetime import SpaceTimeKriging

__all__ = [
    "Baseline",
    "Climatology",
    "InverseDistance",
    "NearestStation",
    "Network",
    "OrdinaryKriging",
    "Record",
    "SpaceTimeKriging",
    "all_baselines",
    "distances_km",
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
