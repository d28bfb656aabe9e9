"""Paths as users give them -> files by kind; and what identifies their content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from aqreanalysis.covariates.archives import is_archive, is_gzip, unpacked
from aqreanalysis.errors import CovariatesError, wrong_type

GRIB = (".grib", ".grib1", ".grib2", ".grb", ".grb1", ".grb2", ".gb", ".gb2")
NETCDF = (".nc", ".nc4", ".cdf", ".netcdf")
RASTER = (".tif", ".tiff", ".vrt", ".asc", ".img", ".bil", ".hgt", ".jp2")
TABLE = (".csv", ".parquet", ".pq")
_OTHER_ARCHIVE = "archive of another ending"
# Files by which a folder is known as a Zarr store.
_ZARR = (".zgroup", ".zmetadata", "zarr.json")
_PIECES, _PIECE = 64, 1 << 16


@dataclass
class Files:
    """Files by kind, each list sorted as given and without doubles; rasters by name; archives with what of them is
    among the others."""

    grib: list[Path] = field(default_factory=list)
    netcdf: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    archives: dict[Path, list[Path]] = field(default_factory=dict)
    rasters: dict[str, Path] = field(default_factory=dict)

    def all(self) -> list[Path]:
        """Return every file."""
        return [*self.grib, *self.netcdf, *self.tables, *self.rasters.values()]


def sort_files(paths: str | Path | Sequence[str | Path]) -> Files:
    """Return the files of paths: files, folders (searched to the bottom), and ``NAME=RASTER``.

    A file of unknown ending is known by its first bytes; in a folder one that is nothing known is left alone.

    Raises
    ------
    CovariatesError
        If a path does not exist or is nothing that can be read, or two rasters have one name.
    """
    files = Files()
    given: list[str | Path] = list(paths) if isinstance(paths, list | tuple) else [cast("str | Path", paths)]
    wrong = [one for one in given if not isinstance(one, str | Path)]
    if wrong:
        raise wrong_type("covariates", wrong[0], "the path of a file or folder, or NAME=RASTER", CovariatesError)
    if not given:
        raise CovariatesError(
            "no covariates are given: name files or folders of GRIB, NetCDF, rasters or weather tables"
        )
    for spec in given:
        name, path = named(spec)
        if path.is_dir():
            if any((path / mark).is_file() for mark in _ZARR):
                raise CovariatesError(
                    f"{path} is a Zarr store, which is not read: write the hours and region that are needed as "
                    f"NetCDF (xarray.open_zarr({str(path)!r}).sel(...).to_netcdf('part.nc'))"
                )
            inside = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
            known = [p for p in inside if _kind(p) not in {None, _OTHER_ARCHIVE}]
            if not known:
                raise CovariatesError(f"{path} holds no GRIB, NetCDF, raster or table ({len(inside)} other files)")
            for one in known:
                _add(files, one, None)
        elif path.is_file():
            _add(files, path, name)
        else:
            raise CovariatesError(f"no covariates at {str(path)!r}: no such file or folder")
    return files


def named(spec: str | Path) -> tuple[str | None, Path]:
    """Return name and path of ``NAME=PATH``, None and the path of a plain one."""
    path = Path(spec)
    name, sign, rest = str(spec).partition("=")
    if sign and name.isidentifier() and not path.exists():
        return name, Path(rest)
    return None, path


def _kind(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if path.stat().st_size and is_archive(path):
        # Documents of other programs are such archives too.
        return "archive" if suffix in {"", ".zip", *GRIB, *NETCDF, *RASTER} else _OTHER_ARCHIVE
    if path.stat().st_size and is_gzip(path) and Path(path.stem).suffix.lower() in {*GRIB, *NETCDF, *RASTER, *TABLE}:
        return "archive"
    for kind, suffixes in (("grib", GRIB), ("netcdf", NETCDF), ("raster", RASTER), ("table", TABLE)):
        if suffix in suffixes:
            return kind
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(b"GRIB"):
        return "grib"
    return "netcdf" if head.startswith((b"CDF", b"\x89HDF")) else None


def _add(files: Files, path: Path, name: str | None) -> None:
    kind = _kind(path)
    if kind in {"archive", _OTHER_ARCHIVE}:
        files.archives[path] = unpacked(path, (*GRIB, *NETCDF, *RASTER, *TABLE))
        for member in files.archives[path]:
            _add(files, member, name if len(files.archives[path]) == 1 else None)
        return
    if kind == "raster" or (name is not None and kind is None):
        label = name or path.stem.lower().replace("-", "_").replace(" ", "_").replace(".", "_")
        if files.rasters.get(label, path) != path:
            raise CovariatesError(
                f"two rasters are called {label!r}: {files.rasters[label]} and {path}; write NAME=PATH"
            )
        files.rasters[label] = path
        return
    if name is not None:
        raise CovariatesError(f"{name}={path}: only a raster has a name; give {path} alone")
    place = {"grib": files.grib, "netcdf": files.netcdf, "table": files.tables}.get(kind or "")
    if place is None:
        raise CovariatesError(
            f"{path} is no GRIB, NetCDF, raster or table of weather (its ending and first bytes are not)"
        )
    if path not in place:
        place.append(path)


def content_digest(path: Path) -> str:
    """Return a sha256 of a file: of all its bytes up to 4 MB, else of its size and 64 pieces spread evenly over it.

    To read hundreds of gigabytes, only to see whether they are those of yesterday, would take longer than the run.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= _PIECES * _PIECE:
            digest.update(file.read())
            return digest.hexdigest()
        for piece in range(_PIECES):
            file.seek((size - _PIECE) * piece // (_PIECES - 1))
            digest.update(file.read(_PIECE))
    return digest.hexdigest()


def static_files(spec: str) -> list[tuple[str, Path, str | None]]:
    """Return name, path and column of ``[NAME=]PATH[:COLUMN]``, or of each raster in a folder.

    Raises
    ------
    CovariatesError
        If there is no such file, or no raster in the folder.
    """
    label, sign, rest = spec.partition("=")
    named = bool(sign) and label.isidentifier() and not Path(spec).exists()
    text = rest if named else spec
    path, column = Path(text), None
    if not path.exists() and ":" in text:
        head, _, tail = text.rpartition(":")
        path, column = Path(head), tail or None
    if path.is_dir() and not named and column is None:
        rasters = sorted(one for one in path.iterdir() if one.suffix.lower() in RASTER)
        if not rasters:
            raise CovariatesError(f"{path} holds no raster ({', '.join(RASTER)}): name the files in it")
        return [(_name(one), one, None) for one in rasters]
    if not path.is_file():
        raise CovariatesError(f"no static field at {text!r}: no such file (--static NAME=PATH or NAME=PATH:COLUMN)")
    return [(label if named else _name(path), path, column)]


def _name(path: Path) -> str:
    return "".join(c if c.isalnum() else "_" for c in path.stem.lower())
