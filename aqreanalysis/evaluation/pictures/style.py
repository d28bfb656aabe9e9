"""What all pictures share: sizes, colours that the colour-blind can tell apart, small files, a map's axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from aqreanalysis.common.glyphs import every_letter
from aqreanalysis.errors import OutputError
from aqreanalysis.model.bundle import MODEL

#: Pixels an inch: a picture of `WIDTH` inches fills a phone's screen twice over and half a page of paper sharply.
DPI = 120
WIDTH = 6.4
#: Colours a file keeps. Line charts need some twenty, a colour scale stays smooth to the eye at this.
_PALETTE = 128

MODEL_COLOUR = "#b2182b"
INTERVAL_COLOUR = "#f4c7bd"
#: Of Okabe and Ito (2008), without the red that is the model's; with a marker each, they tell seven methods apart.
_OTHERS = ("#0072b2", "#e69f00", "#009e73", "#56b4e9", "#cc79a7", "#555555", "#8c6d1f", "#332288")
_MARKERS = "so^vDPX*"


@dataclass(frozen=True)
class Picture:
    """A picture on disk and what it says.

    Attributes
    ----------
    name : str
        Short name, for the file and the JSON.
    caption : str
        What is drawn and how it is read.
    alt : str
        What it shows, in words and figures, for those who cannot see it.
    path : Path
        The PNG.
    numbers : mapping
        What is drawn, in types that JSON knows once `plain` has gone over it.
    """

    name: str
    caption: str
    alt: str
    path: Path
    numbers: Mapping[str, Any] = field(default_factory=dict)


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """Return an empty figure of `width` by `height` inches whose parts make room for each other."""
    return Figure(figsize=(width, height), layout="constrained")


def legend_above(figure: Figure, handles: Sequence[Artist] = (), labels: Sequence[str] = (), size: float = 9.0) -> None:
    """Put a legend above a figure's panels, in as many columns as its width holds, so that no name is cut off."""
    named = (list(handles), list(labels)) if handles else figure.axes[0].get_legend_handles_labels()
    for columns in (4, 3, 2, 1):
        legend = figure.legend(*named, loc="outside upper center", ncols=columns, frameon=False, fontsize=size)
        with every_letter(figure):
            figure.draw_without_rendering()
        wide = legend.get_window_extent().width
        if wide <= figure.bbox.width or columns == 1:
            return
        legend.remove()


def save(figure: Figure, path: Path) -> Path:
    """Write `figure` to `path` as a PNG with a palette, a third of the size of one with full colours; return `path`."""
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    with every_letter(figure):
        canvas.draw()
    # Straight from the canvas: by way of savefig everything is laid out and drawn twice.
    small = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).quantize(_PALETTE, dither=Image.Dither.NONE)
    try:
        small.save(path, format="PNG", optimize=True)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}; choose another --out") from None
    return path


def method_styles(methods: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return colour, marker and line width by method: the model stands out, and no two are alike."""
    styles: dict[str, dict[str, Any]] = {}
    for method in methods:
        if method == MODEL:
            styles[method] = {"color": MODEL_COLOUR, "marker": "o", "linewidth": 2.2, "zorder": 5}
            continue
        number = sum(m != MODEL for m in styles)
        styles[method] = {
            "color": _OTHERS[number % len(_OTHERS)],
            "marker": _MARKERS[(number // len(_OTHERS) + number) % len(_MARKERS)],
            "linewidth": 1.2,
            "linestyle": "-" if number < len(_OTHERS) else "--",
        }
    return styles


def as_map(axes: Axes, lat: npt.NDArray[Any]) -> None:
    """Give `axes` the proportions and labels of a map in degrees about the mean latitude."""
    axes.set_aspect(1.0 / max(float(np.cos(np.radians(np.mean(lat)))), 0.05))
    axes.set_xlabel("longitude (degrees east)")
    axes.set_ylabel("latitude (degrees north)")


def figures_of(value: float | None, digits: int = 3) -> str:
    """Return `value` with `digits` significant digits for a sentence; "unknown" where it is not finite."""
    if value is None or not np.isfinite(value):
        return "unknown"
    if abs(value) >= 10**digits:
        return f"{value:.0f}"
    return f"{value:#.{digits}g}".rstrip(".")
