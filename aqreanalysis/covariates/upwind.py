"""What the wind brings from the sources of a static field: towns, roads and works upwind, thinned by the air they met.

A station's readings tell of the plumes that pass it. Of those that pass between stations tell the wind and a map of
sources. From each node of a lattice the air is followed back along the wind, hour by hour, and what lies under its path
is added up: over the depth of the deepest boundary layer since, for what is once mixed stays mixed; over an area that
grows with the square root of the time, for plumes spread; and the less the longer ago, for some is lost on the way.

The lattice is fixed on the Earth and each hour of it is made from the same hours of weather, whatever else is asked
for: a number depends neither on the region nor on the timeline that it is asked with.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from aqreanalysis.common.cache import BoundedCache
from aqreanalysis.common.geodesy import KM_PER_DEGREE
from aqreanalysis.configs import StaticConfig
from aqreanalysis.covariates.interpolation import Floats
from aqreanalysis.covariates.rasters import Raster
from aqreanalysis.model.kernels.numba_setup import compiled_in_order

Maps = NDArray[np.float32]
#: Weather at places and hours: ``weather(lat, lon, hours)`` -> float32 (hour, place, 3): `u10`, `v10`, `blh`.
Weather = Callable[[Floats, Floats, NDArray[np.int64]], Maps]

#: What a field is called that tells of the sources of another.
SUFFIX = "_upwind"
#: What it is made from beside the sources.
NEEDED = ("u10", "v10", "blh")
#: Hours that the air is followed back: how long a window reaches before an hour.
HOURS = 16
#: Degrees between nodes, and the side of the squares in which they are computed.
STEP, SIDE = 0.1, 4
#: Degrees beyond a square that its air is followed; sources farther away are diluted beyond recognition.
_BEYOND = 4.0
#: The wind is smoother than what it carries.
_WEATHER_STEP = 0.2
# The boundary layer's mean wind over the wind at 10 m: 1.3 by day to 2 by night. On the nature run any value between
# does as well (MAE at all cells within one per cent).
_CARRYING = 1.6
# A plume of an hour is as wide as a third of a node's distance.
_SPREAD_NODES = 0.3
_LOST_HOURS = 15.0
# Depth that dilutes by one, m.
_DEPTH = 1000.0
_KM_PER_HOUR = 3.6
_NODES = round(SIDE / STEP) + 1
_HELD_BYTES = 128 << 20
_ONE_AT_ONCE = threading.RLock()


@dataclass
class UpwindSources:
    """Fields that tell, of each raster of sources, what the wind brings of it.

    Attributes
    ----------
    rasters : tuple of Raster
        Maps of sources: people, traffic, works; where one has no value there is none.
    weather : callable
        As `Weather`.
    """

    rasters: tuple[Raster, ...]
    weather: Weather
    _held: BoundedCache[Maps] = field(default_factory=lambda: BoundedCache(_HELD_BYTES, stale=4), repr=False)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields."""
        return tuple(raster.name + SUFFIX for raster in self.rasters)

    def values(self, key: str, lat: Floats, lon: Floats, hours: NDArray[np.int64]) -> Maps:
        """Return a field, float32 (hour, place): its raster's units times hours per kilometre of depth; NaN where the
        weather of the hour is unknown."""
        source = self.fields.index(key)
        out = np.full((len(hours), len(lat)), np.nan, np.float32)
        row, column = lat / SIDE, (lon % 360.0) / SIDE
        squares = np.stack([np.floor(row), np.floor(column)], axis=1).astype(np.int64)
        days = hours // 24
        for square in np.unique(squares, axis=0):
            here = np.flatnonzero((squares == square).all(axis=1))
            y, x = ((a[here] - corner) * (SIDE / STEP) for a, corner in zip((row, column), square, strict=True))
            for day in np.unique(days):
                at = np.flatnonzero(days == day)
                maps = self._day(int(day), (int(square[0]), int(square[1])))[source, hours[at] - 24 * day]
                out[np.ix_(at, here)] = _between_nodes(maps, y, x)
        return out

    def _day(self, day: int, square: tuple[int, int]) -> Maps:
        """Return all fields at the nodes of a square in the hours of a day (source, hour, row, column)."""
        with _ONE_AT_ONCE:  # what two threads lack is made by one of them
            return self._held.get((day, square), lambda: self._compute(day, square))

    def _compute(self, day: int, square: tuple[int, int]) -> Maps:
        south, west = SIDE * square[0], SIDE * square[1]
        sources = self._held.get(square, lambda: self._sources(south, west))
        lat = _axis(south, _WEATHER_STEP)
        lon = _axis(west, _WEATHER_STEP)
        hours = np.arange(24 * day - HOURS + 1, 24 * day + 24, dtype=np.int64)
        inside = np.clip(lat, -90.0, 90.0), (lon + 180.0) % 360.0 - 180.0
        rows, columns = (a.ravel() for a in np.meshgrid(*inside, indexing="ij"))
        weather = self.weather(rows, columns, hours).reshape(len(hours), len(lat), len(lon), 3)
        u, v, depth = (np.ascontiguousarray(weather[..., i]) for i in range(3))
        # Nodes of the weather that the air moves in an hour.
        north = _KM_PER_HOUR * _CARRYING / (KM_PER_DEGREE * _WEATHER_STEP)
        u *= np.float32(north) / np.cos(np.radians(np.clip(lat, -89.0, 89.0)), dtype=np.float32)[:, None]
        v *= np.float32(north)
        fade = np.exp(-np.arange(HOURS) / _LOST_HOURS).astype(np.float32)
        out = np.empty((len(sources), 24, _NODES, _NODES), np.float32)
        follow_back((u, v, depth), sources, fade, out)
        return out

    def _sources(self, south: float, west: float) -> Maps:
        """Return the sources round a square as plumes of each age see them (source, hours ago, row, column)."""
        lat, lon = np.clip(_axis(south, STEP), -90.0, 90.0), (_axis(west, STEP) + 180.0) % 360.0 - 180.0
        rows, columns = (a.ravel() for a in np.meshgrid(lat, lon, indexing="ij"))
        out = np.empty((len(self.rasters), HOURS, len(lat), len(lon)), np.float32)
        for i, raster in enumerate(self.rasters):
            whole = replace(raster, config=StaticConfig(window_km=STEP * KM_PER_DEGREE))
            strength = np.nan_to_num(whole.values(rows, columns)[:, 0]).reshape(len(lat), len(lon))
            for ago in range(HOURS):
                out[i, ago] = gaussian_filter(strength, _SPREAD_NODES * np.sqrt(ago + 1), mode="constant")
        return out


