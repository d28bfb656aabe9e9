"""Bilinear interpolation from a grid to places; missing corners are left out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from aqreanalysis.errors import CovariatesError

Floats = NDArray[np.float64]

#: Share of the weight that must lie on corners with a value: ERA5-Land has none over the sea, and a place on the coast
#: is better told by its land corners than not at all.
_ENOUGH = 0.25


class Located(NamedTuple):
    """Where places lie in a grid: the row and column before each, the share of the next ones, and whether it is in."""

    row: NDArray[np.int64]
    down: Floats
    column: NDArray[np.int64]
    across: Floats
    inside: NDArray[np.bool_]


class HorizontalGrid(Protocol):
    """Points of a grid by row and column, whatever their places on the Earth."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    @property
    def step(self) -> float:
        """Mean distance of the rows, degrees."""
        ...

    def digest(self) -> str:
        """Return a sha256 of the places."""
        ...

    def describe(self) -> str:
        """Return extent, step and size in words."""
        ...

    def locate(self, lat: Floats, lon: Floats) -> Located:
        """Return where places lie in it."""
        ...

    def some_points(self, count: int) -> tuple[Floats, Floats]:
        """Return latitudes and longitudes of points spread over it, at most some `count` along each side."""
        ...


@dataclass(frozen=True)
class Axes:
    """Latitudes and longitudes of a grid, in the order of the file: either may ascend or descend.

    Attributes
    ----------
    lat, lon : ndarray
        float64 (row,) and (column,), degrees; longitudes in any turn, 0..360 or -180..180 or across.
    """

    lat: Floats
    lon: Floats

    @classmethod
    def checked(cls, lat: Floats, lon: Floats, where: str) -> Axes:
        """Return the axes.

        Raises
        ------
        CovariatesError
            If they are not finite, strictly monotone and within range; `where` names the file.
        """
        lat, lon = np.asarray(lat, np.float64), np.asarray(lon, np.float64)
        if lat.ndim != 1 or lon.ndim != 1 or lat.size < 2 or lon.size < 2:
            raise CovariatesError(f"{where}: a grid of {lat.shape} x {lon.shape} points; at least 2 x 2 are needed")
        if not (np.isfinite(lat).all() and np.isfinite(lon).all()):
            raise CovariatesError(f"{where}: latitudes or longitudes that are no finite numbers")
        if np.abs(lat).max() > 90.0 + 1e-6:
            raise CovariatesError(f"{where}: latitude {lat[np.abs(lat).argmax()]:g} is outside -90..90")
        if np.sum(np.abs(np.diff(lon)) > 180) == 1:
            lon = np.unwrap(lon, period=360.0)  # one jump is the seam of the globe
        for name, axis in (("latitude", lat), ("longitude", lon)):
            steps = np.diff(axis)
            if not ((steps > 0).all() or (steps < 0).all()):
                raise CovariatesError(f"{where}: its {name}s neither ascend nor descend throughout")
        if np.ptp(lon) > 360.0 + 1e-6:
            raise CovariatesError(f"{where}: longitude {lon[0]:g}..{lon[-1]:g} goes round the globe more than once")
        return cls(lat, lon)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.lat.size, self.lon.size

    @property
    def step(self) -> float:
        """Mean distance of the rows, degrees."""
        return float(np.ptp(self.lat)) / (self.lat.size - 1)

    @property
    def closed(self) -> bool:
        """Whether the columns close around the globe."""
        width = float(np.ptp(self.lon))
        return abs(width + width / (self.lon.size - 1) - 360.0) < 1e-3

    def locate(self, lat: Floats, lon: Floats) -> Located:
        """Return where places lie; they may lie up to half a step outside the outermost points (held constant)."""
        row, down, in_rows = _between(self.lat, lat)
        column, across, in_columns = _between(self.lon, _turned(self, lon), closed=self.closed)
        return Located(row, down, column, across, in_rows & in_columns)

    def some_points(self, count: int) -> tuple[Floats, Floats]:
        """Return latitudes and longitudes of points spread over the grid."""
        axes = (axis[:: max(1, axis.size // count)] for axis in (self.lat, self.lon))
        lat, lon = np.meshgrid(*axes, indexing="ij")
        return lat.ravel(), lon.ravel()

    def digest(self) -> str:
        """Return the sha256 of the axes."""
        return hashlib.sha256(self.lat.astype("<f8").tobytes() + b"|" + self.lon.astype("<f8").tobytes()).hexdigest()

    def describe(self) -> str:
        """Return extent, step and size in words."""
        step = float(np.ptp(self.lon)) / (self.lon.size - 1)
        return (
            f"lat {self.lat.min():g} to {self.lat.max():g}, lon {self.lon.min():g} to {self.lon.max():g}, "
            f"{self.lat.size} x {self.lon.size} at {self.step:.4g} x {step:.4g} degree"
        )


@dataclass(frozen=True)
class Stencil:
    """Which points of a grid a set of places needs, and with which weights.

    Attributes
    ----------
    rows, columns : slice
        The box of the grid that holds every point needed, in the order of the file.
    points : ndarray
        int64 (point,), flat in that box: the points needed, each once.
    corner : ndarray
        int64 (place, 4), positions in `points`.
    weight : ndarray
        float32 (place, 4); zero for a place outside the grid.
    """

    rows: slice
    columns: slice
    points: NDArray[np.int64]
    corner: NDArray[np.int64]
    weight: NDArray[np.float32]

    @classmethod
    def of_box(cls, rows: slice, columns: slice) -> Stencil:
        """Return the stencil of no place that needs every point of a box."""
        count = (rows.stop - rows.start) * (columns.stop - columns.start)
        return cls(rows, columns, np.arange(count), np.empty((0, 4), np.int64), np.empty((0, 4), np.float32))

    @property
    def positions(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns of the points in the whole grid."""
        row, column = np.divmod(self.points, self.columns.stop - self.columns.start)
        return row + self.rows.start, column + self.columns.start

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Whether a place lies on the grid, (place,)."""
        return self.weight.sum(axis=1) > 0

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return values at the places, float32 (hour, place), from those at `points`, (hour, point).

        A corner without a value is left out and the others carry its weight; NaN where too little is left. The hours of
        a place lie side by side in memory.
        """
        there = np.isfinite(values)
        whole = bool(there.all())
        # Each sum in the order of the corners, whatever the places beside it.
        total = self._product @ np.ascontiguousarray((values if whole else np.where(there, values, 0.0)).T, np.float32)
        if whole:
            seen = self._product @ np.ones((len(self.points), 1), np.float32)
        else:
            seen = self._product @ np.ascontiguousarray(there.T, np.float32)
        with np.errstate(invalid="ignore", divide="ignore"):
            total /= seen
        total[np.broadcast_to(seen < _ENOUGH, total.shape)] = np.nan
        return total.T

    @cached_property
    def _product(self) -> sp.csr_array:
        """The weights (place, point), those of a place in the order of its corners."""
        places = len(self.corner)
        start = np.arange(0, 4 * places + 1, 4)
        return sp.csr_array((self.weight.ravel(), self.corner.ravel(), start), shape=(places, len(self.points)))


def stencil(grid: HorizontalGrid, lat: Floats, lon: Floats) -> Stencil:
    """Return the stencil of places on a grid; a place outside it has no weight."""
    row, a, column, b, inside = grid.locate(lat, lon)
    rows = np.stack([row, row, row + 1, row + 1], axis=1)
    columns = np.stack([column, column + 1, column, column + 1], axis=1) % grid.shape[1]
    weight = np.stack([(1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b], axis=1)
    weight = np.where(inside[:, None], weight, 0.0)
    top, left = (int(part.min()) if part.size else 0 for part in (rows, columns))
    bottom, right = (int(part.max()) + 1 if part.size else 1 for part in (rows, columns))
    flat = (rows - top) * (right - left) + (columns - left)
    points, corner = np.unique(flat, return_inverse=True)
    box = slice(top, bottom), slice(left, right)
    return Stencil(*box, points.astype(np.int64), corner.reshape(flat.shape), weight.astype(np.float32))


def _turned(axes: Axes, lon: Floats) -> Floats:
    """Return longitudes moved by whole turns to where the grid has them."""
    west = float(axes.lon.min())
    half = float(np.ptp(axes.lon)) / (axes.lon.size - 1) / 2
    return west - half + (np.asarray(lon, np.float64) - (west - half)) % 360.0


def _between(axis: Floats, x: Floats, closed: bool = False) -> tuple[NDArray[np.int64], Floats, NDArray[np.bool_]]:
    """Return the lower index, the share of the next one, and whether `x` lies on the axis."""
    sign = 1.0 if axis[-1] > axis[0] else -1.0
    rising = axis * sign
    x = np.asarray(x, np.float64) * sign
    half = (rising[-1] - rising[0]) / (rising.size - 1) / 2
    # Rounded coordinates of a file may miss an edge by an ulp of single precision.
    inside = np.isfinite(x) & (x >= rising[0] - half - 1e-5) & (x <= rising[-1] + half + 1e-5)
    if closed:
        rising = np.append(rising, rising[0] + 360.0)
        x = rising[0] + (x - rising[0]) % 360.0
        inside = np.isfinite(x)
    x = np.clip(np.where(inside, x, rising[0]), rising[0], rising[-1])
    low = np.clip(np.searchsorted(rising, x, side="right") - 1, 0, rising.size - 2)
    return low.astype(np.int64), (x - rising[low]) / (rising[low + 1] - rising[low]), inside
