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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from aqreanalysis.errors import OutputError

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


def as_path(out: str | Path) -> Path:
    """Return the path of an output.

    Raises
    ------
    OutputError
        If it is no path.
    """
    if not isinstance(out, str | Path):
        raise OutputError(f"output {out!r}: give a path")
    return Path(out)


def refused_by_disk(error: BaseException, folder: Path) -> int | None:
    """Return the number of the system's error where a write failed for want of room, None where it failed otherwise.

    HDF5, GDAL and ecCodes tell of a full disk in errors of their own, some without any reason: then the disk is asked.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in _FULL else None
    for number in _FULL:
        if os.strerror(number) in str(error):
            return number
    limited = resource is not None and resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY
    if limited and not isinstance(error, _OWN_FAULTS):
        return errno.EFBIG  # under ``ulimit -f`` these libraries give no reason
    there = next((one for one in (folder, *folder.parents) if one.is_dir()), Path("/"))
    return errno.ENOSPC if shutil.disk_usage(there).free < _NO_ROOM_BYTES else None


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
    mine = f".{path.stem}.{socket.gethostname()}-"
    for left in path.parent.glob(f"{glob.escape(mine)}*.part{glob.escape(path.suffix)}"):
        process = left.name.removeprefix(mine).partition(".")[0]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
    return path.with_name(f"{mine}{os.getpid()}.part{path.suffix}")


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
