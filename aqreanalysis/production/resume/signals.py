"""Signals and failing disks, turned into one line that says what is kept and how to go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from aqreanalysis.common.files import refused_by_disk, room_needed
from aqreanalysis.errors import Interrupted, OutputError


@dataclass
class Stop:
    """The wish to stop, set by a signal and looked at between blocks.

    Attributes
    ----------
    event : threading.Event
        Set once the wish is there.
    signal : Signals
        Which signal brought it.
    """

    event: threading.Event = field(default_factory=threading.Event)
    signal: signal.Signals = signal.SIGINT

    def check(self, part: Path, done: str) -> None:
        """Raise `Interrupted` if the wish is there; `done` says how far the run got.

        Raises
        ------
        Interrupted
            With exit code 130 for SIGINT, 143 for SIGTERM.
        """
        if self.event.is_set():
            name = signal.Signals(self.signal).name
            error = Interrupted(f"stopped by {name}: {done}, kept in {part}; run the same command again to go on")
            error.exit_code = 128 + self.signal
            raise error


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Yield a `Stop` that SIGINT and SIGTERM set; a second signal does what it would have done without this.

    Outside the main thread signals cannot be caught, and the `Stop` stays unset.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def wish(number: int, _: FrameType | None) -> None:
        stop.signal = signal.Signals(number)
        stop.event.set()
        for which, handler in before.items():
            signal.signal(which, handler)

    for number in before:
        signal.signal(number, wish)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def output_errors(part: Path) -> Iterator[None]:
    """Turn errors of the operating system while writing into `OutputError`.

    Raises
    ------
    OutputError
        Naming the disk that is full or the file that cannot be written.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        number = refused_by_disk(error, part)
        if isinstance(error, RuntimeError) and number is None:
            raise
        where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
        blocks_kept = f"finished blocks are kept in {part}; " if part.exists() else ""
        # HDF5 tells a whole report over several lines.
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        if number is not None:
            raise OutputError(
                f"no space left for the output{where}: {blocks_kept}{room_needed(number)}, and run the same command "
                "again"
            ) from error
        raise OutputError(
            f"cannot write the output{where}: {reason}; {blocks_kept}mend it and run the same command again"
        ) from error
