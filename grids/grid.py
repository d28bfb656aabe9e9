"""`Grid`: the places a cube is made for, regular in latitude and longitude on WGS 84."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.common.described import Described
from aqreanalysis.common.geodesy import KM_PER_DEGREE
from aqreanalysis.errors import GridError
from aqreanalysis.grids.axes import FloatArray, cells_between, recognise_axis, regular_axis

# An hour of one float32 layer is 0.8 GB at this size. The whole globe at 0.025 degree (104 million) stays below it.
MAX_CELLS = 200_000_000
# Of grids that are laid around places, degrees.
_ROUND_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True, eq=False, repr=False)
class Grid(Described):
    """Cell centres of a regular latitude/longitude grid, checked where it is built.

    Latitude ascends. Longitude ascends too and begins in -180..180; it goes on past 180 only where the grid crosses
    the antimeridian (170..190), because a CF coordinate must be monotonic and the map clients draw such an axis as one
    piece, while values that jump from 180 to -180 are refused or torn apart. A grid all round the globe is turned
    to begin at or east of -180. Distances on the sphere do not see the difference of 360 degrees.

    Attributes
    ----------
    name : str
        Name or origin, for people.
    lat, lon : ndarray of float64, shapes (rows,) and (columns,)
        Cell centres in degrees north and east, ``round(start + i * step, 10)``; read-only.
    mask : ndarray of bool, shape (rows, columns), or None
        True where a value is wanted; None means everywhere.
    title, reason : str
        One line each: what it is and what it is for.
    spacing : tuple of float or None
        Height and width of a cell in degrees, for an axis of a single cell; of others the centres say it.

    Raises
    ------
    GridError
        If an axis is irregular or out of range, has no cell or one of unknown size, if the grid has more than
        `MAX_CELLS` cells or goes round the globe more than once, or if the mask does not fit or wants no cell.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> grid = aq.Grid("two by three", lat=[35.0, 35.5], lon=[110.0, 110.5, 111.0])
    >>> grid.shape, grid.step
    ((2, 3), (0.5, 0.5))
    """

    name: str
    lat: FloatArray
    lon: FloatArray
    mask: NDArray[np.bool_] | None = None
    title: str = ""
    reason: str = ""
    spacing: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        rows, columns = np.size(self.lat), np.size(self.lon)
        _check_count(self.name, rows, columns)
        lat, flip_rows = recognise_axis(self.lat, f"grid {self.name}: latitude", self.spacing)
        lon, flip_columns = recognise_axis(_unwrapped(self.lon), f"grid {self.name}: longitude", self.spacing)
        if lat[0] < -90 or lat[-1] > 90:
            raise GridError(f"grid {self.name}: latitude {lat[0]:g}..{lat[-1]:g} is outside -90..90")
        lon, order = _placed(lon, self.name)
        mask = self.mask
        if mask is not None:
            mask = np.asarray(mask)
            if mask.shape != (rows, columns) or mask.dtype != np.bool_:
                raise GridError(
                    f"grid {self.name}: mask of shape {mask.shape} and type {mask.dtype}, wanted bool {rows, columns}"
                )
            mask = mask[::-1] if flip_rows else mask
            mask = (mask[:, ::-1] if flip_columns else mask)[:, order].copy()
            if not mask.any():
                raise GridError(f"grid {self.name}: its mask is true at no cell; nothing would be estimated")
            mask.flags.writeable = False
        lat.flags.writeable = lon.flags.writeable = False
        for key, value in (("lat", lat), ("lon", lon), ("mask", mask)):
            object.__setattr__(self, key, value)

    @classmethod
    def from_bounds(
        cls,
        name: str,
        box: tuple[float, float, float, float],
        step: tuple[float, float],
        title: str = "",
        reason: str = "",
    ) -> Grid:
        """Return the grid whose outermost cell centres are `box`.

        Parameters
        ----------
        name, title, reason : str
            As of the class.
        box : tuple of float
            West, south, east, north in degrees: the centres of the outermost cells. 105, 33, 125, 43 at 0.1 degree
            are 201 x 101 cells.
        step : tuple of float
            Distance of the centres in longitude and latitude, degrees.

        Raises
        ------
        GridError
            If the step does not divide the box, and as of the class.
        """
        west, south, east, north = box
        if not np.isfinite([*box, *step]).all():
            raise GridError(f"grid {name}: west, south, east, north and step must be finite numbers")
        for value in (south, north):
            if abs(value) > 90:
                raise GridError(f"grid {name}: latitude {value:g} is outside -90..90; the order is W,S,E,N")
        for value in (west, east):
            if not -360 <= value <= 540:
                raise GridError(f"grid {name}: longitude {value:g} is out of range; write degrees east, -180..180")
        columns = cells_between(west, east, step[0], f"grid {name}: W..E")
        rows = cells_between(south, north, step[1], f"grid {name}: S..N")
        _check_count(name, rows, columns)
        # Steps are taken from the ends, so that the last centre is the one asked for even if the step was rounded.
        lat = regular_axis(south, (north - south) / max(rows - 1, 1), rows)
        lon = regular_axis(west, (east - west) / max(columns - 1, 1), columns)
        spacing = (step[1], step[0]) if 1 in (rows, columns) else None
        return cls(name, lat, lon, title=title, reason=reason, spacing=spacing)

    @classmethod
    def around(cls, name: str, lat: FloatArray, lon: FloatArray, cells: int = 20_000) -> Grid:
        """Return a grid that holds places and a margin around them, at the finest of some round steps.

        Parameters
        ----------
        name : str
            As of the class.
        lat, lon : ndarray of float64
            The places, degrees.
        cells : int
            At most so many.

        Raises
        ------
        GridError
            If there is no place, or no step is coarse enough.
        """
        if not np.size(lat):
            raise GridError(f"grid {name}: no place to lay it around")
        margin = max(0.1, 0.1 * float(np.ptp(lat)), 0.1 * float(np.ptp(lon)))
        south, north = max(float(np.min(lat)) - margin, -90.0), min(float(np.max(lat)) + margin, 90.0)
        west, east = float(np.min(lon)) - margin, float(np.max(lon)) + margin
        for step in _ROUND_STEPS:
            box = [np.floor(west / step), np.floor(south / step), np.ceil(east / step), np.ceil(north / step)]
            if (box[2] - box[0] + 1) * (box[3] - box[1] + 1) <= cells:
                edges = [round(float(edge) * step, 10) for edge in box]
                return cls.from_bounds(name, (edges[0], edges[1], edges[2], edges[3]), (step, step))
        raise GridError(f"grid {name}: the places span {east - west:g} x {north - south:g} degrees; name a grid")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows (latitude) and columns (longitude)."""
        return self.lat.size, self.lon.size

    @property
    def size(self) -> int:
        """Number of cells, masked ones included."""
        return self.lat.size * self.lon.size

    @property
    def step(self) -> tuple[float, float]:
        """Distance of the centres in latitude and longitude, degrees."""
        given = self.spacing or (0.0, 0.0)  # where both axes say it
        lat, lon = (
            float(axis[-1] - axis[0]) / (axis.size - 1) if axis.size > 1 else own
            for axis, own in zip((self.lat, self.lon), given, strict=True)
        )
        return round(lat, 10), round(lon, 10)

    @property
    def is_global(self) -> bool:
        """True if the columns close around the globe."""
        return abs(self.lon.size * self.step[1] - 360) < 1e-6

    @property
    def crosses_antimeridian(self) -> bool:
        """True if longitude goes on past 180."""
        return bool(self.lon[-1] > 180)

    @cached_property
    def lat_bounds(self) -> FloatArray:
        """Southern and northern edge of each row, shape (rows, 2); a row centred at a pole ends there."""
        return np.clip(_edges(self.lat, self.step[0]), -90.0, 90.0)

    @cached_property
    def lon_bounds(self) -> FloatArray:
        """Western and eastern edge of each column, shape (columns, 2)."""
        return _edges(self.lon, self.step[1])

    def digest(self) -> str:
        """Return the sha256 of the coordinates and the mask; names and titles do not enter."""
        digest = hashlib.sha256()
        for part in (self.lat, self.lon):
            digest.update(str(part.size).encode() + b":" + part.astype("<f8").tobytes())
        if 1 in self.shape:  # two cells of one centre may be of different size
            digest.update(repr(self.step).encode())
        digest.update(b"all" if self.mask is None else np.packbits(self.mask).tobytes())
        return digest.hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return what identifies the grid, in values that JSON and YAML can hold."""
        return {
            "name": self.name,
            "title": self.title,
            "reason": self.reason,
            "crs": "EPSG:4326",
            "west": float(self.lon[0]),
            "south": float(self.lat[0]),
            "east": float(self.lon[-1]),
            "north": float(self.lat[-1]),
            "step_lat": self.step[0],
            "step_lon": self.step[1],
            "rows": self.shape[0],
            "columns": self.shape[1],
            "cells": self.size,
            "cells_wanted": self.size if self.mask is None else int(self.mask.sum()),
            "digest": self.digest(),
        }

    def facts(self) -> tuple[str, list[tuple[str, str]]]:
        """Return what it is, and extent, step and cells, as `repr` and notebooks show them."""
        (rows, columns), (dy, dx) = self.shape, self.step
        pairs = [
            ("longitude", f"{self.lon[0]:.10g} .. {self.lon[-1]:.10g}, {columns} columns of {dx:g} degree"),
            ("latitude", f"{self.lat[0]:.10g} .. {self.lat[-1]:.10g}, {rows} rows of {dy:g} degree"),
            (
                "cells",
                f"{self.size:,}" + ("" if self.mask is None else f", of which {int(self.mask.sum()):,} are wanted"),
            ),
        ]
        return f"Grid {self.name}", [*([("title", self.title)] if self.title else []), *pairs]

    def describe(self) -> str:
        """Return the grid in lines for people: extent, step, cells, size in km, bytes of an hour, digest."""
        facts = self.to_dict()
        (rows, columns), (dy, dx) = self.shape, self.step
        width = KM_PER_DEGREE * dx * np.cos(np.radians((facts["south"] + facts["north"]) / 2))
        lines = [
            f"{self.name}: {self.title}" if self.title else self.name,
            f"  longitude  {facts['west']:.10g} .. {facts['east']:.10g}, {columns} columns of {dx:g} degree",
            f"  latitude   {facts['south']:.10g} .. {facts['north']:.10g}, {rows} rows of {dy:g} degree",
            "             (centres of the outermost cells; WGS 84, EPSG:4326)",
            f"  cells      {self.size:,}, about {width:.3g} x {KM_PER_DEGREE * dy:.3g} km in the middle",
            f"  an hour    {4e-6 * self.size:.3g} MB a layer, uncompressed",
            f"  digest     {facts['digest'][:16]}",
        ]
        if self.mask is not None:
            lines.insert(5, f"  mask       {facts['cells_wanted']:,} cells wanted")
        if self.crosses_antimeridian:
            lines.insert(4, "             crosses the antimeridian: longitude goes on past 180")
        if self.reason:
            lines.insert(1, f"  {self.reason}")
        return "\n".join(lines)


def _check_count(name: str, rows: int, columns: int) -> None:
    if rows * columns > MAX_CELLS:
        raise GridError(
            f"grid {name}: {columns:,} x {rows:,} = {rows * columns:,} cells, more than {MAX_CELLS:,}; "
            "take a larger step or cut the region into pieces"
        )


def _edges(centres: FloatArray, step: float) -> FloatArray:
    half = (centres[-1] - centres[0]) / (centres.size - 1) / 2 if centres.size > 1 else step / 2
    edges = np.round(np.append(centres - half, centres[-1] + half), 10)
    return np.stack([edges[:-1], edges[1:]], axis=1)


def _unwrapped(lon: FloatArray) -> FloatArray:
    """Return longitudes that go on past the jump from 180 to -180 or from 360 to 0, where a file has one."""
    axis = np.asarray(lon, dtype=np.float64)
    if axis.ndim != 1 or not np.isfinite(axis).all():
        return axis
    jumps = np.abs(np.diff(axis)) > 180
    # One jump in a long axis is the seam of the globe; two columns 200 degrees apart are just that.
    return np.unwrap(axis, period=360.0) if jumps.sum() == 1 and axis.size > 2 else axis


def _placed(lon: FloatArray, name: str) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return longitudes that begin in -180..180, and the order in which they take the columns."""
    step = (lon[-1] - lon[0]) / max(lon.size - 1, 1)
    if lon.size * step > 360 + 1e-6:
        raise GridError(
            f"grid {name}: longitude {lon[0]:g}..{lon[-1]:g} at {step:g} goes round the globe more than once; "
            f"end at {lon[0] + 360 - step:g}"
        )
    order = np.arange(lon.size)
    shifted = lon - 360.0 * np.floor((lon[0] + 180.0) / 360.0)
    if abs(lon.size * step - 360) < 1e-6 and shifted[-1] >= 180:
        turned = np.where(shifted >= 180, shifted - 360.0, shifted)
        order = np.argsort(turned, kind="stable")
        shifted = turned[order]
    return np.round(shifted, 10), order
