"""Quality flags of a reading, and which of them leave it usable."""

from __future__ import annotations

from enum import IntEnum


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


# A reading below the detection limit is a small one, and says more than a gap: without it clean air would be missing.
USABLE = frozenset({Flag.GOOD, Flag.BELOW_DETECTION_LIMIT})
FLAG_MEANINGS = " ".join(flag.name.lower() for flag in Flag)
