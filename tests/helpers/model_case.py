"""A small real case for the tests of the model and of training: stations in three towns, readings, a network.

Everything is drawn from a seed; the network has every part of the real one, and none of its sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from aqreanalysis.configs import Config, load_config
from aqreanalysis.model import AQNet, Bundle, Calibration, Scaling
from aqreanalysis.model.distribution.silence import SilenceCalibration
from aqreanalysis.observations import Observations, StationPlaces

STATIONS, DAYS, HISTORY, LOOKAHEAD = 20, 6, 12, 12
FIRST_HOUR = 429_529  # 2019-01-01 01:00 UTC, in hours since 1970
INPUTS = ("pm25", "o3")
SMALL = (
    "model.neighbours=8",
    "model.kernels=2",
    "model.state_width=8",
    "model.attention_heads=2",
    "model.channels=2",
    "model.head_width=8",
    f"window.history_hours={HISTORY}",
    f"window.lookahead_hours={LOOKAHEAD}",
    "training.epochs=3",
    "training.steps_per_epoch=3",
    "training.days_per_batch=1",
    "inputs=[pm25, o3]",
)


def small_config(*overrides: str) -> Config:
    """Return the default config with everything made small; `overrides` as on the command line."""
    return load_config("aqnet", [*SMALL, *overrides])


@dataclass(frozen=True)
class Readings:
    """`values` float32 (hour, station, input) from `hours` int64 on, and where the stations stand."""

    values: NDArray[np.float32]
    hours: NDArray[np.int64]
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]


def make_readings(days: int = DAYS, seed: int = 0, padded: bool = False) -> Readings:
    """Return readings with gaps: whole UTC days, with `padded` also the window's hours on both sides."""
    rng = np.random.default_rng(seed)
    lat = np.repeat([39.2, 39.9, 40.4], [7, 7, 6]) + rng.normal(0, 0.15, STATIONS)
    lon = np.repeat([116.2, 117.4, 116.7], [7, 7, 6]) + rng.normal(0, 0.15, STATIONS)
    before, after = (HISTORY, LOOKAHEAD) if padded else (0, 0)
    hours = np.arange(FIRST_HOUR - before, FIRST_HOUR + 24 * days + after, dtype=np.int64)
    phase = 2 * np.pi * hours[:, None] / 24
    wave = 3.6 + 0.5 * np.sin(phase + lat) + 0.4 * (lon - 117) + 0.3 * np.sin(hours[:, None] / 17 + 2 * lat)
    pm25 = np.exp(wave + rng.normal(0, 0.1, wave.shape))
    # Ozone peaks in the early afternoon of 117 E, as the check of the clock expects.
    o3 = 60 + 40 * np.cos(phase - 2 * np.pi * 6 / 24) + rng.normal(0, 4, wave.shape)
    values = np.stack((pm25, np.maximum(o3, 1)), axis=-1).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    return Readings(values, hours, lat, lon)


def make_observations(readings: Readings) -> Observations:
    """Return `readings` as observations, after quality control."""
    places = StationPlaces([f"s{i:02d}" for i in range(len(readings.lat))], readings.lat, readings.lon)
    times = pd.DatetimeIndex(readings.hours.astype("datetime64[h]"))
    return Observations.from_arrays(times, places, dict(zip(INPUTS, np.moveaxis(readings.values, -1, 0), strict=False)))


def make_bundle(species: tuple[str, ...] = ("pm25", "o3"), members: int = 1, seed: int = 0) -> Bundle:
    """Return a bundle with drawn weights, so that every part of the network has a say, and a calibration of 2 x 2."""
    config = small_config(f"species=[{', '.join(species)}]")
    weights = []
    for member in range(members):
        torch.manual_seed(seed + member)
        network = AQNet(len(INPUTS), [INPUTS.index(s) for s in species], config.model)
        for parameter in network.parameters():
            parameter.data.add_(0.3 * torch.randn_like(parameter))
        weights.append(network.state_dict())
    readings = make_readings()
    normal = Calibration.normal().quantiles[0, 0]
    widths = np.array([[0.8, 1.0], [1.2, 1.5]])
    silence = SilenceCalibration(
        np.array([0.0, 20.0, 80.0]),
        np.array([-1.2, -0.6, 0.0]),
        np.array([1.0, 30.0]),
        np.array([0.1, 1.0]),
        np.stack((normal, 1.2 * normal)),
        np.array([0.1, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0]),
    )
    calibration = Calibration(np.array([5.0, 40.0]), np.array([-1.0, 1.0]), widths[..., None] * normal, silence)
    roles = ["training"] * 16 + ["calibration"] * 2 + ["hidden-tenth"] * 2
    stations = pd.DataFrame(
        {
            "station": [f"s{i:02d}" for i in range(STATIONS)],
            "lat": readings.lat,
            "lon": readings.lon,
            "city": [""] * STATIONS,
            "role": roles,
        }
    )
    return Bundle(
        config=config,
        members=weights,
        scaling={key: Scaling.fit(readings.values[..., i]) for i, key in enumerate(INPUTS)},
        calibration=dict.fromkeys(species, calibration),
        stations=stations,
        metrics={"training": {"epoch": 3}},
        provenance={"model_digest": "not written yet", "unseen_from": "2019-01-06T01"},
        card="# Model card\n",
    )


def some_places(count: int = 15, seed: int = 5) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return latitudes and longitudes inside and a little outside of the network."""
    rng = np.random.default_rng(seed)
    return rng.uniform(38.8, 40.8, count), rng.uniform(115.8, 117.8, count)
