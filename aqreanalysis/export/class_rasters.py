"""The classes of an air quality index as a raster: a byte a pixel, with a colour table and the names of the classes."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from aqreanalysis.export.aqi_scales import Index
from aqreanalysis.export.rasters import COG_PROFILE, RasterFrame

#: Where no class is known.
UNKNOWN = 0
# Of a raster attribute table, as in gdal.h: type of a field (integer, text) and what it is used for.
_INTEGER, _TEXT = "0", "2"
_VALUE, _NAME, _RED, _GREEN, _BLUE = "5", "2", "6", "7", "8"


def write_classes(
    path: Path, classes: NDArray[np.float32], index: Index, frame: RasterFrame, tags: Mapping[str, str]
) -> None:
    """Write the classes of an index as a cloud-optimised GeoTIFF; their names go beside it, into ``.tif.aux.xml``.

    TIFF has a place for colours and none for names; GDAL, and with it QGIS, ArcGIS and R, reads them from that file. A
    TIFF of bytes has 256 colours, and QGIS would list them all: it takes its legend from a ``.qml`` of the same name.

    Parameters
    ----------
    path : Path
        Ends in ``.tif``.
    classes : float32 (row, column)
        Of `Index.class_of`, north-up; NaN or 0 where unknown.
    index : Index
        The index.
    frame : RasterFrame
        Of the pixels.
    tags : dict
        Metadata of the file.
    """
    rows, columns = frame.shape
    profile = {**COG_PROFILE, "dtype": "uint8", "count": 1, "height": rows, "width": columns, "nodata": UNKNOWN}
    # A predictor makes a palette's numbers larger, not smaller.
    profile["predictor"] = "NO"
    colours = {n: _rgb(one.colour) for n, one in enumerate(index.classes, 1)}
    with rasterio.open(path, "w", crs=frame.crs, transform=frame.transform, **profile) as file:
        file.update_tags(**tags)
        file.descriptions = (f"class of the {index.short}",)
        file.update_tags(1, **{f"class_{n}": text for n, text in enumerate(class_texts(index), 1)})
        file.write(np.nan_to_num(classes).astype(np.uint8), 1)
        file.write_colormap(1, {UNKNOWN: (0, 0, 0, 0), **{n: (*rgb, 255) for n, rgb in colours.items()}})
    ET.ElementTree(_names(index)).write(path.with_name(f"{path.name}.aux.xml"), encoding="utf-8")
    ET.ElementTree(_legend(index)).write(path.with_suffix(".qml"), encoding="utf-8")


def class_texts(index: Index) -> list[str]:
    """Return the classes for a legend: ``good (0 to 50)``, ``hazardous (above 300)``."""
    uppers = [one.upto for one in index.classes]
    lowers = [0.0, *(upper + 1 for upper in uppers)]
    return [
        f"{one.name} ({low:g} to {one.upto:g})" if np.isfinite(one.upto) else f"{one.name} (above {low - 1:g})"
        for one, low in zip(index.classes, lowers, strict=False)
    ]


def _names(index: Index) -> ET.Element:
    """Return what GDAL keeps beside a raster: names of categories, and a table of class, name and colour."""
    root = ET.Element("PAMDataset")
    band = ET.SubElement(root, "PAMRasterBand", band="1")
    texts = ["unknown", *class_texts(index)]
    categories = ET.SubElement(band, "CategoryNames")
    for text in texts:
        ET.SubElement(categories, "Category").text = text
    table = ET.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    fields = [("Value", _INTEGER, _VALUE), ("Class", _TEXT, _NAME)]
    fields += [("Red", _INTEGER, _RED), ("Green", _INTEGER, _GREEN), ("Blue", _INTEGER, _BLUE)]
    for number, (name, kind, usage) in enumerate(fields):
        field = ET.SubElement(table, "FieldDefn", index=str(number))
        for tag, value in (("Name", name), ("Type", kind), ("Usage", usage)):
            ET.SubElement(field, tag).text = value
    for number, one in enumerate(index.classes, 1):
        row = ET.SubElement(table, "Row", index=str(number - 1))
        for cell in (number, texts[number], *_rgb(one.colour)):
            ET.SubElement(row, "F").text = str(cell)
    return root


def _legend(index: Index) -> ET.Element:
    """Return a style of QGIS: the classes, and nothing else."""
    style = ET.Element("qgis", version="3.22.0", styleCategories="Symbology")
    look = {"type": "paletted", "band": "1", "opacity": "1", "alphaBand": "-1", "nodataColor": ""}
    renderer = ET.SubElement(ET.SubElement(style, "pipe"), "rasterrenderer", look)
    palette = ET.SubElement(renderer, "colorPalette")
    for number, (one, text) in enumerate(zip(index.classes, class_texts(index), strict=True), 1):
        ET.SubElement(palette, "paletteEntry", value=str(number), color=one.colour, label=text, alpha="255")
    return style


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue
