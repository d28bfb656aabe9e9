"""ZIP archives, as the CDS sends them under any name, and gzip files: unpacked into the cache once, and found again."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from aqreanalysis.errors import CovariatesError, in_one_line

_SIGNATURE, _GZIP = b"PK\x03\x04", b"\x1f\x8b"
# What zlib and gzip raise of a damaged file.
_DAMAGE = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, NotImplementedError, EOFError)


def is_archive(path: Path) -> bool:
    """Return whether a file is a ZIP archive, by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(_SIGNATURE)) == _SIGNATURE


def is_gzip(path: Path) -> bool:
    """Return whether a file is packed by gzip, by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(_GZIP)) == _GZIP


def unpacked(path: Path, suffixes: Collection[str]) -> list[Path]:
    """Return the files of an archive that have one of these endings, unpacked, sorted.

    They lie in a folder of ``$XDG_CACHE_HOME/aqreanalysis/unpacked`` (``~/.cache``) that appears whole or not at all;
    it may be removed at any time between two runs.

    Raises
    ------
    CovariatesError
        If the archive is damaged, locked or holds no such file, or there is no room for it.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aqreanalysis" / "unpacked"
    state = path.stat()
    key = hashlib.sha256(f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}".encode()).hexdigest()[:24]
    folder = root / key
    kind = "gzip file" if is_gzip(path) else "ZIP archive"
    if not folder.is_dir():
        try:
            if is_gzip(path):
                root.mkdir(parents=True, exist_ok=True)
                _write_gzip(path, folder)
                return sorted(folder.iterdir())
            with zipfile.ZipFile(path) as archive:
                members = [one for one in archive.infolist() if _ending(one.filename) in suffixes and not one.is_dir()]
                _check(path, archive, members)
                root.mkdir(parents=True, exist_ok=True)
                _write(archive, members, folder, path)
        except _DAMAGE as error:
            raise CovariatesError(
                f"{path} is a {kind} that cannot be read ({in_one_line(error)}); get it again"
            ) from None
        except OSError as error:
            raise CovariatesError(
                f"{path} is a {kind} and cannot be unpacked into {root} ({error.strerror or error}); unpack it "
                "yourself, or set XDG_CACHE_HOME to a folder that can be written"
            ) from None
    return sorted(folder.iterdir())


def _ending(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _check(path: Path, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> None:
    if not members:
        raise CovariatesError(
            f"{path} is a ZIP archive of {len(archive.infolist())} files, and none is GRIB, NetCDF, a raster or a table"
        )
    if any(member.flag_bits & 1 for member in members):
        raise CovariatesError(f"{path} is a ZIP archive with a password: unzip it")


def _write_gzip(path: Path, folder: Path) -> None:
    """Write what a gzip file holds into a folder beside, under its name without ``.gz``, and give it its name."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        whole = Path(scratch) / "whole"
        whole.mkdir()
        name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
        room = shutil.disk_usage(folder.parent).free // 2
        with gzip.open(path) as source, (whole / name).open("wb") as target:
            # How much there is to come nobody says: a small file may unpack to any size.
            while part := source.read(1 << 20):
                if target.tell() > room:
                    raise CovariatesError(
                        f"{path} is a gzip file of more than {room / 1e9:.3g} GB, half the room in {folder.parent}: "
                        "unpack it where there is room, or set XDG_CACHE_HOME to such a place"
                    )
                target.write(part)
        _appear(whole, folder)


def _appear(whole: Path, folder: Path) -> None:
    try:
        whole.rename(folder)
    except OSError:
        if not folder.is_dir():  # another process was faster
            raise


def _write(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], folder: Path, path: Path) -> None:
    """Write the members into a folder beside, and give it its name."""
    needed, free = sum(member.file_size for member in members), shutil.disk_usage(folder.parent).free
    if needed > free:
        raise CovariatesError(
            f"{path} is a ZIP archive of {needed / 1e9:.3g} GB, and {folder.parent} has {free / 1e9:.3g} GB left: "
            "unzip it where there is room, or set XDG_CACHE_HOME to such a place"
        )
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        whole = Path(scratch) / "whole"
        whole.mkdir()
        names: set[str] = set()
        for number, member in enumerate(members):
            name = PurePosixPath(member.filename).name
            name = f"{number}_{name}" if name in names else name
            names.add(name)
            with archive.open(member) as source, (whole / name).open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        _appear(whole, folder)
