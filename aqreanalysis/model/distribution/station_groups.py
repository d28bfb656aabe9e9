"""What a model knows of stations that are not of background air: what they add, and how the air itself goes.

Kerbs, works and networks of cheap sensors each are a group. `aqreanalysis.background_air` learns all of this from a
record and applies it to readings before they reach a network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class GroupErrors:
    """How readings of a group differ from background air at their places, in standardised log units of a pollutant.

    Attributes
    ----------
    mean : float
        Lasting difference of the group.
    spread : float
        Variance of what its stations lastingly differ by from that.
    noise : float
        Variance of a reading about its station's lasting difference.
    shared : float
        Variance of what stations of the group near each other are off by together in an hour.
    shared_km : float
        Distance over which that falls to a third.
    stations : int
        How many it was learned from.
    helps : bool
        Whether background stations left out were told no worse with the group than without it.
    """

    mean: float
    spread: float
    noise: float
    shared: float
    shared_km: float
    stations: int
    helps: bool


@dataclass(frozen=True)
class AirCovariance:
    """How background air of a pollutant goes together over distance, in standardised log units.

    Attributes
    ----------
    variance : float
        Of the stations in an hour.
    nugget, sill, range_km : float
        Of an exponential variogram, as shares of that variance.
    lasting : float
        Share of the variance of kriging's errors that lasts at a place.
    """

    variance: float
    nugget: float
    sill: float
    range_km: float
    lasting: float


@dataclass(frozen=True)
class StationGroups:
    """All that is known of groups; by pollutant, then by group or station.

    Attributes
    ----------
    air : dict
        Pollutant -> covariance of background air.
    groups : dict
        Pollutant -> group -> its errors.
    offsets : dict
        Pollutant -> station -> its lasting difference from background air, standardised log units.
    places : dict
        Station -> latitude and longitude: another station of that name elsewhere is not known.
    """

    air: dict[str, AirCovariance] = field(default_factory=dict)
    groups: dict[str, dict[str, GroupErrors]] = field(default_factory=dict)
    offsets: dict[str, dict[str, float]] = field(default_factory=dict)
    places: dict[str, tuple[float, float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> StationGroups:
        """Return what `to_dict` wrote."""
        return cls(
            {key: AirCovariance(**one) for key, one in content["air"].items()},
            {key: {name: GroupErrors(**one) for name, one in some.items()} for key, some in content["groups"].items()},
            {key: {name: float(x) for name, x in some.items()} for key, some in content["offsets"].items()},
            {name: (float(place[0]), float(place[1])) for name, place in content["places"].items()},
        )
