"""A small network with weather for the tests of covariates: what blows, and what it does to the readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
