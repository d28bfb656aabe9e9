"""Cells of a grid that share no systems, put together by their neighbours: geometry where stations stand close.

Where a lattice between the stations would be as fine as the grid (`choose_lattice`), each cell has kriging systems of
its own. Cells side by side have most of their neighbours in common all the same, so that the estimate is made for a
patch of them at once, as it is for the squares of a lattice. The patches change no number but for rounding.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqreanalysis.common.geodesy import Degrees
from aqreanalysis.model.inference.lattice import WeightBlock
from aqreanalysis.model.network.aqnet import crowding
from aqreanalysis.model.network.neighbours import Geometry
from aqreanalysis.model.network.neural_knn import NeuralKNN

# Cells along a side of a patch, if its cells have no more neighbours than this together; else its quarters are tried.
# Of 2000 stations and 0.05 degree the estimate takes 0.66, 0.21, 0.13, 0.09, 0.095 microseconds a cell-hour with 1, 2,
# 4, 8 and 12 cells a side.
_CELLS_A_SIDE = 8
_MOST_STATIONS = 320
# Cells that lie on the edge of a patch belong to one, however their coordinates were rounded.
_ON_EDGE = 1e-6


def group_into_blocks(neighbours: Geometry, lat: Degrees, lon: Degrees, steps: tuple[float, float]) -> list[Tensor]:
    """Return the places of each patch, int64 (place,): squares of cells, fixed on the Earth.

    Parameters
    ----------
    neighbours : Geometry
        Neighbours of the places.
    lat, lon : float64 (place,)
        Degrees.
    steps : tuple of float
        Degrees of latitude and longitude between cells.
    """
    index = neighbours.index.numpy()
    cell = np.column_stack([np.floor(x / step + _ON_EDGE) for x, step in zip((lat, lon), steps, strict=True)])
    groups, side = [np.arange(len(lat))], _CELLS_A_SIDE
    seen = np.zeros(index.max() + 1, bool)
    done: list[Tensor] = []
    while groups:
        split = [part for group in groups for part in _split(group, cell[group] // side)]
        groups = []
        for group in split:
            few = side == 1 or len(group) == 1 or len(_union(index[group], seen)) <= _MOST_STATIONS
            if few:
                done.append(torch.from_numpy(group))
            else:
                groups.append(group)
        side //= 2
    return done


def _union(index: NDArray[np.int64], seen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the stations in `index`, increasing, sooner than by sorting; `seen` is all false, and is so again."""
    seen[index] = True
    stations = np.flatnonzero(seen)
    seen[stations] = False
    return stations


def _split(group: NDArray[np.int64], square: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Return the members of `group` apart by their squares (member, 2)."""
    # One number a square: no grid has so many columns.
    _, which = np.unique(square[:, 0] * 2.0**24 + square[:, 1], return_inverse=True)
    order = np.argsort(which, kind="stable")
    return np.split(group[order], np.flatnonzero(np.diff(which[order])) + 1)


def exact_weight_blocks(knn: NeuralKNN, neighbours: Geometry, groups: list[Tensor]) -> list[WeightBlock]:
    """Return the kNN of each group of places, from a system a place.

    Parameters
    ----------
    knn : NeuralKNN
        The covariance models.
    neighbours : Geometry
        Neighbours of the places, on the CPU.
    groups : list of Tensor
        From `group_into_blocks`.
    """
    weights, variance = knn(neighbours.position, neighbours.reach_km)
    distance = neighbours.distance_km
    crowd = crowding(distance).sum(dim=-1)
    described = torch.stack((distance.mean(dim=-1), crowd), dim=-1)
    index = neighbours.index.numpy()
    seen, where = np.zeros(index.max() + 1, bool), np.empty(index.max() + 1, np.int64)
    blocks = []
    for places in groups:
        own = index[places.numpy()]
        stations = _union(own, seen)
        where[stations] = np.arange(len(stations))
        local = torch.from_numpy(where[own])
        kernels = weights.new_zeros(len(weights), len(places), len(stations))
        kernels.scatter_(2, local.expand(len(weights), -1, -1), weights[:, places])
        count = weights.new_zeros(len(places), len(stations)).scatter_(1, local, 1.0)
        own_variance = variance[:, places].contiguous()
        blocks.append(WeightBlock(places, torch.from_numpy(stations), kernels, count, described[places], own_variance))
    return blocks
