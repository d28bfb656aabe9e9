"""What is kept of a fault of this program: versions, command, options, block and places in the code.

No value of the data stands in it, and of options only what is a number, a switch or a choice: texts may be secrets.
"""

from __future__ import annotations

import logging
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_LIBRARIES = ("aqreanalysis", "torch", "numpy", "pandas", "pyarrow", "xarray", "zarr", "netCDF4", "h5py", "numba")
_MORE_LIBRARIES = ("dask", "distributed", "scipy", "pyproj", "rioxarray", "cfgrib", "obstore", "click", "pydantic")

#: Commands with commands below them.
GROUPS = ("export", "grids", "config", "observations", "covariates", "completion")


def write_report(error: BaseException, run: str) -> Path | None:
    """Write the report of a run beside its log, or where temporary files go, and return it; None if it cannot be."""
    path = _folder() / f"aqreanalysis-crash-{run}.txt"
    try:
        # Of this user alone, and no file that somebody else has put there.
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write("\n".join(_lines(error, run)) + "\n")
    except OSError:
        return None
    return path


def _folder() -> Path:
    """Return the folder of the log of this run, or that of temporary files."""
    for handler in logging.getLogger("aqreanalysis").handlers:
        if isinstance(handler, logging.FileHandler):
            return Path(handler.baseFilename).parent
    return Path(tempfile.gettempdir())


def _lines(error: BaseException, run: str) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"run        {run}, {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}"
    yield f"machine    {platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores"
    yield f"versions   {', '.join(_versions())}"
    yield from _options(sys.argv[1:])
    cause: BaseException | None = error
    while cause is not None:
        yield from (f"at         {note}" for note in getattr(cause, "__notes__", []) if note.startswith("block "))
        yield f"raised     {type(cause).__module__}.{type(cause).__qualname__}"
        for frame in traceback.extract_tb(cause.__traceback__):
            yield f"  {frame.filename}:{frame.lineno} {frame.name}"
        cause = cause.__cause__ or cause.__context__


def _versions() -> Iterator[str]:
    for name in (*_LIBRARIES, *_MORE_LIBRARIES):
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"{name} (none)"


def _options(arguments: list[str]) -> Iterator[str]:
    """Yield the command and its options; of a text only that there is one."""
    # An unexpected error comes from within a command, so that the first word is its name.
    below = bool(arguments) and arguments[0] in GROUPS
    words = [word for word in arguments[: 1 + below] if not word.startswith("-")]
    yield f"command    {' '.join(words)}"
    for i, word in enumerate(arguments):
        if not word.startswith("--"):
            continue
        name, equals, value = word.partition("=")
        value = value if equals else arguments[i + 1] if i + 1 < len(arguments) else ""
        key, _, setting = value.partition("=") if name == "--set" else ("", "", value)
        yield f"option     {name} {key}{'=' if key else ''}{_shown(setting)}".rstrip()


def _shown(value: str) -> str:
    """Return a number, a switch or a short choice as it is, and of any other text how long it is."""
    if value.startswith("--") or not value:
        return ""
    if value.lower() in ("true", "false", "null"):
        return value
    try:
        float(value)
    except ValueError:
        return f"<{len(value)} characters>"
    return value
