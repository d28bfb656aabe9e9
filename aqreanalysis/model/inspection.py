"""What a trained network has learned, read off while it works: attention over the window, weights of the neighbours.

Hooks only listen to the modules' inputs and outputs. What the predictor computes is not changed by a bit, and the
hooks are gone when a function here returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aqreanalysis.common.geodesy import Degrees
from aqreanalysis.errors import ModelError
from aqreanalysis.model.network.neighbours import find_neighbours
from aqreanalysis.model.predictor import AnalysisPredictor

#: The parts of `model.filters`, in their order.
BAND_TITLES = ("what lasts a day", "what lasts some hours", "what is of the hour")


@dataclass(frozen=True)
class Attention:
    """How much each hour of the window counts for each hour that is asked for.

    Attributes
    ----------
    query_hours : int64 (query,)
        Hours asked for, counted from the first of the block: 0 is the hour stamped 01:00.
    key_hours : int64 (key,)
        Hours of the window, counted likewise; negative ones are history.
    weights : float64 (query, key)
        Mean over heads, stations, days and members; each row sums to one.
    windows : int
        Windows (station times day) that the mean is over.
    """

    query_hours: NDArray[np.int64]
    key_hours: NDArray[np.int64]
    weights: NDArray[np.float64]
    windows: int


@dataclass(frozen=True)
class NeighbourWeights:
    """The weights that the neural kNN gives to the nearest stations of each place, for one pollutant.

    Attributes
    ----------
    distance_km : float64 (place, k)
        Distance of each neighbour, nearest first.
    weights : float64 (kernel, place, k)
        By band and mixture of covariance models; with several members, one member's after the other's. They sum to one
        over k and may be negative, as kriging weights are.
    bands : tuple of str
        What part of a value each row of `weights` interpolates; equal for a band's mixtures and for all members.
    """

    distance_km: NDArray[np.float64]
    weights: NDArray[np.float64]
    bands: tuple[str, ...]


@torch.inference_mode()
def read_attention(
    predictor: AnalysisPredictor,
    values: NDArray[np.float32],
    hours: NDArray[np.int64],
    station_lat: Degrees,
    station_lon: Degrees,
) -> Attention:
    """Return the attention of the temporal encoder over the windows of one block; arguments as of its `encode`.

    Raises
    ------
    ModelError
        If the network has no multi-head attention over the hours of the window.
    """
    networks = predictor.networks
    mean, windows = mean_attention(networks, lambda: predictor.encode(values, hours, station_lat, station_lon))
    queries, keys = mean.shape
    first_key = -min(predictor.history_hours, keys)
    return Attention(np.arange(queries), np.arange(first_key, first_key + keys), mean, windows // len(networks))


@torch.inference_mode()
def mean_attention(networks: Sequence[nn.Module], work: Callable[[], object]) -> tuple[NDArray[np.float64], int]:
    """Return the attention weights (query, key) of `networks` while `work` runs, and how many they are the mean of.

    The mean is over heads, sequences and every multi-head attention in the networks.

    Raises
    ------
    ModelError
        If `work` calls no multi-head attention.
    """
    attentions = [m for n in networks for m in n.modules() if isinstance(m, nn.MultiheadAttention)]
    with _listening(attentions) as calls:
        work()
    if not calls:
        raise ModelError("the network has no multi-head attention over the hours of its window: there is none to show")
    total, count = torch.zeros(()), 0
    for module, given in calls:
        # The module's own computation once more, this time with its weights: it keeps whatever masks it was given.
        weights = module.forward(**(given | {"need_weights": True, "average_attn_weights": True}))[1]
        assert weights is not None
        total = total + weights.double().sum(dim=0).cpu()
        count += len(weights)
    return (total / count).numpy(), count


@torch.inference_mode()
def read_neighbour_weights(
    predictor: AnalysisPredictor, station_lat: Degrees, station_lon: Degrees, lat: Degrees, lon: Degrees
) -> dict[str, NeighbourWeights]:
    """Return the neighbours' learned weights at places, by pollutant; arguments as of `AnalysisPredictor.geometry`."""
    geometry = find_neighbours(station_lat, station_lon, lat, lon, predictor.config.model.neighbours)
    distance = geometry.distance_km.double().numpy()
    by_species = {}
    for target, key in enumerate(predictor.species):
        parts = [n.band_weights(geometry.to(predictor.device), target) for n in predictor.networks]
        rows = tuple(band for part in parts for band in BAND_TITLES for _ in range(part.shape[1]))
        weights = torch.cat([part.flatten(0, 1) for part in parts])
        by_species[key] = NeighbourWeights(distance, weights.double().cpu().numpy(), rows)
    return by_species


@contextmanager
def _listening(modules: list[nn.MultiheadAttention]) -> Iterator[list[tuple[nn.MultiheadAttention, dict[str, Any]]]]:
    """Give the list of (module, its arguments by name) that fills as the modules are called."""
    calls: list[tuple[nn.MultiheadAttention, dict[str, Any]]] = []

    def hear(module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Any]) -> None:
        assert isinstance(module, nn.MultiheadAttention)
        calls.append((module, dict(zip(("query", "key", "value"), args, strict=False)) | kwargs))

    handles = [m.register_forward_pre_hook(hear, with_kwargs=True) for m in modules]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
