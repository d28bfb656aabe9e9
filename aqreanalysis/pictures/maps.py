"""Maps of a cube as PNG, SVG or PDF: one layer, or several side by side, with borders, stations and overlays."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
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
from aqreanalysis.pictures.colours import Colours, check_palette, classes_of, even_colours
from aqreanalysis.pictures.cube_fields import (
    CONCENTRATIONS,
    LAYERS,
    UNRESERVED,
    TimeStep,
    check_layers,
    condition_shares,
    extrapolated_text,
    flag_classes,
    flag_numbers,
    layer_name,
    read_extrapolated,
    read_fields,
    time_step_at,
    titled,
    units_text,
    whole_span,
    with_units,
)
from aqreanalysis.pictures.overlays import draw_overlays, read_overlay
from aqreanalysis.pictures.paper import (
    ENDINGS,
    Paper,
    check_ends,
    draw_north,
    draw_scale_bar,
    fit_height,
    literal,
    save,
    wrapped,
)
from aqreanalysis.pictures.stations import StationMarkers
from aqreanalysis.production.derived_layers import COUNT

_LOG = logging.getLogger(__name__)
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
# Colour, width in points and style of what `outlines` returns.
_LINES: dict[str, tuple[str, float, Any]] = {
    "province": ("#5a5a5a", 0.4, (0, (4, 2))),
    "river": ("#3f7fae", 0.5, "solid"),
    "lake": ("#1f5f8f", 0.5, "solid"),
    "coast": ("#2b2b2b", 0.6, "solid"),
    "border": ("#2b2b2b", 0.6, "solid"),
}
# Panels that are narrower stand below each other.
_LEAST_PANEL_CM = 6.0
_KINDS = {"standard_error": "spread", "width": "spread", "flag": "share"}
_SHARE = "Flagged hours"
# Light to dark as a condition weighs more; the first is an estimate without a flag. Never so dark that borders vanish.
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
    low, high : float or None
        Ends of the even scale of concentrations, or of the layer that is drawn if none is one, in its units.
    plain_shades : bool
        Whether the classes of an index go from light to dark instead of in the agency's colours (see `class_colours`).
    paper : Paper
        Width, resolution, title, north arrow and scale bar.
    overlays : tuple of Path
        Vector files that are drawn over the map.
    borders : bool
        Whether coastlines, rivers and borders are drawn.
    overwrite : bool
        Whether a file that exists is replaced.
    """

    layers: tuple[str, ...] = ("best",)
    time: datetime | None = None
    palette: str = "even"
    high: float | None = None
    borders: bool = True
    overwrite: bool = False
    low: float | None = None
    plain_shades: bool = False
    paper: Paper = field(default_factory=Paper)
    overlays: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        check_layers(self.layers)
        check_palette(self.palette)
        if not self.layers:
            raise ConfigError("no layer to draw: name at least one")
        low, high = self.low, self.high
        check_ends("colour scale", low, high)
        if self.palette != "even" and (low is not None or high is not None):
            raise ConfigError(
                f"the colours {self.palette!r} have classes of their own: an end of the scale is for 'even'"
            )


def draw_map(source: CubeSource, out: str | Path, options: MapOptions, marks: StationMarkers | None = None) -> Path:
    """Draw the first pollutant of `source` at a step or as a mean; return the path of the picture.

    Parameters
    ----------
    source : CubeSource
        The cube, opened for the pollutant and span wanted.
    out : str or Path
        A name that ends in ``.png``, ``.svg`` or ``.pdf``.
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
        if not any(np.isfinite(values).any() for name, values in fields.items() if name != "flag"):
            _warn_of_nothing(source, one, step, options.layers)
        canvas = MapFigure(source, one, options, marks)
        canvas.draw(fields, step, canvas.colours(fields, step))
        save(canvas.figure, path, options.paper)
    return Path(out)


def _warn_of_nothing(source: CubeSource, one: SpeciesLayers, step: TimeStep, layers: tuple[str, ...]) -> None:
    """Say that no layer has a value in any cell."""
    names = " nor ".join(LAYERS[name] for name in layers if name != "flag")
    why = "" if one.flag is None else "; its quality flag says why (--layer flag)"
    if names:
        what = f"{source.path} has no {names} of {one.species.title} in any cell, {step.text}"
        _LOG.warning("the map is empty: %s%s", what, why)


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
        self._lines = outlines(*self._box) if options.borders else {}
        self._overlays = [read_overlay(path) for path in options.overlays]
        self._classes = flag_classes(source, one) if one.flag is not None else {}
        self._images: dict[str, AxesImage] = {}
        self._dots: dict[str, list[Any]] = {}
        self._hatched: list[ContourSet] = []
        self._flag_marks: list[Any] = []
        count = len(options.layers)
        self._columns = count if count <= 2 else int(np.ceil(np.sqrt(count)))
        if options.paper.width_cm is not None:
            self._columns = min(self._columns, max(1, int(options.paper.width_cm / _LEAST_PANEL_CM)))
        rows = -(-count // self._columns)
        west, south, east, north = self._box
        tall = max((north - south) / (east - west) * self._aspect, 0.3)
        self._narrow = min(1.0, _TALLEST / tall)
        self._letters = options.paper.letters
        wide = options.paper.inches((_INCHES + (1.4 if count == 1 else 0.0)) * max(self._narrow, 0.5) * self._columns)
        high = max(0.78 * wide / self._columns * min(tall, _TALLEST) + 0.45, 1.6)
        # Rather too high at first: what is drawn around the maps needs room, and the height is fitted in the end.
        self.figure = Figure(figsize=(wide, (high * rows + 0.3) * 1.3), layout="constrained")
        grid = self.figure.subplots(rows, self._columns, squeeze=False)
        self._axes: dict[str, Axes] = dict(zip(options.layers, grid.flat, strict=False))
        self._rows = [[axes for axes in row if axes in self._axes.values()] for row in grid.tolist()]
        for spare in list(self.figure.axes)[count:]:
            spare.remove()

    def colours(self, fields: dict[str, NDArray[Any]], step: TimeStep) -> dict[str, Colours]:
        """Return the colours of every layer but classes of flags, by what is drawn; concentrations share one scale."""
        options = self._options
        shared = np.concatenate([fields[n].ravel() for n in fields if n in CONCENTRATIONS] or [np.zeros(0)])
        result = {}
        for name, values in fields.items():
            ends = (options.low, options.high) if name in CONCENTRATIONS or not shared.size else (None, None)
            if name not in CONCENTRATIONS and (name != "flag" or step.mean):
                result[name] = even_colours(_KINDS.get(name, "count"), values, *ends)
            elif name in CONCENTRATIONS:
                attrs = self._source.dataset[self._one.best].attrs
                classes = classes_of(self._one, attrs, options.palette, step.hours, options.plain_shades)
                kind = "count" if self._one.kind == COUNT else "concentration"
                result[name] = even_colours(kind, shared, *ends) if classes is None else classes
        return result

    def draw(
        self,
        fields: dict[str, NDArray[Any]],
        step: TimeStep,
        colours: dict[str, Colours],
        reach: dict[str, NDArray[Any]] | None = None,
    ) -> None:
        """Draw all panels; `reach` holds what later frames of a film will show, by which scales get their ends."""
        paper = self._options.paper
        for number, (name, axes) in enumerate(self._axes.items()):
            self._set_up(axes, left=number % self._columns == 0)
            if name in colours:
                self._draw_values(axes, name, fields[name], colours[name], (reach or fields)[name])
            else:
                self._draw_flag(axes, fields[name], film=reach is not None)
            if len(self._axes) > 1:
                axes.set_title(self._name(name, colours), fontsize=self._letters.panel)
        if "flag" in colours:
            self._flag_marks = self._conditions(step)
        laid = [draw_overlays(axes, self._overlays, self._box) for axes in self._axes.values()]
        for mark in laid[0]:
            mark.set_label(literal(str(mark.get_label())))
        self._explain([*self._hatch(step), *laid[0], *self._mark_stations(step, colours)], colours)
        self._entitle(step)
        last = list(self._axes.values())[-1]
        if paper.north:
            draw_north(last, self._letters)
        if paper.scale_bar:
            draw_scale_bar(last, self._box, self._letters)
        if self._lines:
            last.set_xlabel(CREDIT, fontsize=min(self._letters.small, 7.0), color="#666666", loc="right")
        fit_height(self.figure, self._rows)

    def _name(self, name: str, colours: dict[str, Colours]) -> str:
        if name == "flag" and name in colours:
            return _SHARE
        text = layer_name(self._source, self._one, name)
        return text[0].upper() + text[1:]

    def _units(self, name: str) -> str:
        own = {"used": "stations", "distance": "km", "flag": "%"}
        return own.get(name, units_text(self._one.species.units))

    def _entitle(self, step: TimeStep, film: bool = False) -> None:
        paper = self._options.paper
        title = f"{self._one.species.title}, {step.text}" if paper.title is None else paper.title
        if film and paper.title:
            title = f"{title}, {step.text}"
        if title:
            text = wrapped(titled(self._source, title), self._letters.title, float(self.figure.get_figwidth()))
            self.figure.suptitle(literal(text), fontsize=self._letters.title)

    def _conditions(self, step: TimeStep) -> list[Any]:
        """Return marks that say over the flag of a mean how large a part of all hours and cells each condition has."""
        shares = condition_shares(self._source, self._one, step)
        lines = [
            f"{name.replace('_', ' ')}: {100 * float(np.nanmean(share)):.3g} % of all cells' hours"
            for name, share in shares.items()
            if name != UNRESERVED and np.nansum(share) > 0
        ]
        return [Patch(facecolor="none", edgecolor="none", label=text) for text in lines or ["no hour is flagged"]]

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
        self._entitle(step, film=True)

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
        axes.tick_params(labelsize=self._letters.small, color="#777777")
        # A label of degrees needs some four letters and a gap.
        inches = 0.75 * float(self.figure.get_figwidth()) / self._columns * self._narrow
        axes.locator_params(axis="x", nbins=int(np.clip(inches * 72 / (5.5 * self._letters.small), 2, 9)))
        axes.xaxis.set_major_formatter(lambda x, _: _degrees((x + 180) % 360 - 180, "E", "W"))
        axes.yaxis.set_major_formatter(lambda y, _: _degrees(y, "N", "S"))
        if not left:
            axes.tick_params(labelleft=False)
        for kind, lines in self._lines.items():
            colour, width, style = _LINES[kind]
            halo = [_HALO] if kind in ("coast", "border") else []
            axes.add_collection(
                LineCollection(
                    lines,
                    colors=colour,
                    linewidths=width,
                    linestyles=style,
                    zorder=3,
                    path_effects=halo,
                    capstyle="round",
                ),
                autolim=False,
            )

    def _image(self, axes: Axes, name: str, shown: Any, **how: Any) -> AxesImage:
        image = axes.imshow(shown[self._flip], extent=self._extent, origin="lower", interpolation="nearest", **how)
        west, south, east, north = self._box
        axes.set_xlim(west, east)
        axes.set_ylim(south, north)
        axes.set_aspect(self._aspect)
        self._images[name] = image
        return image

    def _draw_values(self, axes: Axes, name: str, values: NDArray[Any], colours: Colours, reach: NDArray[Any]) -> None:
        self._image(axes, name, np.ma.masked_invalid(values), cmap=colours.map, norm=colours.norm)
        if colours.edges:
            return
        known = reach[np.isfinite(reach)]
        below, above = bool((known < colours.low).any()), bool((known > colours.high).any())
        ends = {(True, True): "both", (True, False): "min", (False, True): "max"}.get((below, above), "neither")
        bar = self.figure.colorbar(
            ScalarMappable(colours.norm, colours.map), ax=axes, shrink=0.85, pad=0.02, extend=ends
        )
        units = self._units(name)
        text = units if len(self._axes) > 1 else with_units(self._name(name, {name: colours}), units)
        bar.set_label(text, fontsize=self._letters.label)
        bar.ax.tick_params(labelsize=self._letters.small)

    def _draw_flag(self, axes: Axes, flag: NDArray[Any], film: bool) -> None:
        shown, names = flag_numbers(flag, self._classes), list(self._classes)
        shades = [to_hex(cmocean.cm.ice_r(x)) for x in np.linspace(_FLAG_LIGHTEST, _FLAG_DARKEST, len(names))]
        norm = BoundaryNorm(np.arange(len(names) + 1) - 0.5, len(names))
        self._image(axes, "flag", shown, cmap=ListedColormap(shades), norm=norm)
        # Other frames of a film have other conditions.
        present = [n for n in range(len(names)) if film or (shown == n).any()]
        km = self._source.extrapolation_km(self._one)
        far = {} if km is None else {"extrapolated_beyond_network": f" ({km:.3g} km)"}
        texts = [name.replace("_", " ") + far.get(name, "") for name in names]
        self._flag_marks = [Patch(facecolor=shades[n], edgecolor="#555555", label=texts[n]) for n in present]

    def _mark_stations(self, step: TimeStep, colours: dict[str, Colours]) -> list[Any]:
        """Draw the stations on all panels; return their marks for a legend."""
        marks = self._marks
        if marks is None:
            return []
        readings = marks.readings(self._one.species.key, step.first, step.last)
        inside = marks.inside(*self._box)
        lon = np.where(marks.lon < self._box[0], marks.lon + 360.0, marks.lon)
        handles: dict[str, Any] = {}
        for name, axes in self._axes.items():
            filled = name == "best" and bool(np.isfinite(readings[inside]).any())
            for away, marker, size, label in ((False, "o", 13, "visible station"), (True, "^", 26, "hidden station")):
                part = inside & (marks.hidden == away)
                if not part.any():
                    continue
                look: dict[str, Any] = {"facecolors": "none"}
                if filled:
                    # A station without a reading is a mark without a colour.
                    look = {"c": readings[part], "cmap": colours[name].map, "norm": colours[name].norm}
                    look["plotnonfinite"] = True
                dots = axes.scatter(
                    lon[part], marks.lat[part], s=size, marker=marker, edgecolors="black", linewidths=0.6, label=label,
                    zorder=4, path_effects=[_HALO], **look,
                )  # fmt: skip
                handles.setdefault(label, dots)
                if filled:
                    self._dots.setdefault(name, []).append((part, dots))
        return list(handles.values())

    def _explain(self, marks: list[Any], colours: dict[str, Colours]) -> None:
        """Say under the maps what marks and classes mean, beside their colours: a legend in a map hides its cells."""
        letters, wide = self._letters, float(self.figure.get_figwidth())
        look: dict[str, Any] = {"fontsize": letters.small, "title_fontsize": letters.small}
        classes = next((one for one in colours.values() if one.names), None)
        handles: list[Any] = []
        if classes is not None:
            parts = zip(classes.hexes, classes.ranges, classes.names, strict=True)
            handles = [Patch(facecolor=c, edgecolor="#555555", linewidth=0.4, label=f"{r}: {n}") for c, r, n in parts]
            look["title"] = wrapped("; ".join(filter(None, (self._units("best"), classes.title))), letters.small, wide)
        handles += [*marks, *self._flag_marks]
        if handles:
            longest = max(len(str(handle.get_label())) for handle in handles) * 0.55 * letters.small / 72 + 0.5
            rows = -(-len(handles) // max(1, int(wide / longest)))
            self.figure.legend(
                handles=handles, loc="outside lower center", ncols=-(-len(handles) // rows), frameon=False, **look
            )


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
