"""What users lay over a map from vector files of their own: points, lines, polygons, such as boroughs or roads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from aqreanalysis.errors import OutputError
from aqreanalysis.export.vector_files import read_shapes

# One look an overlay, told apart without colours: black on a light rim stands out from every scale.
_STYLES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
_MARKERS = "DsPX"
_INK, _WIDTH = "#101010", 0.9
_HALO = withStroke(linewidth=2.2, foreground="#ffffffc0")


@dataclass(frozen=True)
class Overlay:
    """A vector file to draw.

    Attributes
    ----------
    name : str
        For the legend: the file's name without its ending.
    points : float64 (point, 2)
        Longitude and latitude of its points, degrees.
    lines : list of float64 (point, 2)
        Its lines, and the rings of its polygons.
    """

    name: str
    points: NDArray[np.float64]
    lines: list[NDArray[np.float64]]

    def inside(self, box: tuple[float, float, float, float]) -> Overlay:
        """Return what may lie in a box (west, south, east, north), moved by 360 degrees where the box is.

        A box past 180 degrees is that of a grid across the antimeridian.
        """
        west, south, east, north = box
        points, lines = [], []
        for shift in (-360.0, 0.0, 360.0):
            moved = self.points + np.array([shift, 0.0])
            here = (moved >= (west, south)).all(axis=1) & (moved <= (east, north)).all(axis=1)
            points.append(moved[here])
            for line in self.lines:
                turned = line + np.array([shift, 0.0])
                low, high = turned.min(axis=0), turned.max(axis=0)
                if (high >= (west, south)).all() and (low <= (east, north)).all():
                    lines.append(turned)
        return Overlay(self.name, np.concatenate(points), lines)


def read_overlay(path: str | Path) -> Overlay:
    """Return the shapes of a vector file in any reference system.

    Raises
    ------
    OutputError
        If it cannot be read, or holds no shape.
    """
    import shapely

    # Twice: a collection may hold shapes of several parts.
    parts = shapely.get_parts(shapely.get_parts(np.array(read_shapes(path), dtype=object)))
    kinds = shapely.get_type_id(parts)
    spots = np.isin(kinds, (shapely.GeometryType.POINT,))
    areas = np.isin(kinds, (shapely.GeometryType.POLYGON,))
    outlines = shapely.get_parts(shapely.boundary(parts[areas]))
    lines = [shapely.get_coordinates(one) for one in (*parts[~spots & ~areas], *outlines)]
    overlay = Overlay(Path(path).stem, shapely.get_coordinates(parts[spots]), [line for line in lines if len(line) > 1])
    if not len(overlay.points) and not overlay.lines:
        raise OutputError(f"overlay {path} holds no point, line or polygon")
    return overlay


def draw_overlays(axes: Axes, overlays: Sequence[Overlay], box: tuple[float, float, float, float]) -> list[Artist]:
    """Draw overlays over a map; return their marks for a legend.

    Raises
    ------
    OutputError
        If one lies wholly outside the map.
    """
    handles: list[Artist] = []
    for number, overlay in enumerate(overlays):
        here = overlay.inside(box)
        if not len(here.points) and not here.lines:
            west, south, east, north = box
            raise OutputError(
                f"overlay {overlay.name!r} lies outside the map, which spans {south:g}..{north:g} N, "
                f"{west:g}..{east:g} E; is its reference system right?"
            )
        style, marker = _STYLES[number % len(_STYLES)], _MARKERS[number % len(_MARKERS)]
        if here.lines:
            look: dict[str, Any] = {"linewidths": _WIDTH, "linestyles": [style], "path_effects": [_HALO]}
            axes.add_collection(LineCollection(here.lines, colors=_INK, zorder=3.5, **look), autolim=False)
            handles.append(Line2D([], [], color=_INK, linewidth=_WIDTH, linestyle=style, label=overlay.name))
        if len(here.points):
            x, y = here.points.T
            dots = axes.scatter(x, y, s=18, marker=marker, c="white", edgecolors=_INK, linewidths=0.8, zorder=3.8)
            dots.set_label(overlay.name)
            if not here.lines:
                handles.append(dots)
    return handles
