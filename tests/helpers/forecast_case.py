"""A small real case for the tests of the long forecast: a season and a half of two pollutants at eight stations."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.configs import Config, load_config
from aqreanalysis.observations import Observations, StationPlaces

STATIONS, DAYS = 8, 155
FIRST_HOUR = 429_529  # 2019-01-01 01:00 UTC, in hours since 1970
INPUTS = ("pm25", "o3")
_SMALL = (
    "inputs=[pm25, o3]",
    "forecast.history_hours=72",
    "forecast.lead_hours=48",
    "forecast.state_width=8",
    "forecast.attention_heads=2",
    "forecast.head_width=8",
    "forecast.neighbours=4",
    "forecast.members=1",
    "forecast.steps=6",
    "forecast.validate_every=6",
    "forecast.sequences_per_batch=24",
)


def small_forecast_config(*overrides: str) -> Config:
    """Return the forecast config with everything made small; `overrides` as on the command line."""
    return load_config("forecast", [*_SMALL, *overrides])


def forecast_values(days: int = DAYS, seed: int = 0) -> NDArray[np.float32]:
    """Return readings (hour, station, input) with gaps: weather that passes in days, and a diurnal course."""
    rng = np.random.default_rng(seed)
    hours = np.arange(FIRST_HOUR, FIRST_HOUR + 24 * days)
    weather = np.zeros(len(hours))
    for t in range(1, len(hours)):
        weather[t] = 0.98 * weather[t - 1] + 0.16 * rng.normal()
    phase = 2 * np.pi * hours / 24
    local = 0.1 * rng.normal(size=(len(hours), STATIONS)) + 0.2 * rng.normal(size=STATIONS)
    pm25 = np.exp(3.5 + 0.7 * weather[:, None] + 0.2 * np.sin(phase)[:, None] + local)
    # Ozone peaks in the early afternoon of 117 E, as the check of the clock expects.
    o3 = 60 + 40 * np.cos(phase - np.pi / 2)[:, None] + rng.normal(0, 4, local.shape)
    values = np.stack((pm25, np.maximum(o3, 1)), axis=-1).astype(np.float32)
    values[rng.random(values.shape) < 0.05] = np.nan
    return values


def station_places() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return latitudes and longitudes of the stations."""
    rng = np.random.default_rng(3)
    return 39.9 + rng.normal(0, 0.2, STATIONS), 116.4 + rng.normal(0, 0.25, STATIONS)


def forecast_observations(values: NDArray[np.float32]) -> Observations:
    """Return `values` as observations, after quality control."""
    lat, lon = station_places()
    times = pd.DatetimeIndex((FIRST_HOUR + np.arange(len(values))).astype("datetime64[h]"))
    readings = {key: values[..., i] for i, key in enumerate(INPUTS)}
    return Observations.from_arrays(times, StationPlaces([f"s{i}" for i in range(STATIONS)], lat, lon), readings)
