"""What befell the air on its way: what it took up from the sources of static fields, and the rain that washed it.

A station's readings tell of the plumes that pass it. Of those that pass between stations tell the wind and a map of
sources. From each node of a lattice the air is followed back along the wind, hour by hour, and what lies under its path
is added up: over the depth of the deepest boundary layer since, for what is once mixed stays mixed; over an area that
grows with the square root of the time, for plumes spread; and the less the longer ago, for some is lost on the way.
So is the rain that it went through: rain washes particles and soluble gases out by a share that goes with a power of
its rate (Andronache 2003, doi 10.5194/acp-3-131-2003), and air that was washed stays clean until it takes up more.

The lattice is fixed on the Earth and each hour of it is made from the same hours of weather, whatever else is asked
for: a number depends neither on the region nor on the timeline that it is asked with.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from aqreanalysis.common.cache import BoundedCache
from aqreanalysis.common.geodesy import KM_PER_DEGREE
from aqreanalysis.covariates.interpolation import Floats
from aqreanalysis.covariates.rasters import Raster
from aqreanalysis.model.kernels.numba_setup import compiled_in_order

Maps = NDArray[np.float32]
#: Weather at places and hours: ``weather(lat, lon, hours)`` -> float32 (hour, place, field): `NEEDED`, perhaps `RAIN`.
Weather = Callable[[Floats, Floats, NDArray[np.int64]], Maps]

#: What a field is called that tells of the sources of another.
SUFFIX = "_upwind"
#: What it is made from beside the sources.
NEEDED = ("u10", "v10", "blh")
#: The rain that the air went through, what it is made from beside `NEEDED`, and its units.
WASHOUT, RAIN, WASHOUT_UNITS = "washout", "tp", "mm0.7 h0.3"
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
# What is washed out in an hour goes with this power of the rain's rate.
_WASHED_POWER = 0.7
# Since when rain counts: later air has mixed in and taken up anew. On the nature run 4 and 20 do nearly as well.
_RENEWED_HOURS = 8.0
# Times an hour that is looked what lies under the path.
_PARTS = 3
# Depth that dilutes by one, m.
_DEPTH = 1000.0
_KM_PER_HOUR = 3.6
_NODES = round(SIDE / STEP) + 1
_HELD_BYTES = 128 << 20
# What two threads lack is made by one of them, while others may make what has another of these.
_LOCKS = [threading.RLock() for _ in range(61)]
_SOURCES = threading.RLock()
# More squares than there are round the Earth.
_TURN = 1000


#: How sources are read: their mean around each node.
_AROUND_NODES = {"method": "mean", "window_km": STEP * KM_PER_DEGREE}


@dataclass
class UpwindSources:
    """Fields that tell, of each raster of sources, what the wind brings of it, and what rain the air went through.

    Attributes
    ----------
    rasters : tuple of Raster
        Maps of sources: people, traffic, works; where one has no value there is none.
    weather : callable
        As `Weather`.
    rain : bool
        Whether the weather has `RAIN`.
    """

    rasters: tuple[Raster, ...]
    weather: Weather
    rain: bool = False
    _held: BoundedCache[Maps] = field(default_factory=lambda: BoundedCache(_HELD_BYTES, stale=4), repr=False)
    _plumes: BoundedCache[Maps] = field(default_factory=lambda: BoundedCache(_HELD_BYTES, stale=4), repr=False)
    _strengths: BoundedCache[Maps] = field(default_factory=lambda: BoundedCache(_HELD_BYTES, stale=4), repr=False)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields."""
        return (*(raster.name + SUFFIX for raster in self.rasters), *((WASHOUT,) if self.rain else ()))

    @property
    def made_from(self) -> tuple[str, ...]:
        """Names of the weather's fields."""
        return (*NEEDED, RAIN) if self.rain else NEEDED

    def values(self, key: str, lat: Floats, lon: Floats, hours: NDArray[np.int64]) -> Maps:
        """Return a field, float32 (hour, place): its raster's units times hours per kilometre of depth, or
        `WASHOUT_UNITS`; NaN where the weather of the hour is unknown."""
        source = self.fields.index(key)
        # A place after the other, as its nodes are summed.
        out = np.full((len(lat), len(hours)), np.nan, np.float32)
        row, column = lat / SIDE, (lon % 360.0) / SIDE
        south, west = np.floor(row).astype(np.int64), np.floor(column).astype(np.int64)
        days = hours // 24
        for square in np.unique(south * _TURN + west).tolist():
            corner = divmod(square, _TURN)
            here = np.flatnonzero((south == corner[0]) & (west == corner[1]))
            y, x = ((a[here] - edge) * (SIDE / STEP) for a, edge in zip((row, column), corner, strict=True))
            maps = np.empty((_NODES * _NODES, len(hours)), np.float32)
            for day in np.unique(days).tolist():
                at = np.flatnonzero(days == day)
                maps[:, at] = self._day(day, corner)[source, hours[at] - 24 * day].reshape(len(at), -1).T
            out[here] = _between_nodes(y, x) @ maps
        return out.T

    def _day(self, day: int, square: tuple[int, int]) -> Maps:
        """Return all fields at the nodes of a square in the hours of a day (source, hour, row, column)."""
        with _LOCKS[hash((day, square)) % len(_LOCKS)]:
            return self._held.get((day, square), lambda: self._compute(day, square))

    def _compute(self, day: int, square: tuple[int, int]) -> Maps:
        south, west = SIDE * square[0], SIDE * square[1]
        with _SOURCES:
            sources = self._plumes.get(square, lambda: self._sources(square))
        lat = _axis(south, _WEATHER_STEP)
        lon = _axis(west, _WEATHER_STEP)
        hours = np.arange(24 * day - HOURS + 1, 24 * day + 24, dtype=np.int64)
        inside = np.clip(lat, -90.0, 90.0), (lon + 180.0) % 360.0 - 180.0
        rows, columns = (a.ravel() for a in np.meshgrid(*inside, indexing="ij"))
        fields = len(self.made_from)
        weather = _held_beyond(self.weather(rows, columns, hours).reshape(len(hours), len(lat), len(lon), fields))
        u, v, depth, *rain = (np.ascontiguousarray(weather[..., i]) for i in range(fields))
        washed = np.maximum(rain[0], np.float32(0.0)) ** np.float32(_WASHED_POWER) if rain else np.zeros_like(u)
        # Nodes of the weather that the air moves in an hour.
        north = _KM_PER_HOUR * _CARRYING / (KM_PER_DEGREE * _WEATHER_STEP)
        u *= np.float32(north) / np.cos(np.radians(np.clip(lat, -89.0, 89.0)), dtype=np.float32)[:, None]
        v *= np.float32(north)
        ago = np.arange(HOURS)
        fade = np.stack([np.exp(-ago / _LOST_HOURS) / _PARTS, np.exp(-ago / _RENEWED_HOURS)]).astype(np.float32)
        out = np.empty((len(sources) + 1, 24, _NODES, _NODES), np.float32)
        follow_back((u, v, depth, washed), sources, fade, out)
        return out

    def _sources(self, square: tuple[int, int]) -> Maps:
        """Return the sources round a square as plumes of each age see them (source, hours ago, row, column)."""
        beyond = round(_BEYOND / SIDE)
        around = range(-beyond, beyond + 2)  # the last node is the first of another square
        rows = [
            np.concatenate([self._strength(square[0] + down, square[1] + across) for across in around], axis=2)
            for down in around
        ]
        nodes = round((SIDE + 2 * _BEYOND) / STEP) + 1
        strength = np.concatenate(rows, axis=1)[:, :nodes, :nodes]
        out = np.empty((len(strength), HOURS, nodes, nodes), np.float32)
        for source, values in enumerate(strength):
            for ago in range(HOURS):
                out[source, ago] = gaussian_filter(values, _SPREAD_NODES * np.sqrt(ago + 1), mode="constant")
        return out

    def _strength(self, row: int, column: int) -> Maps:
        """Return the sources at the nodes of a square itself (source, row, column); the squares around share them."""
        column %= round(360 / SIDE)
        return self._strengths.get((row, column), lambda: self._read(row, column))

    def _read(self, row: int, column: int) -> Maps:
        inside = np.arange(_NODES - 1)
        lat = np.clip(SIDE * row + STEP * inside, -90.0, 90.0)
        lon = (SIDE * column + STEP * inside + 180.0) % 360.0 - 180.0
        rows, columns = (a.ravel() for a in np.meshgrid(lat, lon, indexing="ij"))
        strengths = []
        for raster in self.rasters:
            whole = replace(raster, config=raster.config.model_copy(update=_AROUND_NODES))
            strengths.append(np.nan_to_num(whole.values(rows, columns)[:, 0]).reshape(len(lat), len(lon)))
        return np.stack(strengths) if strengths else np.empty((0, len(lat), len(lon)), np.float32)


