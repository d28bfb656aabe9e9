"""Coasts, lakes, rivers and borders from files that come with the package: a picture needs no network.

They are Natural Earth's (public domain) at 1:10 million, rivers at 1:50 million, packed to a thousandth of a degree by
`make_natural_earth`.
Borders in dispute are drawn as in that edition and say nothing about whose they are.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

CREDIT = "Coast, rivers, borders: Natural Earth"
#: Kinds of lines, a file each.
KINDS = ("coast", "border", "province", "lake", "river")
#: Units of the files in a degree.
UNITS = 1000
#: A region that is wider than so many degrees has too many provinces to show their borders.
PROVINCES_WITHIN = 4.0
#: Widths of a region, degrees, at which rivers are drawn. They lie some km beside their beds (of 17 towns on a river
#: half within 1.4 km, all within 4.4), which shows in a narrower one; in a wider one there are too many.
RIVERS_FROM, RIVERS_WITHIN = 1.5, 30.0
#: Where the files are, beside this one.
FOLDER = "natural_earth"

Line = NDArray[np.float64]
Lines = tuple[NDArray[np.float64], NDArray[np.int64]]


def outlines(west: float, south: float, east: float, north: float) -> dict[str, list[Line]]:
    """Return the lines near a box by kind of `KINDS`, each (point, 2) of longitude and latitude in degrees.

    A box that goes past 180 degrees east, as a grid across the antimeridian does, gets what lies beyond it moved by 360
    degrees. Borders of provinces are left out where the box is wider than `PROVINCES_WITHIN`, rivers where its width is
    not between `RIVERS_FROM` and `RIVERS_WITHIN`.
    """
    box, width = (west, south, east, north), east - west
    left_out = {"province": width > PROVINCES_WITHIN, "river": not RIVERS_FROM <= width <= RIVERS_WITHIN}
    wanted = [kind for kind in KINDS if not left_out.get(kind, False)]
    return {
        kind: [line for shift in (-360.0, 0.0, 360.0) for line in _near(_lines(kind), box, shift)] for kind in wanted
    }


@cache
def _lines(kind: str) -> Lines:
    """Return the points (point, 2) in degrees of all lines of a kind, one after the other, and where each begins."""
    with files("aqreanalysis.pictures").joinpath(FOLDER, f"{kind}.npz").open("rb") as file, np.load(file) as packed:
        first, steps, lengths = (packed[name] for name in ("first", "steps", "lengths"))
    begins = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    walked = np.zeros((int(lengths.sum()), 2), np.int64)
    inner = np.ones(len(walked), bool)
    inner[begins] = False
    walked[inner] = steps
    # Each line begins anew: its first point is what is missing to it where the line before has ended.
    run = np.cumsum(walked, axis=0)
    run += np.repeat(first - run[begins], lengths, axis=0)
    return run / UNITS, begins


def _near(lines: Lines, box: tuple[float, float, float, float], shift: float = 0.0) -> list[Line]:
    """Return the runs of lines whose segments may cross the box: a picture need not carry half a continent."""
    points, begins = lines
    west, south, east, north = box[0] - shift, box[1], box[2] - shift, box[3]
    if east < -180.0 or west > 180.0:
        return []
    first, last = points[:-1], points[1:]
    low, high = np.minimum(first, last), np.maximum(first, last)
    inside = (low[:, 0] <= east) & (high[:, 0] >= west) & (low[:, 1] <= north) & (high[:, 1] >= south)
    # No segment lies between the end of a line and the beginning of the next; along the antimeridian a map is cut.
    inside[begins[1:] - 1] = False
    inside &= ~((np.abs(first[:, 0]) > 180 - 1e-3) & (np.abs(last[:, 0]) > 180 - 1e-3))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(np.int8)))
    moved = np.array([shift, 0.0])
    return [points[begin : end + 1] + moved for begin, end in zip(edges[::2], edges[1::2], strict=True)]
