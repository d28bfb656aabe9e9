"""A cube as one HTML page: map, time slider, time series by click; no server, no network, opened by a double click."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.common.hours import HOUR, decimal_hours
from aqreanalysis.errors import ConfigError, OutputError
from aqreanalysis.export.files import whole_file
from aqreanalysis.export.source import CubeSource, SpeciesLayers
from aqreanalysis.pictures.borders import CREDIT, outlines
from aqreanalysis.pictures.colours import PALETTES, Colours, classes_of, even_colours
from aqreanalysis.pictures.cube_fields import (
    EXTRAPOLATED,
    extrapolated_text,
    flag_classes,
    flag_numbers,
    gaps,
    is_synthetic,
    layer_name,
    units_text,
)
from aqreanalysis.pictures.page_encoding import LARGEST, Packer, rounded
from aqreanalysis.pictures.stations import StationMarkers
from aqreanalysis.production.derived_layers import CONCENTRATION
from aqreanalysis.species import SPECIES

if TYPE_CHECKING:
    from aqreanalysis.common.progress import Progress

#: Steps to which the estimate is rounded, in the pollutant's units; the finest that the size allows is taken.
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
#: Error bars are rounded to a step so many times wider: they are known less well.
_COARSER = 2.0
_SAMPLE_ROWS = 12
_SAMPLE_HOURS = 96
# Lines go on beside the region by this share of it, where a window of another shape shows its surroundings.
_BESIDE = 1.0
# Points of a line that lie nearer to each other than a part of the region's width are one: the first of these parts by
# which all lines have few enough points (some 14 bytes each).
_FINENESS = (4000, 2000, 1000, 500, 250, 120)
_MOST_POINTS = 30_000
_TEXT_BYTES = 600_000
_NAMES = ("best", "lower", "upper", "standard_error", "flag")


@dataclass(frozen=True)
class PageOptions:
    """What goes into a page.

    Attributes
    ----------
    layers : tuple of str
        ``best`` and any of ``lower``, ``upper``, ``standard_error``, ``flag``.
    max_megabytes : float
        Size that the page may have, in units of 1e6 bytes.
    step : float or None
        Step to which the estimate is rounded; None takes the finest of `STEPS` that the size allows.
    overwrite : bool
        Whether a file that exists is replaced.
    """

    layers: tuple[str, ...] = ("best", "lower", "upper", "flag")
    max_megabytes: float = 24.0
    step: float | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name in self.layers:
            if name not in _NAMES:
                raise ConfigError(f"layer {name!r} cannot go into a page: choose among {', '.join(_NAMES)}")
        if "best" not in self.layers:
            raise ConfigError("a page needs the layer 'best': add it to the layers")
        if not self.max_megabytes > 0 or (self.step is not None and not self.step > 0):
            raise ConfigError("size and step of a page must be above 0")


@dataclass(frozen=True)
class Page:
    """A page that was written.

    Attributes
    ----------
    path : Path
        The file.
    within : dict
        Layer -> largest difference between a number shown and the cube's, in the pollutant's units.
    """

    path: Path
    within: dict[str, float]


def write_page(
    source: CubeSource,
    out: str | Path,
    options: PageOptions | None = None,
    marks: StationMarkers | None = None,
    progress: Progress | None = None,
) -> Page:
    """Write the first pollutant of `source` as a page, and return where it lies and how its numbers are rounded.

    Parameters
    ----------
    source : CubeSource
        The cube, restricted to the period wanted.
    out : str or Path
        A name that ends in ``.html``.
    options : PageOptions, optional
        Layers, size, precision.
    marks : StationMarkers, optional
        Stations.
    progress : callable, optional
        Called as ``progress(hours done, hours, "page")``.

    Raises
    ------
    OutputError
        If it exists, or would be larger than allowed at the coarsest step.
    """
    wanted = options or PageOptions()
    one = next(iter(source.species.values()))
    names = _held(one, wanted.layers)
    step = wanted.step or _choose_step(source, names, wanted)
    steps = {layer: 1.0 if layer == "flag" else step * (1.0 if layer == "best" else _COARSER) for layer in names}
    with whole_file(out, (".html",), wanted.overwrite) as path:
        packed, sample = _pack(source, one, names, steps, progress)
        head = _describe(source, one, steps, sample, marks)
        path.write_text(_fill(head, packed), encoding="utf-8")
        size = path.stat().st_size / 1e6
        if size > wanted.max_megabytes * 1.04:
            raise OutputError(
                f"the page would have {size:.1f} MB, more than {wanted.max_megabytes:g}: give a coarser --step than "
                f"{step:g}, a shorter period, fewer --layer, or a larger --max-mb"
            )
    return Page(Path(out), {layer: value / 2 for layer, value in steps.items() if layer != "flag"})


def _held(one: SpeciesLayers, layers: tuple[str, ...]) -> dict[str, str]:
    held = {name: getattr(one, name) for name in layers}
    return {name: variable for name, variable in held.items() if variable is not None}


def _choose_step(source: CubeSource, names: dict[str, str], wanted: PageOptions) -> float:
    """Return the finest step whose page fits, by packing a few rows of cells."""
    rows, hours = source.dataset.sizes["lat"], source.dataset.sizes["time"]
    taken = slice(max(0, rows // 2 - _SAMPLE_ROWS // 2), rows // 2 + _SAMPLE_ROWS // 2)
    span = slice(max(0, hours // 2 - _SAMPLE_HOURS // 2), hours // 2 + _SAMPLE_HOURS // 2)
    read = {n: source.read(v, span, taken) for n, v in names.items() if n != "flag"}
    share = next(iter(read.values())).size / (rows * hours * source.dataset.sizes["lon"])
    room = wanted.max_megabytes * 1e6 * 0.97 - _TEXT_BYTES
    for step in STEPS:
        total = 0
        for name, values in read.items():
            own = step * (1.0 if name == "best" else _COARSER)
            if np.nanmax(values, initial=0.0) * 3 >= LARGEST * own:
                total = int(room) + 1  # a value outside the sample could go beyond 16 bits
                break
            packer = Packer()
            packer.add(rounded(values, own))
            total += sum(map(len, packer.finish()))
        if total / share <= room:
            return step
    raise OutputError(
        f"a page of {hours} steps of {source.path} does not fit into {wanted.max_megabytes:g} MB: take a shorter "
        "period (--start, --end), fewer layers (--layer best), or a larger --max-mb"
    )


def _pack(
    source: CubeSource, one: SpeciesLayers, names: dict[str, str], steps: dict[str, float], progress: Progress | None
) -> tuple[dict[str, tuple[str, str]], dict[str, NDArray[Any]]]:
    packers = {name: Packer() for name in names}
    sample: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    classes = flag_classes(source, one) if "flag" in names else {}
    total = source.dataset.sizes["time"]
    for slab in source.slabs(len(names)):
        for name, variable in names.items():
            values = source.read(variable, slab)
            if name == "flag":
                values = flag_numbers(values, classes)
            packers[name].add(rounded(values, steps[name]))
            sample[name].append(values[:: max(1, len(values) // 4)].ravel()[::7])
        if progress is not None:
            progress(slab.stop, total, "page")
    return {n: p.finish() for n, p in packers.items()}, {n: np.concatenate(parts) for n, parts in sample.items()}


def _describe(
    source: CubeSource,
    one: SpeciesLayers,
    steps: dict[str, float],
    sample: dict[str, NDArray[Any]],
    marks: StationMarkers | None,
) -> dict[str, Any]:
    """Return what the page knows of the cube beside its values, in types of JSON."""
    lat, lon = source.edges("lat"), source.edges("lon")
    box = (float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max()))
    attrs, hours = source.dataset[one.best].attrs, float((source.bounds[0, 1] - source.bounds[0, 0]) / HOUR)
    # An index has its own classes and no other scale; a count has none.
    own = classes_of(one, attrs, "even")
    scales = {"even": even_colours("concentration", sample["best"]) if own is None else own}
    if "standard_error" in sample:
        scales["standard_error"] = even_colours("spread", sample["standard_error"])
    if "lower" in sample and "upper" in sample:
        scales["width"] = even_colours("spread", sample["upper"] - sample["lower"])
    palettes = [name for name in PALETTES if name != "even" and one.kind == CONCENTRATION]
    scales |= {name: classes for name in palettes if (classes := classes_of(one, attrs, name, hours)) is not None}
    agencies = [name for name in scales if name in ("cn", "us") or (name == "even" and own is not None)]
    plain = {n: list(of.hexes) for n in agencies if (of := classes_of(one, attrs, n, hours, plain=True)) is not None}
    flags = list(flag_classes(source, one)) if "flag" in steps else []
    coverage = source.dataset[one.lower].attrs.get("coverage_probability") if one.lower else None
    return {
        "title": _title(source, one),
        "species": one.species.title,
        "units": units_text(one.species.units),
        "synthetic": is_synthetic(source),
        "coverage": None if coverage is None else float(coverage),
        "stamp": source.stamp,
        "hours": [round(float(h), 4) for h in decimal_hours(source.times)],
        "lat": np.asarray(source.dataset["lat"].values, np.float64).tolist(),
        "lon": np.asarray(source.dataset["lon"].values, np.float64).tolist(),
        "box": box,
        "layers": {n: {"step": step, "name": layer_name(source, one, n)} for n, step in steps.items()},
        "widthName": layer_name(source, one, "width"),
        "gaps": [int(step) for step in gaps(source.bounds)],
        "flags": [name.replace("_", " ") for name in flags],
        "far": [number for number, name in enumerate(flags) if name in EXTRAPOLATED],
        "farText": extrapolated_text(source, one),
        "scales": {name: _scale(colours) for name, colours in scales.items()},
        "plain": plain,
        "lines": _lines(box),
        "credit": CREDIT,
        "stations": _stations(marks, box),
    }


def _lines(box: tuple[float, float, float, float]) -> dict[str, list[list[list[float]]]]:
    """Return coasts and borders in the region and beside it, by kind, as finely as their room in the page allows."""
    west, south, east, north = box
    beside = _BESIDE * max(east - west, north - south)
    near = outlines(west - beside, south - beside, east + beside, north + beside)
    for parts in _FINENESS:
        step = (east - west) / parts
        decimals = max(0, int(np.ceil(-np.log10(step))))
        result: dict[str, list[list[list[float]]]] = {}
        for kind, lines in near.items():
            cells = [np.round(line / step) for line in lines]
            moves = [np.concatenate([[True], (np.diff(cell, axis=0) != 0).any(axis=1)]) for cell in cells]
            thinned = [line[move].round(decimals).tolist() for line, move in zip(lines, moves, strict=True)]
            result[kind] = [line for line in thinned if len(line) > 1]
        if sum(len(line) for lines in result.values() for line in lines) <= _MOST_POINTS:
            break
    return result


def _title(source: CubeSource, one: SpeciesLayers) -> str:
    """Return the cube's title, after the pollutant that the page shows where the cube holds several."""
    title = str(source.dataset.attrs.get("title", one.species.title))
    several = sum(species.layer in source.dataset.data_vars for species in SPECIES.values()) > 1
    return f"{one.species.title}: {title}" if several else title