@cache
def warm_up() -> None:
    """Compile the loop, or load what an earlier process compiled, so that no block of a sweep has it on its clock."""
    still, sources = np.zeros((1, 2, 2), np.float32), np.zeros((1, 1, 2, 2), np.float32)
    out = np.empty((2, 1, 2, 2), np.float32)
    follow_back((still, still, still, still), sources, np.zeros((2, 1), np.float32), out)


def _held_beyond(weather: Maps) -> Maps:
    """Return weather (hour, row, column, field) in which nodes off its grid have that of the nearest node on it.

    The air that comes from over the border would else bring nothing, and the map had a rim there. An hour that is
    missing everywhere stays missing.
    """
    there = np.isfinite(weather).any(axis=(0, 3))
    if there.all() or not there.any():
        return weather
    nearest = distance_transform_edt(~there, return_distances=False, return_indices=True)
    return np.ascontiguousarray(weather[:, nearest[0], nearest[1]])


def _axis(start: float, step: float) -> Floats:
    """Return the coordinates of nodes from `_BEYOND` before a square to as far after it."""
    return np.asarray(start - _BEYOND + step * np.arange(round((SIDE + 2 * _BEYOND) / step) + 1), np.float64)


def _between_nodes(y: Floats, x: Floats) -> sp.csr_array:
    """Return what nodes count at places (place, node), bilinear; places are in nodes from the south-west corner."""
    row, column = (np.minimum(a.astype(np.int64), _NODES - 2) for a in (y, x))
    a, b = y - row, x - column
    corner = np.stack([row * _NODES + column + step for step in (0, 1, _NODES, _NODES + 1)], axis=1)
    share = np.stack([(1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b], axis=1).astype(np.float32)
    start = np.arange(0, 4 * len(y) + 1, 4)
    return sp.csr_array((share.ravel(), corner.ravel(), start), shape=(len(y), _NODES * _NODES))


@compiled_in_order
def _corner(
    row: np.float32, column: np.float32, shape: tuple[int, int]
) -> tuple[np.uint64, np.uint64, np.float32, np.float32]:
    """Return the node before a place in a map of some rows and columns, which the place must lie on, and the one in the
    next row, as they follow each other, and the shares of the next row and column."""
    i, j = min(int(row), shape[0] - 2), min(int(column), shape[1] - 2)
    # No sign: the compiler then looks for no index that counts from the end.
    node = np.uint64(i * shape[1] + j)
    return node, node + np.uint64(shape[1]), row - np.float32(i), column - np.float32(j)


@compiled_in_order
def _bilinear(values: Maps, part: int, at: tuple[np.uint64, np.uint64, np.float32, np.float32]) -> np.float32:
    """Return a part of the values (node, part) at a place, as of `_corner`."""
    node, above, a, b = at
    one, step = np.float32(1.0), np.uint64(1)
    upper = values[node, part] * (one - b) + values[node + step, part] * b
    lower = values[above, part] * (one - b) + values[above + step, part] * b
    return upper * (one - a) + lower * a


@compiled_in_order
def _step_back(
    maps: tuple[Maps, Maps],
    shapes: tuple[tuple[int, int], tuple[int, int]],
    left: tuple[np.float32, np.float32],
    paths: Maps,
    out: Maps,
    row: int,
) -> None:
    """Follow the air of a row of nodes back by an hour, and add what lies under its path to a row of `out`.

    The nodes of a row in turn, for the steps of one path wait for each other: a quarter less time.

    Parameters
    ----------
    maps : tuple of float32
        Of the hour (node, 4): nodes that the air moves to the east and to the north, the depth in m, and what is washed
        out; and the sources as plumes of the age see them (node, source).
    shapes : tuple of tuple of int
        Rows and columns of both.
    left : tuple of float32
        How much is left of what the air took up, times the depth that dilutes by one, and how much the rain counts.
    paths : float32 (4, node)
        Where the air is, row and column; the deepest layer since; one while it is followed.
    out : float32 (source, node, node)
        The last is the rain.
    row : int
        Of `out`.
    """
    (winds, ground), (shape, finer_shape) = maps, shapes
    last_row, last_column = np.float32(shape[0] - 1), np.float32(shape[1] - 1)
    half, finer, nothing = np.float32(0.5), np.float32(_WEATHER_STEP / STEP), np.float32(0.0)
    for j in range(paths.shape[1]):
        if paths[3, j] == nothing:
            continue
        y, x = paths[0, j], paths[1, j]
        # Half the hour back, by the wind there the whole hour: the path bends with the wind.
        here = _corner(y, x, shape)
        middle_y, middle_x = y - half * _bilinear(winds, 1, here), x - half * _bilinear(winds, 0, here)
        if not (0 <= middle_y <= last_row and 0 <= middle_x <= last_column):
            paths[3, j] = nothing  # beyond the square, or the weather of that hour is unknown
            continue
        here = _corner(middle_y, middle_x, shape)
        depth, deepest = _bilinear(winds, 2, here), paths[2, j]
        if depth > deepest:
            deepest = depth
        paths[2, j] = deepest
        north, east = _bilinear(winds, 1, here), _bilinear(winds, 0, here)
        out[out.shape[0] - 1, row, j] += left[1] * _bilinear(winds, 3, here)
        # Several times an hour: air that goes some nodes in it would else step over sources, and plumes have ripples.
        for part in range(_PARTS):
            gone = (np.float32(part) + half) / np.float32(_PARTS)
            under_y, under_x = y - gone * north, x - gone * east
            if deepest > nothing and 0 <= under_y <= last_row and 0 <= under_x <= last_column:
                below = _corner(under_y * finer, under_x * finer, finer_shape)
                for source in range(out.shape[0] - 1):
                    out[source, row, j] += left[0] / deepest * _bilinear(ground, source, below)
        y, x = y - north, x - east
        paths[0, j], paths[1, j] = y, x
        if not (0 <= y <= last_row and 0 <= x <= last_column):
            paths[3, j] = nothing


@compiled_in_order
def follow_back(weather: tuple[Maps, Maps, Maps, Maps], sources: Maps, fade: Maps, out: Maps) -> None:
    """Fill `out` (source, 24, node, node) with what lies under the path of the air, and at last with its rain.

    Parameters
    ----------
    weather : tuple of float32 (hour, row, column)
        Nodes of the weather that the air moves in an hour, to the east and to the north, the depth in m, and what the
        rain washes out; the first hour lies as many hours before the first of `out` as the air is followed back, less
        one.
    sources : float32 (source, hours ago, row, column)
        On nodes `STEP` apart, over the same square as the weather.
    fade : float32 (2, hours ago)
        How much is left of what the air took up, and how much the rain counts.
    out : float32 (source + 1, hour, row, column)
        Overwritten.
    """
    u, v, depth, washed = weather
    shape, finer_shape = u.shape[1:], sources.shape[2:]
    past, before = fade.shape[1], fade.shape[1] - 1
    maps = np.empty((len(u), shape[0] * shape[1], 4), np.float32)
    flat = u.reshape(len(u), -1), v.reshape(len(u), -1), depth.reshape(len(u), -1), washed.reshape(len(u), -1)
    maps[..., 0], maps[..., 1], maps[..., 2], maps[..., 3] = flat
    ground = np.ascontiguousarray(sources.reshape(len(sources), past, -1).transpose(1, 2, 0))
    count, hours, rows, columns = out.shape
    finer, first = np.float32(_WEATHER_STEP / STEP), np.float32(_BEYOND / _WEATHER_STEP)
    paths = np.empty((4, columns), np.float32)
    for hour in range(hours):
        now = maps[hour + before]
        for i in range(rows):
            y = first + np.float32(i) / finer
            for j in range(columns):
                x = first + np.float32(j) / finer
                paths[0, j], paths[1, j], paths[2, j], paths[3, j] = y, x, np.float32(0.0), np.float32(1.0)
                unknown = _bilinear(now, 2, _corner(y, x, shape)) * np.float32(0.0)
                for source in range(count):
                    out[source, hour, i, j] = unknown  # where the weather of the hour is
            for ago in range(past):
                both = maps[hour + before - ago], ground[ago]
                left = fade[0, ago] * np.float32(_DEPTH), fade[1, ago]
                _step_back(both, (shape, finer_shape), left, paths, out[:, hour], i)
