"""Quality flags of a reading, which of them leave it usable, and the thresholds of the tests that set them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.configs import QualityConfig
from aqreanalysis.errors import ConfigError, nearest_hint
from aqreanalysis.species import get_species


class Flag(IntEnum):
    """Quality of one reading: which test it failed, or what its network says of it.

    The numbers stand in files: a new flag takes the next one, and none ever changes.
    """

    GOOD = 0
    MISSING = 1
    NEGATIVE = 2
    ABOVE_PLAUSIBLE_RANGE = 3
    STUCK = 4
    SPIKE_IN_TIME = 5
    SPIKE_AGAINST_NEIGHBOURS = 6
    PM25_ABOVE_PM10 = 7
    STEP_CHANGE = 8
    TOO_LITTLE_DATA = 9
    BELOW_DETECTION_LIMIT = 10
    INVALID_AT_SOURCE = 11
    MISSING_CODE = 12


# A reading below the detection limit is a small one, and says more than a gap: without it clean air would be missing.
USABLE = frozenset({Flag.GOOD, Flag.BELOW_DETECTION_LIMIT})
FLAG_MEANINGS = " ".join(flag.name.lower() for flag in Flag)


@dataclass(frozen=True)
class Limits:
    """Thresholds of one pollutant, in its units.

    Attributes
    ----------
    stuck_hours : int
        Equal readings over at least so many hours in a row are a stuck instrument, above `plateau`.
    plateau : float
        At or below it equal readings are the detection limit or the resolution of the instrument ...
    plateau_hours : int
        ... unless they go on for so many hours.
    spike : float
        Least height of a spike over the readings before and after.
    neighbour_ratio : float
        A spike against neighbours stands so many times above the highest of them, by twice `spike`.
    pm10_ratio, pm10_excess : float
        PM2.5 that is so many times PM10 and larger by so much cannot be: the finer is part of the coarser.
    step_ratio : float
        A step of a station's level is by more than this factor, and its neighbours make none.
    window_readings : int
        Fewer readings than this in the 25 hours around one are too little to trust it.
    detection_limit : float
        Readings below it are flagged, and stay usable.
    noise : float
        Down to so much below zero a reading is the noise of an instrument in clean air, and no fault.
    """

    stuck_hours: int
    plateau: float
    plateau_hours: int
    spike: float
    neighbour_ratio: float = 8.0
    pm10_ratio: float = 2.0
    pm10_excess: float = 50.0
    step_ratio: float = 5.0
    window_readings: int = 6
    detection_limit: float = 0.0
    noise: float = 0.0


# Chosen on a year of 467 Chinese stations and on 35 + 12 stations of Beijing over 4 to 5 years. Particles are reported
# to 1 ug m-3 and hardly stand still for half a day; SO2 and CO move in steps of 1 ppb (2.86 ug m-3) and 0.1 mg m-3, so
# that days of one low value are ordinary: 150 thousand readings of SO2 in runs of 12 h and more in that year alone, and
# runs of 12 days at 2 ug m-3 in Beijing's summers. Some stations round CO to 1 mg m-3: 44 h at 2 is no fault there.
LIMITS: dict[str, Limits] = {
    "pm25": Limits(stuck_hours=12, plateau=6.0, plateau_hours=48, spike=100.0, noise=10.0),
    "pm10": Limits(stuck_hours=12, plateau=10.0, plateau_hours=48, spike=200.0, noise=10.0),
    "so2": Limits(stuck_hours=24, plateau=15.0, plateau_hours=720, spike=100.0),
    "no2": Limits(stuck_hours=12, plateau=10.0, plateau_hours=120, spike=100.0),
    "o3": Limits(stuck_hours=12, plateau=12.0, plateau_hours=120, spike=120.0),
    "co": Limits(stuck_hours=48, plateau=1.5, plateau_hours=168, spike=3.0),
}

# How far a look before and after a spike goes, and within which distance other stations confirm or contradict one.
SPIKE_HOURS = 3
CONFIRM_KM = 150.0


@dataclass(frozen=True)
class Series:
    """What a test sees: readings (time, station), float32, NaN where missing, and where the stations stand."""

    key: str
    values: NDArray[np.float32]
    neighbours: list[NDArray[np.intp]]
    limits: Limits
    beside: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


def limits_of(quality: QualityConfig) -> dict[str, Limits]:
    """Return the thresholds of each pollutant, those of `quality` over the built-in ones.

    Raises
    ------
    ConfigError
        If `quality` names an unknown pollutant or threshold.
    """
    out = dict(LIMITS)
    known = [each.name for each in fields(Limits)]
    for name, changes in quality.limits.items():
        key = get_species(name).key
        for threshold in changes:
            if threshold not in known:
                raise ConfigError(
                    f"quality.limits.{name}.{threshold}: no such threshold{nearest_hint(threshold, known)} "
                    f"(there are: {', '.join(known)})"
                )
        kinds = {name: type(getattr(out[key], name)) for name in changes}  # hours and counts are whole numbers
        out[key] = replace(out[key], **{name: kinds[name](value) for name, value in changes.items()})
    return out
