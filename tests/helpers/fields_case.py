"""A small network with weather for the tests of covariates: what blows, and what it does to the readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
import xarray as xr
from numpy.typing import NDArray
from rasterio.transform import from_origin

from aqreanalysis.configs import Config, load_config
from aqreanalysis.observations import Observations, StationPlaces

FIRST = 17_000 * 24 + 1
DAYS = 8
SMALL = (
    "model.neighbours=6",
    "model.kernels=2",
    "model.state_width=8",
    "model.attention_heads=2",
    "model.channels=2",
    "model.head_width=8",
    "model.wind_lags_hours=[-1,0,2]",
    "training.epochs=1",
    "training.steps_per_epoch=3",
    "split.calibration_stations=0.2",
    "split.seed=3",
)


@dataclass(frozen=True)
class MadeUp:
    """Smooth fields of place and hour, as a `FieldSource` that works anywhere; counts how often it is read."""

    fields: tuple[str, ...] = ("u10", "v10", "blh")
    missing: tuple[int, ...] = ()

    @property
    def hourly(self) -> tuple[str, ...]:
        return self.fields

    @property
    def units(self) -> tuple[str, ...]:
        return tuple({"blh": "m", "t2m": "K"}.get(key, "m s-1") for key in self.fields)

    def hours(self, key: str) -> NDArray[np.int64]:
        every = np.arange(FIRST - 240, FIRST + 24 * DAYS + 240)
        return every[~np.isin(every, self.missing)]

    def at(self, lat: NDArray[np.float64], lon: NDArray[np.float64], hours: NDArray[np.int64]) -> NDArray[np.float32]:
        t, y, x = hours[:, None] / 24.0, lat[None], lon[None]
        known = {
            "u10": 4 * np.sin(2 * np.pi * t / 3 + y),
            "v10": 3 * np.cos(2 * np.pi * t / 5 + x),
            "blh": 600 + 400 * np.sin(2 * np.pi * t + x + y),
            "pm25_background": 25 + 15 * np.sin(2 * np.pi * t / 4 + x - y),
            "t2m": 280 + 5 * np.sin(2 * np.pi * t) + 0 * x * y,
        }
        out = np.stack([np.broadcast_to(known[key], (len(hours), len(lat))) for key in self.fields], axis=-1)
        out = out.astype(np.float32)
        out[np.isin(hours, self.missing)] = np.nan
        return out

    def select(self, fields: Sequence[str]) -> MadeUp:
        return replace(self, fields=tuple(fields))

    def digest(self) -> str:
        return f"made up: {self.fields} without {self.missing}"


def write_files(folder: Path) -> list[str]:
    """Write wind and boundary layer of `MadeUp` as NetCDF, and a map of a few works; return them as covariates are
    given: what the wind brings of the works is a field more."""
    lat, lon = np.arange(36.0, 44.1, 0.25), np.arange(110.0, 122.1, 0.25)
    hours = np.arange(FIRST - 48, FIRST + 24 * DAYS + 48)
    rows, columns = (axis.ravel() for axis in np.meshgrid(lat, lon, indexing="ij"))
    made_up = MadeUp()
    values = made_up.at(rows, columns, hours).reshape(len(hours), len(lat), len(lon), -1)
    fields = {
        key: (("time", "latitude", "longitude"), values[..., i], {"units": made_up.units[i]})
        for i, key in enumerate(made_up.fields)
    }
    axes = {"time": pd.to_datetime(hours, unit="h"), "latitude": lat, "longitude": lon}
    xr.Dataset(fields, axes).to_netcdf(folder / "weather.nc")
    works = np.zeros((80, 120), np.float32)
    works[::17, ::13] = 50.0
    profile = {"driver": "GTiff", "count": 1, "height": 80, "width": 120, "dtype": "float32", "crs": "EPSG:4326"}
    with rasterio.open(folder / "works.tif", "w", **profile, transform=from_origin(110.0, 44.0, 0.1, 0.1)) as file:
        file.write(works[None])
    return [str(folder / "weather.nc"), f"works={folder / 'works.tif'}"]


def network(stations: int = 16, seed: int = 0) -> Observations:
    """Return readings of PM2.5 and NO2 at stations within a few degrees, some missing."""
    rng = np.random.default_rng(seed)
    lat, lon = rng.uniform(38, 41, stations), rng.uniform(114, 118, stations)
    times = pd.to_datetime(np.arange(FIRST, FIRST + 24 * DAYS), unit="h")
    level = 3.5 + 0.4 * np.sin(np.arange(len(times)) / 15)[:, None] + 0.3 * np.sin(3 * lat + lon)
    values = {}
    for key in ("pm25", "no2"):
        readings = np.exp(level + 0.2 * rng.standard_normal(level.shape)).astype(np.float32)
        readings[rng.random(level.shape) < 0.05] = np.nan
        values[key] = readings
    ids = [f"S{i:02d}" for i in range(stations)]
    return Observations.from_arrays(times, StationPlaces(ids=ids, lat=lat, lon=lon), values)


def small_config(*more: str) -> Config:
    """Return a config that trains within a second."""
    return load_config("aqnet", [*SMALL, *more])


def trained(folder: Path, covariates: MadeUp | None, *more: str) -> Path:
    """Return a bundle trained on `network` with or without covariates."""
    from aqreanalysis.training import TrainOptions, train

    return train(network(), small_config(*more), folder, "cpu", None, TrainOptions(covariates=covariates))
