"""The geometry of many cells of a dense grid in one go: what `lattice` and `blocks` do square by square, for a GPU.

The systems of kriging are those of the nodes of `lattice`, and the weights of a cell are the same. But a square at a
time is some fifty small steps, each of which a GPU waits for: 0.21 s a tile of 64 x 64 cells on an H100. Here the
squares are rows of a few large tensors, the four corners of all of them follow each other, and the weights come out
over all stations, as `AQNet.estimate_at` multiplies fastest there. What `common.geodesy` says on arrays is said
again on tensors, since trips to the processor and back would be what is saved here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aqreanalysis.common.geodesy import EARTH_RADIUS_KM, Degrees
from aqreanalysis.model.device import to_device
from aqreanalysis.model.inference.lattice import Lattice, between_lines, corner_fractions
from aqreanalysis.model.network.aqnet import MIXTURES, AQNet, Neighbourhood, crowding, geometry_features
from aqreanalysis.model.network.neural_knn import NeuralKNN

# Systems solved together: some hundred MB.
_SYSTEMS_AT_ONCE = 4096
_CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))


@dataclass(frozen=True)
class LatticeBatch:
    """Places in the squares of a lattice, each square a row of as many seats as the fullest one needs.

    Attributes
    ----------
    seat : Tensor
        Where each place sits among the seats of all squares, int64 (place,).
    square : Tensor
        In which square, int64 (place,).
    frames : Tensor
        Unit vectors up, east and north of whom sits there, float32 (square, seat, 3, 3); zero where nobody does.
    fractions : Tensor
        What each corner counts there, float32 (4, square, seat).
    corners : Tensor
        Nodes at the corners of each square, int64 (4, square).
    index, position, reach_km : Tensor
        Of the nodes, as of `Geometry`.
    stations : Tensor
        Unit vectors of the stations, float32 (station, 3).
    nearest_km : Tensor
        Distance of each place to the nearest station, float32 (place,).
    """

    seat: Tensor
    square: Tensor
    frames: Tensor
    fractions: Tensor
    corners: Tensor
    index: Tensor
    position: Tensor
    reach_km: Tensor
    stations: Tensor
    nearest_km: Tensor


def assign_to_lattice_cells(
    lattice: Lattice,
    stations: tuple[Degrees, Degrees],
    places: tuple[Degrees, Degrees],
    neighbours: int,
    device: torch.device,
) -> LatticeBatch:
    """Return places in the squares of `lattice`, on `device`; stations and places are latitudes and longitudes."""
    station_lat, station_lon = (to_device(np.ascontiguousarray(degrees), device) for degrees in stations)
    lat, lon = (to_device(np.ascontiguousarray(degrees), device) for degrees in places)
    lon = (lon + 180.0) % 360.0 - 180.0
    (row, up), (column, right) = between_lines(lat, lattice.lat_step), between_lines(lon, lattice.lon_step)
    row, column = row.long(), column.long()
    first = torch.stack((row.min(), column.min()))
    row, column = row - first[0], column - first[1]
    wide = column.max() + 2
    keys, square, counts = torch.unique(row * wide + column, return_inverse=True, return_counts=True)
    order = torch.argsort(square, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=device) - (counts.cumsum(0) - counts)[square[order]]
    seats = int(counts.max())
    seat = square * seats + rank
    around = torch.stack([keys + below * wide + beside for below, beside in _CORNERS])
    nodes, corners = torch.unique(around, return_inverse=True)
    node_lat = ((nodes // wide + first[0]) * lattice.lat_step).clamp(-90.0, 90.0)
    node_lon = (nodes % wide + first[1]) * lattice.lon_step
    vectors = _unit_vectors(station_lat, station_lon)
    fractions = torch.stack(corner_fractions(up, right))
    here = _frames(lat, lon)
    size = len(keys) * seats
    return LatticeBatch(
        seat,
        square,
        here.new_zeros(size, 3, 3).index_copy_(0, seat, here).view(-1, seats, 3, 3).float(),
        fractions.new_zeros(4, size).index_copy_(1, seat, fractions).view(4, -1, seats).float(),
        corners,
        *_neighbours((node_lat, node_lon), (station_lat, station_lon), vectors, neighbours),
        vectors.float(),
        _nearest(here[:, 0], vectors).float(),
    )


def _unit_vectors(lat: Tensor, lon: Tensor) -> Tensor:
    phi, theta = torch.deg2rad(lat), torch.deg2rad(lon)
    return torch.stack((phi.cos() * theta.cos(), phi.cos() * theta.sin(), phi.sin()), dim=-1)


def _frames(lat: Tensor, lon: Tensor) -> Tensor:
    """Return unit vectors up, east and north (place, 3, 3)."""
    phi, theta = torch.deg2rad(lat), torch.deg2rad(lon)
    east = torch.stack((-theta.sin(), theta.cos(), torch.zeros_like(theta)), dim=-1)
    north = torch.stack((-phi.sin() * theta.cos(), -phi.sin() * theta.sin(), phi.cos()), dim=-1)
    return torch.stack((_unit_vectors(lat, lon), east, north), dim=-2)


def _neighbours(
    nodes: tuple[Tensor, Tensor], stations: tuple[Tensor, Tensor], vectors: Tensor, k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return index, position and reach of the `k` nearest stations of each node, as `find_neighbours` does."""
    k = min(k, len(vectors))
    wanted = min(k + 1, len(vectors))
    chord = torch.linalg.vector_norm(_unit_vectors(*nodes)[:, None] - vectors, dim=-1)
    nearest, index = chord.topk(wanted, largest=False)
    # The first station left out sets the reach; with none left out, nothing needs to fade.
    angle = 2 * torch.asin((nearest / 2).clamp(max=1.0))
    reach = angle[:, k] if wanted > k else torch.full_like(angle[:, 0], torch.pi)
    index = index[:, :k].contiguous()
    lat, lon = (degrees[:, None] for degrees in nodes)
    position = _relative_position(lat, lon, stations[0][index], stations[1][index])
    return index, position.float(), (reach * EARTH_RADIUS_KM).float()


