"""Kriging systems set up at the nodes of a fixed lattice and shared by the cells around: geometry of dense grids.

`NeuralKNN` sets up and solves one system a place and covariance model. On a grid whose cells lie much closer together
than the stations, neighbouring cells have all but the same system. Here it is set up at the nodes of a lattice that is
fixed on the Earth, each cell brings its own covariances with the neighbours of the four nodes around it, and the four
solutions are blended smoothly. No edge stands where the list of the nearest stations changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from aqreanalysis.common.geodesy import EARTH_RADIUS_KM, Degrees, tangent_frames, unit_vectors
from aqreanalysis.model.distribution.smoothstep import T, smoothstep
from aqreanalysis.model.kernels import (
    Array,
    blend_lattice_weights,
    count_neighbours,
    covariances,
    invert_systems,
    project_stations,
)
from aqreanalysis.model.network.aqnet import MIDDLE_KM
from aqreanalysis.model.network.neighbours import find_neighbours
from aqreanalysis.model.network.neural_knn import NeuralKNN

# Nodes stand at most this share of the stations' shortest reach apart: in the north China network half a degree, where
# estimates differ from those of exact systems by 0.5 % in the mean, most where no station is near, and MAE at hidden
# stations by 0.13 % at most.
_SHARE_OF_REACH = 0.45
_KM_A_DEGREE = np.pi * EARTH_RADIUS_KM / 180
# Cells along a side of the squares between nodes. Below the fewest, a system a cell is as cheap.
_FEWEST_CELLS, _MOST_CELLS = 3, 8
# Cells that lie on a line of the lattice belong to one square, however their coordinates were rounded.
ON_LINE = 1e-6


@dataclass(frozen=True)
class Lattice:
    """Degrees of latitude and of longitude between nodes; nodes lie at whole multiples of them."""

    lat_step: float
    lon_step: float


@dataclass(frozen=True)
class LatticeCells:
    """Places sorted into the squares of a lattice, and the nodes at the squares' corners.

    Attributes
    ----------
    places : list of Tensor
        Of each square, int64 (place,).
    corners : Tensor
        Nodes at the corners of each square, int64 (square, 4).
    fractions : Tensor
        What each corner counts at each place, float32 (place, 4); sums to one.
    index, position, reach_km : Tensor
        Of the nodes, as of `Geometry`.
    frames : Tensor
        Unit vectors up, east and north of each place, float32 (place, 3, 3).
    stations : Tensor
        Unit vectors of the stations, float32 (station, 3).
    """

    places: list[Tensor]
    corners: Tensor
    fractions: Tensor
    index: Tensor
    position: Tensor
    reach_km: Tensor
    frames: Tensor
    stations: Tensor


@dataclass(frozen=True)
class WeightBlock:
    """The kNN of the places of one square.

    Attributes
    ----------
    places : Tensor
        Which places, int64 (place,).
    stations : Tensor
        Neighbours of any of them, int64 (neighbour,).
    kernels : Tensor
        Weights of each covariance model (kernel, place, neighbour).
    count : Tensor
        What of each neighbour counts as one of the k nearest (place, neighbour).
    distances : Tensor
        Mean of the distances to the k nearest, km, and how crowded they stand (place, 2).
    variance : Tensor
        Kriging variance (kernel, place).
    """

    places: Tensor
    stations: Tensor
    kernels: Tensor
    count: Tensor
    distances: Tensor
    variance: Tensor


def choose_lattice(
    station_lat: Degrees, station_lon: Degrees, neighbours: int, steps: tuple[float, float]
) -> Lattice | None:
    """Return the lattice for a grid of `steps` degrees (lat, lon); None where each cell has its own systems.

    It depends on the network and the steps of the grid alone, so a part of a grid has the numbers of the whole.
    """
    reach = find_neighbours(station_lat, station_lon, station_lat, station_lon, neighbours).reach_km
    widest = _SHARE_OF_REACH * float(reach.min()) / _KM_A_DEGREE
    cells = [min(int(widest / step + ON_LINE), _MOST_CELLS) for step in steps]
    if min(cells) < _FEWEST_CELLS:
        return None
    lat_step, lon_step = (count * step for count, step in zip(cells, steps, strict=True))
    return Lattice(lat_step, lon_step)


def sort_into_lattice_cells(
    lattice: Lattice, stations: tuple[Degrees, Degrees], places: tuple[Degrees, Degrees], neighbours: int
) -> LatticeCells:
    """Return places sorted into the squares of `lattice`; stations and places are latitudes and longitudes."""
    lat, lon = places[0], (places[1] + 180.0) % 360.0 - 180.0
    (row, up), (column, right) = between_lines(lat, lattice.lat_step), between_lines(lon, lattice.lon_step)
    squares, which = np.unique(np.column_stack((row, column)).astype(np.int64), axis=0, return_inverse=True)
    which = which.reshape(-1)
    order = np.argsort(which, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(which[order])) + 1)
    around = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
    nodes, corners = np.unique((squares[:, None] + around).reshape(-1, 2), axis=0, return_inverse=True)
    node_lat = np.clip(nodes[:, 0] * lattice.lat_step, -90.0, 90.0)
    neighbours_of_nodes = find_neighbours(*stations, node_lat, nodes[:, 1] * lattice.lon_step, neighbours)
    fractions = np.stack(corner_fractions(up, right), axis=-1)
    return LatticeCells(
        [torch.from_numpy(some) for some in members],
        torch.from_numpy(corners.reshape(-1, 4)),
        torch.from_numpy(fractions.astype(np.float32)),
        neighbours_of_nodes.index,
        neighbours_of_nodes.position,
        neighbours_of_nodes.reach_km,
        torch.from_numpy(tangent_frames(lat, lon).astype(np.float32)),
        torch.from_numpy(unit_vectors(*stations).astype(np.float32)),
    )


def between_lines(degrees: T, step: float) -> tuple[T, T]:
    """Return the lattice's line below each coordinate, whole, and the smoothed share of the way to the next."""
    steps = degrees / step
    line = (steps + ON_LINE) // 1
    return line, smoothstep((steps - line).clip(0.0, 1.0))


