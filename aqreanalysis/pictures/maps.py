"""Maps of a cube as PNG or SVG: one layer, or several side by side, with borders and stations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import cmocean
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import BoundaryNorm, ListedColormap, to_hex
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from aqreanalysis.errors import ConfigError
from aqreanalysis.export.files import whole_file
from aqreanalysis.export.source import CubeSource, SpeciesLayers
from aqreanalysis.pictures.borders import CREDIT, outlines
from aqreanalysis.pictures.colours import Colours, check_palette, class_colours, even_colours
from aqreanalysis.pictures.cube_fields import (
    CONCENTRATIONS,
    LAYERS,
    TimeStep,
    check_layers,
    extrapolated_text,
    flag_classes,
    flag_numbers,
    read_extrapolated,
    read_fields,
    time_step_at,
    whole_span,
)
from aqreanalysis.pictures.stations import StationMarkers

ENDINGS = (".png", ".svg")
DPI = 130
_LAND = "#f3f1ec"
# A light rim, so that lines and marks stand out from dark colours too.
_HALO = withStroke(linewidth=1.4, foreground="#ffffffb0")
_INCHES = 6.0
# A map is drawn in the proportions of its middle latitude, but near a pole, where it would be a thread.
_LEAST_COSINE = 0.2
_AXES = ("lon", "lat")
_TALLEST = 1.8
# Thin and half seen through, so that the colours under it can be read.
_HATCH, _HATCH_COLOUR, _HATCH_WIDTH = "////", "#00000066", 0.5
# Light to dark as a condition weighs more; the first is an estimate without reserve. Never so dark that borders vanish.
_FLAG_LIGHTEST, _FLAG_DARKEST = 0.02, 0.62


@dataclass(frozen=True)
class MapOptions:
    """What is drawn and how.

    Attributes
    ----------
    layers : tuple of str
        Of `LAYERS`; several are drawn side by side.
    time : datetime or None
        Stamp of a step, UTC; None draws the mean over the source.
    palette : str
        ``even``, ``who``, ``cn`` or ``us``; the last three are of concentrations.
    high : float or None
        End of the scale of concentrations, in the pollutant's units.
    borders : bool
        Whether coastlines and borders are drawn.
    overwrite : bool
        Whether a file that exists is replaced.
    """

    layers: tuple[str, ...] = ("best",)
    time: datetime | None = None
    palette: str = "even"
    high: float | None = None
    borders: bool = True
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_layers(self.layers)
        check_palette(self.palette)
        if not self.layers:
            raise ConfigError("no layer to draw: name at least one")
        if self.high is not None and not self.high > 0:
            raise ConfigError(f"end of the colour scale {self.high:g}: it must be above 0")


def draw_map(source: CubeSource, out: str | Path, options: MapOptions, marks: StationMarkers | None = None) -> Path:
    """Draw the first pollutant of `source` at a step or as a mean; return the path of the picture.

    Parameters
    ----------
    source : CubeSource
        The cube, opened for the pollutant and span wanted.
    out : str or Path
        A name that ends in ``.png`` or ``.svg``.
    options : MapOptions
        What is drawn.
    marks : StationMarkers, optional
        Stations; those with a reading carry its colour on concentrations.

    Raises
    ------
    CubeError
        If the cube lacks the step or a layer.
    OutputError
        If the file exists or cannot be written.
    """
    one = next(iter(source.species.values()))
    step = whole_span(source) if options.time is None else time_step_at(source, options.time)
    with whole_file(out, ENDINGS, options.overwrite) as path:
        fields = read_fields(source, one, step, options.layers)
        canvas = MapFigure(source, one, options, marks)
        canvas.draw(fields, step, canvas.colours(fields))
        # Text stays text in an SVG, to be found and edited; the fixed salt gives equal files for equal pictures.
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "aqreanalysis"}):
            canvas.figure.savefig(path, dpi=DPI, metadata={"Date": None} if path.suffix == ".svg" else None)
    return Path(out)


class MapFigure:
    """A figure of one panel a layer, whose fields can be replaced for an animation.

    Attributes
    ----------
    figure : Figure
        Of matplotlib.
    """

    def __init__(
        self, source: CubeSource, one: SpeciesLayers, options: MapOptions, marks: StationMarkers | None
    ) -> None:
        self._source, self._one, self._options, self._marks = source, one, options, marks
        lat, lon = source.edges("lat"), source.edges("lon")
        self._box = (float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max()))
        lat_centres = np.asarray(source.dataset["lat"].values)
        self._flip = slice(None, None, -1) if lat_centres[0] > lat_centres[-1] else slice(None)
        lon_centres = np.asarray(source.dataset["lon"].values)
        # Of equal cells: a cell whose edge was cut at a pole is drawn whole, and the picture ends at the edge.
        self._extent = (*_outer(lon_centres, lon), *_outer(lat_centres, lat))
        self._aspect = 1.0 / max(float(np.cos(np.radians(lat.mean()))), _LEAST_COSINE)
        self._lines = outlines(*self._box) if options.borders else []
        self._classes = flag_classes(source, one) if one.flag is not None else {}
        self._images: dict[str, AxesImage] = {}
        self._dots: dict[str, list[Any]] = {}
        self._hatched: list[ContourSet] = []
        count = len(options.layers)
        self._columns = count if count <= 2 else int(np.ceil(np.sqrt(count)))
        rows = -(-count // self._columns)
        west, south, east, north = self._box
        tall = max((north - south) / (east - west) * self._aspect, 0.3)
        inches = _INCHES + 1.4 if count == 1 else _INCHES
        self._narrow = min(1.0, _TALLEST / tall)
        high = inches * 0.78 * min(tall, _TALLEST) + 0.45
        size = (inches * max(self._narrow, 0.5) * self._columns, high * rows + 0.3)
        self._title = 13 if self._narrow * self._columns > 0.8 else 9
        self.figure = Figure(figsize=size, layout="constrained")
        self._axes = dict(
            zip(options.layers, self.figure.subplots(rows, self._columns, squeeze=False).flat, strict=False)
        )
        for spare in list(self.figure.axes)[count:]:
            spare.remove()

    def colours(self, fields: dict[str, NDArray[Any]]) -> dict[str, Colours]:
        """Return the colours of every layer but the flag, by what is drawn; concentrations share one scale."""
        options, result = self._options, {}
        shared = np.concatenate([fields[n].ravel() for n in fields if n in CONCENTRATIONS] or [np.zeros(0)])
        for name, values in fields.items():
            if name in CONCENTRATIONS:
                even = options.palette == "even"
                species = self._one.species
                result[name] = (
                    even_colours("concentration", shared, options.high)
                    if even
                    else class_colours(options.palette, species)
                )
            elif name != "flag":
                result[name] = even_colours("spread" if name in ("standard_error", "width") else "count", values)
        return result

    def draw(self, fields: dict[str, NDArray[Any]], step: TimeStep, colours: dict[str, Colours]) -> None:
        """Draw all panels."""
        species = self._one.species
        for number, (name, axes) in enumerate(self._axes.items()):
            self._set_up(axes, left=number % self._columns == 0)
            if name == "flag":
                self._draw_flag(axes, fields[name])
            else:
                self._draw_values(axes, name, fields[name], colours[name])
            axes.set_title(LAYERS[name].capitalize() if len(self._axes) > 1 else "", fontsize=11)
        self._mark_stations(step, colours, self._hatch(step))
        self.figure.suptitle(f"{species.title}, {step.text}", fontsize=self._title)
        if self._lines:
            self.figure.supxlabel(CREDIT, fontsize=7, color="#777777", x=0.995, ha="right")

    def update(self, fields: dict[str, NDArray[Any]], step: TimeStep) -> None:
        """Replace what a drawn figure shows."""
        for name, values in fields.items():
            shown = flag_numbers(values, self._classes) if name == "flag" else np.ma.masked_invalid(values)
            self._images[name].set_data(shown[self._flip])
            for part, dots in self._dots.get(name, ()):
                assert self._marks is not None
                readings = self._marks.readings(self._one.species.key, step.first, step.last)
                dots.set_array(np.ma.masked_invalid(readings[part]))
        self._hatch(step)
        self.figure.suptitle(f"{self._one.species.title}, {step.text}", fontsize=self._title)

    def _hatch(self, step: TimeStep) -> list[Any]:
        """Hatch what is extrapolated at a step, on all panels but the flag's, and return its mark for the legend.

        The mark is there whether or not any cell is hatched at this step, since another frame may have some.
        """
        for drawn in self._hatched:
            drawn.remove()
        self._hatched = []
        far = read_extrapolated(self._source, self._one, step)
        if far is None:
            return []
        x, y = (_padded(np.asarray(self._source.dataset[axis].values), self._source.edges(axis)) for axis in _AXES)
        inside = np.pad(far[self._flip].astype(np.float32), 1, mode="edge")
        with mpl.rc_context({"hatch.linewidth": _HATCH_WIDTH}):
            for name, axes in self._axes.items():
                if name != "flag" and far.any():
                    drawn = axes.contourf(x, y, inside, levels=[0.5, 1.5], colors="none", hatches=[_HATCH], zorder=2)
                    drawn.set_edgecolor(_HATCH_COLOUR)
                    drawn.set_linewidth(0.0)
                    self._hatched.append(drawn)
        label = extrapolated_text(self._source, self._one)
        return [Patch(facecolor="none", edgecolor=_HATCH_COLOUR, hatch=_HATCH, linewidth=0.0, label=label)]

    def _set_up(self, axes: Axes, left: bool) -> None:
        west, south, east, north = self._box
        axes.set_facecolor(_LAND)
        axes.set_aspect(self._aspect)
        axes.set_xlim(west, east)
        axes.set_ylim(south, north)
        axes.tick_params(labelsize=8, color="#777777")
        axes.locator_params(axis="x", nbins=max(2, round(9 * self._narrow)))
        axes.xaxis.set_major_formatter(lambda x, _: _degrees((x + 180) % 360 - 180, "E", "W"))
        axes.yaxis.set_major_formatter(lambda y, _: _degrees(y, "N", "S"))
        if not left:
            axes.tick_params(labelleft=False)
        if self._lines:
            lines = LineCollection(self._lines, colors="#2b2b2b", linewidths=0.6, zorder=3, path_effects=[_HALO])
            axes.add_collection(lines, autolim=False)

    def _image(self, axes: Axes, name: str, shown: Any, **how: Any) -> AxesImage:
        image = axes.imshow(shown[self._flip], extent=self._extent, origin="lower", interpolation="nearest", **how)
        west, south, east, north = self._box
        axes.set_xlim(west, east)
        axes.set_ylim(south, north)
        axes.set_aspect(self._aspect)
        self._images[name] = image
        return image

    def _draw_values(self, axes: Axes, name: str, values: NDArray[Any], colours: Colours) -> None:
        units = self._one.species.units.replace("ug m-3", "µg m⁻³").replace("mg m-3", "mg m⁻³")
        units = {"used": "stations", "distance": "km"}.get(name, units)
        self._image(axes, name, np.ma.masked_invalid(values), cmap=colours.map, norm=colours.norm)
        label = f"{LAYERS[name]} ({units})"
        scale = ScalarMappable(colours.norm, colours.map)
        if not colours.edges:
            self.figure.colorbar(scale, ax=axes, label=label, shrink=0.85, pad=0.02, extend="max")
            return
        bar = self.figure.colorbar(scale, ax=axes, shrink=0.85, pad=0.02, ticks=colours.edges, spacing="uniform")
        bar.ax.set_yticklabels([f"{edge:g}" for edge in colours.edges])
        bar.set_label(f"{label}\n{colours.title}")

    def _draw_flag(self, axes: Axes, flag: NDArray[Any]) -> None:
        shown, names = flag_numbers(flag, self._classes), list(self._classes)
        shades = [to_hex(cmocean.cm.ice_r(x)) for x in np.linspace(_FLAG_LIGHTEST, _FLAG_DARKEST, len(names))]
        norm = BoundaryNorm(np.arange(len(names) + 1) - 0.5, len(names))
        self._image(axes, "flag", shown, cmap=ListedColormap(shades), norm=norm)
        present = [n for n in range(len(names)) if (shown == n).any()]
        km = self._source.extrapolation_km(self._one)
        far = {} if km is None else {"extrapolated_beyond_network": f" ({km:.3g} km)"}
        texts = [name.replace("_", " ") + far.get(name, "") for name in names]
        patches = [Patch(facecolor=shades[n], edgecolor="#555555", label=texts[n]) for n in present]
        legend = axes.legend(handles=patches, loc="lower left", fontsize=7, framealpha=0.9)
        legend.set_zorder(6)

    def _mark_stations(self, step: TimeStep, colours: dict[str, Colours], more: list[Any]) -> None:
        """Draw the stations, and a legend of them and of `more` marks."""
        marks = self._marks
        if marks is None:
            for name, axes in self._axes.items():
                if more and name != "flag":
                    axes.legend(handles=more, loc="lower left", fontsize=7, framealpha=0.9).set_zorder(6)
            return
        readings = marks.readings(self._one.species.key, step.first, step.last)
        inside = marks.inside(*self._box)
        lon = np.where(marks.lon < self._box[0], marks.lon + 360.0, marks.lon)
        for name, axes in self._axes.items():
            handles = [*more]
            filled = name == "best" and bool(np.isfinite(readings[inside]).any())
            for away, marker, size, label in ((False, "o", 13, "visible station"), (True, "^", 26, "hidden station")):
                part = inside & (marks.hidden == away)
                if not part.any():
                    continue
                look: dict[str, Any] = {"facecolors": "none"}
                if filled:
                    look = {
                        "c": np.ma.masked_invalid(readings[part]),
                        "cmap": colours[name].map,
                        "norm": colours[name].norm,
                    }
                dots = axes.scatter(
                    lon[part], marks.lat[part], s=size, marker=marker, edgecolors="black", linewidths=0.6, label=label,
                    zorder=4, path_effects=[_HALO], **look,
                )  # fmt: skip
                handles.append(dots)
                if filled:
                    self._dots.setdefault(name, []).append((part, dots))
            if handles and name != "flag":
                axes.legend(handles=handles, loc="lower left", fontsize=7, framealpha=0.9).set_zorder(6)


def _padded(centres: NDArray[Any], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ascending cell centres between the outermost edges, so that what is drawn over cells ends with them."""
    return np.concatenate(([edges.min()], np.sort(centres.astype(np.float64)), [edges.max()]))


def _outer(centres: NDArray[Any], edges: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of an axis of equal cells."""
    if centres.size < 2:
        return float(edges.min()), float(edges.max())
    half = abs(float(centres[-1] - centres[0])) / (centres.size - 1) / 2
    return float(centres.min()) - half, float(centres.max()) + half


def _degrees(value: float, positive: str, negative: str) -> str:
    side = "" if abs(value) in (0, 180) else positive if value > 0 else negative
    return f"{abs(round(value, 6)):g}°{side}"
