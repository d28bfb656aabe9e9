"""A step that is killed at an exact place, in a fork of this process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path


def killed(work: Callable[[], object]) -> None:
    """Run `work` in a fork, which is to end by SIGKILL; see `die`."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(70)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"it ended with {status} instead"


def die(*_: object, **__: object) -> None:
    """End this process as a kill does."""
    os.kill(os.getpid(), signal.SIGKILL)


def dies_after_rename_of(name: str) -> Callable[[Path, Path], Path]:
    """Return what stands for `Path.rename` and ends the process once it has renamed a thing of this name."""
    rename = Path.rename

    def renamed(path: Path, goal: Path) -> Path:
        made = rename(path, goal)
        if path.name == name:
            die()
        return made

    return renamed
