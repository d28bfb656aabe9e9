"""Arrays that may be larger than memory: small ones in memory, large ones in a temporary file that the system maps."""

from __future__ import annotations

import os
import tempfile

import numpy as np
from numpy.typing import DTypeLike, NDArray

from aqreanalysis.errors import OutputError

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
