"""Grids of a model's own: rotated, Lambert, polar stereographic, or bent along a coast.

A place is found in them by the latitudes and longitudes of their points, whatever the projection: from the point that
is nearest, by Newton's steps to the row and column, of any fraction, whose bilinear place it is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from aqreanalysis.common.geodesy import tangent_frames, unit_vectors
from aqreanalysis.covariates.interpolation import Floats, Located
from aqreanalysis.errors import CovariatesError

#: Newton's steps, and the most rows or columns that one goes: from the nearest point two are enough on smooth grids.
_STEPS, _FARTHEST = 8, 1.5
#: Beyond the outermost points values are held so far, in rows and columns, as on a regular grid.
_BEYOND = 0.5 + 1e-5


@dataclass(frozen=True)
class CurvilinearGrid:
    """Points of a grid by row and column, each with its place.

    Attributes
    ----------
    lat, lon : ndarray
        float64 (row, column), degrees.
    """

    lat: Floats
    lon: Floats

    @classmethod
    def checked(cls, lat: Floats, lon: Floats, where: str) -> CurvilinearGrid:
        """Return the grid.

        Raises
        ------
        CovariatesError
            If places are missing or no degrees, or points lie on one another; `where` names the file.
        """
        lat, lon = np.asarray(lat, np.float64), np.asarray(lon, np.float64)
        if lat.ndim != 2 or lat.shape != lon.shape or min(lat.shape) < 2:
            raise CovariatesError(f"{where}: a grid of {lat.shape} and {lon.shape} points; at least 2 x 2 are needed")
        if not (np.isfinite(lat).all() and np.isfinite(lon).all()) or np.abs(lat).max() > 90.0 + 1e-6:
            raise CovariatesError(
                f"{where}: latitudes or longitudes that are no degrees at some points of its grid; such points are "
                "mostly masked land, and a grid needs the places of all"
            )
        grid = cls(lat, lon)
        if np.median(np.linalg.norm(np.diff(grid._points, axis=1), axis=-1)) == 0.0:
            raise CovariatesError(f"{where}: its points lie on one another")
        return grid

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.lat.shape[0], self.lat.shape[1]

    @property
    def step(self) -> float:
        """Median distance of the rows, degrees."""
        return float(np.degrees(np.median(np.linalg.norm(np.diff(self._points, axis=0), axis=-1))))

    def digest(self) -> str:
        """Return a sha256 of the places."""
        return hashlib.sha256(self.lat.astype("<f8").tobytes() + b"#" + self.lon.astype("<f8").tobytes()).hexdigest()

    def describe(self) -> str:
        """Return extent, step and size in words."""
        return (
            f"lat {self.lat.min():.4g} to {self.lat.max():.4g}, lon {self.lon.min():.4g} to {self.lon.max():.4g}, "
            f"{self.shape[0]} x {self.shape[1]} on a grid of its own, some {self.step:.2g} degree"
        )

    def some_points(self, count: int) -> tuple[Floats, Floats]:
        """Return latitudes and longitudes of points spread over the grid."""
        every = tuple(slice(None, None, max(1, size // count)) for size in self.shape)
        return self.lat[every].ravel(), self.lon[every].ravel()

    def locate(self, lat: Floats, lon: Floats) -> Located:
        """Return where places lie; they may lie up to half a step outside the outermost points (held constant)."""
        places = unit_vectors(np.asarray(lat, np.float64), np.asarray(lon, np.float64))
        _, nearest = self._tree.query(np.nan_to_num(places))
        at = np.stack(np.divmod(nearest, self.shape[1]), axis=1).astype(np.float64)
        # A fixed number of steps, so that a place has the same bits whatever places are asked for with it.
        for _ in range(_STEPS):
            spot, along = self._tangent(at)
            missed = places - spot
            (rr, rc, cc), (r, c) = _products(along), [(missed * one).sum(axis=1) for one in along]
            area = np.maximum(rr * cc - rc * rc, 1e-300)
            move = np.stack([(cc * r - rc * c) / area, (rr * c - rc * r) / area], axis=1)
            at = at + np.clip(move, -_FARTHEST, _FARTHEST)
        spot, along = self._tangent(at)
        cell = np.sqrt(np.maximum(*(_products(along)[i] for i in (0, 2))))
        last = np.array(self.shape) - 1.0
        near = np.linalg.norm(places - spot, axis=1) < 0.05 * cell
        inside = near & ((at >= -_BEYOND) & (at <= last + _BEYOND)).all(axis=1)
        at = np.clip(np.where(inside[:, None], at, 0.0), 0.0, last)
        low = np.minimum(np.floor(at), last - 1.0)
        share = at - low
        row, column = low.astype(np.int64).T
        return Located(row, share[:, 0], column, share[:, 1], inside)

    def turned(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return cosine and sine of the angle from east to the direction of the columns, float32 (row, column): a wind
        along the grid (u, v) blows ``u cos - v sin`` to the east and ``u sin + v cos`` to the north."""
        frames = tangent_frames(self.lat.ravel(), self.lon.ravel()).reshape(*self.shape, 3, 3)
        ahead = np.gradient(self._points, axis=1)
        east, north = (np.einsum("rcx,rcx->rc", ahead, frames[..., i, :]) for i in (1, 2))
        length = np.hypot(east, north)
        return (east / length).astype(np.float32), (north / length).astype(np.float32)

    @cached_property
    def _points(self) -> Floats:
        """Unit vectors of the points (row, column, 3)."""
        return unit_vectors(self.lat.ravel(), self.lon.ravel()).reshape(*self.shape, 3)

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self._points.reshape(-1, 3))

    def _tangent(self, at: Floats) -> tuple[Floats, tuple[Floats, Floats]]:
        """Return the place of a row and column (place, 3), and how it moves along both."""
        low = np.clip(np.floor(at), 0, np.array(self.shape) - 2.0).astype(np.int64)
        a, b = (at - low).T[..., None]
        i, j = low.T
        p, q, r, s = (self._points[i + down, j + across] for down, across in ((0, 0), (0, 1), (1, 0), (1, 1)))
        spot = (1 - a) * ((1 - b) * p + b * q) + a * ((1 - b) * r + b * s)
        return spot, ((1 - b) * (r - p) + b * (s - q), (1 - a) * (q - p) + a * (s - r))


def _products(along: tuple[Floats, Floats]) -> tuple[Floats, Floats, Floats]:
    """Return the products of both directions with themselves and each other."""
    row, column = along
    return (row * row).sum(axis=1), (row * column).sum(axis=1), (column * column).sum(axis=1)
