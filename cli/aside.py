"""A call made in a process beside this one, while this one loads its libraries."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Generic, NoReturn, TypeVar

from aqreanalysis.errors import AqreanalysisError

Answer = TypeVar("Answer")


class Aside(Generic[Answer]):
    """A call that runs in a copy of this process.

    In a thread it would wait for Python's lock, which imports hold: that gained half as much.

    Parameters
    ----------
    call : callable
        What it returns is sent back, so it must pickle, and be small beside what it is made of.
    """

    def __init__(self, call: Callable[[], Answer]) -> None:
        receiving, sending = os.pipe()
        self._process = os.fork()
        if self._process == 0:
            os.close(receiving)
            _answer(call, sending)
        os.close(sending)
        self._stream: BinaryIO | None = os.fdopen(receiving, "rb")

    def answer(self) -> Answer | None:
        """Wait for the call and return what it returned; None if its process has died.

        Raises
        ------
        AqreanalysisError
            That the call has raised.
        """
        if self._stream is None:
            raise ValueError("the answer has been taken")
        try:
            raised, value = pickle.load(self._stream)
        except (EOFError, pickle.UnpicklingError):
            return None
        finally:
            self.close()
        if raised:
            raise value
        answer: Answer = value
        return answer

    def close(self) -> None:
        """End the process if it runs still."""
        if self._stream is None:
            return
        self._stream.close()
        self._stream = None
        with suppress(ProcessLookupError):
            os.kill(self._process, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self._process, 0)


def can_stand_aside() -> bool:
    """Return whether a call may run in a copy of this process, and gains by it.

    A copy has one thread, and the locks that others held would stay locked in it; a single processor gains nothing.
    """
    if sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2:
        return False
    return len(list(Path("/proc/self/task").iterdir())) == 1


def most_memory_aside() -> int:
    """Return the most bytes that a process which stood aside of this one held; 0 where none did."""
    # Of all that this process has started and seen end: in a command those alone, whose answers have been taken.
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 if sys.platform == "linux" else 0


def _answer(call: Callable[[], Answer], sending: int) -> NoReturn:
    """Send what a call returns or raises on purpose, and leave this process at once; at anything else send nothing."""
    status = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):  # who is asked to stop tells of it; this process has no say
            signal.signal(number, signal.SIG_DFL)
        try:
            sent = False, call()
        except AqreanalysisError as error:
            sent = True, error  # type: ignore[assignment]
        with os.fdopen(sending, "wb") as stream:
            pickle.dump(sent, stream, protocol=pickle.HIGHEST_PROTOCOL)
        status = 0
    finally:
        os._exit(status)
