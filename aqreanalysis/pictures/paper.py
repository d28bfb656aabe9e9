"""A picture as it is printed: its width, letters, title, north arrow and scale bar, and the file that it becomes."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from aqreanalysis.common.geodesy import EARTH_RADIUS_KM
from aqreanalysis.common.glyphs import every_letter
from aqreanalysis.errors import ConfigError

ENDINGS = (".png", ".svg", ".pdf")
#: Dots an inch of a picture for a screen, and of one with a width in centimetres, which is for print.
SCREEN_DPI, PRINT_DPI = 130.0, 300.0
_CM = 2.54
_NARROWEST, _WIDEST = 4.0, 120.0
_COARSEST, _FINEST = 50.0, 1200.0
# A page of A4 leaves so much (cm).
_TALLEST = 25.0
#: Text over a map stands out from dark colours by a light rim.
HALO = withStroke(linewidth=2.0, foreground="#ffffffd0")
_INK = "#222222"
# Average width of a letter as a share of its height, of the font that is used.
_LETTER = 0.6


@dataclass(frozen=True)
class Letters:
    """Heights of letters in points; nothing is printed smaller than `small`.

    Attributes
    ----------
    title, panel, label, small : float
        Of the picture's title, a panel's, the labels of axes and scales, and of all else.
    """

    title: float = 12.0
    panel: float = 10.5
    label: float = 9.5
    small: float = 8.0


#: In print 7 points are what journals ask for at least.
PRINTED = Letters(title=9.0, panel=8.5, label=8.0, small=7.0)


@dataclass(frozen=True)
class Paper:
    """How a picture is laid out.

    Attributes
    ----------
    width_cm : float or None
        Width in print; its letters are then at their size in points. None takes what suits a screen.
    dpi : float or None
        Dots an inch of a ``.png``; None takes `SCREEN_DPI`, or `PRINT_DPI` where there is a width.
    title : str or None
        Instead of pollutant and time; empty for none.
    north, scale_bar : bool
        Whether a map has an arrow to the north, a bar of kilometres.
    """

    width_cm: float | None = None
    dpi: float | None = None
    title: str | None = None
    north: bool = False
    scale_bar: bool = False

    def __post_init__(self) -> None:
        if self.width_cm is not None and not _NARROWEST <= self.width_cm <= _WIDEST:
            raise ConfigError(
                f"a picture {self.width_cm:g} cm wide: choose {_NARROWEST:g} to {_WIDEST:g}; a column of a journal has "
                "8 to 9, its page 17 to 19"
            )
        if self.dpi is not None and not _COARSEST <= self.dpi <= _FINEST:
            raise ConfigError(f"{self.dpi:g} dots an inch: choose {_COARSEST:g} to {_FINEST:g}; print takes 300 to 600")

    @property
    def letters(self) -> Letters:
        """The letters' heights."""
        return Letters() if self.width_cm is None else PRINTED

    @property
    def dots(self) -> float:
        """Dots an inch."""
        return self.dpi or (SCREEN_DPI if self.width_cm is None else PRINT_DPI)

    def inches(self, usual: float) -> float:
        """Return the width of the picture in inches, `usual` where none was asked for."""
        return usual if self.width_cm is None else self.width_cm / _CM


def wrapped(text: str, points: float, inches: float) -> str:
    """Return a text in lines that a picture of a width holds."""
    return "\n".join(textwrap.wrap(text, max(12, int(72 * inches / (_LETTER * points))))) if text else ""


def check_ends(what: str, low: float | None, high: float | None) -> None:
    """Refuse ends of a scale or an axis that are no finite numbers, or lie the wrong way round.

    Raises
    ------
    ConfigError
        If so.
    """
    for end in (low, high):
        if end is not None and not np.isfinite(end):
            raise ConfigError(f"{what} with an end at {end:g}: give a finite number, or leave it out")
    if low is not None and high is not None and not low < high:
        raise ConfigError(f"{what} from {low:g} to {high:g}: its beginning must lie below its end")


def literal(text: str) -> str:
    """Return a user's text as it is to be drawn letter by letter: a dollar is one, and begins no formula.

    A name that begins with an underscore would be left out of legends.
    """
    return f"{' ' if text.startswith('_') else ''}{text}".replace("$", r"\$")


def fit_height(figure: Figure, rows: list[list[Axes]]) -> None:
    """Give a figure of maps the height that its width asks for, so that no paper is left empty around them."""
    width, height = figure.get_size_inches()
    for _ in range(3):
        with every_letter(figure):
            figure.draw_without_rendering()
        slack = 0.0
        for row in rows:
            given = [axes.get_position(original=True) for axes in row]
            taken = [axes.get_position() for axes in row]
            # Too low a picture leaves room beside its maps, too high a one above and below them.
            lack = min(
                (g.width / t.width - 1) * t.height if g.width > t.width * 1.001 else t.height - g.height
                for g, t in zip(given, taken, strict=True)
            )
            slack += lack * height
        if abs(slack) < 0.02:
            return
        height = min(max(height + slack, 1.2), max(_TALLEST / _CM, 1.3 * width))
        figure.set_size_inches(width, height)


def draw_north(axes: Axes, letters: Letters) -> None:
    """Draw an arrow to the north in the upper right corner; up is north everywhere on these maps."""
    axes.annotate(
        "N",
        xy=(0.955, 0.97),
        xytext=(0.955, 0.86),
        xycoords="axes fraction",
        ha="center",
        va="top",
        fontsize=letters.label,
        color=_INK,
        zorder=7,
        arrowprops={"arrowstyle": "-|>", "color": _INK, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0},
        path_effects=[HALO],
    ).arrow_patch.set_path_effects([HALO])  # type: ignore[union-attr]


def draw_scale_bar(axes: Axes, box: tuple[float, float, float, float], letters: Letters) -> float:
    """Draw a bar of kilometres in the lower right corner; return its length in km.

    Its length holds along the parallel that it lies on, which is named where the region is so high that others differ.
    """
    west, south, east, north = box
    lat, lon = south + 0.05 * (north - south), east - 0.04 * (east - west)
    degree = np.radians(1.0) * EARTH_RADIUS_KM * max(float(np.cos(np.radians(lat))), 1e-3)
    longest = (east - west) * degree / 4
    power = 10.0 ** np.floor(np.log10(longest))
    km = float(max(m for m in (1.0, 2.0, 5.0) if m * power <= longest) * power)
    ends = [lon - km / degree, lon]
    axes.plot(ends, [lat, lat], color=_INK, linewidth=2.2, solid_capstyle="butt", zorder=7, path_effects=[HALO])
    cosines = np.cos(np.radians([south, north]))
    at = f" at {abs(lat):.0f}°{'N' if lat >= 0 else 'S'}" if np.ptp(cosines) > 0.05 * cosines.max() else ""
    axes.annotate(
        f"{km:g} km{at}",
        (lon, lat),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=letters.small,
        color=_INK,
        zorder=7,
        path_effects=[HALO],
    )
    return km


def save(figure: Figure, path: Path, paper: Paper) -> None:
    """Write a figure to `path`, whose ending is one of `ENDINGS`; equal figures give equal files."""
    dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None, "ModDate": None}}
    # Text stays text, to be found and edited: in an SVG as it is, in a PDF by TrueType, which journals ask for.
    with (
        mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "aqreanalysis", "pdf.fonttype": 42}),
        every_letter(figure),
    ):
        figure.savefig(path, dpi=paper.dots, metadata=dates.get(path.suffix.lower()))
