"""What is told of a block that is done."""

from __future__ import annotations

from dataclasses import dataclass

from aqreanalysis.production.stores.store import Written


@dataclass(frozen=True)
class BlockDone:
    """A block that is on the disk: its number, cells times hours, what was written, and seconds."""

    number: int
    cells: int
    written: Written
    seconds: float
