"""Memory that a run needs no longer, given back before the sweep."""

from __future__ import annotations

import ctypes
import sys

from aqreanalysis.observations import Observations


def outline(observations: Observations) -> Observations:
    """Return a copy of the first hour alone: stations, pollutants and attributes, without what fills memory."""
    if not observations.in_memory:
        return observations  # its readings stay in their file
    first = observations.select(end=observations.times[0])
    return Observations(first.dataset.copy(deep=True), first.report)


def give_back() -> None:
    """Return to the system what was freed.

    glibc keeps freed pieces that lie below others in use: after reading a year of 467 stations a third of all memory of
    the process, under which the sweep then puts its own.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:  # other C libraries have none
            trim(0)
