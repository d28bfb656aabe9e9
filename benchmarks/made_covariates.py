"""Files of covariates over north China for measurements of speed: made up, as those of a reanalysis and a model come.

    python benchmarks/made_covariates.py outputs/benchmarks/covariates

Writes a folder with wind and boundary layer hour by hour on a quarter of a degree (as ERA5), PM2.5 of a model every
third hour on 0.4 degree, both NetCDF, and two rasters at 0.01 degree, `population` and `roads`, as GeoTIFF, much at few
places. Waves that run along: they say nothing of the air. Then a model that reads them:

    aqreanalysis train --observations outputs/benchmarks/covariates/january.nc \
        --covariates outputs/benchmarks/covariates/files --set training.epochs=1 --out outputs/models/windy
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from aqreanalysis.observations import read_observations

SPAN = ("2018-12-25", "2019-02-15")
_WEST, _SOUTH, _EAST, _NORTH = 104.0, 32.0, 126.0, 44.0
_RASTER_STEP = 0.01


def waves(
    axes: tuple[NDArray[np.float64], ...], seed: int, count: int = 6, degrees: float = 4.0
) -> NDArray[np.float32]:
    """Return a sum of waves over hours, latitudes and longitudes, of mean 0 and standard deviation 1."""
    rng = np.random.default_rng(seed)
    hours, lat, lon = (axis.reshape([-1 if i == n else 1 for i in range(3)]) for n, axis in enumerate(axes))
    total = np.zeros(tuple(len(axis) for axis in axes), np.float32)
    for _ in range(count):
        y, x = rng.normal(0, 1 / degrees, 2)
        t = rng.uniform(0.02, 0.15)
        total += np.sin((2 * np.pi * (t * hours + y * lat + x * lon + rng.uniform())).astype(np.float32))
    return total * np.float32(np.sqrt(2 / count))


def write_files(folder: Path) -> Path:
    """Write weather, background and rasters into `folder`, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    hourly = pd.date_range(*SPAN, freq="h")
    lat, lon = np.arange(_NORTH, _SOUTH - 0.01, -0.25), np.arange(_WEST, _EAST + 0.01, 0.25)
    axes = np.arange(len(hourly), dtype=float), lat, lon
    weather = {
        "u10": (4 * waves(axes, 0), "m s-1"),
        "v10": (3 * waves(axes, 1), "m s-1"),
        "blh": (600 * np.exp(0.6 * waves(axes, 2)), "m"),
    }
    _write(folder / "weather.nc", weather, hourly, lat, lon)
    third = hourly[::3]
    lat, lon = np.arange(_SOUTH, _NORTH + 0.01, 0.4), np.arange(_WEST, _EAST + 0.01, 0.4)
    axes = np.arange(0.0, len(hourly), 3), lat, lon
    _write(folder / "background.nc", {"pm2p5_conc": (40 * np.exp(0.7 * waves(axes, 3)), "ug/m3")}, third, lat, lon)
    for seed, name in enumerate(("population", "roads"), start=4):
        _write_raster(folder / f"{name}.tif", seed)
    return folder


def _write(
    path: Path,
    fields: dict[str, tuple[NDArray[np.float32], str]],
    times: pd.DatetimeIndex,
    lat: NDArray[np.float64],
    lon: NDArray[np.float64],
) -> None:
    dims = "time", "latitude", "longitude"
    variables = {name: (dims, values, {"units": units}) for name, (values, units) in fields.items()}
    xr.Dataset(variables, {"time": times, "latitude": lat, "longitude": lon}).to_netcdf(path)


def _write_raster(path: Path, seed: int) -> None:
    import rioxarray  # noqa: F401  gives arrays `rio`

    lat = np.arange(_NORTH - _RASTER_STEP / 2, _SOUTH, -_RASTER_STEP)
    lon = np.arange(_WEST + _RASTER_STEP / 2, _EAST, _RASTER_STEP)
    values = np.exp(3.0 * waves((np.zeros(1), lat, lon), seed, count=12, degrees=0.8)[0])
    raster = xr.DataArray(values, {"y": lat, "x": lon}, ("y", "x"))
    raster.rio.write_crs("EPSG:4326").rio.to_raster(path, compress="deflate")


def main() -> None:
    """Write the files, and the readings of their span."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/china_north_2019.parquet"))
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    observations = read_observations(asked.data).select(start=SPAN[0], end=SPAN[1])
    print(observations.to_netcdf(asked.folder / "january.nc", overwrite=True))
    print(write_files(asked.folder / "files"))


if __name__ == "__main__":
    main()