def corner_fractions(up: T, right: T) -> tuple[T, T, T, T]:
    """Return what the solutions of the four corners of a square count, in their order; they sum to one."""
    return (1 - up) * (1 - right), (1 - up) * right, up * (1 - right), up * right


class LatticeKriging:
    """The solved systems of a network of stations at the nodes of some squares.

    Of a system with matrix K, ordinary kriging's weights for covariances r are ``r M + c`` with
    ``M = A - f f' / t``, ``c = f / t``, ``A = K^-1``, ``f = A 1``, ``t = 1' A 1``; its variance is
    ``1 - r (r M + 2 c) + 1 / t``. So a cell costs one product.
    """

    def __init__(self, knn: NeuralKNN, squares: LatticeCells) -> None:
        self.knn, self.squares = knn, squares
        self._products, self._offsets, self._ends = self._solve(squares.position, squares.reach_km)

    def _solve(self, position: Tensor, reach_km: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return products (kernel, node, k, k), offsets (kernel, node, k) and ends (kernel, node) of all nodes."""
        noise = self.knn.noise(position, reach_km).numpy()
        models, nodes, k = noise.shape
        products, offsets = np.empty((models, nodes, k, k), np.float32), np.empty((models, nodes, k), np.float32)
        ends = np.empty((models, nodes), np.float32)
        invert_systems(position.numpy(), noise, *self._tables, (products, offsets, ends))
        return torch.from_numpy(products), torch.from_numpy(offsets), torch.from_numpy(ends)

    def weight_blocks(self) -> list[WeightBlock]:
        """Return the kNN of each square."""
        return [self._weight_block(number) for number in range(len(self.squares.places))]

    def _weight_block(self, number: int) -> WeightBlock:
        squares = self.squares
        places, nodes = squares.places[number], squares.corners[number]
        stations, local = torch.unique(squares.index[nodes], return_inverse=True)  # (neighbour,), (4, k)
        fractions = squares.fractions[places].T.contiguous().numpy()
        position, distance = project_stations(squares.frames[places].numpy(), squares.stations[stations].numpy())
        count, described = count_neighbours(distance, fractions, local.numpy(), MIDDLE_KM)
        cov_to_place = covariances(position, *self._tables)
        systems = self._products.numpy(), self._offsets.numpy(), self._ends.numpy()
        weights, variance = blend_lattice_weights(cov_to_place, fractions, (nodes.numpy(), local.numpy()), systems)
        return WeightBlock(places, stations, *map(torch.from_numpy, (weights, count, described, variance)))

    @cached_property
    def _tables(self) -> tuple[Array, Array]:
        return self.knn.tables()
