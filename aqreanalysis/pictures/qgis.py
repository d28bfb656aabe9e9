"""Styles and a project file for QGIS 3.22 and later, written as XML; QGIS itself is not needed for it.

The elements are those that QGIS 3.22.16 writes, less what it fills in by itself. The mesh layer animates in all of
these versions; a raster layer only from 3.38 on, where each band has a time range of its own, which 3.22 ignores.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.common.files import replacing
from aqreanalysis.common.hours import EPOCH
from aqreanalysis.export.source import CubeSource, SpeciesLayers
from aqreanalysis.pictures.colours import Colours
from aqreanalysis.pictures.qgis_clock import NEAREST, Clock, clock_of

VERSION = "3.22.0"
# Qgis::RasterTemporalMode::FixedRangePerBand, of 3.38 (qgis.h); to an older version it is a mode that it does not know.
_RANGE_PER_BAND = "3"
_STATIC_RASTER = "0"


@dataclass(frozen=True)
class QgisLayer:
    """A layer of the cube as QGIS gets it.

    Attributes
    ----------
    cube : Path
        The file.
    variable : str
        Name of the layer in the cube.
    title : str
        Name for people.
    colours : Colours
        Of its values.
    bounds : datetime64[ns] (time, 2)
        Beginning and end of each step, UTC.
    clock : Clock
        By which QGIS steps through them.
    """

    cube: Path
    variable: str
    title: str
    colours: Colours
    bounds: NDArray[np.datetime64]
    clock: Clock


def layer_of(source: CubeSource, one: SpeciesLayers, colours: Colours) -> QgisLayer:
    """Return the best estimate of a pollutant as QGIS gets it."""
    name = str(source.dataset[one.best].attrs.get("long_name", one.species.title))
    cube = source.path.resolve() if isinstance(source.path, Path) else Path(source.path.name)
    return QgisLayer(cube, one.best, name, colours, source.bounds, clock_of(source.times, source.bounds))


def mesh_group(source: CubeSource, name: str) -> int:
    """Return the number of a layer among the groups of a mesh, which QGIS sorts by their long names."""
    dataset = source.dataset
    shown = [v for v in map(str, dataset.data_vars) if {"lat", "lon"} <= set(map(str, dataset[v].dims))]
    titles = sorted(str(dataset[v].attrs.get("long_name", v)) for v in shown)
    return titles.index(str(dataset[name].attrs.get("long_name", name)))


def raster_style(layer: QgisLayer) -> ET.Element:
    """Return a raster's style: one band, colours by class, a time range for each band."""
    style = ET.Element("qgis", version=VERSION, styleCategories="AllStyleCategories")
    style.extend(_raster_parts(layer))
    return style


def mesh_style(layer: QgisLayer, group: int) -> ET.Element:
    """Return a mesh's style: the group shown, its colours, its time."""
    style = ET.Element("qgis", version=VERSION, styleCategories="AllStyleCategories")
    style.extend(_mesh_parts(layer, group))
    return style


def project(layer: QgisLayer, group: int, folder: Path) -> ET.Element:
    """Return a project with the mesh on top and the raster, switched off, below; paths are relative to `folder`."""
    name = _relative(layer.cube, folder)
    root = ET.Element("qgis", version=VERSION, projectname=layer.title)
    ET.SubElement(root, "title").text = layer.title
    ET.SubElement(root, "projectCrs").append(_wgs84())
    tree = ET.SubElement(root, "layer-tree-group")
    places = ET.SubElement(root, "projectlayers")
    layers = [
        ("mesh", "mdal", name, _mesh_parts(layer, group)),
        ("raster", "gdal", f'NETCDF:"{name}":{layer.variable}', _raster_parts(layer)),
    ]
    for kind, provider, where, parts in layers:
        title = f"{layer.title} ({kind})"
        seen = "Qt::Checked" if kind == layers[0][0] else "Qt::Unchecked"
        entry = {"id": _layer_id(layer, kind), "name": title, "providerKey": provider, "checked": seen}
        ET.SubElement(tree, "layer-tree-layer", entry, source=where, expanded="1")
        place = ET.SubElement(places, "maplayer", type=kind, styleCategories="AllStyleCategories")
        for tag, text in (("id", entry["id"]), ("datasource", where), ("layername", title)):
            ET.SubElement(place, tag).text = text
        ET.SubElement(place, "srs").append(_wgs84())
        ET.SubElement(place, "provider", {"time-unit": "3"} if kind == "mesh" else {}).text = provider
        place.extend(parts)
    order = ET.SubElement(root, "layerorder")
    for kind, *_ in layers:
        ET.SubElement(order, "layer", id=_layer_id(layer, kind))
    properties = ET.SubElement(root, "properties")
    # Without it QGIS does not read the project's reference system.
    ET.SubElement(ET.SubElement(properties, "SpatialRefSys"), "ProjectionsEnabled", type="int").text = "1"
    paths = ET.SubElement(properties, "Paths")
    ET.SubElement(paths, "Absolute", type="bool").text = "false"
    clock = layer.clock
    step = {"timeStep": str(clock.step), "timeStepUnit": clock.unit, "frameRate": "5", "cumulativeTemporalRange": "0"}
    settings = ET.SubElement(root, "ProjectTimeSettings", step)
    span = ET.SubElement(settings, "TemporalRange")
    for tag, time in (("start", clock.begin), ("end", clock.end)):
        ET.SubElement(span, tag).text = _stamp(time)
    return root


