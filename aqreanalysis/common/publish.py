"""Finished outputs come to their names: in one step each, so that a reader meets the old one or the new one whole."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# What the kernel or the file system says where it cannot swap two names.
_UNABLE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM}


def publish_folder(store: Path, out: Path, trash: Path, identity: int) -> None:
    """Give a finished and synced folder its name; what was there goes to `trash` and is deleted.

    A folder that is full cannot be replaced by a rename. The two names are swapped instead, which Linux does in one
    step; elsewhere the old store goes first, and a reader that comes in between finds none.

    Parameters
    ----------
    store, out : Path
        Where it is and where it goes; `out` may be there.
    trash : Path
        On the same file system.
    identity : int
        The number of the inode of `store`, which stays with it when it is renamed, noted before: after a crash it tells
        whether the swap was done.
    """
    if not (out.exists() and out.stat().st_ino == identity):
        shutil.rmtree(trash, ignore_errors=True)
        if not out.exists():
            store.rename(out)
        elif not _swap(store, out):
            out.rename(trash)
            store.rename(out)
    if store.exists():  # what the swap brought here
        store.rename(trash)
    sync_folder(out.parent)
    shutil.rmtree(trash, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file_system(folder: Path) -> None:
    """Wait until what was written to the file system of `folder` is on the disk.

    Raises
    ------
    OSError
        If the disk failed or is full.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if syncfs is None:
            os.sync()
        elif syncfs(handle) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(handle)


def _swap(one: Path, other: Path) -> bool:
    """Swap two names in one step; False where that cannot be done.

    Raises
    ------
    OSError
        If it failed for another reason.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNABLE:
        return False
    raise OSError(number, os.strerror(number), str(other))
