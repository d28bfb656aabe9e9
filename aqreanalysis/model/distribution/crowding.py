"""How close stations stand together round a place, and what that says of it.

Stations are put where people are: where several stand together there is a town, and where none is near there mostly is
none. Kriging knows nothing of it and carries the air of towns far into the country between them (preferential sampling:
Diggle et al. 2010, doi:10.1111/j.1467-9876.2009.00701.x).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

#: Stations count for places within some of this.
NEAR_KM = 10.0
# Of the mean that stands for the largest: the higher, the nearer to it; a maximum itself has a kink halfway between two
# stations.
_POWER = 6


@dataclass(frozen=True)
class Crowding:
    """A constant of each place and pollutant, linear in how crowded stations stand round the place.

    It is taken off readings and put onto estimates, as the drift of the ground (`external_drift`).

    Attributes
    ----------
    slopes : dict
        By pollutant, standardised log units per unit of `crowd`; those that are not there have none.
    explained : dict
        By pollutant, the share of what kriging lastingly misses of stations left out that it explains, in towns that
        the slope was not learned from.
    """

    slopes: dict[str, float]
    explained: dict[str, float]

    def at(self, km: Floats, keys: Sequence[str]) -> NDArray[np.float32]:
        """Return the constants of places, float32 (place, key).

        Parameters
        ----------
        km : ndarray, shape (place, listed)
            Distances to the nearest stations, as of `crowd`.
        keys : sequence of str
            Pollutants.
        """
        slopes = np.array([self.slopes.get(key, 0.0) for key in keys])
        return np.asarray(crowd(km)[:, None] * slopes, np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain numbers, for JSON."""
        return asdict(self)


def crowd(km: Floats) -> NDArray[np.float64]:
    """Return how crowded stations stand round places, 0 where none or a single one is near, shape (place,).

    The logarithm of one and the number of stations within some ten kilometres, the nearest not counted: one may stand
    anywhere, and at a station it is that station itself, so that stations and places without one are told alike.

    Parameters
    ----------
    km : ndarray, shape (place, listed)
        Distances to the nearest stations, as `NearestStations` lists them; farther ones hardly count.
    """
    near = np.exp(-0.5 * (np.asarray(km, np.float64) / NEAR_KM) ** 2)
    nearest = (near**_POWER).sum(axis=1) ** (1 / _POWER)
    return np.asarray(np.log1p(np.maximum(near.sum(axis=1) - nearest, 0.0)))
