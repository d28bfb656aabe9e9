"""Tables of points with a strength: power plants with their megawatts, towns with their people, roads as counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from aqreanalysis.common.geodesy import KM_PER_DEGREE, unit_vectors
from aqreanalysis.covariates.interpolation import Floats
from aqreanalysis.covariates.tables import numbers_of, read_table
from aqreanalysis.errors import CovariatesError, nearest_hint

_EARTH_KM = KM_PER_DEGREE * 180.0 / np.pi
# Points nearer to each other than this part of a window count as one: a window then holds some two hundred at most,
# however long the table is.
_TOGETHER = 1 / 8
# Pairs of a place and a point that are weighed at a time: memory.
_PAIRS = 4_000_000
_LATITUDES, _LONGITUDES = ("lat", "latitude", "y"), ("lon", "lng", "long", "longitude", "x")

Wanted = str | float | bool | list[str | float | bool]


@dataclass(frozen=True)
class PointTable:
    """Points with a strength.

    Attributes
    ----------
    lat, lon : float64 (point,)
        Degrees.
    strength : float64 (point,)
        At least zero.
    """

    lat: Floats
    lon: Floats
    strength: Floats

    @classmethod
    def read(cls, path: Path, column: str | None = None, where: Mapping[str, Wanted] | None = None) -> PointTable:
        """Return the points of a CSV or Parquet file, a row each.

        Parameters
        ----------
        path : Path
        column : str, optional
            The strength; without it every row counts as one.
        where : mapping, optional
            Column -> the value, or the values, that a row must have there to count; texts in any case.

        Raises
        ------
        CovariatesError
            If it cannot be read, a column is missing, or a row has no place or a strength below zero.
        """
        frame = read_table(path)
        for name, wanted in (where or {}).items():
            values = {_text(value) for value in (wanted if isinstance(wanted, list) else [wanted])}
            frame = frame[_column(frame, name, path).map(_text).isin(values)]
        if frame.empty:
            raise CovariatesError(f"{path} has no rows{' that meet ' + repr(dict(where)) if where else ''}")
        lat, lon = (_place(frame, names, path) for names in (_LATITUDES, _LONGITUDES))
        strength = np.ones(len(frame)) if column is None else numbers_of(_column(frame, column, path), path)
        counts = np.isfinite(strength)
        if not ((np.abs(lat) <= 90) & (np.abs(lon) <= 360))[counts].all():
            row = int(np.flatnonzero(counts & ~((np.abs(lat) <= 90) & (np.abs(lon) <= 360)))[0])
            raise CovariatesError(f"{path}, row {frame.index[row] + 1}: no latitude and longitude in degrees")
        if (strength[counts] < 0).any():
            row = int(np.flatnonzero(counts & (strength < 0))[0])
            raise CovariatesError(
                f"{path}, row {frame.index[row] + 1}: {strength[row]:g} in column {column!r}: a strength is at least 0"
            )
        return cls(lat[counts], (lon[counts] + 180.0) % 360.0 - 180.0, strength[counts])

    def means(self, lat: Floats, lon: Floats, windows_km: Sequence[float]) -> Floats:
        """Return strength a square km around places, float64 (place, window).

        A point's share falls smoothly with its distance, as ``(1 - (distance / window)^2)^2``, to nothing at the
        window's width: a map that is made with it has no edges where a point enters.
        """
        places = unit_vectors(np.asarray(lat, np.float64), np.asarray(lon, np.float64))
        return np.stack([self._density(places, km) for km in windows_km], axis=1)

    def _density(self, places: Floats, window_km: float) -> Floats:
        points, strength = self._joined(window_km)
        if not len(points):
            return np.zeros(len(places))
        tree, reach = cKDTree(points), 2.0 * np.sin(min(window_km / _EARTH_KM, np.pi) / 2)
        counts = tree.query_ball_point(places, reach, return_length=True)
        ends = np.searchsorted(np.cumsum(counts) // _PAIRS, np.arange(1, int(counts.sum()) // _PAIRS + 1))
        total = np.zeros(len(places))
        for part in np.split(np.arange(len(places)), np.unique(ends)):
            # In the order of the table: sums then have the same bits whatever places are asked for together.
            near = tree.query_ball_point(places[part], reach, return_sorted=True)
            row = np.repeat(np.arange(len(part)), [len(one) for one in near])
            point = np.fromiter((i for one in near for i in one), np.intp, len(row))
            square = ((places[part][row] - points[point]) ** 2).sum(axis=1) / reach**2
            share = np.maximum(1.0 - square, 0.0) ** 2 * strength[point]
            total[part] = np.bincount(row, share, len(part))
        return np.asarray(total * 3.0 / (np.pi * window_km**2))

    def _joined(self, window_km: float) -> tuple[Floats, Floats]:
        """Return unit vectors and strengths, points of one spot joined into their centre."""
        step = window_km * _TOGETHER / KM_PER_DEGREE
        there = self.strength > 0
        lat, lon, strength = self.lat[there], self.lon[there], self.strength[there]
        row = np.floor((lat + 90.0) / step)
        shrink = np.maximum(np.cos(np.radians((row + 0.5) * step - 90.0)), 1e-6)
        column = np.floor((lon + 180.0) * shrink / step)
        _, spot = np.unique(np.stack([row, column], axis=1), axis=0, return_inverse=True)
        total = np.bincount(spot.ravel(), strength).astype(np.float64)
        centre = [np.bincount(spot.ravel(), strength * part) / total for part in (lat, lon)]
        return unit_vectors(*centre), np.asarray(total, np.float64)


def _column(frame: pd.DataFrame, name: str, path: Path) -> pd.Series:
    if name not in frame:
        names = [str(column) for column in frame]
        raise CovariatesError(
            f"{path} has no column {name!r}{nearest_hint(name, names)} (it has {', '.join(names)[:200]})"
        )
    return frame[name]


def _place(frame: pd.DataFrame, names: Sequence[str], path: Path) -> Floats:
    known = {str(column).lower(): str(column) for column in frame}
    for name in names:
        if name in known:
            return numbers_of(frame[known[name]], path)
    raise CovariatesError(
        f"{path} has no column {' or '.join(names[:2])} (it has {', '.join(map(str, frame))[:200]}): a table of points "
        "has a latitude and a longitude in each row"
    )


def _text(value: object) -> str:
    return str(value).strip().lower()
