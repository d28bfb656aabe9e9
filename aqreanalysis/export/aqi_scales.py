"""Breakpoints of the air quality indices: the United States' of 2024 and China's HJ 633-2012."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.species import SPECIES

# Litres a mole at 25 degrees Celsius and 1013.25 hPa, the state to which the US rules refer gases (40 CFR 50.3).
MOLAR_VOLUME = 24.45


@dataclass(frozen=True)
class Scale:
    """Sub-index of one pollutant by one average.

    Attributes
    ----------
    key : str
        Pollutant.
    average : str
        ``mean`` (24 hours), ``max8`` (largest 8-hour mean) or ``max1`` (largest hourly mean).
    low, high : tuple of float
        Concentrations at which a class begins and ends, in `units`; a class ends below where the next begins, by one
        unit of the last digit that is kept.
    index : tuple of float
        Index at the beginning and end of each class, pairs.
    digits : int
        Decimals to which the concentration is cut (not rounded).
    units : str
        ``ug m-3``, ``mg m-3``, ``ppm`` or ``ppb``.
    least, most : float
        Concentrations outside which the scale does not apply (another average of the pollutant does).
    """

    key: str
    average: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    index: tuple[tuple[float, float], ...]
    digits: int
    units: str
    least: float = 0.0
    most: float = float("inf")

    def converted(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return concentrations in the pollutant's units as those of the scale, cut to its digits."""
        factor = 1.0
        if self.units in ("ppm", "ppb"):
            mass = SPECIES[self.key].molar_mass
            assert mass is not None
            # mg m-3 to ppm and ug m-3 to ppb are the same factor.
            factor = MOLAR_VOLUME / mass
            own = "ppm" if SPECIES[self.key].units == "mg m-3" else "ppb"
            factor *= {"ppbppm": 1e-3, "ppmppb": 1e3}.get(own + self.units, 1.0)
        # A hair is added, since 35.4 as a float32 is less than 35.4 and would be cut to 35.3.
        step = 10.0**self.digits
        return np.asarray(np.floor(values.astype(np.float64) * factor * step * (1 + 1e-6)) / step)

    def sub_index(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the index of concentrations in the pollutant's units; NaN where unknown or out of the scale.

        Linear within a class; beyond the last class its line goes on.
        """
        x = self.converted(values)
        low, high = np.array(self.low), np.array(self.high)
        number = np.clip(np.searchsorted(low, x, side="right") - 1, 0, len(low) - 1)
        first, last = (np.array([pair[i] for pair in self.index])[number] for i in (0, 1))
        index = first + (last - first) * (x - low[number]) / (high[number] - low[number])
        return np.where((x >= self.least) & (x <= self.most) & np.isfinite(values), index, np.nan)


@dataclass(frozen=True)
class IndexClass:
    """A class of an index: the value up to which it goes, its name, its colour as ``#rrggbb``."""

    upto: float
    name: str
    colour: str


@dataclass(frozen=True)
class Index:
    """An air quality index.

    Attributes
    ----------
    name, title : str
        Short name; name for people with its source.
    scales : tuple of Scale
        Of all pollutants and averages.
    rounding : str
        ``nearest`` or ``up``.
    cap : float
        Largest value; infinite if the index goes on.
    leading_above : float
        The leading pollutant is named only where the index is above.
    day_rule : str
        Of 8-hour means.
    short : str
        Name for a legend.
    classes : tuple of IndexClass
        As the agency publishes them, the last without an end.
    """

    name: str
    title: str
    scales: tuple[Scale, ...]
    rounding: str
    cap: float
    leading_above: float
    day_rule: str
    short: str
    classes: tuple[IndexClass, ...]

    def class_of(self, index: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Return the number of the class of each value, 1 for the first; 0 where the index is unknown."""
        uppers = np.array([one.upto for one in self.classes[:-1]])
        number = np.searchsorted(uppers, np.nan_to_num(index), side="left") + 1
        return np.where(np.isfinite(index), number, 0).astype(np.uint8)

    def rounded(self, index: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the index as a whole number."""
        whole = np.ceil(np.round(index, 6)) if self.rounding == "up" else np.floor(index + 0.5)
        return np.asarray(np.minimum(whole, self.cap))


_US = ((0.0, 50.0), (51.0, 100.0), (101.0, 150.0), (151.0, 200.0), (201.0, 300.0), (301.0, 500.0))


def _us(key: str, average: str, edges: tuple[float, ...], digits: int, units: str, **limits: float) -> Scale:
    """Return a scale of the US index from the ends of its classes, the first class beginning at `start`."""
    start, skip = limits.pop("start", 0.0), int(limits.pop("skip", 0))
    step = 10.0**-digits
    low = (start, *(round(e + step, digits) for e in edges[:-1]))
    return Scale(key, average, low, edges, _US[skip : skip + len(edges)], digits, units, **limits)


_UPTO = (50.0, 100.0, 150.0, 200.0, 300.0, float("inf"))
# The names and colours that the two agencies publish (AirNow technical assistance document; HJ 633-2012, table 2).
_US_NAMES = ("good", "moderate", "unhealthy for sensitive groups", "unhealthy", "very unhealthy", "hazardous")
_US_COLOURS = ("#00e400", "#ffff00", "#ff7e00", "#ff0000", "#8f3f97", "#7e0023")
_CN_NAMES = ("excellent", "good", "lightly polluted", "moderately polluted", "heavily polluted", "severely polluted")
_CN_COLOURS = ("#00e400", "#ffff00", "#ff7e00", "#ff0000", "#99004c", "#7e0023")

# 40 CFR 58 appendix G, table 2, as of the rule of 7 February 2024 (89 FR 16202, in force from 6 May 2024).
US_2024 = Index(
    "us",
    "air quality index of the United States (40 CFR 58 appendix G, breakpoints of 2024)",
    (
        _us("pm25", "mean", (9.0, 35.4, 55.4, 125.4, 225.4, 325.4), 1, "ug m-3"),
        _us("pm10", "mean", (54, 154, 254, 354, 424, 604), 0, "ug m-3"),
        _us("so2", "max1", (35, 75, 185, 304), 0, "ppb", most=304),
        _us("so2", "mean", (604, 1004), 0, "ppb", start=305, skip=4, least=305),
        _us("no2", "max1", (53, 100, 360, 649, 1249, 2049), 0, "ppb"),
        _us("o3", "max8", (0.054, 0.070, 0.085, 0.105, 0.200), 3, "ppm", most=0.200),
        _us("o3", "max1", (0.164, 0.204, 0.404, 0.604), 3, "ppm", start=0.125, skip=2, least=0.125),
        _us("co", "max8", (4.4, 9.4, 12.4, 15.4, 30.4, 50.4), 1, "ppm"),
    ),
    rounding="nearest",
    cap=float("inf"),
    leading_above=-1.0,
    day_rule="us",
    short="US AQI (2024)",
    classes=tuple(map(IndexClass, _UPTO, _US_NAMES, _US_COLOURS)),
)

_CN_INDEX = (0.0, 50.0, 100.0, 150.0, 200.0, 300.0, 400.0, 500.0)


def _cn(key: str, average: str, points: tuple[float, ...], units: str = "ug m-3", most: float = float("inf")) -> Scale:
    pairs = tuple(pairwise(_CN_INDEX[: len(points)]))
    return Scale(key, average, points[:-1], points[1:], pairs, 3 if units == "mg m-3" else 0, units, most=most)


# HJ 633-2012, table 1, the averages of the daily report. Above 800 ug m-3 the 8-hour mean of ozone has no index, and
# the hourly one stands.
CN_2012 = Index(
    "cn",
    "air quality index of China (HJ 633-2012)",
    (
        _cn("so2", "mean", (0, 50, 150, 475, 800, 1600, 2100, 2620)),
        _cn("no2", "mean", (0, 40, 80, 180, 280, 565, 750, 940)),
        _cn("pm10", "mean", (0, 50, 150, 250, 350, 420, 500, 600)),
        _cn("co", "mean", (0, 2, 4, 14, 24, 36, 48, 60), "mg m-3"),
        _cn("o3", "max1", (0, 160, 200, 300, 400, 800, 1000, 1200)),
        _cn("o3", "max8", (0, 100, 160, 215, 265, 800), most=800),
        _cn("pm25", "mean", (0, 35, 75, 115, 150, 250, 350, 500)),
    ),
    rounding="up",
    cap=500.0,
    leading_above=50.0,
    day_rule="cn",
    short="Chinese AQI (HJ 633)",
    classes=tuple(map(IndexClass, _UPTO, _CN_NAMES, _CN_COLOURS)),
)

INDICES = {index.name: index for index in (US_2024, CN_2012)}


def index_of(attrs: Mapping[str, Any]) -> Index | None:
    """Return the index that a layer holds, by its long name; None if it is none of `INDICES`."""
    said = str(attrs.get("long_name", ""))
    return next((index for index in INDICES.values() if said.endswith(index.title)), None)
