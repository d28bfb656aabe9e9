"""Where the nearest stations lie, seen from each place, which time does not change; and which of them report, hour by
hour.

A station that falls silent, or that never measures a pollutant, tells a cell beside it no more than one that is not
there: within an hour its own estimate errs as if it were left out. So distances are to stations that report. Each
place has a short list of its nearest stations, which answers at nearly all hours; where all of them are silent, longer
ones are drawn up.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree
from torch import Tensor

from aqreanalysis.common.geodesy import EARTH_RADIUS_KM, Degrees, chord_angle, tangent_frames, unit_vectors
from aqreanalysis.model.device import to_device
from aqreanalysis.model.kernels import find_reporting
from aqreanalysis.model.network.temporal_filters import BRIDGED_HOURS

#: Stations of the short list: with a tenth of the readings missing at random, one hour and place in 1e8 needs more.
LISTED = 8
_LONGER = 8


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


@dataclass(frozen=True)
class Reporting:
    """Which stations report a pollutant at each hour of a block.

    Attributes
    ----------
    stations : bool (station, hour)
        Whether there is a reading at the hour; where no station has one, whether the station has one in the window
        that the hour's day is estimated from.
    since_hours, until_hours : float32 (hour,)
        Hours since the last and until the next hour with a reading of any station: 0 where there is one; infinite where
        none is as near to the day as gaps are bridged from.
    """

    stations: NDArray[np.bool_]
    since_hours: NDArray[np.float32]
    until_hours: NDArray[np.float32]

    @property
    def gap_hours(self) -> NDArray[np.float32]:
        """Hours to the nearest hour with a reading of any station, float32 (hour,)."""
        return np.minimum(self.since_hours, self.until_hours)

    @classmethod
    def of(cls, readings: NDArray[np.float32], before: int, after: int) -> Reporting:
        """Return it from readings (before + T + after, station), T whole days, each estimated from its own window."""
        finite = np.isfinite(readings)
        stations, since, until = [], [], []
        for day in range(0, len(finite) - before - after, 24):
            window = finite[day : day + before + 24 + after]
            own = window[before : before + 24]
            reach = np.arange(max(before - BRIDGED_HOURS, 0), min(before + 24 + BRIDGED_HOURS, len(window)))
            away = (reach - np.arange(before, before + 24)[:, None]).astype(np.float32)
            away = np.where(window[reach].any(axis=1), away, np.inf)
            since.append(np.where(away <= 0, -away, np.inf).min(axis=1))
            until.append(np.where(away >= 0, away, np.inf).min(axis=1))
            stations.append(np.where(own.any(axis=1, keepdims=True), own, window.any(axis=0)))
        since_hours, until_hours = (np.concatenate(part).astype(np.float32) for part in (since, until))
        return cls(np.ascontiguousarray(np.concatenate(stations).T), since_hours, until_hours)

    def joined(self, later: Reporting) -> Reporting:
        """Return that of the hours of both, one block after the other."""
        stations = np.concatenate((self.stations, later.stations), axis=1)
        since_hours = np.concatenate((self.since_hours, later.since_hours))
        return Reporting(stations, since_hours, np.concatenate((self.until_hours, later.until_hours)))


@dataclass(frozen=True)
class NearestStations:
    """The stations nearest to each place, nearest first.

    Attributes
    ----------
    index : int32 (place, listed)
        Which.
    km : float32 (place, listed)
        How far.
    stations, places : tuple of float64
        Latitudes and longitudes, for longer lists.
    """

    index: NDArray[np.int32]
    km: NDArray[np.float32]
    stations: tuple[Degrees, Degrees]
    places: tuple[Degrees, Degrees]
    _on_devices: dict[torch.device, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def find(
        cls,
        stations: tuple[Degrees, Degrees],
        places: tuple[Degrees, Degrees],
        device: torch.device,
        listed: int = LISTED,
    ) -> NearestStations:
        """Return the lists of places (latitudes, longitudes), looked for on `device`."""
        count, points, here = min(listed, len(stations[0])), unit_vectors(*stations), unit_vectors(*places)
        if device.type == "cpu":
            chord, index = KDTree(points).query(here, k=range(1, count + 1))
        else:
            # The nearest by one product, their distances by differences, which alone are exact where they are close.
            there, around = to_device(points, device), to_device(here, device)
            listed_there = (around @ there.T).topk(count, dim=1).indices
            far = torch.linalg.vector_norm(there[listed_there] - around[:, None], dim=-1)
            chords, order = far.sort(dim=1, stable=True)
            chord, index = chords.cpu().numpy(), listed_there.gather(1, order).cpu().numpy()
        km = (EARTH_RADIUS_KM * chord_angle(chord)).astype(np.float32)
        return cls(np.ascontiguousarray(index, np.int32), np.ascontiguousarray(km), stations, places)

    def reporting_km(self, reporting: Reporting, device: torch.device) -> Tensor | None:
        """Return the distance to the nearest station that reports, float32 (place, hour), looked for on `device`.

        Infinite where none does. None where the nearest station of every place reports at every hour.
        """
        if device.type == "cpu":
            if reporting.stations[np.unique(self.index[:, 0])].all():
                return None
            return torch.from_numpy(self._search(reporting.stations))
        return None if reporting.stations.all() else self._search_there(reporting.stations, device)

    def _search(self, reports: NDArray[np.bool_]) -> NDArray[np.float32]:
        km_reporting = np.empty((len(self.index), reports.shape[1]), np.float32)
        unresolved = np.empty(len(self.index), np.bool_)
        find_reporting(self.index, self.km, reports, km_reporting, unresolved)
        rest, listed = np.flatnonzero(unresolved), self.index.shape[1]
        if len(rest) and listed < len(self.stations[0]):
            places = self.places[0][rest], self.places[1][rest]
            longer = NearestStations.find(self.stations, places, torch.device("cpu"), _LONGER * listed)
            km_reporting[rest] = longer._search(reports)
        return km_reporting

    def _search_there(self, reporting: NDArray[np.bool_], device: torch.device) -> Tensor:
        if device not in self._on_devices:
            self._on_devices[device] = to_device(self.index, device).long(), to_device(self.km, device)
        index, km = self._on_devices[device]
        reports = to_device(reporting, device)
        km_reporting = km.new_full((len(index), reports.shape[1]), torch.inf)
        for k in reversed(range(index.shape[1])):
            km_reporting = torch.where(reports[index[:, k]], km[:, k, None], km_reporting)
        rest = torch.nonzero((torch.isinf(km_reporting) & reports.any(dim=0)).any(dim=1))[:, 0].cpu().numpy()
        if len(rest):
            places = self.places[0][rest], self.places[1][rest]
            longer = NearestStations.find(self.stations, places, torch.device("cpu"), _LONGER * LISTED)
            km_reporting[to_device(rest, device)] = to_device(longer._search(reporting), device)
        return km_reporting
