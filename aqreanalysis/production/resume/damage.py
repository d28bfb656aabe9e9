"""What a run that goes on finds damaged of its own work: it is told by its block, and computed again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from aqreanalysis.production.day_sums import day_block
from aqreanalysis.production.plan.prepare import Prepared
from aqreanalysis.production.resume.ledger import Ledger
from aqreanalysis.production.stores.store import Store
from aqreanalysis.production.stores.zarr import DaySums


def discard_damaged(
    ledger: Ledger, prepared: Prepared, stores: Mapping[str, Store], sums: DaySums | None
) -> Iterator[str]:
    """Forget as done what is not what was written, and yield a line for people for each thing that is lost.

    Every chunk that is on a disk of this machine is read, at some 2 GB a second from memory.

    Parameters
    ----------
    ledger : Ledger
        Of the run that goes on.
    prepared : Prepared
        The run.
    stores : mapping
        Frequency -> its store.
    sums : DaySums or None
        Of days, where means are joined from them.
    """
    for lost in ledger.damaged:
        yield f"{ledger.path} is damaged: {lost} cannot be read, and what it spoke of is computed again"

    for number in sorted(ledger.done):
        frequency, block = prepared.keys.locate(number)
        damaged = False
        for name, written in ledger.checksums.get(number, {}).items():
            if sums is not None and name in prepared.sums_widths:
                damaged |= sums.read_checksums(name, day_block(block)) != written
            elif stores[frequency].read_checksums(name, block) not in (None, written):
                stores[frequency].discard(name, block)
                damaged = True
        if damaged:
            ledger.done.discard(number)
            where = ledger.path.parent
            yield (
                f"{prepared.keys.describe(number)} in {where} is damaged: it is not what was written, and is computed "
                "again"
            )


def readings_damaged(readings: Path) -> str:
    """Return the line for people of staged readings that are not what was staged."""
    return f"{readings} is damaged: the readings are laid out again"
