"""What is hidden from the network while it learns: stations, neighbourhoods, readings, runs of hours, the future."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqreanalysis.common.geodesy import relative_position
from aqreanalysis.configs import TrainingConfig

# Of the stations that training may use, at random in a step; whole neighbourhoods come on top.
_HIDDEN_SHARE = 0.2
# A step hides at most this share, so that enough stations are left to look at.
_MOST_HIDDEN = 0.6


@dataclass(frozen=True)
class StationRoles:
    """Stations as the loop needs them: degrees, the role of each as a mask, its town; without one each is its own."""

    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    training: NDArray[np.bool_]
    calibration: NDArray[np.bool_]
    city: NDArray[np.str_] | None = None


def most_hidden(stations: int) -> int:
    """Return how many of some stations a step hides at most."""
    return max(int(_MOST_HIDDEN * stations), 1)


class StationMask:
    """Draws which training stations a step hides, and so takes as targets.

    Cells of a grid are mostly far from stations, while stations stand beside each other. Hiding discs of random radius
    shows the network targets as far from what it sees as cells are.

    Parameters
    ----------
    lat, lon : float64 (station,)
        Degrees, of the training stations.
    config : TrainingConfig
        `neighbourhood_share` and `neighbourhood_km`.
    """

    def __init__(self, lat: NDArray[np.float64], lon: NDArray[np.float64], config: TrainingConfig) -> None:
        between = relative_position(lat[:, None], lon[:, None], lat[None, :], lon[None, :])
        self._distance = np.linalg.norm(between, axis=-1)
        self._config = config

    def draw(self, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Return a mask (station,), True where hidden: at least one station, at most six in ten."""
        count = len(self._distance)
        hidden = np.zeros(count, dtype=bool)
        budget = rng.uniform(0.1, 0.4) * count
        while hidden.sum() < max(budget, 1):
            if rng.random() < self._config.neighbourhood_share:
                radius = rng.uniform(0.0, self._config.neighbourhood_km)
                more = self._distance[rng.integers(count)] <= radius
            else:
                more = rng.random(count) < _HIDDEN_SHARE / 2
            if (hidden | more).sum() > most_hidden(count):
                break
            hidden |= more
        if not hidden.any():  # one neighbourhood holds nearly every station: hide a single one
            hidden[rng.integers(count)] = True
        return hidden


def place_weights(
    lat: NDArray[np.float64], lon: NDArray[np.float64], cluster_km: float, power: float
) -> NDArray[np.float32]:
    """Return how much each station counts as a target (station,): one over those within `cluster_km`, to a power.

    Most stations stand in towns and most cells do not; what a network learns at stations of equal weight, it learns of
    towns. At cells of the nature run that was most of the bias.
    """
    between = relative_position(lat[:, None], lon[:, None], lat[None, :], lon[None, :])
    count = (np.linalg.norm(between, axis=-1) <= cluster_km).sum(axis=1)
    return np.asarray(count.astype(np.float32) ** -power)


def mask_readings(windows: Tensor, config: TrainingConfig, centre: int, generator: torch.Generator) -> Tensor:
    """Return `windows` (window, hour, station, input) with readings, runs and futures set to NaN.

    Parameters
    ----------
    windows : Tensor
        Standardised readings.
    config : TrainingConfig
        Shares of what is masked.
    centre : int
        First hour of the window's day.
    generator : torch.Generator
        On the windows' device.
    """
    count, steps, stations, _ = windows.shape
    device = windows.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    masked = uniform(*windows.shape) < config.mask_readings
    hour = torch.arange(steps, device=device)[None, :, None]
    begin = uniform(count, 1, stations) * steps
    length = 2 + uniform(count, 1, stations) * 46
    runs = (hour >= begin) & (hour < begin + length) & (uniform(count, 1, stations) < config.mask_runs)
    # The end of the data, somewhere between a day before the window's day and its end: a forecast of up to two days.
    last = centre - 24 + uniform(count, 1, 1) * 48
    future = (hour >= last) & (uniform(count, 1, 1) < config.forecast_share)
    return windows.masked_fill(masked | (runs | future)[..., None], float("nan"))
