"""What two instruments side by side differ by: the error at a hidden station that no method can undercut.

A reading holds the error of its instrument and what is of its very place. Two stations less than two kilometres apart
see nearly the same air, so their mean absolute difference is that of two such errors, larger than one by the root of
two. Skill is better judged beside this floor, (MAE - floor) / (baseline's MAE - floor), than beside zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aqreanalysis.common.geodesy import points_within
from aqreanalysis.observations import Observations

#: Stations nearer than this see nearly the same air.
SIDE_BY_SIDE_KM = 2.0
#: Pairs, and hours that both of a pair read, from which on the floor is known.
FEWEST_PAIRS, FEWEST_HOURS = 5, 24


@dataclass(frozen=True)
class InstrumentFloor:
    """The floor of one pollutant.

    Attributes
    ----------
    mae : float
        In the pollutant's units: mean over pairs of their mean absolute difference, over the root of two.
    pairs : int
        Pairs that it rests on.
    """

    mae: float
    pairs: int


def measure_floor(observations: Observations, key: str, hours: npt.NDArray[np.int64]) -> InstrumentFloor | None:
    """Return the floor of a pollutant at `hours` (stamps, hours since 1970-01-01); None with too few pairs to tell.

    Parameters
    ----------
    observations : Observations
        The whole network, hidden stations too: nothing is estimated from them here.
    key : str
        Pollutant.
    hours : ndarray of int64, shape (T,)
        Those that are scored.
    """
    values = observations.values(key)[hours - observations.first_hour].astype(np.float64)
    lat, lon = observations.lat, observations.lon
    differences = []
    for one, near in enumerate(points_within(lat, lon, SIDE_BY_SIDE_KM)):
        for other in near[near > one]:
            both = np.abs(values[:, one] - values[:, other])
            if np.isfinite(both).sum() >= FEWEST_HOURS:
                differences.append(float(np.nanmean(both)))
    if len(differences) < FEWEST_PAIRS:
        return None
    return InstrumentFloor(float(np.mean(differences) / np.sqrt(2.0)), len(differences))


def beside_floor(mae: float, baseline: float, floor: float) -> float | None:
    """Return (mae - floor) / (baseline - floor); None where the baseline itself is no worse than the floor."""
    return (mae - floor) / (baseline - floor) if baseline > floor else None


def floor_scores(floor: InstrumentFloor, task_scores: dict[str, Any], model: str) -> dict[str, Any]:
    """Return the floor and, where it can be told, the skill of `model` beside it against the best baseline's MAE."""
    best = task_scores["against_best_baseline"].get("mae", {}).get("best")
    skill = None
    if best is not None:
        own, other = (task_scores["methods"][name]["overall"]["mae"] for name in (model, best))
        skill = beside_floor(own, other, floor.mae)
    return {"mae": floor.mae, "pairs": floor.pairs, "skill": skill, "best": best}
