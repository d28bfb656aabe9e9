"""Quantities that CF's table of standard names (version 93) has no name for; none is invented for them."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class WithoutStandardName:
    """Layers whose quantity has no standard name.

    Attributes
    ----------
    pattern : str
        Of the whole names of such layers.
    what : str
        The quantity.
    why : str
        What the table has that is nearest, and why it is another quantity.
    """

    pattern: str
    what: str
    why: str


NAMELESS = (
    WithoutStandardName(
        r"(\w+_)?nearest_station_distance",
        "the distance to a station",
        "the table has distances to the Sun, to the geocentre, across a cyclone, none to a station",
    ),
    WithoutStandardName(
        r"\w+_exceedance_\w+|\w+_hours_above_\w+_probability",
        "the probability that a concentration is above a limit",
        "the table has probabilities of a sea-ice fraction above a threshold and of thunderstorms, of no concentration",
    ),
    WithoutStandardName(
        r"\w+_(hours|days|steps)_above_\w+",
        "a number of hours or days above a limit",
        "the table counts days with temperature, precipitation or wind beyond a threshold, in climatologies",
    ),
    WithoutStandardName(
        r"\w+_(lower|upper)",
        "a bound of a coverage interval",
        "the table has no modifier for it, and the quantity's own name is the estimate's alone",
    ),
    WithoutStandardName(
        r"\w+_mean",
        "the expectation beside an estimate that is the median",
        "both are of one quantity, and its standard name is the estimate's alone: two layers of one name are ambiguous",
    ),
    WithoutStandardName(r"aqi|aqi_\w+", "an air quality index", "the table has indices of heat, fire and ultraviolet"),
    WithoutStandardName(
        r"\w+_valid_share",
        "the share of a period's hours with an estimate",
        "number_of_observations counts observations, and an estimate is none",
    ),
)


def nameless(layer: str) -> WithoutStandardName | None:
    """Return why a layer has no standard name; None if CF has one for it."""
    return next((one for one in NAMELESS if re.fullmatch(one.pattern, layer)), None)
