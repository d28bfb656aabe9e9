"""`Covariates`: meteorology and static fields of any mixture of files, asked by place and hour."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.common.described import Described, few
from aqreanalysis.common.hours import stamp_text
from aqreanalysis.common.progress import Progress
from aqreanalysis.configs import CovariatesConfig, StaticConfig
from aqreanalysis.covariates.archives import is_gzip
from aqreanalysis.covariates.fields import FIELDS
from aqreanalysis.covariates.files import Files, content_digest, sort_files
from aqreanalysis.covariates.grib import read_grib
from aqreanalysis.covariates.gridded import GriddedSource
from aqreanalysis.covariates.interpolation import Floats
from aqreanalysis.covariates.netcdf import read_netcdf
from aqreanalysis.covariates.rasters import Raster
from aqreanalysis.covariates.report import CovariatesReport
from aqreanalysis.covariates.units import GAS_CONSTANT, STANDARD_DENSITY
from aqreanalysis.covariates.upwind import NEEDED, RAIN, SUFFIX, WASHOUT, WASHOUT_UNITS, UpwindSources, warm_up
from aqreanalysis.covariates.weather import WeatherStations, read_weather
from aqreanalysis.errors import CovariatesError, nearest_hint
from aqreanalysis.grids import Grid

PathLike = str | Path
#: Stamps that stand so far apart may be means of days, hours.
_DAY = 24


@dataclass(frozen=True, repr=False)
class Covariates(Described):
    """Fields from files, read lazily; nothing but headers and coordinates is held.

    Where several sources have a field, weather stations come first, then finer grids before coarser ones; each fills
    what those before it leave missing. It can be pickled, so workers may be given it.

    Attributes
    ----------
    layers : tuple
        Sources of fields that change by the hour, in the order in which they are asked.
    rasters : tuple of Raster
    fields : tuple of str
        Names of what `at` returns along its last axis: first those that change by the hour, then static ones.
    report : CovariatesReport
        What was left out, interpolated or assumed.
    identity : str
        sha256 of the files' content and of how they are read.
    upwind : UpwindSources or None
        What the wind brings from the sources of static fields, and the rain that the air went through, where there are
        wind and boundary layer, and sources or rain.

    Examples
    --------
    A table of weather stations is enough to begin with; GRIB, NetCDF and rasters are opened the same way:

    >>> import aqreanalysis as aq
    >>> import pandas as pd
    >>> rows = {"station_id": "hill", "time": pd.date_range("2021-03-01 01:00", periods=3, freq="h"), "lat": 36.0}
    >>> pd.DataFrame(rows | {"lon": 111.0, "temp": [4.0, 3.5, 3.0]}).to_csv("weather.csv", index=False)
    >>> covariates = aq.Covariates.open("weather.csv")
    >>> covariates.fields, covariates.units
    (('t2m',), ('K',))
    """

    layers: tuple[GriddedSource | WeatherStations, ...]
    rasters: tuple[Raster, ...]
    fields: tuple[str, ...]
    report: CovariatesReport
    identity: str
    upwind: UpwindSources | None = None

    @classmethod
    def open(
        cls,
        paths: PathLike | Sequence[PathLike],
        config: CovariatesConfig | None = None,
        progress: Progress | None = None,
    ) -> Covariates:
        """Return the covariates of GRIB and NetCDF files, rasters and weather tables.

        Parameters
        ----------
        paths : path or sequence of paths
            Files, folders, and ``NAME=RASTER``.
        config : CovariatesConfig, optional
        progress : callable, optional
            Told of each file whose headers are read.

        Raises
        ------
        CovariatesError
            A file that is missing, damaged or not understood, with its name and the number of the message; a field that
            is asked for and not there. With ``skip_broken`` damaged files are left out and told in `report`.
        """
        config = config or CovariatesConfig()
        report = CovariatesReport()
        files = sort_files(paths)
        for path, members in files.archives.items():
            kind = "gzip file" if is_gzip(path) else f"ZIP archive of {len(members)} files"
            report.note(f"{path} is a {kind}, unpacked in {members[0].parent}")
        layers: list[GriddedSource | WeatherStations] = []
        if files.grib:
            layers += read_grib(files.grib, config, report, progress)
        if files.netcdf:
            layers += read_netcdf(files.netcdf, config, report, progress)
        for path in files.tables:
            with report.skipping(path, config.skip_broken):
                layers.append(read_weather(path, config.weather_table, report))
        rasters = []
        unknown = sorted(set(config.static) - set(files.rasters))
        if unknown:
            raise CovariatesError(
                f"covariates.static names {unknown[0]!r}, and no raster is called so "
                f"({', '.join(files.rasters) or 'none is given'}); write {unknown[0]}=PATH"
            )
        for name, path in files.rasters.items():
            with report.skipping(path, config.skip_broken):
                raster = Raster.open(name, path, config.static.get(name, StaticConfig()))
                rasters.append(raster)
                report.warnings += [text for text in [raster.warning()] if text is not None]
        layers = _finest_first(layers, report)
        whole = cls(tuple(layers), tuple(rasters), _names(layers, rasters), report, _identity(files, config, report))
        if not whole.fields:
            raise CovariatesError(
                f"{_first(paths)}: no field that is known here is in the files; known are {', '.join(FIELDS)}"
                f"{report.reasons()}"
            )
        whole = whole._with_upwind(config.upwind)
        return whole if config.fields is None else whole.select(config.fields)

    def _with_upwind(self, names: list[str] | None) -> Covariates:
        """Return the covariates with what the wind brings from the sources `names`, None: from those that look it, and
        with the rain that the air went through."""
        plain = {raster.name: raster for raster in self.rasters if raster.config.classes is None}
        lacking = [key for key in NEEDED if key not in self.fields]
        if names is None:
            rasters = [raster for raster in plain.values() if not lacking and raster.looks_like_sources()]
        else:
            unknown = [name for name in names if name not in plain]
            if unknown or (names and lacking):
                raise CovariatesError(
                    f"covariates.upwind names {unknown[0]!r}, and no raster without classes is called so "
                    f"({', '.join(plain) or 'none is given'}); write {unknown[0]}=PATH"
                    if unknown
                    else f"covariates.upwind needs {', '.join(NEEDED)}, and the files have no {', '.join(lacking)}: "
                    "give the files that hold them, or set covariates.upwind=[]"
                )
            rasters = [plain[name] for name in names]
        rain = RAIN in self.fields and not lacking and names != []
        if not rasters and not rain:
            return self
        warm_up()
        upwind = UpwindSources(tuple(rasters), self.select((*NEEDED, RAIN) if rain else NEEDED).at, rain)
        hourly = len(self.hourly)
        return replace(self, fields=(*self.fields[:hourly], *upwind.fields, *self.fields[hourly:]), upwind=upwind)

    @property
    def hourly(self) -> tuple[str, ...]:
        """Fields that change by the hour."""
        return tuple(key for key in self.fields if key in self._hourly_names)

    @property
    def static(self) -> tuple[str, ...]:
        """Fields that do not."""
        return tuple(key for key in self.fields if key not in self._hourly_names)

    @property
    def _hourly_names(self) -> Collection[str]:
        return FIELDS if self.upwind is None else (*FIELDS, *self.upwind.fields)

    @property
    def units(self) -> tuple[str, ...]:
        """Units of `fields`; those of a static field are its raster's, empty where that names none."""
        static = {name: str(raster.facts.get("units") or "") for raster in self.rasters for name in raster.fields}
        own = {raster.name: str(raster.facts.get("units") or "") for raster in self.rasters}
        upwind = {} if self.upwind is None else {f"{n}{SUFFIX}": f"{u} h km-1".strip() for n, u in own.items()}
        made = {**static, **upwind, WASHOUT: WASHOUT_UNITS}
        return tuple(FIELDS[key].units if key in FIELDS else made[key] for key in self.fields)

    def hours(self, key: str) -> NDArray[np.int64]:
        """Return the hours since 1970-01-01 UTC that a field has (stamps at the END of the hour), ascending."""
        if self.upwind is not None and key in self.upwind.fields:
            needed = self.upwind.made_from if key == WASHOUT else NEEDED
            return functools.reduce(np.intersect1d, (self.hours(name) for name in needed))
        of_layers = [layer.hours(key) for layer in self.layers if key in _keys(layer)]
        return np.unique(np.concatenate(of_layers)) if of_layers else np.empty(0, np.int64)

    def missing(self, fields: Iterable[str]) -> list[str]:
        """Return those of `fields` that are not here."""
        return [key for key in fields if key not in self.fields]

    def select(self, fields: Iterable[str]) -> Covariates:
        """Return the covariates with these fields, in this order (those that change by the hour first).

        Raises
        ------
        CovariatesError
            If one is not here; all that are missing are named.
        """
        wanted = list(dict.fromkeys(fields))
        absent = self.missing(wanted)
        if absent:
            raise CovariatesError(
                f"the covariates have no {', '.join(absent)}; they have {', '.join(self.fields)}: give the files that "
                f"hold {'it' if len(absent) == 1 else 'them'}{nearest_hint(absent[0], self.fields)}"
            )
        hourly = self._hourly_names
        ordered = (*(k for k in wanted if k in hourly), *(k for k in wanted if k not in hourly))
        return replace(self, fields=ordered)

    def as_read(self) -> Covariates:
        """Return the fields that are read: without those that are made of others, with what these are made of."""
        upwind = self.upwind
        if upwind is None or not set(upwind.fields) & set(self.fields):
            return self
        read = [key for key in self.fields if key not in upwind.fields]
        # What they are made of is in the files, whether or not it was selected.
        whole = replace(self, fields=_names(self.layers, self.rasters))
        return whole.select([*read, *upwind.made_from, *(name for raster in upwind.rasters for name in raster.fields)])

    def at(self, lat: Floats, lon: Floats, hours: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return every field at places and hours.

        Parameters
        ----------
        lat, lon : ndarray
            Degrees, (place,).
        hours : ndarray
            int64 (hour,), hours since 1970-01-01 UTC of the stamps at the END of each hour, in any order.

        Returns
        -------
        ndarray
            float32 (hour, place, field) in the order of `fields`, NaN where missing.

        Raises
        ------
        CovariatesError
            If a file has changed, cannot be read, or holds values that cannot be.
        """
        lat, lon = _places(lat, lon)
        hours = np.asarray(hours, np.int64)
        # The hours of a place side by side: so maps are interpolated, and so a sweep reads them.
        out = np.empty((len(self.fields), len(lat), len(hours)), np.float32).transpose(2, 1, 0)
        for index, key in enumerate(self.hourly):
            out[:, :, index] = self._hourly(key, lat, lon, hours)
        if self.static:
            out[:, :, len(self.hourly) :] = self.static_at(lat, lon)
        return out

    def static_at(self, lat: Floats, lon: Floats) -> NDArray[np.float32]:
        """Return the static fields at places, float32 (place, static field), NaN where missing."""
        lat, lon = _places(lat, lon)
        out = np.full((len(lat), len(self.static)), np.nan, np.float32)
        for raster in self.rasters:
            wanted = [name for name in raster.fields if name in self.static]
            if wanted:
                values = raster.values(lat, lon)
                for name in wanted:
                    out[:, self.static.index(name)] = values[:, raster.fields.index(name)]
        return out

    def grid(self, grid: Grid, hours: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return every field at the centres of a grid's cells, float32 (hour, row, column, field)."""
        lat, lon = np.meshgrid(grid.lat, grid.lon, indexing="ij")
        return self.at(lat.ravel(), lon.ravel(), hours).reshape(len(hours), *grid.shape, len(self.fields))

    def digest(self) -> str:
        """Return the sha256 of the content of the files, of how they are read, and of the fields."""
        return hashlib.sha256(f"{self.identity}|{','.join(self.fields)}".encode()).hexdigest()

    def summary(self) -> dict[str, Any]:
        """Return what is in the files, for JSON: fields with span, missing hours, units, sources."""
        return {
            "digest": self.digest(),
            "fields": {key: self._about(key) for key in self.hourly},
            "static": {name: _about_raster(raster, name) for raster in self.rasters for name in raster.fields},
            "report": self.report.to_dict(),
        }

    def facts(self) -> tuple[str, list[tuple[str, str]]]:
        """Return what they are, and each field with its unit and span, as `repr` and notebooks show them."""
        units = dict(zip(self.fields, self.units, strict=True))
        pairs = []
        for key in self.hourly:
            hours = self.hours(key)
            span = f"{hours.size} hours {stamp_text(hours[0])} .. {stamp_text(hours[-1])}" if hours.size else "no hour"
            pairs.append((key, f"{units[key] or '1'}, {span}"))
        static = [f"{key} ({units[key]})" if units[key] else key for key in self.static]
        notes = len(self.report.lines())
        pairs += [("static", few(static))] if static else []
        pairs += [("report", f"{notes} notes: see .report.lines()")] if notes else []
        return f"Covariates of {len(self.hourly)} hourly and {len(self.static)} static fields", pairs

    def _about(self, key: str) -> dict[str, Any]:
        field, hours = FIELDS.get(key), self.hours(key)
        step = np.diff(hours)
        return {
            "title": field.title if field is not None else _made_title(key),
            "standard_name": field.standard_name if field is not None else None,
            "units": self.units[self.fields.index(key)],
            "first": stamp_text(hours[0]) if hours.size else None,
            "last": stamp_text(hours[-1]) if hours.size else None,
            "hours": int(hours.size),
            "step_hours": _usual(step),
            "missing_hours": int(hours[-1] - hours[0] + 1 - hours.size) if hours.size else 0,
            "sources": [
                layer.title()
                + (
                    f" ({layer.variables[key].note})"
                    if isinstance(layer, GriddedSource) and layer.variables[key].note
                    else ""
                )
                for layer in self.layers
                if key in _keys(layer)
            ],
        }

    def _hourly(self, key: str, lat: Floats, lon: Floats, hours: NDArray[np.int64]) -> NDArray[np.float32]:
        if self.upwind is not None and key in self.upwind.fields:
            return self.upwind.values(key, lat, lon, hours)
        layers = [layer for layer in self.layers if key in _keys(layer)]
        if not layers:
            return np.full((len(hours), len(lat)), np.nan, np.float32)
        out = self._of_layer(layers[0], key, lat, lon, hours)
        for layer in layers[1:]:
            left = np.isnan(out)
            which, where = left.any(axis=1), left.any(axis=0)
            if not which.any():
                break
            values = self._of_layer(layer, key, lat[where], lon[where], hours[which])
            at = np.ix_(which, where)
            out[at] = np.where(left[at], values, out[at])
        return out

    def _of_layer(
        self, layer: GriddedSource | WeatherStations, key: str, lat: Floats, lon: Floats, hours: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return what one layer has of a field in its units (hour, place), NaN where missing."""
        values = layer.values(key, lat, lon, hours)
        if isinstance(layer, GriddedSource) and layer.variables[key].conversion.mixing_ratio:
            return values * self._density(lat, lon, hours)
        return values

    def _density(self, lat: Floats, lon: Floats, hours: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the density of dry air, kg m-3: of pressure and temperature, `STANDARD_DENSITY` without them."""
        pressure, temperature = (self._hourly(key, lat, lon, hours) for key in ("sp", "t2m"))
        density = pressure / np.float32(GAS_CONSTANT) / temperature
        return np.where(np.isfinite(density), density, np.float32(STANDARD_DENSITY))


def _made_title(key: str) -> str:
    """Return what a field is that is made of others."""
    return "rain that the air went through" if key == WASHOUT else f"what the wind brings of {key.removesuffix(SUFFIX)}"


def _usual(steps: NDArray[np.int64]) -> int | None:
    """Return the most frequent step."""
    values, counts = np.unique(steps, return_counts=True)
    return int(values[counts.argmax()]) if counts.size else None


def _keys(layer: GriddedSource | WeatherStations) -> Iterable[str]:
    return layer.variables if isinstance(layer, GriddedSource) else layer.fields


def _finest_first(
    layers: Sequence[GriddedSource | WeatherStations], report: CovariatesReport
) -> list[GriddedSource | WeatherStations]:
    """Return the sources, finer ones before coarser ones.

    Fields whose stamps stand a day or more apart are warned of: they may be means of days, and count for an hour.
    """
    hours: dict[str, list[NDArray[np.int64]]] = {}
    for layer in layers:
        for key in _keys(layer):
            hours.setdefault(key, []).append(layer.hours(key))
    for key, parts in hours.items():
        apart = np.diff(np.unique(np.concatenate(parts)))
        if len(apart) > 1 and apart.min() >= _DAY:
            report.warnings.append(
                f"{key}: its stamps stand {apart.min()} h apart or more and count for their hour alone: means of days "
                "or months are none of an hour; give hourly maps"
            )
    return sorted(layers, key=lambda layer: layer.resolution)


def _names(layers: Sequence[GriddedSource | WeatherStations], rasters: Sequence[Raster]) -> tuple[str, ...]:
    present = {key for layer in layers for key in _keys(layer)}
    return (*(key for key in FIELDS if key in present), *sorted(name for raster in rasters for name in raster.fields))


def _identity(files: Files, config: CovariatesConfig, report: CovariatesReport) -> str:
    contents = sorted(content_digest(path) for path in files.all() if str(path) not in report.skipped)
    written = config.model_dump(exclude={"fields", "skip_broken", "upwind"})
    # Settings that came later leave the digests of all who do not use them as they were.
    for key in ("names", "member", "levels", "wind_along_grid"):
        if not written[key] and written[key] is not False and written[key] != 0:
            del written[key]
    for of_raster in written["static"].values():
        for key in ("missing", "valid_range"):
            if of_raster[key] is None:
                del of_raster[key]
    how = json.dumps(written, sort_keys=True)
    return hashlib.sha256("|".join([*contents, *files.rasters, how]).encode()).hexdigest()


def _about_raster(raster: Raster, name: str) -> dict[str, Any]:
    known = {key: raster.facts[key] for key in ("crs", "size", "pixel", "bounds", "units")}
    window = raster.config.window_km
    if isinstance(window, list):
        window = dict(zip(raster.fields, window, strict=True))[name]
    return {"path": str(raster.path), **known, "method": raster.config.method, "window_km": window}


def _places(lat: Floats, lon: Floats) -> tuple[Floats, Floats]:
    lat, lon = np.asarray(lat, np.float64), np.asarray(lon, np.float64)
    if lat.ndim != 1 or lat.shape != lon.shape:
        raise CovariatesError(f"places need lat and lon of one length, not {lat.shape} and {lon.shape}")
    return lat, lon


def _first(paths: PathLike | Sequence[PathLike]) -> str:
    return str(paths if isinstance(paths, (str, Path)) else paths[0])
