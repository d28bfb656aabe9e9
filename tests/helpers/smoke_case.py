"""A network among plumes that a chemistry model knows, for the tests of baselines that read covariates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aqreanalysis.evaluation.baselines import StationField

FIRST = 430_000


@dataclass(frozen=True)
class Smoke:
    """A chemistry model whose concentration is known at every place, and noise that is none of it."""

    fields: tuple[str, ...] = ("t2m", "pm25_background")
    hourly: tuple[str, ...] = ("t2m", "pm25_background")

    def at(self, lat: np.ndarray, lon: np.ndarray, hours: np.ndarray) -> np.ndarray:
        t, y, x = hours[:, None] / 7.0, lat[None], lon[None]
        plume = np.exp(3.0 + np.sin(9 * y + t) + np.cos(8 * x - 0.7 * t))
        noise = np.sin(1e4 * y + 3e4 * x + hours[:, None])
        return np.stack([280 + noise, plume], axis=-1).astype(np.float32)

    def hours(self, key: str) -> np.ndarray:
        return np.arange(FIRST, FIRST + 1000)

    def select(self, fields: object) -> Smoke:
        return self

    def digest(self) -> str:
        return "smoke"


def smoky_network(stations: int = 30, hours: int = 40, seed: int = 0, strength: float = 0.7) -> StationField:
    """Return readings that follow the model's plume to a power, with a smooth error and noise."""
    rng = np.random.default_rng(seed)
    lat, lon = rng.uniform(38, 40, stations), rng.uniform(114, 116, stations)
    stamps = FIRST + np.arange(hours)
    values = truth(lat, lon, stamps, strength) * np.exp(0.1 * rng.normal(size=(hours, stations)))
    values[rng.random(values.shape) < 0.05] = np.nan
    return StationField(lat, lon, values, np.arange(stations), stamps, covariates=Smoke())


def truth(lat: np.ndarray, lon: np.ndarray, hours: np.ndarray, strength: float = 0.7) -> np.ndarray:
    """Return the concentrations that `smoky_network` measures."""
    plume = Smoke().at(lat, lon, hours)[..., 1].astype(float)
    smooth = 0.3 * np.sin(2 * lat + lon + hours[:, None] / 30)
    return 12 * (plume / 20) ** strength * np.exp(smooth)
