"""What is told of a block that is done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BlockDone:
    """A block that is on the disk: its number, cells times hours, raw bytes and seconds."""

    number: int
    cells: int
    raw_bytes: int
    seconds: float