def _relative_position(lat: Tensor, lon: Tensor, station_lat: Tensor, station_lon: Tensor) -> Tensor:
    """Return east and north in km (..., 2) of stations seen from places, as of `geometry`."""
    phi, theta = torch.deg2rad(lat), torch.deg2rad(station_lat)
    dlon = torch.deg2rad(station_lon) - torch.deg2rad(lon)
    half = torch.sin((theta - phi) / 2) ** 2 + phi.cos() * theta.cos() * torch.sin(dlon / 2) ** 2
    distance = 2 * EARTH_RADIUS_KM * torch.asin(half.clamp(0.0, 1.0).sqrt())
    east = dlon.sin() * theta.cos()
    north = phi.cos() * theta.sin() - phi.sin() * theta.cos() * dlon.cos()
    norm = torch.hypot(east, north)
    unit = torch.where(norm > 0, distance / norm, 0.0)
    return torch.stack((east * unit, north * unit), dim=-1)


def _nearest(places: Tensor, stations: Tensor) -> Tensor:
    """Return the distance in km of each place to the nearest station; both are unit vectors."""
    # The nearest by one product, its distance by the difference, which alone is exact where they are close.
    nearest = stations[(places @ stations.T).argmax(dim=1)]
    chord = torch.linalg.vector_norm(places - nearest, dim=-1)
    return 2 * EARTH_RADIUS_KM * torch.asin((chord / 2).clamp(max=1.0))


