"""A chunk compressed and written in one compiled call, which holds Python's lock at no moment.

As five calls (Blosc, open, write, close, rename) each chunk lets the lock go and asks for it again five times. Sixteen
threads that do so a thousand times a second keep it so busy that the thread which drives a GPU waited 0.1 ms for every
single step.

Linux only, where the names of the C library are certain, and with the Blosc that numcodecs brings.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import numcodecs  # type: ignore[import-untyped]
import numpy as np
from llvmlite import binding
from numba import types
from numpy.typing import NDArray

from aqreanalysis.model.kernels.numba_setup import compiled

_number, _size, _address = types.int32, types.uintp, types.uintp
_blosc_form = _number(_number, _number, _size, _size, _address, _address, _size, _address, _size, _number)
_blosc: Any = types.ExternalFunction("blosc_compress_ctx", _blosc_form)
_creat: Any = types.ExternalFunction("creat", _number(_address, types.uint32))
_write: Any = types.ExternalFunction("write", types.intp(_number, _address, _size))
_sync_file_range: Any = types.ExternalFunction(
    "sync_file_range", _number(_number, types.int64, types.int64, types.uint32)
)
_close: Any = types.ExternalFunction("close", _number(_number))
_rename: Any = types.ExternalFunction("rename", _number(_address, _address))
_BEGIN_WRITING = 2  # SYNC_FILE_RANGE_WRITE


@cache
def can_fuse() -> bool:
    """Tell whether the functions that are called are there."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        binding.load_library_permanently(numcodecs.blosc.__file__)
    except RuntimeError:
        return False
    names = ("blosc_compress_ctx", "creat", "write", "sync_file_range", "close", "rename")
    return all(binding.address_of_symbol(name) for name in names)


@compiled
def compress_and_write(
    values: NDArray[np.uint8],
    form: NDArray[np.int64],
    codec: NDArray[np.uint8],
    names: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    room: NDArray[np.uint8],
) -> int:
    """Write a compressed chunk under its temporary name, then give it its own; return 0, or which step failed.

    Parameters
    ----------
    values : uint8
        Bytes of the chunk.
    form : int64 (4,)
        Level, shuffle, bytes a value, block size (0 for Blosc's own choice).
    codec : uint8
        Name of the compressor, ended by a zero, as are `names`.
    names : pair of uint8
        Temporary and final path.
    room : uint8
        For the compressed bytes.
    """
    size = _blosc(
        form[0],
        form[1],
        form[2],
        values.size,
        values.ctypes.data,
        room.ctypes.data,
        room.size,
        codec.ctypes.data,
        form[3],
        1,
    )
    if size <= 0:
        return 1
    temporary, final = names
    handle = _creat(temporary.ctypes.data, 0o666)
    if handle < 0:
        return 2
    done = 0
    while done < size:
        more = _write(handle, room.ctypes.data + np.uint64(done), np.uint64(size - done))
        if more <= 0:
            _close(handle)
            return 3
        done += more
    # The disk begins now, and has less to do when the run waits for it at the end.
    _sync_file_range(handle, 0, 0, _BEGIN_WRITING)
    if _close(handle) != 0:
        return 4
    return 5 if _rename(temporary.ctypes.data, final.ctypes.data) != 0 else 0
