"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

#: Called now and then as ``progress(done, total, note)``: what is done and how much there is, in whatever the work
#: counts, and a few words on it. Where `done` falls back, another stage has begun.
Progress = Callable[[int, int, str], None]


# What a stage counts for among others, whatever it counts by itself.
_OF_STAGE = 1000


def part_of(progress: Progress | None, number: int, parts: int, prefix: str = "") -> Progress | None:
    """Return what the `number`-th of several equal parts of a work calls with its own counts; None for nobody.

    `prefix` is put before its notes.
    """
    if progress is None:
        return None

    def report(done: int, total: int, note: str) -> None:
        progress(number * total + done, parts * total, prefix + note)

    return report


def stage_of(progress: Progress | None, number: int, stages: int, prefix: str = "") -> Progress | None:
    """Return what the `number`-th stage of a work calls, each of which counts in units of its own; None for nobody.

    All stages count the same. `prefix` is put before its notes.
    """
    if progress is None:
        return None

    def report(done: int, total: int, note: str) -> None:
        progress(number * _OF_STAGE + round(_OF_STAGE * done / max(total, 1)), stages * _OF_STAGE, prefix + note)

    return report
