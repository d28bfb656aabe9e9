"""Memory: how much this process can still have, and arrays that may be larger, in a file that the system maps."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import DTypeLike, NDArray

from aqreanalysis.errors import OutputError

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

# The control groups of this machine, and which of them this process is in.
_GROUPS, _OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
# From here on an array is mapped: below it a file costs more than it saves.
MAPPED_BYTES = 256 << 20


def zeros_mapped(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray:
    """Return an array of zeros; one larger than `MAPPED_BYTES` lies in a file that is gone when the array is.

    The file is made where temporary files go (``TMPDIR``). Its room is taken at once, because a disk that is full when
    a mapped page is written ends the process without a word.

    Raises
    ------
    OutputError
        There is not that much room.
    """
    kind = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    if size <= MAPPED_BYTES:
        return np.zeros(shape, kind)
    try:
        with tempfile.TemporaryFile(prefix="aqreanalysis-") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:  # macOS
                file.truncate(size)
            return np.memmap(file, kind, "r+", shape=shape)
    except OSError as error:
        raise OutputError(
            f"no room for {size / 1e9:.1f} GB of readings in {tempfile.gettempdir()} ({error.strerror or error}): set "
            "TMPDIR to a folder on a larger disk"
        ) from None


def available_memory() -> int:
    """Return the bytes of memory that this process can still have: what the machine has free, within the limits of its
    control groups, of either version and at any depth (systemd, Slurm, containers), and of its own address space."""
    free = int(psutil.virtual_memory().available)
    for group, limit_name, used_name in _memory_groups():
        try:
            limit, used = ((group / name).read_text(encoding="ascii").strip() for name in (limit_name, used_name))
        except OSError:
            continue
        if limit.isdigit() and used.isdigit():
            free = min(free, int(limit) - int(used))
    if resource is not None:
        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            free = min(free, soft - psutil.Process().memory_info().vms)
    return max(free, 0)


def _memory_groups() -> list[tuple[Path, str, str]]:
    """Return the control groups of this process that may limit its memory, and the names of limit and use."""
    try:
        lines = _OWN_GROUPS.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        lines = []
    groups = []
    for line in [*lines, "0::/", "1:memory:/"]:  # in a container its own group is the root of what it sees
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        older = "memory" in controllers.split(",")
        if not older and controllers:
            continue
        root = _GROUPS / "memory" if older else _GROUPS
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if older else ("memory.max", "memory.current")
        own = root / path.strip("/")
        groups += [(one, *names) for one in (own, *own.parents) if one == root or root in one.parents]
    return groups
