"""Colours of a layer: a perceptually uniform scale (cmocean), or classes of a guideline or an air quality index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cmocean
import numpy as np
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, Normalize, to_hex
from numpy.typing import NDArray

from aqreanalysis.errors import ConfigError, nearest_hint
from aqreanalysis.export.aqi_scales import INDICES, MOLAR_VOLUME, Index, Scale, index_of
from aqreanalysis.export.source import SpeciesLayers
from aqreanalysis.production.derived_layers import CONCENTRATION, INDEX
from aqreanalysis.species import SPECIES, Species

PALETTES = ("even", "who", "cn", "us")
_STEPS = 256

# World Health Organization, Global air quality guidelines (2021): tables 0.1 (annual and 24-hour means; of ozone the
# peak season and 8 hours) and 0.2 (shorter averages, of which older guidelines stay valid). The guideline level and the
# interim targets above it, in the pollutant's units, by average.
HOUR_MEAN, DAY_MEAN, EIGHT_HOURS, YEAR_MEAN = "hourly mean", "24-hour mean", "maximum 8-hour mean", "annual mean"
_SEASON = "mean of daily 8-hour maxima of the peak season"
_WHO: dict[str, dict[str, tuple[float, ...]]] = {
    "pm25": {DAY_MEAN: (15, 25, 37.5, 50, 75), YEAR_MEAN: (5, 10, 15, 25, 35)},
    "pm10": {DAY_MEAN: (45, 50, 75, 100, 150), YEAR_MEAN: (15, 20, 30, 50, 70)},
    "o3": {EIGHT_HOURS: (100, 120, 160), _SEASON: (60, 70, 100)},
    "no2": {HOUR_MEAN: (200,), DAY_MEAN: (25, 50, 120), YEAR_MEAN: (10, 20, 30, 40)},
    "so2": {DAY_MEAN: (40, 50, 125)},
    "co": {HOUR_MEAN: (35,), DAY_MEAN: (4, 7)},
}
#: What a picture of hours, days, or months and years is compared with: the first of which there are levels.
_WHO_ORDER = {
    "hour": (HOUR_MEAN, DAY_MEAN, EIGHT_HOURS),
    "day": (DAY_MEAN, EIGHT_HOURS),
    "year": (YEAR_MEAN, _SEASON, DAY_MEAN),
}
#: Length in hours of what an average is of, to say where a picture is of another.
_LENGTHS = {HOUR_MEAN: (0.0, 1.5), EIGHT_HOURS: (7.5, 8.5), DAY_MEAN: (23.0, 25.0), YEAR_MEAN: (8700.0, 8800.0)}
_AVERAGES = {"mean": DAY_MEAN, "max8": EIGHT_HOURS, "max1": "maximum hourly mean"}
#: Above so many hours (27 days) a mean is compared with the levels of a year.
_LONG = 27 * 24.0


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
    texts : tuple of str
        What values a class holds, where its edges do not say it: of whole numbers.
    """

    title: str
    low: float
    high: float
    edges: tuple[float, ...]
    hexes: tuple[str, ...]
    names: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

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

    @property
    def ranges(self) -> tuple[str, ...]:
        """What values a class holds, for a legend: ``< 15``, ``15 to 25``, ``>= 75``; empty for an even scale."""
        if self.texts or not self.edges:
            return self.texts
        inner = (f"{low:g} to {high:g}" for low, high in pairwise(self.edges))
        return (f"< {self.edges[0]:g}", *inner, f"\N{GREATER-THAN OR EQUAL TO} {self.edges[-1]:g}")


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


def class_colours(palette: str, species: Species, hours: float = 24.0, plain: bool = False) -> Colours:
    """Return the classes ``who``, ``cn`` or ``us`` of a concentration, in the pollutant's units.

    The classes are of the average that the guideline or index names; `title` says which, and what is shown if that is
    another. A value at an edge belongs to the class above; an air quality index counts it to the class below, which
    matters to no picture.

    Parameters
    ----------
    palette : str
        ``who``, ``cn`` or ``us``.
    species : Species
        The pollutant.
    hours : float
        Length of the mean that is coloured. The WHO has levels for hours (NO2, CO), for days, and for years, which are
        taken for months too.
    plain : bool
        Whether the classes get shades from light to dark, which every colour-blind reader tells apart, instead of the
        agencies' own colours: their green and orange are one to who lacks the green cones.

    Raises
    ------
    ConfigError
        If the guideline or index knows no such pollutant.
    """
    if species.key not in _WHO:
        raise ConfigError(f"there are no classes of {species.title}: take the colours 'even'")
    if check_palette(palette) == "who":
        kind = "hour" if hours <= 1.5 else "day" if hours < _LONG else "year"
        known = _WHO[species.key]
        average = next(name for name in _WHO_ORDER[kind] if name in known)
        edges = tuple(float(level) for level in known[average])
        count = len(edges)
        targets = tuple(f"meets interim target {count - i}" for i in range(1, count))
        names = ("meets the guideline", *targets, "above all targets" if targets else "above the guideline")
        hexes, title = _shades(count + 1), f"WHO 2021 levels of the {average}"
    else:
        scales = [s for s in INDICES[palette].scales if s.key == species.key and s.least == 0]
        scale = min(scales, key=lambda s: list(_AVERAGES).index(s.average))
        average = _AVERAGES[scale.average]
        edges = tuple(round(start * _factor(scale), 4) for start in scale.low[1:])[:5]
        classes = INDICES[palette].classes[: len(edges) + 1]
        names = tuple(one.name for one in classes)
        hexes = _shades(len(names)) if plain else tuple(one.colour for one in classes)
        title = f"{INDICES[palette].short} classes of the {average}"
    return Colours(title + _compared(average, hours), 0.0, edges[-1], edges, hexes, names)


