"""Keep ecCodes from printing while this room decodes: what it says goes into the error, and a run ends with one line.

ecCodes writes to stderr whatever it dislikes before it reports an error, and its Python bindings offer no switch. Its C
interface does: a procedure for its log, set once for the process. Outside `capture_eccodes_log` it prints as before. A
few warnings (a time of day that is none) bypass the procedure and still reach stderr before the line of the error.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

_heard = threading.local()
_LEVELS = {0: "INFO", 1: "WARNING", 2: "ERROR", 3: "FATAL", 4: "DEBUG"}
_PROCEDURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)


@contextmanager
def capture_eccodes_log() -> Iterator[list[str]]:
    """Yield the list into which ecCodes' messages of this thread go inside the block."""
    _install()
    before = getattr(_heard, "lines", None)
    _heard.lines = []
    try:
        yield _heard.lines
    finally:
        _heard.lines = before


@_PROCEDURE
def _log(context: object, level: int, text: bytes | None) -> None:
    message = " ".join((text or b"").decode("utf-8", "replace").split())
    lines = getattr(_heard, "lines", None)
    if lines is not None:
        lines.append(message)
    else:
        print(f"ECCODES {_LEVELS.get(level & 0xF, 'LOG')}: {message}", file=sys.stderr)


@cache
def _install() -> None:
    """Set the procedure; where the library does not offer it, ecCodes goes on printing."""
    with suppress(ImportError, OSError, AttributeError):
        from gribapi import bindings

        library = ctypes.CDLL(str(bindings.library_path))
        library.grib_context_set_logging_proc.argtypes = [ctypes.c_void_p, _PROCEDURE]
        library.grib_context_set_logging_proc.restype = None
        library.grib_context_set_logging_proc(None, _log)