def write_xml(element: ET.Element, path: Path) -> Path:
    """Write an element as QGIS does, with its document type; return the path."""
    ET.indent(element)
    text = ET.tostring(element, encoding="unicode")
    with replacing(path) as part:
        part.write_text(f"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n{text}\n", encoding="utf-8")
    return path


def _raster_parts(layer: QgisLayer) -> list[ET.Element]:
    temporal = ET.Element("temporal", enabled="1", mode=_RANGE_PER_BAND, fetchMode=_STATIC_RASTER)
    ranges = ET.SubElement(temporal, "ranges")
    for band, (begin, end) in enumerate(layer.bounds, 1):
        one = {
            "band": str(band),
            "begin": _stamp(begin),
            "end": _stamp(end),
            "includeBeginning": "1",
            "includeEnd": "0",
        }
        ET.SubElement(ranges, "range", one)
    pipe = ET.Element("pipe")
    look = {"type": "singlebandpseudocolor", "band": "1", "opacity": "1", "alphaBand": "-1", "nodataColor": ""}
    look |= {"classificationMin": f"{layer.colours.low:g}", "classificationMax": f"{layer.colours.high:g}"}
    renderer = ET.SubElement(pipe, "rasterrenderer", look)
    ET.SubElement(renderer, "rasterTransparency")
    ET.SubElement(renderer, "rastershader").append(_shader(layer.colours))
    return [temporal, pipe]


def _mesh_parts(layer: QgisLayer, group: int) -> list[ET.Element]:
    span = {"start-time-extent": _stamp(layer.clock.begin), "end-time-extent": _stamp(layer.clock.end)}
    reference = _stamp(pd.Timestamp(EPOCH) - layer.clock.behind)
    controller = {"temporal-active": "1", "reference-time": reference, "matching-method": NEAREST}
    temporal = ET.Element("temporal", {**controller, **span})
    settings = ET.Element("mesh-renderer-settings")
    ET.SubElement(settings, "active-dataset-group", scalar=str(group), vector="-1")
    ends = {
        "min-val": f"{layer.colours.low:g}",
        "max-val": f"{layer.colours.high:g}",
        "opacity": "1",
        "interpolation-method": "none",
    }
    ET.SubElement(settings, "scalar-settings", {**ends, "group": str(group)}).append(_shader(layer.colours))
    return [temporal, settings]


def _shader(colours: Colours) -> ET.Element:
    """Return classes as discrete steps with their names, an even scale as a ramp."""
    classes = bool(colours.edges)
    look = {"colorRampType": "DISCRETE" if classes else "INTERPOLATED", "classificationMode": "1", "clip": "0"}
    shader = ET.Element(
        "colorrampshader",
        {**look, "minimumValue": f"{colours.low:g}", "maximumValue": f"{colours.high:g}", "labelPrecision": "1"},
    )
    if classes:
        # An item of a discrete ramp holds the value up to which its colour goes.
        uppers = [*(f"{edge:g}" for edge in colours.edges), "inf"]
        lowers = ["0", *uppers]
        held = colours.texts or [
            f"{a} to {b}" if b != "inf" else f"above {a}" for a, b in zip(lowers, uppers, strict=False)
        ]
        labels = [f"{name} ({text})" for name, text in zip(colours.names, held, strict=True)]
        items = list(zip(uppers, labels, colours.hexes, strict=True))
    else:
        picked = np.linspace(0, len(colours.hexes) - 1, 17).round().astype(int)
        values = colours.low + (colours.high - colours.low) * picked / (len(colours.hexes) - 1)
        items = [(f"{v:.6g}", f"{v:.3g}", colours.hexes[i]) for i, v in zip(picked, values, strict=True)]
    for value, label, colour in items:
        ET.SubElement(shader, "item", value=value, label=label, color=colour, alpha="255")
    return shader


def _wgs84() -> ET.Element:
    reference = ET.Element("spatialrefsys")
    for tag, text in (("proj4", "+proj=longlat +datum=WGS84 +no_defs"), ("srsid", "3452"), ("srid", "4326"),
                      ("authid", "EPSG:4326"), ("description", "WGS 84"), ("projectionacronym", "longlat"),
                      ("ellipsoidacronym", "EPSG:7030"), ("geographicflag", "true")):  # fmt: skip
        ET.SubElement(reference, tag).text = text
    return reference


def _layer_id(layer: QgisLayer, kind: str) -> str:
    """Return the id of a layer; one of ten characters or fewer QGIS replaces, and no legend would find the layer."""
    return f"aqreanalysis_{layer.variable}_{kind}"


def _relative(cube: Path, folder: Path) -> str:
    where = Path(os.path.relpath(cube, folder.resolve())).as_posix()
    return where if where.startswith("..") else f"./{where}"


def _stamp(time: pd.Timestamp | np.datetime64) -> str:
    return f"{pd.Timestamp(time):%Y-%m-%dT%H:%M:%SZ}"
