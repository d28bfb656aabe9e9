"""The state of a run while it runs: finished blocks go to the ledger, and what is left is told."""

from __future__ import annotations

import time

from aqreanalysis.common.progress import Progress
from aqreanalysis.production.execute.done import BlockDone
from aqreanalysis.production.resume.ledger import Ledger


class Meter:
    """Records finished blocks in the ledger and tells the progress."""

    def __init__(self, blocks: int, ledger: Ledger, progress: Progress | None) -> None:
        self.blocks, self.ledger, self.progress = blocks, ledger, progress
        self.begun = time.perf_counter()
        self.cells = self.bytes = self.here = 0

    def __call__(self, done: BlockDone | None) -> None:
        """Note one block; None is a block that was not begun because the run is stopping."""
        if done is None:
            return
        self.ledger.record(done.number, done.written.checksums)
        self.cells, self.bytes, self.here = self.cells + done.cells, self.bytes + done.written.raw_bytes, self.here + 1
        if self.progress is not None:
            seconds = time.perf_counter() - self.begun
            left = seconds / self.here * (self.blocks - len(self.ledger.done))
            note = (
                f"{self.cells / seconds / 1e6:.2f} million cell-hours/s, {self.bytes / 1e6:.0f} MB, {left:.0f} s left"
            )
            self.progress(len(self.ledger.done), self.blocks, note)
