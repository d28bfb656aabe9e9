"""Colours of a layer: a perceptually uniform scale (cmocean), or classes of a guideline or an air quality index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cmocean
import numpy as np
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, Normalize, to_hex
from numpy.typing import NDArray

from aqreanalysis.errors import ConfigError, nearest_hint
from aqreanalysis.export.aqi_scales import INDICES, MOLAR_VOLUME, Scale
from aqreanalysis.species import SPECIES, Species

PALETTES = ("even", "who", "cn", "us")
_STEPS = 256

# World Health Organization, Global air quality guidelines (2021), table 0.1: the guideline level and the interim
# targets above it, by average. In the pollutant's units.
_WHO = {
    "pm25": ("24-hour mean", (15, 25, 37.5, 50, 75)),
    "pm10": ("24-hour mean", (45, 50, 75, 100, 150)),
    "o3": ("maximum 8-hour mean", (100, 120, 160)),
    "no2": ("24-hour mean", (25, 50, 120)),
    "so2": ("24-hour mean", (40, 50, 125)),
    "co": ("24-hour mean", (4, 7)),
}
_AVERAGES = {"mean": "24-hour mean", "max8": "maximum 8-hour mean", "max1": "maximum hourly mean"}
# The colours that the two agencies publish (AirNow technical assistance document; HJ 633-2012, table 2).
_US = ("#00e400", "#ffff00", "#ff7e00", "#ff0000", "#8f3f97", "#7e0023")
_US_NAMES = ("good", "moderate", "unhealthy for sensitive groups", "unhealthy", "very unhealthy", "hazardous")
_CN = ("#00e400", "#ffff00", "#ff7e00", "#ff0000", "#99004c", "#7e0023")
_CN_NAMES = ("excellent", "good", "lightly polluted", "moderately polluted", "heavily polluted", "severely polluted")


@dataclass(frozen=True)
class Colours:
    """How values become colours.

    Attributes
    ----------
    title : str
        What the colours say, for a legend; empty for an even scale.
    low, high : float
        Ends of the scale. Classes: where the first begins and the last is entered.
    edges : tuple of float
        Values at which a class is left for the next; empty for an even scale.
    hexes : tuple of str
        ``#rrggbb`` of the classes, or 256 steps of the scale.
    names : tuple of str
        Of the classes; empty for an even scale.
    """

    title: str
    low: float
    high: float
    edges: tuple[float, ...]
    hexes: tuple[str, ...]
    names: tuple[str, ...] = ()

    @property
    def map(self) -> Colormap:
        """The colours for matplotlib; cells without a value are left out."""
        return ListedColormap(list(self.hexes)).with_extremes(bad=(0, 0, 0, 0))

    @property
    def norm(self) -> Normalize:
        """Values to positions in `map`, for matplotlib."""
        if not self.edges:
            return Normalize(self.low, self.high)
        return BoundaryNorm([self.low, *self.edges, max(self.high, self.edges[-1] * 1.5)], len(self.hexes), clip=True)


def check_palette(name: str) -> str:
    """Return `name` if it is one of `PALETTES`.

    Raises
    ------
    ConfigError
        If it is not.
    """
    if name not in PALETTES:
        raise ConfigError(f"colours {name!r}: known are {', '.join(PALETTES)}{nearest_hint(name, PALETTES)}")
    return name


def class_colours(palette: str, species: Species) -> Colours:
    """Return the classes ``who``, ``cn`` or ``us`` of a concentration, in the pollutant's units.

    The classes are of the average that the guideline or index names (`title` says which); an hour is coloured by them
    for comparison and has no index of its own. A value at an edge belongs to the class above; an air quality index
    counts it to the class below, which matters to no picture.
    """
    if check_palette(palette) == "who":
        average, levels = _WHO[species.key]
        edges = tuple(float(level) for level in levels)
        count = len(edges)
        names = ("meets the guideline", *(f"meets interim target {count - i}" for i in range(1, count)), "above all")
        if count == 2:
            names = ("meets the guideline", "meets interim target 1", "above all")
        return Colours(
            f"WHO 2021 levels of the {average}",
            0.0,
            edges[-1],
            edges,
            _sampled(cmocean.cm.matter, count + 1, 0.78),
            names,
        )
    scales = [s for s in INDICES[palette].scales if s.key == species.key and s.least == 0]
    scale = min(scales, key=lambda s: list(_AVERAGES).index(s.average))
    starts = tuple(round(start * _factor(scale), 4) for start in scale.low[1:])[:5]
    hexes, names = (_US, _US_NAMES) if palette == "us" else (_CN, _CN_NAMES)
    who = "US AQI (2024)" if palette == "us" else "Chinese AQI (HJ 633)"
    title = f"{who} classes of the {_AVERAGES[scale.average]}"
    return Colours(title, 0.0, starts[-1], starts, hexes[: len(starts) + 1], names[: len(starts) + 1])


def even_colours(kind: str, values: NDArray[Any], high: float | None = None) -> Colours:
    """Return a perceptually uniform scale from 0 to the 99th percentile of `values` (or `high`).

    Parameters
    ----------
    kind : str
        ``concentration``, ``spread`` (standard error, interval width), ``probability`` or ``count``.
    values : array
        What will be drawn.
    high : float, optional
        End of the scale.
    """
    known = values[np.isfinite(values)]
    top = 1.0 if kind == "probability" else high or round_up(float(np.quantile(known, 0.99)) if known.size else 1.0)
    maps = {"concentration": cmocean.cm.matter, "spread": cmocean.cm.amp, "probability": cmocean.cm.dense}
    return Colours("", 0.0, top, (), _sampled(maps.get(kind, cmocean.cm.deep), _STEPS))


def round_up(value: float) -> float:
    """Return the next of 1, 1.5, 2, 3, 4, 5, 6, 8, 10 times a power of ten, for the end of a scale."""
    if not value > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(round(next(m for m in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if m * power >= value * (1 - 1e-9)) * power, 10))


def _sampled(colours: Colormap, count: int, end: float = 0.92) -> tuple[str, ...]:
    # Not to the very end: the darkest colours of a cmocean scale can hardly be told apart, nor from a border.
    return tuple(to_hex(colours(x)) for x in np.linspace(0.0, end, count))


def _factor(scale: Scale) -> float:
    """Return the pollutant's own units in one unit of the scale."""
    species = SPECIES[scale.key]
    if scale.units not in ("ppm", "ppb"):
        return 1.0
    assert species.molar_mass is not None
    own = "ppm" if species.units == "mg m-3" else "ppb"
    return species.molar_mass / MOLAR_VOLUME * {"ppbppm": 1e3, "ppmppb": 1e-3}.get(own + scale.units, 1.0)
