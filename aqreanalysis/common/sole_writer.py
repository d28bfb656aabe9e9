"""Of two processes that would write the same output one does, and the other is refused in one line."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from aqreanalysis.errors import OutputError

# What file systems say that know no locks: then there is none, as there was none before.
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


@contextmanager
def sole_writer(out: Path, lock: Path | None = None, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the right to write `out` meanwhile.

    The kernel drops the lock of a process that dies: a killed one stands in nobody's way, and the file that it leaves
    is taken over and removed by the next.

    Parameters
    ----------
    out : Path
        The file or folder to be written.
    lock : Path, optional
        The file that stands for it; a hidden one beside it otherwise.
    wait_seconds : float
        How long to wait for another process.

    Raises
    ------
    OutputError
        If another process holds it, or no lock can be made there.
    """
    place = out.resolve()
    path = lock or place.with_name(f".{place.name}.lock")
    # Where the system has no such lock, none is made of files alone: that of a killed process would stay.
    held = FileLock(path, timeout=wait_seconds, thread_local=False, fallback_to_soft=False)
    try:
        _acquire(held, path, out)
    except NotImplementedError:  # neither does the system
        pass
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise OutputError(f"cannot write {out}: {error.strerror or error}; choose another --out") from None
    try:
        yield
    finally:
        if held.is_locked:
            with suppress(OSError):  # where an open file cannot be removed it stays, held by nobody
                path.unlink()
            held.release()


def _acquire(held: FileLock, path: Path, out: Path) -> None:
    """Take a lock and write into it who has it.

    Raises
    ------
    OutputError
        If another process has it.
    """
    while not held.is_locked:
        try:
            held.acquire()
        except Timeout:
            try:
                holder = path.read_text(encoding="utf-8", errors="replace")
            except FileNotFoundError:  # it has ended in between, and its file with it
                continue
            raise OutputError(
                f"{out} is being written by {holder[:200] or 'another process'}; wait for it or choose another --out"
            ) from None
    with suppress(OSError):  # a full disk has room for the name of a lock, not always for what is in it
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
