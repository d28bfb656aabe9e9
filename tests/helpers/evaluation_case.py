"""Fixtures for the tests of evaluation: a network of stations in towns, and a bundle with untrained weights.

A test module takes them in by ``pytest_plugins = ("evaluation_case",)``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from aqreanalysis.configs import Config, load_config
from aqreanalysis.model.bundle import Bundle, write_bundle
from aqreanalysis.model.distribution.hourly import Calibration
from aqreanalysis.model.network.aqnet import AQNet
from aqreanalysis.model.network.scaling import Scaling
from aqreanalysis.observations import Observations, StationPlaces
from aqreanalysis.splits import draw_split

FIRST = "2021-03-01 01:00"
_SMALL = (
    "model.neighbours=8",
    "model.state_width=8",
    "model.head_width=8",
    "model.attention_heads=2",
    "model.kernels=2",
    "model.channels=2",
    "window.history_hours=6",
    "window.lookahead_hours=6",
    "species=[pm25, o3]",
    "inputs=[pm25, o3]",
)


def make_town_network(towns: int = 9, per_town: int = 4, days: int = 10, with_city: bool = True) -> Observations:
    """Return stations clustered in towns some 60 km apart, and two pollutants that vary smoothly between them."""
    rng = np.random.default_rng(7)
    count = towns * per_town
    town_lat, town_lon = 35 + rng.uniform(0, 2.5, towns), 110 + rng.uniform(0, 3, towns)
    town = np.repeat(np.arange(towns), per_town)
    lat, lon = town_lat[town] + rng.normal(0, 0.03, count), town_lon[town] + rng.normal(0, 0.03, count)
    hours = np.arange(24 * days)
    phase = 2 * np.pi * (lat[None, :] / 2.2 + lon[None, :] / 3.1 - hours[:, None] / 60)
    log = 3.6 + 0.5 * np.sin(phase) + 0.2 * np.sin(2 * np.pi * hours / 24)[:, None] + 0.12 * rng.normal(size=(1, count))
    pm25 = np.exp(log + 0.08 * rng.normal(size=log.shape)).astype(np.float32)
    o3 = (120 - 0.6 * pm25 + rng.normal(0, 3, log.shape)).clip(2).astype(np.float32)
    for values in (pm25, o3):
        values[rng.random(values.shape) < 0.08] = np.nan
    places = StationPlaces(
        ids=[f"s{i:03d}" for i in range(count)],
        lat=lat,
        lon=lon,
        city=[f"town {t}" for t in town] if with_city else None,
    )
    times = pd.date_range(FIRST, periods=len(hours), freq="h")
    return Observations.from_arrays(times, places, {"pm25": pm25, "o3": o3}, {"synthetic": "a test network"})


@pytest.fixture(scope="session")
def town_network() -> Observations:
    """Thirty-six stations in nine towns over ten days, two pollutants, some eight percent missing."""
    return make_town_network()


@pytest.fixture(scope="session")
def town_networks() -> Callable[..., Observations]:
    """The maker of `town_network`, for other sizes."""
    return make_town_network


@pytest.fixture(scope="session")
def small_config() -> Config:
    """A model small enough for tests."""
    return load_config("aqnet", _SMALL)


@pytest.fixture(scope="session")
def untrained_bundle(
    town_network: Observations, small_config: Config, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A bundle with seeded random weights: every part of the real thing but the training."""
    torch.manual_seed(3)
    split = draw_split(town_network, small_config.split)
    keys = ("pm25", "o3")
    bundle = Bundle(
        config=small_config,
        members=[AQNet(2, [0, 1], small_config.model).state_dict()],
        scaling={key: Scaling.fit(town_network.values(key)) for key in keys},
        calibration={key: Calibration.normal() for key in keys},
        stations=split.to_frame(),
        provenance={"unseen_from": str(split.unseen_from)},
    )
    return write_bundle(bundle, tmp_path_factory.mktemp("bundle") / "untrained")
