"""What of a run is unfinished, in a folder of its own: whose run it is, how far it got, which outputs wait."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import OutputError
from aqreanalysis.production.options import ProduceOptions
from aqreanalysis.production.plan.block_keys import Fingerprint, differences
from aqreanalysis.production.plan.inputs import StagedWindow, holds_readings, stage_readings
from aqreanalysis.production.plan.prepare import Prepared
from aqreanalysis.production.resume.damage import discard_damaged, readings_damaged
from aqreanalysis.production.resume.ledger import LEDGER, LOCK, Ledger, Lock
from aqreanalysis.production.resume.signals import Stop, output_errors, stop_on_signals
from aqreanalysis.production.stores.outputs import Outputs
from aqreanalysis.production.stores.store import Output, Store
from aqreanalysis.production.stores.zarr import DaySums
from aqreanalysis.production.template import Template


def check_free(outputs: Outputs, options: ProduceOptions) -> None:
    """Refuse an output that is there, unless it is to be replaced, to grow, or an unfinished run's own.

    Raises
    ------
    OutputError
        If so.
    """
    with output_errors(outputs.part):
        if not (options.overwrite or options.append or outputs.part.exists()):
            outputs.refuse_existing()


@dataclass
class Work:
    """The unfinished work on the outputs of a run, whose folder is this process' own.

    Attributes
    ----------
    outputs : Outputs
        What the run leaves.
    stores : dict
        Frequency -> its store, with the outputs that are written.
    options : ProduceOptions
        Of the run.
    blocks : int
        Of the run, those done and those to do.
    stop : Stop
        The wish to stop.
    ledger : Ledger
        How far it got.
    """

    outputs: Outputs
    stores: dict[str, Store]
    options: ProduceOptions
    blocks: int
    stop: Stop
    ledger: Ledger

    @property
    def written(self) -> list[tuple[Store, Output]]:
        """What of the outputs is written, each with its store."""
        return [(store, output) for store in self.stores.values() for output in store.outputs]

    def check_stop(self, so_far: str | None = None) -> None:
        """Raise `Interrupted` if that is wished; `so_far` says how far the run got, else blocks are counted."""
        self.stop.check(self.outputs.part, so_far or f"{len(self.ledger.done)} of {self.blocks} blocks are done")

    def watched(self, so_far: str | None = None) -> Progress:
        """Return what passes progress on and ends the work if that is wished, as of `check_stop`."""

        def step(done: int, total: int, note: str) -> None:
            self.check_stop(so_far)
            if self.options.progress is not None:
                self.options.progress(done, total, note)

        return step

    def waiting(self, fingerprint: Fingerprint) -> list[tuple[Store, Output]]:
        """Return the outputs that a run of this fingerprint has yet to fill or to name, each with its store.

        What the folder holds of a finished run whose outputs were taken away since is dropped, and so is another run
        where that is wished.

        Raises
        ------
        OutputError
            If the folder holds another run, or an output is there that is not to be replaced.
        """
        ledger, options = self.ledger, self.options
        if ledger.header is not None:
            unlike = differences(fingerprint, ledger.header.get("fingerprint", {}))
            if unlike and not options.overwrite:
                more = f" (and {len(unlike) - 1} more)" if len(unlike) > 1 else ""
                raise OutputError(
                    f"{self.outputs.part} holds an unfinished run of another kind: {unlike[0]}{more}; "
                    "repeat that run, choose another --out, or drop it with --overwrite"
                )
            if unlike or (ledger.ready and not all(s.is_staged(o) or o.path.exists() for s, o in self.written)):
                ledger.drop()
        waiting = [(store, output) for store, output in self.written if not ledger.ready or store.is_staged(output)]
        if any(store.is_taken(output) for store, output in waiting) and not (options.overwrite or options.append):
            self.outputs.refuse_existing()
        return waiting

    def stage(
        self, prepared: Prepared, templates: Mapping[str, Template], header: dict[str, Any]
    ) -> tuple[StagedWindow, DaySums | None]:
        """Return the window on the staged readings, and the sums of days where means are joined from them.

        They, the empty stores and the ledger are created where there are none.

        Parameters
        ----------
        prepared : Prepared
            The run.
        templates : mapping
            Frequency -> template of its store.
        header : dict
            How the ledger begins.
        """
        ledger, readings = self.ledger, self.outputs.part / "readings.npy"
        sums = DaySums(self.outputs.part.resolve() / "sums.zarr") if prepared.sums_widths else None
        staging = prepared.observations, tuple(prepared.predictor.inputs), prepared.span, readings
        created = all(self.stores[name].is_created() for name in templates) and (sums is None or sums.is_created())
        if ledger.header is not None and created:
            ledger.keep(prepared.keys)
            for line in discard_damaged(ledger, prepared, self.stores, sums):
                self._tell(line)
            checksum = ledger.header["readings"]
            if holds_readings(readings, checksum):
                return StagedWindow(str(readings), prepared.span.first_hour, checksum), sums
            self._tell(readings_damaged(readings))
            return stage_readings(*staging), sums
        window = stage_readings(*staging)
        for name, template in templates.items():
            self.stores[name].create(template)
        if sums is not None:
            sums.create(prepared.plan, prepared.sums_widths, prepared.production.compression_level)
        ledger.begin({**header, "readings": window.checksum})
        return window, sums

    def _tell(self, line: str) -> None:
        if self.options.say is not None:
            self.options.say(line)

    def finish(self, waiting: list[tuple[Store, Output]]) -> None:
        """Give complete outputs their names, and remove the folder."""
        for store, output in waiting:
            store.finalise(output)
        # Before the folder goes, by which the right is known as one's own.
        for store in self.stores.values():
            store.release_ownership()
        self.ledger.close()
        # The ledger last: killed on the way, the same command knows its outputs and removes the rest.
        for entry in self.outputs.part.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name not in (LEDGER, LOCK):
                entry.unlink()
        shutil.rmtree(self.outputs.part)


@contextmanager
def open_work(outputs: Outputs, stores: dict[str, Store], options: ProduceOptions, blocks: int) -> Iterator[Work]:
    """Yield the unfinished work on some outputs, which is this process' own meanwhile; signals stop it.

    A folder in which nothing has begun goes at the end: nothing half-written stays.

    Raises
    ------
    OutputError
        If another process holds it, or a disk fails.
    """
    part = outputs.part
    with output_errors(part), stop_on_signals() as stop:
        part.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(part, outputs.out)
        try:
            work = Work(outputs, stores, options, blocks, stop, Ledger(part / LEDGER))
            ledger = work.ledger
            unnamed = not ledger.ready or any(store.is_staged(output) for store, output in work.written)
            owned: list[Store] = []
            try:
                for store in stores.values():
                    store.acquire_ownership(ledger.header is not None and unnamed, options.overwrite)
                    owned.append(store)
                yield work
            finally:
                ledger.close()
                # Work that is finished has given its rights back, which by now may be another run's.
                if part.exists() and not ledger.path.exists():
                    for store in owned:
                        store.release_ownership()
        finally:
            if part.exists() and not (part / LEDGER).exists():
                shutil.rmtree(part)
            lock.release()
