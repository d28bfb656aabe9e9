"""Files that a reader never sees half written."""

from __future__ import annotations

import errno
import glob
import json
import math
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from aqreanalysis.errors import AqreanalysisError, OutputError, wrong_type

try:
    import resource
except ImportError:  # not a POSIX system
    resource = None  # type: ignore[assignment]

# What the system says where a file may not grow: the disk is full, a quota or a limit of the process is reached.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# What no library says of a disk.
_OWN_FAULTS = (TypeError, LookupError, AttributeError, NameError, AssertionError, ArithmeticError)
# Less than this is no room for any output.
_NO_ROOM_BYTES = 1 << 16

#: The file that tells the folder of a demo.
DEMO_MARKER = "demo.json"
#: What a file of the user's is, and what to give: see `check_given`.
PLACES = ("places file", "a CSV or Parquet with columns place, lat, lon")
VECTOR = ("vector file", "a GeoPackage, Shapefile or GeoJSON")


def as_path(out: str | Path) -> Path:
    """Return the path of an output.

    Raises
    ------
    OutputError
        If it is no path.
    """
    if not isinstance(out, str | Path) or not str(out).strip():
        raise wrong_type("output", out, "a path", OutputError)
    return Path(out)


def refused_by_disk(error: BaseException, written: Path) -> int | None:
    """Return the number of the system's error where a write failed for want of room, None where it failed otherwise.

    HDF5, GDAL and ecCodes tell of a full disk in errors of their own, some without any reason: then the disk is asked,
    and a file that stands at the limit of this process has met it.

    Parameters
    ----------
    error : BaseException
        What was raised.
    written : Path
        The file or the folder that was being written, as it was left.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in _FULL else None
    for number in _FULL:
        if os.strerror(number) in str(error):
            return number
    if isinstance(error, _OWN_FAULTS):
        return None
    limit = size_limit()
    if limit is not None and any(size >= limit for size in _sizes(written)):
        return errno.EFBIG  # under ``ulimit -f`` these libraries give no reason
    there = next((one for one in (written, *written.parents) if one.is_dir()), Path("/"))
    return errno.ENOSPC if shutil.disk_usage(there).free < _NO_ROOM_BYTES else None


def size_limit() -> int | None:
    """Return the bytes to which this process may let a file grow (``ulimit -f``), None where nothing limits it."""
    if resource is None:
        return None
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _sizes(written: Path) -> Iterator[int]:
    """Yield the bytes of a file, or of each file under a folder."""
    for path in written.rglob("*") if written.is_dir() else [written]:
        with suppress(OSError):  # others may remove what is theirs meanwhile
            yield path.stat().st_size if path.is_file() else 0


def room_needed(number: int) -> str:
    """Return what the system said of a write that it refused, and what there must be for it to succeed."""
    needed = {
        errno.EDQUOT: "free some of your quota, or have it raised",
        errno.EFBIG: f"this process may let no file grow beyond {size_limit() or 0} bytes: raise that (ulimit -f)",
    }.get(number, "free some")
    return f"{os.strerror(number)}; {needed}"


@contextmanager
def disk_errors(out: Path, written: Path) -> Iterator[None]:
    """Turn what a writer says of a full disk into one line.

    Parameters
    ----------
    out : Path
        What is to come of it, for people.
    written : Path
        The file or the folder that is being written.

    Raises
    ------
    OutputError
        If there is no space left for the output.
    """
    try:
        yield
    except AqreanalysisError:
        raise
    except Exception as error:  # each writer has errors of its own
        number = refused_by_disk(error, written)
        if number is None:
            raise
        raise OutputError(
            f"no space left for the output {out}: {room_needed(number)}, or write to another disk (--out)"
        ) from error


def plain(value: Any) -> Any:
    """Return `value` in types that JSON knows: numpy scalars become numbers, and what is not finite becomes None."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`, with its ending; what is written there takes its place.

    That is done when the block ends well, in one step and with the bytes on the disk: a reader meets the old file or
    the new one whole. If the block fails, what was there stays.
    """
    temporary = partial_name(path)
    try:
        yield temporary
        move_into_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def partial_name(path: Path) -> Path:
    """Return the hidden name beside `path`, with its ending, under which this process writes it.

    What processes of this machine have left there that were killed is removed."""
    for left in _left_by_the_dead(path, path.suffix):
        _remove(left)
    return path.with_name(f"{_of_this_machine(path)}{os.getpid()}.part{path.suffix}")


def replaced_name(path: Path) -> Path:
    """Return the hidden name beside `path` under which this process puts aside what it replaces.

    A process of this machine that was killed may have put aside what it had not replaced yet: that gets its name back.
    """
    ending = f"{path.suffix}.replaced"
    for left in _left_by_the_dead(path, ending):
        if path.exists():
            _remove(left)
        else:
            left.rename(path)
    return path.with_name(f"{_of_this_machine(path)}{os.getpid()}.part{ending}")


def _of_this_machine(path: Path) -> str:
    return f".{path.stem}.{socket.gethostname()}-"


def _left_by_the_dead(path: Path, ending: str) -> Iterator[Path]:
    """Yield what processes of this machine that are gone have left beside `path` under names with such an ending."""
    mine = _of_this_machine(path)
    for left in sorted(path.parent.glob(f"{glob.escape(mine)}*.part{glob.escape(ending)}")):
        process = left.name.removeprefix(mine).partition(".")[0]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            yield left


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def move_into_place(temporary: Path, path: Path) -> None:
    """Give a finished file its name in one step, its bytes on the disk before."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(content: Mapping[str, Any], path: Path) -> Path:
    """Write `content` under a temporary name beside `path`, then rename: a reader never sees half of it."""
    try:
        with replacing(path) as part:
            part.write_text(json.dumps(plain(content), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; choose another --out") from None
    return path


def check_own_folder(out: Path, marker: str, kind: str, overwrite: bool) -> None:
    """Refuse a folder that holds what is not ours, or an earlier result that may not be replaced.

    Parameters
    ----------
    out : Path
        The folder, there or not.
    marker : str
        Name of the file that tells a folder of ours.
    kind : str
        What such a folder holds, for messages: ``demo``.
    overwrite : bool
        Whether an earlier one may be replaced.

    Raises
    ------
    OutputError
        If so.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: choose another --out")
    held = sorted(p.name for p in out.iterdir()) if out.exists() else []
    if held and marker not in held:
        raise OutputError(f"{out} holds {held[0]!r}, which is of no {kind}: choose another --out")
    if held and not overwrite:
        raise OutputError(f"{out} holds an earlier {kind}: choose another --out or replace it with --overwrite")


def check_given(path: Path, kind: tuple[str, str]) -> None:
    """Refuse a file of the user's (`PLACES`, `VECTOR`) that is not there.

    Raises
    ------
    OutputError
        If so.
    """
    if not path.is_file() and not (path.is_dir() and (kind is VECTOR or path.suffix == ".gdb")):
        raise OutputError(f"no {kind[0]} {path}; give {kind[1]}")
