"""Where the nearest stations lie, seen from each place: the part of the model's input that time does not change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree
from torch import Tensor

from aqreanalysis.common.geodesy import EARTH_RADIUS_KM, Degrees, chord_angle, tangent_frames, unit_vectors


@dataclass(frozen=True)
class Geometry:
    """The k nearest stations of each place, nearest first.

    Attributes
    ----------
    index : Tensor
        Station index, int64 (place, k).
    position : Tensor
        East and north of the place in km, float32 (place, k, 2), azimuthal equidistant about the place.
    reach_km : Tensor
        Distance at which a neighbour's influence has faded to nothing, float32 (place,).
    """

    index: Tensor
    position: Tensor
    reach_km: Tensor

    @property
    def nearest_km(self) -> NDArray[np.float32]:
        """Distance to the nearest station in km, float32 (place,)."""
        return torch.linalg.vector_norm(self.position[:, 0], dim=-1).cpu().numpy()

    @property
    def distance_km(self) -> Tensor:
        """Distances in km, float32 (place, k)."""
        return torch.linalg.vector_norm(self.position, dim=-1)

    def of(self, places: slice) -> Geometry:
        """Return the geometry of some of the places."""
        return Geometry(self.index[places], self.position[places], self.reach_km[places])

    def to(self, device: torch.device | str) -> Geometry:
        """Return the same geometry on `device`."""
        return Geometry(self.index.to(device), self.position.to(device), self.reach_km.to(device))


def find_neighbours(
    station_lat: Degrees, station_lon: Degrees, lat: Degrees, lon: Degrees, k: int, *, exclude_self: bool = False
) -> Geometry:
    """Return the geometry of `k` nearest stations of each place (fewer where there are fewer stations).

    Parameters
    ----------
    station_lat, station_lon : float64 (station,)
        Degrees.
    lat, lon : float64 (place,)
        Degrees.
    k : int
        Neighbours wanted.
    exclude_self : bool
        The places are the stations themselves, in order, and none may be its own neighbour.
    """
    stations = len(station_lat)
    own = 1 if exclude_self else 0
    k = min(k, stations - own)
    wanted = min(k + own + 1, stations)
    # Along chords, as `nearest_point`; it spares every command the second that scikit-learn takes to load.
    chord, index = KDTree(unit_vectors(station_lat, station_lon)).query(unit_vectors(lat, lon), k=range(1, wanted + 1))
    distance = chord_angle(chord)
    if exclude_self:
        keep = index != np.arange(stations)[:, None]
        # Co-located stations may push a station's own entry off the list: then the farthest goes instead.
        keep[keep.all(axis=1), -1] = False
        index = index[keep].reshape(stations, wanted - 1)
        distance = distance[keep].reshape(stations, wanted - 1)
    # The first station left out sets the reach; with none left out, nothing needs to fade.
    reach = distance[:, k] if distance.shape[1] > k else np.full(len(lat), np.pi)
    index = index[:, :k]
    # As `relative_position` has it, without a sine for each of the neighbours: less than half the time.
    plane = tangent_frames(lat, lon)[:, 1:]
    position = unit_vectors(station_lat, station_lon)[index] @ plane.transpose(0, 2, 1)
    across = np.linalg.norm(position, axis=-1)
    unit = np.divide(EARTH_RADIUS_KM * distance[:, :k], across, out=np.zeros_like(across), where=across > 0)
    position *= unit[..., None]
    return Geometry(
        torch.from_numpy(np.ascontiguousarray(index)),
        torch.from_numpy(position.astype(np.float32)),
        torch.from_numpy((reach * EARTH_RADIUS_KM).astype(np.float32)),
    )
