"""Towns whose readings follow how bright they shine and how much is burnt near them, with the maps that say so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
from rasterio.transform import from_origin

from aqreanalysis.observations import Observations, StationPlaces

TOWNS, A_TOWN, HOURS = 45, 3, 24 * 8
WEST, SOUTH, EAST, NORTH, STEP = 109.0, 34.0, 119.0, 42.0, 0.02
FIRST = pd.Timestamp("2021-03-01T01:00")
SMALL = (
    "model.state_width=8",
    "model.head_width=8",
    "model.kernels=2",
    "model.neighbours=8",
    "training.epochs=1",
    "training.steps_per_epoch=2",
    "window.history_hours=6",
    "window.lookahead_hours=6",
    "split.unseen_time=0.1",
    "inputs=[no2]",
    "species=[no2]",
)


def towns(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return latitudes, longitudes and brightness of towns."""
    rng = np.random.default_rng(seed)
    lat, lon = rng.uniform(SOUTH + 1, NORTH - 1, TOWNS), rng.uniform(WEST + 1, EAST - 1, TOWNS)
    return lat, lon, rng.lognormal(3.0, 1.0, TOWNS)


def write_lights(path: Path, seed: int = 0) -> Path:
    """Write a raster of lights: a spot some 15 km wide in each town."""
    lat, lon, bright = towns(seed)
    y, x = NORTH - (np.arange(round((NORTH - SOUTH) / STEP)) + 0.5) * STEP, WEST + (np.arange(500) + 0.5) * STEP
    lights = np.zeros((len(y), len(x)), np.float32)
    for place in zip(lat, lon, bright, strict=True):
        square = (y[:, None] - place[0]) ** 2 + ((x - place[1]) * 0.78) ** 2
        lights += (place[2] * np.exp(-square / 0.06**2)).astype(np.float32)
    profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "height": len(y), "width": len(x)}
    with rasterio.open(path, "w", **profile, crs="EPSG:4326", transform=from_origin(WEST, NORTH, STEP, STEP)) as file:
        file.write(lights, 1)
    return path


def write_plants(path: Path, seed: int = 0) -> Path:
    """Write a table of plants that stand anywhere, some of them closed."""
    rng = np.random.default_rng(seed + 100)
    frame = pd.DataFrame(
        {
            "lat": rng.uniform(SOUTH, NORTH, 300),
            "lon": rng.uniform(WEST, EAST, 300),
            "mw": rng.uniform(10, 1000, 300),
            "open": rng.random(300) < 0.7,
        }
    )
    frame.to_csv(path, index=False)
    return path


def readings(slope: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values (hour, station), latitudes and longitudes; `slope` is by log unit of a town's brightness."""
    rng = np.random.default_rng(seed + 1)
    centre = towns(seed)
    lat, lon = (np.repeat(part, A_TOWN) + rng.normal(0, 0.03, TOWNS * A_TOWN) for part in centre[:2])
    waves = rng.uniform(0, 2 * np.pi, (HOURS, 2))
    smooth = 0.5 * np.sin(lat / 2 + waves[:, :1]) + 0.5 * np.cos(lon / 3 + waves[:, 1:])
    logs = 3.0 + smooth + slope * np.repeat(np.log(centre[2]), A_TOWN) + rng.normal(0, 0.15, smooth.shape)
    return np.exp(logs).astype(np.float32), lat, lon


def observations(slope: float = 0.5) -> Observations:
    """Return the readings as hourly NO2."""
    values, lat, lon = readings(slope)
    times = pd.date_range(FIRST, periods=HOURS, freq="h")
    places = StationPlaces([f"s{i:03d}" for i in range(len(lat))], lat, lon, None)
    return Observations.from_arrays(times, places, {"no2": values})