def _axis(start: float, step: float) -> Floats:
    """Return the coordinates of nodes from `_BEYOND` before a square to as far after it."""
    return np.asarray(start - _BEYOND + step * np.arange(round((SIDE + 2 * _BEYOND) / step) + 1), np.float64)


def _between_nodes(maps: Maps, y: Floats, x: Floats) -> Maps:
    """Return values at places, in nodes from the south-west corner, bilinear (hour, place)."""
    row, column = (np.minimum(a.astype(np.int64), _NODES - 2) for a in (y, x))
    a, b = (y - row).astype(np.float32), (x - column).astype(np.float32)
    upper = maps[:, row, column] * (1 - b) + maps[:, row, column + 1] * b
    lower = maps[:, row + 1, column] * (1 - b) + maps[:, row + 1, column + 1] * b
    return np.asarray(upper * (1 - a) + lower * a)


@compiled_in_order
def _bilinear(values: Maps, row: np.float32, column: np.float32) -> np.float32:
    """Return a value between the nodes of an array, which the place must lie on."""
    i = min(int(row), values.shape[0] - 2)
    j = min(int(column), values.shape[1] - 2)
    a, b = row - np.float32(i), column - np.float32(j)
    one = np.float32(1.0)
    upper = values[i, j] * (one - b) + values[i, j + 1] * b
    lower = values[i + 1, j] * (one - b) + values[i + 1, j + 1] * b
    return upper * (one - a) + lower * a


@compiled_in_order
def follow_back(weather: tuple[Maps, Maps, Maps], sources: Maps, fade: Maps, out: Maps) -> None:
    """Fill `out` (source, 24, node, node) with what lies under the path of the air.

    Parameters
    ----------
    weather : tuple of float32 (hour, row, column)
        Nodes of the weather that the air moves in an hour, to the east and to the north, and the depth in m; the first
        hour lies as many hours before the first of `out` as the air is followed back, less one.
    sources : float32 (source, hours ago, row, column)
        On nodes `STEP` apart, over the same square as the weather.
    fade : float32 (hours ago,)
        How much is left.
    out : float32 (source, hour, row, column)
        Overwritten.
    """
    u, v, depth = weather
    count, hours, rows, columns = out.shape
    finer = np.float32(_WEATHER_STEP / STEP)
    first = np.float32(_BEYOND / _WEATHER_STEP)
    last_row, last_column = np.float32(u.shape[1] - 1), np.float32(u.shape[2] - 1)
    for hour in range(hours):
        for i in range(rows):
            for j in range(columns):
                y, x = first + np.float32(i) / finer, first + np.float32(j) / finer
                now = _bilinear(depth[hour + len(fade) - 1], y, x)
                for source in range(count):
                    out[source, hour, i, j] = now * np.float32(0.0)  # unknown where the weather of the hour is
                deepest = np.float32(0.0)
                for ago in range(len(fade)):
                    at = hour + len(fade) - 1 - ago
                    # Half the hour back, by the wind there the whole hour: the path bends with the wind.
                    middle_y = y - np.float32(0.5) * _bilinear(v[at], y, x)
                    middle_x = x - np.float32(0.5) * _bilinear(u[at], y, x)
                    if not (0 <= middle_y <= last_row and 0 <= middle_x <= last_column):
                        break  # beyond the square, or the weather of that hour is unknown
                    here = _bilinear(depth[at], middle_y, middle_x)
                    north, east = _bilinear(v[at], middle_y, middle_x), _bilinear(u[at], middle_y, middle_x)
                    if not here > deepest:
                        here = deepest
                    deepest = here
                    if deepest > np.float32(0.0):
                        weight = fade[ago] * np.float32(_DEPTH) / deepest
                        for source in range(count):
                            out[source, hour, i, j] += weight * _bilinear(
                                sources[source, ago], middle_y * finer, middle_x * finer
                            )
                    y, x = y - north, x - east
                    if not (0 <= y <= last_row and 0 <= x <= last_column):
                        break