def _scale(colours: Colours) -> dict[str, Any]:
    return {
        "title": colours.title,
        "low": colours.low,
        "high": colours.high,
        "edges": list(colours.edges),
        "hexes": list(colours.hexes),
        "names": list(colours.names),
    }


def _stations(marks: StationMarkers | None, box: tuple[float, float, float, float]) -> list[list[Any]]:
    if marks is None:
        return []
    lon = np.where(marks.lon < box[0], marks.lon + 360.0, marks.lon)
    inside = np.flatnonzero(marks.inside(*box))
    return [[marks.names[i], float(marks.lat[i]), float(lon[i]), int(marks.hidden[i])] for i in inside]


def _fill(head: dict[str, Any], packed: dict[str, tuple[str, str]]) -> str:
    """Return the page; nothing that comes from a file can end the script element that it stands in."""
    here = files("aqreanalysis.pictures")
    text, style, script = ((here / f"page.{kind}").read_text("utf-8") for kind in ("html", "css", "js"))
    data = "\n".join(
        f'<script type="text/plain" id="{name}-{half}">{code}</script>'
        for name, halves in packed.items()
        for half, code in zip(("low", "high"), halves, strict=True)
    )
    head_text = json.dumps(head, ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {"/*STYLE*/": style, "/*HEAD*/": head_text, "<!--DATA-->": data, "/*SCRIPT*/": script}
    # In one pass: what is filled in may hold a mark itself, as a title may.
    marks = re.compile("|".join(map(re.escape, parts)))
    return marks.sub(lambda mark: parts[mark[0]], text)
