"""Static fields of the external drift: rasters and tables of points, asked for means around places.

They stand apart from `Covariates`: the network never sees them, and nothing of them is paid by the hour.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aqreanalysis.configs import DriftConfig, DriftFieldConfig, StaticConfig
from aqreanalysis.covariates.files import GRIB, NETCDF, TABLE, content_digest, static_files
from aqreanalysis.covariates.interpolation import Floats
from aqreanalysis.covariates.point_tables import PointTable
from aqreanalysis.covariates.rasters import Raster
from aqreanalysis.errors import CovariatesError, nearest_hint
from aqreanalysis.model.distribution.external_drift import LINEAR, LOGARITHM, StaticField

_TRANSFORMS = {"both": (LOGARITHM, LINEAR), "log": (LOGARITHM,), "linear": (LINEAR,)}


@dataclass(frozen=True)
class StaticFields:
    """Rasters, read window by window, and tables of points, held in memory. It can be pickled.

    Attributes
    ----------
    sources : dict
        Name -> where its means come from.
    fields : tuple of StaticField
        How each enters a drift.
    """

    sources: dict[str, Raster | PointTable]
    fields: tuple[StaticField, ...]

    @classmethod
    def open(
        cls, given: str | Path | Sequence[str | Path], config: DriftConfig | None = None, some: bool = False
    ) -> StaticFields:
        """Return the static fields of files.

        Parameters
        ----------
        given : str, Path or sequence of them
            ``PATH``, ``NAME=PATH``, ``PATH:COLUMN`` or ``NAME=PATH:COLUMN``: a raster that GDAL reads, a NetCDF file
            (then the column is a variable), or a table of points (then it is their strength; without one they are
            counted); or a folder of rasters.
        config : DriftConfig, optional
            Windows, transforms, and which rows of a table count.
        some : bool
            Whether the config may name fields that are not given.

        Raises
        ------
        CovariatesError
            If a file is missing or cannot be read, two have one name, or the config names one that is not given.
        """
        config = config or DriftConfig()
        sources: dict[str, Raster | PointTable] = {}
        fields = []
        specs = [given] if isinstance(given, str | Path) else given
        for name, path, column in itertools.chain.from_iterable(static_files(str(spec)) for spec in specs):
            if name in sources:
                raise CovariatesError(f"two static fields are called {name!r}: write NAME=PATH for {path}")
            how = config.fields.get(name, DriftFieldConfig())
            sources[name] = _opened(name, path, column or how.column, how)
            fields.append(_field(name, path, column or how.column, config))
        for name in config.fields:
            if name not in sources and not some:
                raise CovariatesError(
                    f"drift.fields names {name!r}, and no static field is called so ({', '.join(sources)})"
                    f"{nearest_hint(name, sources)}: write --static {name}=PATH"
                )
        return cls(sources, tuple(fields))

    def means(self, name: str, lat: Floats, lon: Floats, windows_km: Sequence[float]) -> Floats:
        """Return means of a field around places, float64 (place, window), NaN where it has none.

        Of a raster over squares `windows_km` wide, in its units; of points the strength a square km around
        (`PointTable.means`). Arguments in degrees.

        Raises
        ------
        CovariatesError
            If a file was changed or its pixels cannot be read.
        """
        return self.sources[name].means(lat, lon, windows_km)

    def digest(self) -> str:
        """Return the sha256 of the content of all files and of how they are read."""
        return hashlib.sha256(repr(self.fields).encode()).hexdigest()


def _opened(name: str, path: Path, column: str | None, how: DriftFieldConfig) -> Raster | PointTable:
    suffix = path.suffix.lower()
    if suffix in GRIB:
        raise CovariatesError(f"{path}: a static field is a raster, a NetCDF file or a table of points, not GRIB")
    if suffix in TABLE:
        return PointTable.read(path, column, how.where)
    if how.where:
        raise CovariatesError(f"drift.fields.{name}.where chooses rows of a table, and {path} is a raster")
    if column is not None and suffix not in NETCDF:
        raise CovariatesError(f"{path} is a raster and has no columns: leave {column!r} out")
    config = StaticConfig(missing=how.missing, valid_range=how.valid_range)
    raster = Raster.open(name, path, config, column)
    if raster.facts["undeclared"]:
        code = raster.facts["undeclared"][0]
        raise CovariatesError(
            f"{path} holds {code:g}, which looks like a code for missing values that it does not declare: gdal_edit.py "
            f"-a_nodata {code:g} {path.name}, or set drift.fields.{name}.missing=[{code:g}] ([] where all values count)"
        )
    return raster


def _field(name: str, path: Path, column: str | None, config: DriftConfig) -> StaticField:
    how = config.fields.get(name, DriftFieldConfig())
    cleared = [how.missing, how.valid_range] if how.missing is not None or how.valid_range is not None else []
    read = json.dumps([column, how.where, *cleared], sort_keys=True)
    digest = hashlib.sha256(f"{content_digest(path)}|{read}".encode()).hexdigest()
    windows = tuple(sorted(set(how.windows_km or config.windows_km)))
    source = path.name if column is None else f"{path.name}:{column}"
    return StaticField(name, source, digest, windows, _TRANSFORMS[how.transform])