def classes_of(
    one: SpeciesLayers, attrs: Mapping[str, Any], palette: str, hours: float = 24.0, plain: bool = False
) -> Colours | None:
    """Return the classes of an estimate; None where an even scale is wanted.

    Parameters
    ----------
    one : SpeciesLayers
        A pollutant, or what is derived from it: a daily maximum has the classes of its pollutant, an air quality index
        its own, whatever the palette.
    attrs : dict
        Attributes of the estimate, by which an index says which it is.
    palette : str
        ``even``, ``who``, ``cn`` or ``us``.
    hours : float
        Length of the mean that is coloured.
    plain : bool
        As of `class_colours`.

    Raises
    ------
    ConfigError
        If there are no classes, as of a count.
    """
    index = index_of(attrs) if one.kind == INDEX else None
    if index is not None:
        return _index_colours(index, plain)
    if check_palette(palette) == "even":
        return None
    maximum = one.of is not None and one.kind == CONCENTRATION
    if maximum:
        return class_colours(palette, SPECIES[str(one.of)], 8.0, plain)
    return class_colours(palette, one.species, hours, plain)


def _index_colours(index: Index, plain: bool) -> Colours:
    """Return the classes of an index, whose values are whole numbers: an edge lies between two of them."""
    uppers = [one.upto for one in index.classes[:-1]]
    lowers = [0.0, *(upper + 1 for upper in uppers)]
    texts = (*(f"{low:g} to {upper:g}" for low, upper in zip(lowers, uppers, strict=False)), f"above {uppers[-1]:g}")
    edges = tuple(upper + 0.5 for upper in uppers)
    hexes = _shades(len(index.classes)) if plain else tuple(one.colour for one in index.classes)
    return Colours(index.short, 0.0, edges[-1], edges, hexes, tuple(one.name for one in index.classes), texts)


def _compared(average: str, hours: float) -> str:
    """Return what a title adds where values of another average than the classes' are coloured by them."""
    low, high = _LENGTHS.get(average, (np.inf, 0.0))
    if low <= hours <= high:
        return ""
    if hours >= 48:
        return f" (shown: {hours / 24:.3g} days)"
    return f" (shown: { ({1.0: 'an hour', 24.0: 'a day'}.get(hours, f'{hours:g} h')) })"


def even_colours(kind: str, values: NDArray[Any], low: float | None = None, high: float | None = None) -> Colours:
    """Return a perceptually uniform scale over nearly all `values`: from their 1st to their 99th percentile.

    It begins at 0 where the values reach down to a third of the largest or less, and near the least of them otherwise,
    so that a field from 17 to 20 is not one dark sheet.

    Parameters
    ----------
    kind : str
        ``concentration``, ``spread`` (standard error, interval width), ``share`` (in percent), ``probability`` or
        ``count``.
    values : array
        What will be drawn.
    low, high : float, optional
        Ends of the scale.
    """
    known = values[np.isfinite(values)]
    least, most = np.quantile(known, (0.01, 0.99)).tolist() if known.size else (0.0, 1.0)
    if kind in ("probability", "share"):
        least, most = 0.0, 1.0 if kind == "probability" else 100.0
    bottom, top = (0.0, round_up(most)) if least <= most / 3 else _round_ends(least, most)
    bottom, top = bottom if low is None else low, top if high is None else high
    if not bottom < top:
        raise ConfigError(f"colour scale from {bottom:g} to {top:g}: its beginning must lie below its end")
    maps = {"concentration": cmocean.cm.matter, "spread": cmocean.cm.amp, "probability": cmocean.cm.dense}
    return Colours("", bottom, top, (), _sampled(maps.get(kind, cmocean.cm.deep), _STEPS))


def _round_ends(least: float, most: float) -> tuple[float, float]:
    """Return round numbers around a range far above 0; one value alone gets a tenth of it to each side."""
    if most - least < 1e-3 * most:
        least, most = least * 0.9, most * 1.1
    power = 10.0 ** np.floor(np.log10(most - least))
    step = next(m for m in (0.2, 0.5, 1.0, 2.0) if m * power * 8 >= most - least) * power
    # A hundredth of a step beyond a round number is no reason for another step.
    low, high = np.floor(least / step + 0.01) * step, np.ceil(most / step - 0.01) * step
    return float(round(low, 10)), float(round(high, 10))


def round_up(value: float) -> float:
    """Return the next of 1, 1.5, 2, 3, 4, 5, 6, 8, 10 times a power of ten, for the end of a scale."""
    if not value > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(round(next(m for m in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if m * power >= value * (1 - 1e-9)) * power, 10))


def _shades(count: int) -> tuple[str, ...]:
    return _sampled(cmocean.cm.matter, count, 0.78)


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
