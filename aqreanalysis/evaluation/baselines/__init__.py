"""What people would use instead of the model, tuned on the visible stations as a fair person would."""

from aqreanalysis.evaluation.baselines.base import Baseline, Network, distances_km
from aqreanalysis.evaluation.baselines.kriging import OrdinaryKriging
from aqreanalysis.evaluation.baselines.nearby import InverseDistance, NearestStation

__all__ = [
    "Baseline",
    "InverseDistance",
    "NearestStation",
    "Network",
    "OrdinaryKriging",
    "all_baselines",
    "distances_km",
]


def all_baselines() -> list[Baseline]:
    """Return fresh, untuned baselines, from the plainest to the best."""
    return [NearestStation(), InverseDistance(), OrdinaryKriging("linear"), OrdinaryKriging("log")]