def solve_lattice_systems(knn: NeuralKNN, position: Tensor, reach_km: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return products (kernel, node, k, k), offsets (kernel, node, k) and ends (kernel, node): see `LatticeKriging`."""
    solved = []
    for some, reach in zip(position.split(_SYSTEMS_AT_ONCE), reach_km.split(_SYSTEMS_AT_ONCE), strict=True):
        # No step asks the GPU how it went, and all systems go at once: `cholesky_inverse` takes one after the other.
        factor = torch.linalg.cholesky_ex(knn.systems(some, reach), check_errors=False).L
        ones = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device)
        half = torch.linalg.solve_triangular(factor, ones.expand_as(factor), upper=False)
        inverse = half.mT @ half
        flat = inverse.sum(dim=-1)
        total = flat.sum(dim=-1)
        offset = flat / total[..., None]
        solved.append((inverse - flat[..., :, None] * offset[..., None, :], offset, 1 / total))
    products, offsets, ends = (torch.cat(parts, dim=1) for parts in zip(*solved, strict=True))
    return products, offsets, ends


def lattice_neighbourhood(network: AQNet, batch: LatticeBatch) -> Neighbourhood:
    """Return the kNN of all places over all stations at once, for `AQNet.estimate_at`."""
    systems = solve_lattice_systems(network.knn, batch.position, batch.reach_km)
    mixture = torch.softmax(network.mixture, dim=-1)  # (target, band, mixture, kernel)
    # What is wanted of the dictionary: each mixture, and the whole kernel for what is learned.
    whole = torch.zeros_like(mixture[0, 0, :1])
    whole[:, network.whole] = 1.0
    wanted = torch.cat((mixture.flatten(0, 2), whole))
    places, stations = len(batch.seat), len(batch.stations)
    # Over corners: weights and, last, how much of each station counts as one of the k nearest.
    weights = whole.new_zeros(len(wanted) + 1, places, stations)
    sums = _FeatureSums.nothing(whole, len(mixture[0, 0, 0]), batch.fractions[0])
    for corner in range(4):
        nodes = batch.corners[corner]
        index = batch.index[nodes]  # (square, k)
        by_corner = _corner_weights(network.knn, batch, corner, systems, sums)
        mixed = torch.tensordot(wanted, by_corner, dims=1)  # (wanted, square, seat, k)
        share = batch.fractions[corner][None, :, :, None].expand(1, *mixed.shape[1:])
        sitting = torch.cat((mixed, share)).flatten(1, 2).index_select(1, batch.seat)
        # No station is twice among the neighbours of a node, so nothing is added in an order of chance.
        weights.scatter_add_(2, index[batch.square].expand_as(sitting), sitting)
    return _neighbourhood(mixture, weights, sums.of(batch.seat), batch.nearest_km)


@dataclass
class _FeatureSums:
    """Sums over the corners of the features of the head, at the seats or at the places.

    Attributes
    ----------
    variance : Tensor
        Kriging variance (kernel, seat), the one added at last.
    distance, crowd : Tensor
        Mean of the distances to the k nearest, km, and how crowded they stand (seat,).
    """

    variance: Tensor
    distance: Tensor
    crowd: Tensor

    @classmethod
    def nothing(cls, like: Tensor, kernels: int, seats: Tensor) -> _FeatureSums:
        """Return sums of nothing."""
        return cls(like.new_zeros(kernels, *seats.shape), torch.zeros_like(seats), torch.zeros_like(seats))

    def of(self, seat: Tensor) -> _FeatureSums:
        """Return the sums at some seats, in their order."""
        variance = F.relu(self.variance.flatten(1).index_select(1, seat)) + 1e-4
        return _FeatureSums(variance, self.distance.flatten()[seat], self.crowd.flatten()[seat])


def _corner_weights(
    knn: NeuralKNN, batch: LatticeBatch, corner: int, systems: tuple[Tensor, Tensor, Tensor], sums: _FeatureSums
) -> Tensor:
    """Return a corner's part of the weights of its neighbours (kernel, square, seat, k), and add to the sums."""
    nodes, share = batch.corners[corner], batch.fractions[corner]
    products, offsets, ends = (part[:, nodes] for part in systems)
    position = _position(batch.frames, batch.stations[batch.index[nodes]])  # (square, seat, k, 2)
    distance = torch.linalg.vector_norm(position, dim=-1)
    sums.distance += share * distance.mean(dim=-1)
    sums.crowd += share * crowding(distance).sum(dim=-1)
    covariance = knn.covariance_to_neighbours(position.flatten(0, 1)).unflatten(1, share.shape)  # (.., square, seat, k)
    offset = offsets[:, :, None]
    weights = torch.matmul(covariance, products).add_(offset)
    variance = 1 - (covariance * (weights + offset)).sum(dim=-1) + ends[..., None]
    sums.variance += share * variance
    return weights.mul_(share[..., None])


def _position(frames: Tensor, stations: Tensor) -> Tensor:
    """Return east and north in km (square, seat, k, 2) of stations (square, k, 3) seen from each seat."""
    seen = torch.matmul(frames.flatten(1, 2), stations.mT).unflatten(1, (-1, 3))  # (square, seat, 3, k)
    up, east, north = seen.unbind(dim=2)
    across = torch.sqrt(east**2 + north**2)
    unit = EARTH_RADIUS_KM * torch.atan2(across, up) / across.clamp(min=1e-9)
    return torch.stack((east * unit, north * unit), dim=-1)


def _neighbourhood(mixture: Tensor, weights: Tensor, sums: _FeatureSums, nearest: Tensor) -> Neighbourhood:
    """Return the kNN of places from weights (wanted, place, station) and the features that they have."""
    count = weights[-1]
    positive = F.relu(weights[-2])
    spread = sums.variance.log()
    features = geometry_features(nearest, sums.distance, sums.crowd)
    shares = mixture.mean(dim=2)  # (target, band, kernel)
    # (target, band, mixture * place, station)
    kriging = weights[:-2].unflatten(0, (len(mixture), -1, MIXTURES)).flatten(2, 3)
    return Neighbourhood(
        [list(bands) for bands in kriging],
        positive / positive.sum(dim=-1, keepdim=True),
        count,
        [torch.cat(((share @ spread).T, features), dim=-1) for share in shares],
        spread.mean(dim=0),
    )
