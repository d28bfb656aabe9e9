"""Progress: a bar on a terminal; elsewhere a line a minute and a last one, and none for what is done sooner."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aqreanalysis.cli.errors import visible
from aqreanalysis.cli.log import say
from aqreanalysis.cli.printing import human_time
from aqreanalysis.common.progress import Progress

SECONDS_BETWEEN_LINES = 60.0


@contextmanager
def progress_shown(label: str) -> Iterator[Progress]:
    """Yield the callable ``progress(done, total, note)`` for work called `label`; everything goes to stderr."""
    if sys.stderr.isatty():
        yield from _bar(label)
        return
    log = LogLines(label)
    try:
        yield log
    finally:
        log.close()


class LogLines:
    """Progress as lines of a log.

    Parameters
    ----------
    label : str
        What the work is called.
    clock : callable
        Seconds; replaced in tests.
    """

    def __init__(self, label: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._label = label
        self._clock = clock
        self._began = self._spoke = clock()
        self._stage: tuple[float, int] | None = None  # when the stage at hand was first heard of, and how far it was
        self._last: tuple[int, int, str] | None = None
        self._said: tuple[int, int, str] | None = None

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Take the state of the work; print it if a minute has passed since the last line.

        Where `done` falls back another stage has begun, and the end of the one before is printed.
        """
        if self._last is not None and done < self._last[0] and self._is_long() and self._said != self._last:
            self._say()
        if self._stage is None or self._last is None or done < self._last[0]:
            self._stage = (self._clock(), done)
        self._last = (done, total, note)
        if self._clock() - self._spoke >= SECONDS_BETWEEN_LINES:
            self._say()

    def close(self) -> None:
        """Print the last state with the time that the whole took, if that was more than a minute."""
        if self._is_long():
            self._say(f" after {self._clock() - self._began:.0f} s")

    def _is_long(self) -> bool:
        return self._clock() - self._began >= SECONDS_BETWEEN_LINES

    def _say(self, ending: str = "") -> None:
        self._spoke, self._said = self._clock(), self._last
        done, total, note = self._last or (0, 0, "")
        count = f" {done}/{total}" if total else ""
        left = "" if ending else self._left(done, total)
        say(f"{self._label}:{count}{f' {note}' if note else ''}{ending or left}", err=True)

    def _left(self, done: int, total: int) -> str:
        """Return how long the stage at hand will take still, by what it took so far; empty where that says nothing."""
        if self._stage is None or done <= self._stage[1] or done >= total:
            return ""
        began, before = self._stage
        return f", about {human_time((self._clock() - began) / (done - before) * (total - done))} left"


def _bar(label: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=None, note="")
        before = 0

        def show(done: int, total: int, note: str = "") -> None:
            nonlocal before
            note = visible(note)
            if done < before:  # another stage of the same work has begun
                bar.reset(task, total=total, note=note)
            before = done
            bar.update(task, completed=done, total=total, note=note)

        yield show
