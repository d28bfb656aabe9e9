"""Static fields of the nature run, as maps of people, roads and industry would give them: exact, at any step.

The emissions of the truth follow from the same towns, roads and works; moods, hours, weather and fires do not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from aqreanalysis.common.files import replacing
from aqreanalysis.grids import Grid
from aqreanalysis.nature.random_fields import FloatArray
from aqreanalysis.nature.region import TransportLattice, build_region

FINE_STEP = 0.02  # degree
# What strength 1 stands for: the core of a town of a million, its main road, and the SO2 of industry
# (2.2 ug m-2 s-1 in `emissions`, 31.6 million seconds a year).
_PEOPLE, _TRAFFIC, _SO2 = 6000.0, 40.0, 69.4
_FIELDS = {
    "population": ("population density", "km-2", _PEOPLE),
    "roads": ("traffic on the roads between towns, thousand vehicle km a day and km2", "1e3 km-1 day-1", _TRAFFIC),
    "works": ("emission of sulfur dioxide by industry, t a year and km2", "t km-2 year-1", _SO2),
}
NAMES = tuple(_FIELDS)


def static_fields(seed: int, grid: Grid, lat: FloatArray, lon: FloatArray) -> dict[str, FloatArray]:
    """Return people, traffic and industry of a seed by `NAMES`, float32 (lat, lon), at places of two axes.

    Parameters
    ----------
    seed : int
    grid : Grid
        That of the nature run.
    lat, lon : ndarray
        Degrees.
    """
    region = build_region(seed, grid)
    built = region.settlement
    x, y = region.lattice.km(np.repeat(lat, lon.size), np.tile(lon, lat.size))
    strength = (built.towns(x, y).sum(axis=1), built.traffic(x, y), built.industry(x, y))
    return {
        # To a thousandth: no map tells of less, and open country is 0.
        name: np.round(factor * values, 3).reshape(lat.size, lon.size).astype(np.float32)
        for (name, (_, _, factor)), values in zip(_FIELDS.items(), strength, strict=True)
    }


def describe(name: str) -> dict[str, str]:
    """Return long name and units of a field."""
    title, units, _ = _FIELDS[name]
    return {"long_name": f"{title} (synthetic)", "units": units}


def write_static_fields(
    seed: int, grid: Grid, folder: Path, step: float, attributes: dict[str, Any]
) -> dict[str, Path]:
    """Write a GeoTIFF a field into a folder and return the paths by name.

    The rasters reach over the margin of the transport, so that windows around places of the grid are whole.

    Parameters
    ----------
    seed : int
    grid : Grid
        That of the nature run.
    folder : Path
        Made if absent.
    step : float
        Degrees; a cell of the grid is a whole number of pixels.
    attributes : dict
        Tags of the files.
    """
    import rioxarray  # noqa: F401  (gives arrays their attribute rio)

    lattice = TransportLattice.around(grid)
    lat, lon = (_pixels(axis, step) for axis in (lattice.lat, lattice.lon))
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name, values in static_fields(seed, grid, lat, lon).items():
        paths[name] = folder / f"{name}.tif"
        described = xr.DataArray(values[::-1], {"y": lat[::-1], "x": lon}, ("y", "x"), attrs=describe(name))
        with replacing(paths[name]) as temporary:
            raster = described.rio.write_crs("EPSG:4326")
            raster.rio.to_raster(temporary, driver="GTiff", compress="deflate", predictor=3, tags=attributes)
    return paths


def _pixels(axis: FloatArray, step: float) -> FloatArray:
    """Return centres of pixels of `step` that fill the cells of an axis."""
    cell = float(axis[1] - axis[0])
    count = round(cell / step) * axis.size
    return np.round(float(axis[0]) - cell / 2 + step * (np.arange(count) + 0.5), 10)
