"""Static fields from any raster that GDAL reads: elevation, land cover, population, roads, night lights.

A raster stays in its own projection; the places are brought to it. Around each place the value is taken at the point
(bilinear), as the mean over a square window (or over several at once), or as the share of the window in each class.
Windows are read block by block, and only where there are places, so the size of the file does not matter. The blocks
are fixed in the raster, so that the value of a place has the same bits whatever places are asked for with it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.common.cache import BoundedCache
from aqreanalysis.common.geodesy import KM_PER_DEGREE
from aqreanalysis.common.proj_database import use_fitting_database
from aqreanalysis.configs import StaticConfig
from aqreanalysis.covariates.files import NETCDF
from aqreanalysis.covariates.gribfile import file_state
from aqreanalysis.covariates.interpolation import Floats
from aqreanalysis.covariates.missing_codes import BEYOND, usual_codes
from aqreanalysis.errors import CovariatesError, in_one_line

#: Pixels along the side of the blocks by which places are gathered, and the most that is read around one.
_BLOCK, _MOST = 512, 4000
#: Pixels along the side of the windows by which a raster is looked at, how many there are a side, and below which share
#: of the mean a pixel holds hardly anything.
_LOOK, _LOOKS, _HARDLY = 64, 6, 0.25
#: Bytes of values that a raster holds: of the stations, which each time block asks for, and of places.
_VALUES_BYTES = 32 << 20
#: Share of a window that must have values.
_ENOUGH = 0.25
#: Dimensions of NetCDF files that are rows and columns.
_LATITUDES, _LONGITUDES = ("lat", "latitude", "y"), ("lon", "longitude", "x")
#: Pixels of a raster that is looked at whole for codes of missing values.
_SMALL = 4_000_000
#: Share of the running sums of a piece that their rounding may leave in a box of zeros.
_NOTHING = 1e-13
# How far windows reach is asked at so many points along the sides of a block, and taken so much farther.
_PROBES, _MARGIN = 3, 1.05


class _Pixels(NamedTuple):
    """Places in a raster: column and row (0 is the centre of the first pixel), -1e9 where they are nowhere in it."""

    row: Floats
    column: Floats


class _Piece(NamedTuple):
    """A part of a raster with the places in it: which of them, its pixels, and where they stand among these."""

    members: NDArray[np.intp]
    pixels: NDArray[np.float64]
    row: Floats
    column: Floats


# So many numbers of a byte, with others left out between them, are the codes of classes (WorldCover: 10, 20 ... 100).
_FEWEST_CLASSES, _MOST_CLASSES = 4, 50


@dataclass
class Raster:
    """A raster and how it is sampled.

    Attributes
    ----------
    name : str
        Its field is called so; with classes there is one field a class, ``name_class``, and of several windows one a
        window, ``name_20km``.
    path : Path
    config : StaticConfig
    classes : int
        How many classes it seems to map, 0 where it seems to map a quantity.
    """

    name: str
    path: Path
    config: StaticConfig
    facts: dict[str, Any] = field(default_factory=dict)
    classes: int = field(default=0, compare=False)
    _values: BoundedCache[NDArray[np.float32]] = field(
        default_factory=lambda: BoundedCache(_VALUES_BYTES, stale=4), repr=False, compare=False
    )

    @classmethod
    def open(cls, name: str, path: Path, config: StaticConfig, variable: str | None = None) -> Raster:
        """Return the raster, its header read and checked; `variable` names that of a NetCDF file with several.

        Raises
        ------
        CovariatesError
            If it cannot be read, has no projection, more than one band, or is turned against its projection's axes.
        """
        with _opened(path, variable) as array:
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
                "degrees": bool(array.rio.crs.is_geographic),
                "variable": variable,
                "size": [int(array.sizes["y"]), int(array.sizes["x"])],
                "pixel": [abs(transform.a), abs(transform.e)],
                "bounds": [float(v) for v in array.rio.bounds()],
                "origin": [transform.c, transform.f, transform.a, transform.e],
                "units": str(array.attrs.get("units", "")),
            }
            facts["byte"] = str(array.encoding.get("rasterio_dtype", array.encoding.get("dtype", ""))) == "uint8"
            raster = cls(name, path, config, facts | {"state": file_state(path), "undeclared": []})
            if raster._looks_for_codes:
                seen = raster._looked_at(array)
                raster.facts["undeclared"] = raster._undeclared(seen)
                raster.classes = _classes(seen) if facts["byte"] else 0
        return raster

    @property
    def _looks_for_codes(self) -> bool:
        """Whether the usual codes for missing values are looked for: not among classes, which have any number."""
        return self.config.missing is None and self.config.classes is None

    def _undeclared(self, pixels: NDArray[np.float64]) -> list[float]:
        """Return values of pixels that mean none although neither the file nor the config says so."""
        inside = pixels[np.isfinite(pixels)]
        if self.config.valid_range is not None:
            low, high = self.config.valid_range
            inside = inside[(inside >= low) & (inside <= high)]
        beyond = inside[np.abs(inside) >= BEYOND]
        return [*(float(one) for one in np.unique(beyond)[:2]), *usual_codes(inside, self.facts["byte"])]

    def warning(self) -> str | None:
        """Return what is to be said of values taken as missing though the file does not say so, or of classes."""
        codes = self.facts["undeclared"]
        if not codes and self.classes:
            return (
                f"{self.path} holds {self.classes} numbers, which look like classes: the mean of their numbers means "
                f"nothing; covariates.static.{self.name}={{method: fractions, classes: {{urban: [50]}}}} takes shares"
            )
        if not codes:
            return None
        named = ", ".join(f"{code:g}" for code in codes)
        return (
            f"{self.path}: {named} is not declared as missing and is taken so; declare it (gdal_edit.py -a_nodata "
            f"{codes[0]:g} {self.path.name}) or name it (missing: [{named}]; [] where all values count)"
        )

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields that it gives."""
        windows = self.config.window_km
        if isinstance(windows, list):
            return tuple(f"{self.name}_{km:g}km".replace(".", "p") for km in windows)
        if self.config.classes is None:
            return (self.name,)
        return tuple(f"{self.name}_{label}" for label in self.config.classes)

    def looks_like_sources(self) -> bool:
        """Tell whether it maps sources, as people, roads, works and lights are: nowhere below zero, and at most places
        hardly any. Told by some windows, so that a raster of any size is asked at once.
        """
        with _opened(self.path, self.facts["variable"]) as array:
            seen = self._cleared(self._looked_at(array, whole=False))
        seen = seen[np.isfinite(seen)]
        return bool(seen.size and seen.min() >= 0 and np.median(seen) < _HARDLY * seen.mean())

    def _looked_at(self, array: Any, whole: bool = True) -> NDArray[np.float64]:
        """Return pixels as they are read: all of a raster that is small, if `whole`, else some windows of it."""
        rows, columns = self.facts["size"]
        band = array.isel(band=0) if "band" in array.dims else array
        if whole and rows * columns <= _SMALL:
            return self._window(band, slice(0, rows), slice(0, columns)).ravel()
        parts = [
            self._window(band, slice(top, top + _LOOK), slice(left, min(left + _LOOK, columns))).ravel()
            for top in np.unique(np.linspace(0, max(rows - _LOOK, 0), _LOOKS).astype(int))
            for left in np.unique(np.linspace(0, max(columns - _LOOK, 0), _LOOKS).astype(int))
        ]
        return np.concatenate(parts)

    def _cleared(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return pixels with NaN where a value means none or cannot be."""
        if self._looks_for_codes:
            unknown = [code for code in self._undeclared(pixels) if code not in self.facts["undeclared"]]
            if unknown and any(abs(code) < BEYOND for code in unknown):
                raise CovariatesError(
                    f"{self.path} holds {unknown[0]:g}, which looks like a code for missing values that it does not "
                    f"declare: gdal_edit.py -a_nodata {unknown[0]:g} {self.path.name}, or name it in the settings of "
                    f"{self.name} (missing: [{unknown[0]:g}]; [] where all values count)"
                )
        wrong = np.abs(pixels) >= BEYOND
        for code in self.config.missing if self.config.missing is not None else self.facts["undeclared"]:
            wrong |= pixels == code
        if self.config.valid_range is not None:
            low, high = self.config.valid_range
            wrong |= (pixels < low) | (pixels > high)
        return np.where(wrong, np.nan, pixels) if wrong.any() else pixels

    @property
    def _round(self) -> bool:
        """Whether its columns go round the Earth, so that windows go on beyond its seam."""
        return bool(self.facts["degrees"]) and abs(self.facts["size"][1] * self.facts["pixel"][0] - 360.0) < 1e-6

    def values(self, lat: Floats, lon: Floats) -> NDArray[np.float32]:
        """Return the fields at places, float32 (place, field); NaN outside the raster and where it has no value.

        Raises
        ------
        CovariatesError
            If its pixels cannot be read.
        """
        if file_state(self.path) != self.facts["state"]:
            raise CovariatesError(f"{self.path} was changed while it was in use; begin again")
        places = hashlib.sha256(lat.tobytes() + b"|" + lon.tobytes()).hexdigest()
        # A copy with other windows shares what is held.
        return self._values.get((places, self.config.model_dump_json()), lambda: self._read(lat, lon))

    def _read(self, lat: Floats, lon: Floats) -> NDArray[np.float32]:
        if isinstance(self.config.window_km, list):
            return self.means(lat, lon, self.config.window_km).astype(np.float32)
        out = np.full((len(lat), len(self.fields)), np.nan, np.float32)
        half = self._half(lat, lon, self.config.window_km)
        for piece in self._pieces(lat, lon, self.config.window_km):
            out[piece.members] = self._sample(piece, half[:, piece.members])
        return out

    def means(self, lat: Floats, lon: Floats, windows_km: Sequence[float]) -> NDArray[np.float64]:
        """Return the means over square windows of several widths in km, float64 (place, window), NaN as `values`.

        Raises
        ------
        CovariatesError
            If its pixels cannot be read.
        """
        out = np.full((len(lat), len(windows_km)), np.nan)
        halves = [self._half(lat, lon, km) for km in windows_km]
        for piece in self._pieces(lat, lon, max(windows_km)):
            tables = _summed_areas(piece.pixels, [piece.pixels])
            for window, half in enumerate(halves):
                out[piece.members, window] = _box_means(tables, piece, half[:, piece.members])[:, 0]
        return out

    def _pieces(self, lat: Floats, lon: Floats, window_km: float) -> Iterator[_Piece]:
        """Yield the places block by block, with all pixels that their windows may touch."""
        if file_state(self.path) != self.facts["state"]:
            raise CovariatesError(f"{self.path} was changed while it was in use; begin again")
        row, column = self._pixels(lat, lon)
        rows, columns = self.facts["size"]
        inside = (column > -0.5) & (column < columns - 0.5) & (row > -0.5) & (row < rows - 0.5)
        if not inside.any():
            return
        with _opened(self.path, self.facts["variable"]) as array:
            band = array.isel(band=0) if "band" in array.dims else array
            for members in _blocks(np.flatnonzero(inside), row, column):
                first = [int(max(at[members[0]], 0.0) // _BLOCK) * _BLOCK for at in (row, column)]
                reach = self._reach(first, window_km)
                top, left = (a - b for a, b in zip(first, reach, strict=True))
                bottom, right = (a + _BLOCK + b for a, b in zip(first, reach, strict=True))
                top, bottom = max(top, 0), min(bottom, rows)
                if not self._round:
                    left, right = max(left, 0), min(right, columns)
                if max(bottom - top, right - left) > _MOST:
                    raise CovariatesError(
                        f"{self.path}: a window of {window_km:g} km is {2 * max(reach):.0f} pixels wide; set the "
                        f"windows of {self.name} smaller or coarsen the raster (gdalwarp -tr)"
                    )
                pixels = self._cleared(self._window(band, slice(top, bottom), slice(left, right)))
                yield _Piece(members, pixels, row[members] - top, column[members] - left)

    def _reach(self, first: list[int], window_km: float) -> tuple[int, int]:
        """Return how many rows and columns the windows of places in the block that begins at `first` may reach."""
        from pyproj import Transformer

        c, f, a, e = self.facts["origin"]
        ends = [min(begin + _BLOCK, size) for begin, size in zip(first, self.facts["size"], strict=True)]
        y, x = (np.linspace(begin, end, _PROBES) for begin, end in zip(first, ends, strict=True))
        px, py = (part.ravel() for part in np.meshgrid(c + a * x, f + e * y))
        back = Transformer.from_crs(self.facts["crs"], "EPSG:4326", always_xy=True).transform
        lon, lat = (np.asarray(part) for part in back(px, py))
        there = np.isfinite(lon) & np.isfinite(lat)
        half = self._half(lat[there], lon[there], window_km)
        rows, columns = (int(np.ceil(part.max(initial=0.0) * _MARGIN)) + 2 for part in half)
        return rows, columns

    def _pixels(self, lat: Floats, lon: Floats) -> _Pixels:
        """Return where places lie in the raster."""
        from pyproj import Transformer
        from pyproj.exceptions import ProjError

        try:
            project = Transformer.from_crs("EPSG:4326", self.facts["crs"], always_xy=True).transform
        except ProjError as error:
            raise CovariatesError(
                f"{self.path}: projection {self.facts['crs']!r} is not understood ({error})"
            ) from None
        c, f, a, e = self.facts["origin"]
        px, py = project(lon, lat)
        if self.facts["degrees"]:
            # Longitudes come in any turn, and so do rasters (0 to 360, or across the date line).
            px = np.asarray(px) - 360.0 * np.floor((np.asarray(px) - c) / 360.0)
        column, row = (np.asarray(px) - c) / a - 0.5, (np.asarray(py) - f) / e - 0.5
        nowhere = ~(np.isfinite(column) & np.isfinite(row))
        return _Pixels(np.where(nowhere, -1e9, row), np.where(nowhere, -1e9, column))

    def _half(self, lat: Floats, lon: Floats, window_km: float) -> Floats:
        """Return half a window around places in rows and in columns, (2, place)."""
        from pyproj import Transformer

        project = Transformer.from_crs("EPSG:4326", self.facts["crs"], always_xy=True).transform
        _, _, a, e = self.facts["origin"]
        half = window_km / 2 / KM_PER_DEGREE
        north = np.where(lat + half > 90, lat - half, lat + half)
        x, y = (np.asarray(part) for part in project(lon, lat))
        up, right = project(lon, north), project(lon + half / np.maximum(np.cos(np.radians(lat)), 1e-3), lat)
        across = [np.abs(np.asarray(end[0]) - x) for end in (up, right)]
        along = [np.abs(np.asarray(end[1]) - y) for end in (up, right)]
        if self.facts["degrees"]:
            across = [np.minimum(part, 360.0 - part) for part in across]
        half_pixels = np.stack([np.maximum(*along) / abs(e), np.maximum(*across) / abs(a)])
        return np.where(np.isfinite(half_pixels), half_pixels, 0.0)

    def _window(self, band: Any, rows: slice, columns: slice) -> NDArray[np.float64]:
        """Return pixels; columns before the first and after the last are those on the other side of the seam."""
        width = self.facts["size"][1]
        parts = [(columns.start, columns.stop)]
        if columns.start < 0 or columns.stop > width:
            edges = [columns.start, *(n * width for n in (0, 1) if columns.start < n * width < columns.stop)]
            parts = list(itertools.pairwise([*edges, columns.stop]))
        try:
            read = [
                np.asarray(band.isel(y=rows, x=slice(a % width, (b - 1) % width + 1)).values, np.float64)
                for a, b in parts
            ]
        except Exception as error:  # GDAL's own
            raise CovariatesError(
                f"{self.path}: its pixels cannot be read ({in_one_line(error)}); get it again"
            ) from None
        return read[0] if len(read) == 1 else np.concatenate(read, axis=1)

    def _sample(self, piece: _Piece, half: Floats) -> NDArray[np.float32]:
        config, pixels = self.config, piece.pixels
        if config.method == "bilinear":
            return _bilinear(pixels, piece.row, piece.column)[:, None]
        layers = [pixels]
        if config.classes is not None:
            layers = [np.isin(pixels, labels).astype(np.float64) for labels in config.classes.values()]
        shares = _box_means(_summed_areas(pixels, layers), piece, half).astype(np.float32)
        if config.classes is None and (half < 0.5).any():
            small = (half < 0.5).all(axis=0)
            shares[small, 0] = _bilinear(pixels, piece.row[small], piece.column[small])
        return shares


def _opened(path: Path, variable: str | None = None) -> Any:
    import rioxarray

    use_fitting_database()
    try:
        if path.suffix.lower() in NETCDF:
            return _netcdf(path, variable)
        if variable is not None:
            raise CovariatesError(f"{path} is a raster and has no variables: leave ':{variable}' out")
        return rioxarray.open_rasterio(path, masked=True, mask_and_scale=True, cache=False)
    except CovariatesError:
        raise
    except Exception as error:  # rasterio, GDAL and rioxarray each have their own
        reason = in_one_line(error)
        raise CovariatesError(f"{path} is no raster that can be read ({reason}); get it again") from None


def _netcdf(path: Path, variable: str | None) -> Any:
    """Return a variable of a NetCDF file by latitude and longitude, or in the projection that the file names."""
    import rioxarray  # noqa: F401  # the accessor
    import xarray as xr

    with xr.open_dataset(path, cache=False, decode_coords="all") as data:
        on_map = [str(name) for name, array in data.data_vars.items() if array.squeeze().ndim == 2]
        if variable is None and len(on_map) != 1:
            raise CovariatesError(
                f"{path} has {len(on_map)} variables on a map ({', '.join(on_map) or 'none'}); name one: {path}:NAME"
            )
        chosen = on_map[0] if variable is None else variable
        if chosen not in on_map:
            raise CovariatesError(f"{path} has no variable {chosen!r} on a map; it has {', '.join(on_map)}")
        array = data[chosen].squeeze(drop=True)
    for axis, names in (("y", _LATITUDES), ("x", _LONGITUDES)):
        array = array.rename({name: axis for name in array.dims if str(name).lower() in names})
    if set(array.dims) != {"y", "x"}:
        raise CovariatesError(
            f"{path}: {chosen!r} is on {', '.join(map(str, array.dims))}, not on latitude and longitude (or y and x)"
        )
    array = array.transpose("y", "x")
    return array.rio.write_crs("EPSG:4326") if array.rio.crs is None else array


def _classes(pixels: NDArray[np.float64]) -> int:
    """Return how many classes the numbers of a byte raster seem to be: some, with holes between them; 0 for none."""
    numbers = np.unique(pixels[np.isfinite(pixels)])
    few = _FEWEST_CLASSES <= numbers.size <= _MOST_CLASSES
    return numbers.size if few and pixels.size > _MOST_CLASSES**2 and np.median(np.diff(numbers)) > 1 else 0


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


def _summed_areas(pixels: NDArray[np.float64], layers: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Return summed-area tables: of where the pixels have a value, then of each layer there."""
    seen = np.isfinite(pixels)
    tables = []
    for layer in (seen * 1.0, *(np.where(seen, layer, 0.0) for layer in layers)):
        table = np.zeros((layer.shape[0] + 1, layer.shape[1] + 1))
        table[1:, 1:] = layer.cumsum(axis=0).cumsum(axis=1)
        tables.append(table)
    return tables


def _box_means(tables: Sequence[NDArray[np.float64]], piece: _Piece, half: Floats) -> Floats:
    """Return the mean of each layer of `_summed_areas` over the box of each place (place, layer).

    Pixels that its edge cuts count in proportion: the tables are read between their nodes. A box is at least one pixel
    wide, which makes it bilinear interpolation. NaN where less than `_ENOUGH` of it has values.
    """
    edges = []
    for centre, reach, size in zip((piece.row, piece.column), half, piece.pixels.shape, strict=True):
        reach = np.maximum(reach, 0.5)
        edges.append([np.clip(centre + 0.5 + sign * reach, 0, size) for sign in (-1, 1)])
    (top, bottom), (left, right) = edges
    whole, *sums = (_integral(table, (top, bottom), (left, right)) for table in tables)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.stack([total / whole for total in sums], axis=1)
    for layer, table in enumerate(tables[1:]):
        # What differences of long sums leave of a box of zeros is none, below zero least of all.
        means[:, layer] = np.where(np.abs(sums[layer]) <= _NOTHING * np.ptp(table), 0.0, means[:, layer])
    means[whole < _ENOUGH * (bottom - top) * (right - left)] = np.nan
    return means


def _integral(table: NDArray[np.float64], rows: tuple[Floats, Floats], columns: tuple[Floats, Floats]) -> Floats:
    """Return the integral of a layer between edges, from its summed-area table."""

    def at(y: Floats, x: Floats) -> Floats:
        i, j = (np.minimum(np.floor(v).astype(np.int64), n - 2) for v, n in zip((y, x), table.shape, strict=True))
        a, b = y - i, x - j
        upper = table[i, j] * (1 - b) + table[i, j + 1] * b
        return np.asarray(upper * (1 - a) + (table[i + 1, j] * (1 - b) + table[i + 1, j + 1] * b) * a)

    (top, bottom), (left, right) = rows, columns
    return at(bottom, right) - at(top, right) - at(bottom, left) + at(top, left)
