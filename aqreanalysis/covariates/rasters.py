"""Static fields from any raster that GDAL reads: elevation, land cover, population, roads, night lights.

A raster stays in its own projection; the places are brought to it. Around each place the value is taken at the point
(bilinear), as the mean over a square window, or as the share of the window in each class. Windows are read block by
block, and only where there are places, so the size of the file does not matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.common.cache import BoundedCache
from aqreanalysis.common.geodesy import KM_PER_DEGREE
from aqreanalysis.configs import StaticConfig
from aqreanalysis.covariates.gribfile import file_state
from aqreanalysis.covariates.interpolation import Floats
from aqreanalysis.errors import CovariatesError

#: Pixels along the side of the blocks by which places are gathered, and the most that one window may have.
_BLOCK, _MOST = 1024, 4000
#: Pixels along the side of the windows by which a raster is looked at, how many there are a side, and below which share
#: of the mean a pixel holds hardly anything.
_LOOK, _LOOKS, _HARDLY = 64, 6, 0.25
#: Bytes of values that a raster holds: of the stations, which each time block asks for, and of places.
_VALUES_BYTES = 32 << 20
#: Share of a window that must have values.
_ENOUGH = 0.25


@dataclass
class Raster:
    """A raster and how it is sampled.

    Attributes
    ----------
    name : str
        Its field is called so; with classes there is one field a class, ``name_class``.
    path : Path
    config : StaticConfig
    """

    name: str
    path: Path
    config: StaticConfig
    facts: dict[str, Any] = field(default_factory=dict)
    _values: BoundedCache[NDArray[np.float32]] = field(
        default_factory=lambda: BoundedCache(_VALUES_BYTES, stale=4), repr=False, compare=False
    )

    @classmethod
    def open(cls, name: str, path: Path, config: StaticConfig) -> Raster:
        """Return the raster, its header read and checked.

        Raises
        ------
        CovariatesError
            If it cannot be read, has no projection, more than one band, or is turned against its projection's axes.
        """
        with _opened(path) as array:
            if array.sizes.get("band", 1) != 1:
                raise CovariatesError(f"{path} has {array.sizes['band']} bands and one is needed: gdal_translate -b 1")
            if array.rio.crs is None:
                raise CovariatesError(
                    f"{path} has no coordinate reference system: gdal_edit.py -a_srs EPSG:4326 {path.name}"
                )
            transform = array.rio.transform()
            if transform.b or transform.d:
                raise CovariatesError(f"{path} is rotated against the axes of its projection: use gdalwarp")
            facts = {
                "crs": array.rio.crs.to_string(),
                "size": [int(array.sizes["y"]), int(array.sizes["x"])],
                "pixel": [abs(transform.a), abs(transform.e)],
                "bounds": [float(v) for v in array.rio.bounds()],
                "origin": [transform.c, transform.f, transform.a, transform.e],
                "units": str(array.attrs.get("units", "")),
            }
        return cls(name, path, config, facts | {"state": file_state(path)})

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields that it gives."""
        if self.config.classes is None:
            return (self.name,)
        return tuple(f"{self.name}_{label}" for label in self.config.classes)

    def looks_like_sources(self) -> bool:
        """Tell whether it maps sources, as people, roads, works and lights are: nowhere below zero, and at most places
        hardly any. Told by some windows, so that a raster of any size is asked at once.
        """
        rows, columns = self.facts["size"]
        with _opened(self.path) as array:
            band = array.isel(band=0) if "band" in array.dims else array
            parts = [
                self._window(band, slice(top, top + _LOOK), slice(left, left + _LOOK)).ravel()
                for top in np.unique(np.linspace(0, max(rows - _LOOK, 0), _LOOKS).astype(int))
                for left in np.unique(np.linspace(0, max(columns - _LOOK, 0), _LOOKS).astype(int))
            ]
        seen = np.concatenate(parts)
        seen = seen[np.isfinite(seen)]
        return bool(seen.size and seen.min() >= 0 and np.median(seen) < _HARDLY * seen.mean())

    def values(self, lat: Floats, lon: Floats) -> NDArray[np.float32]:
        """Return the fields at places, float32 (place, field); NaN outside the raster and where it has no value.

        Raises
        ------
        CovariatesError
            If its pixels cannot be read.
        """
        if file_state(self.path) != self.facts["state"]:
            raise CovariatesError(f"{self.path} was changed while it was in use; begin again")
        key = hashlib.sha256(lat.tobytes() + b"|" + lon.tobytes()).hexdigest()
        return self._values.get(key, lambda: self._read(lat, lon))

    def _read(self, lat: Floats, lon: Floats) -> NDArray[np.float32]:
        column, row, half_columns, half_rows = self._pixels(lat, lon)
        out = np.full((len(lat), len(self.fields)), np.nan, np.float32)
        rows, columns = self.facts["size"]
        inside = (column > -0.5) & (column < columns - 0.5) & (row > -0.5) & (row < rows - 0.5)
        with _opened(self.path) as array:
            band = array.isel(band=0) if "band" in array.dims else array
            for members in _blocks(np.flatnonzero(inside), row, column):
                reach = max(float(half_rows[members].max()), float(half_columns[members].max())) + 2
                top, left = (int(max(0, np.floor(a[members].min() - reach))) for a in (row, column))
                bottom = int(min(rows, np.ceil(row[members].max() + reach) + 1))
                right = int(min(columns, np.ceil(column[members].max() + reach) + 1))
                if max(bottom - top, right - left) > _MOST:
                    raise CovariatesError(
                        f"{self.path}: a window of {self.config.window_km:g} km is {2 * reach:.0f} pixels wide; "
                        f"set covariates.static.{self.name}.window_km smaller or coarsen the raster (gdalwarp -tr)"
                    )
                window = self._window(band, slice(top, bottom), slice(left, right))
                size = np.stack([half_rows[members], half_columns[members]])
                out[members] = self._sample(window, row[members] - top, column[members] - left, size)
        return out

    def _pixels(self, lat: Floats, lon: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return column and row of places (0 is the centre of the first pixel), and half the window in pixels."""
        from pyproj import Transformer
        from pyproj.exceptions import ProjError

        try:
            project = Transformer.from_crs("EPSG:4326", self.facts["crs"], always_xy=True).transform
        except ProjError as error:
            raise CovariatesError(
                f"{self.path}: projection {self.facts['crs']!r} is not understood ({error})"
            ) from None
        c, f, a, e = self.facts["origin"]

        def pixel(y: Floats, x: Floats) -> tuple[Floats, Floats]:
            px, py = project(x, y)
            if self.facts["crs"] == "EPSG:4326" and c + a * self.facts["size"][1] > 180.0 + abs(a):
                px = np.where(px < c, px + 360.0, px)  # a raster from 0 to 360
            return (np.asarray(px) - c) / a - 0.5, (np.asarray(py) - f) / e - 0.5

        column, row = pixel(lat, lon)
        half = self.config.window_km / 2 / KM_PER_DEGREE
        up, right = pixel(np.clip(lat + half, -90, 90), lon), pixel(lat, lon + half / np.cos(np.radians(lat)))
        half_rows = np.maximum(np.abs(up[1] - row), np.abs(right[1] - row))
        half_columns = np.maximum(np.abs(up[0] - column), np.abs(right[0] - column))
        bad = ~(np.isfinite(column) & np.isfinite(row) & np.isfinite(half_rows) & np.isfinite(half_columns))
        for values in (column, row):
            values[bad] = -1e9
        return column, row, np.where(bad, 0.0, half_rows), np.where(bad, 0.0, half_columns)

    def _window(self, band: Any, rows: slice, columns: slice) -> NDArray[np.float64]:
        try:
            return np.asarray(band.isel(y=rows, x=columns).values, np.float64)
        except Exception as error:  # GDAL's own
            raise CovariatesError(
                f"{self.path}: its pixels cannot be read ({' '.join(str(error).split())}); get it again"
            ) from None

    def _sample(self, window: NDArray[np.float64], row: Floats, column: Floats, half: Floats) -> NDArray[np.float32]:
        config = self.config
        if config.method == "bilinear" or (config.classes is None and (half < 0.5).all()):
            return _bilinear(window, row, column)[:, None]
        seen = np.isfinite(window)
        layers = [window] if config.classes is None else [np.isin(window, v) * 1.0 for v in config.classes.values()]
        whole = _boxes(seen * 1.0, row, column, half)
        area = _boxes(np.ones_like(window), row, column, half)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = [_boxes(np.where(seen, layer, 0.0), row, column, half) / whole for layer in layers]
        mean = np.stack(means, axis=1)
        mean[whole < _ENOUGH * area] = np.nan
        return mean.astype(np.float32)


def _opened(path: Path) -> Any:
    import rioxarray

    try:
        return rioxarray.open_rasterio(path, masked=True, mask_and_scale=True, cache=False)
    except Exception as error:  # rasterio, GDAL and rioxarray each have their own
        reason = " ".join(str(error).split())
        raise CovariatesError(f"{path} is no raster that can be read ({reason}); get it again") from None


def _blocks(members: NDArray[np.intp], row: Floats, column: Floats) -> Iterator[NDArray[np.intp]]:
    """Yield the places block by block of the raster."""
    if not members.size:
        return
    block = np.stack([row[members] // _BLOCK, column[members] // _BLOCK], axis=1)
    _, number = np.unique(block, axis=0, return_inverse=True)
    order = np.argsort(number.ravel(), kind="stable")
    yield from np.split(members[order], np.flatnonzero(np.diff(number.ravel()[order])) + 1)


def _bilinear(window: NDArray[np.float64], row: Floats, column: Floats) -> NDArray[np.float32]:
    """Return values between the pixels; pixels without a value leave their weight to the others."""
    row, column = np.clip(row, 0, window.shape[0] - 1), np.clip(column, 0, window.shape[1] - 1)
    low_row, low_column = (np.floor(a).astype(np.int64) for a in (row, column))
    a, b = row - low_row, column - low_column
    total, seen = np.zeros((2, len(row)))
    for down, share_row in ((0, 1 - a), (1, a)):
        for across, share_column in ((0, 1 - b), (1, b)):
            at = window[
                np.minimum(low_row + down, window.shape[0] - 1), np.minimum(low_column + across, window.shape[1] - 1)
            ]
            there = np.isfinite(at)
            weight = share_row * share_column * there
            total += np.where(there, at, 0.0) * weight
            seen += weight
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(seen >= _ENOUGH, total / seen, np.nan).astype(np.float32)


def _boxes(layer: NDArray[np.float64], row: Floats, column: Floats, half: Floats) -> Floats:
    """Return the integral of a layer over the box of each place, pixels cut by its edge in proportion.

    By the summed-area table, read between its nodes; a box is at least one pixel wide.
    """
    table = np.zeros((layer.shape[0] + 1, layer.shape[1] + 1))
    table[1:, 1:] = layer.cumsum(axis=0).cumsum(axis=1)
    edges = []
    for centre, reach, size in ((row, half[0], layer.shape[0]), (column, half[1], layer.shape[1])):
        reach = np.maximum(reach, 0.5)
        edges.append([np.clip(centre + 0.5 + sign * reach, 0, size) for sign in (-1, 1)])
    (top, bottom), (left, right) = edges

    def at(y: Floats, x: Floats) -> Floats:
        i, j = (np.minimum(np.floor(v).astype(np.int64), n - 2) for v, n in zip((y, x), table.shape, strict=True))
        a, b = y - i, x - j
        upper = table[i, j] * (1 - b) + table[i, j + 1] * b
        return np.asarray(upper * (1 - a) + (table[i + 1, j] * (1 - b) + table[i + 1, j + 1] * b) * a)

    return at(bottom, right) - at(top, right) - at(bottom, left) + at(top, left)
