"""People in the cells of a cube, from a raster of counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.warp import reproject

from aqreanalysis.errors import OutputError, in_one_line
from aqreanalysis.export.rasters import frame_of
from aqreanalysis.export.source import CubeSource


def people_in_cells(source: CubeSource, path: str | Path) -> NDArray[np.float64]:
    """Return how many people live in each cell, float64 (row, column) in the order of the cube's rows.

    The counts are summed into the cells with their pixels' shares, so a raster of another resolution or reference
    system keeps its total. Pixels without a count, or with one below zero, hold nobody.

    Raises
    ------
    OutputError
        If the raster cannot be read.
    """
    frame = frame_of(source)
    people = np.zeros(frame.shape, dtype=np.float64)
    try:
        with rasterio.open(path) as raster:
            reproject(
                rasterio.band(raster, 1),
                people,
                dst_transform=frame.transform,
                dst_crs=frame.crs,
                resampling=Resampling.sum,
                dst_nodata=0,
            )
    except rasterio.errors.RasterioError as error:
        raise OutputError(f"population raster {path} cannot be used: {in_one_line(error, 200)}") from None
    people = np.where(np.isfinite(people) & (people > 0), people, 0.0)
    lat = source.dataset["lat"].values
    return people[::-1] if lat[0] < lat[-1] else people
