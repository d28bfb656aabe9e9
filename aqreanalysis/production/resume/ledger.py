"""What is done, on disk: a lock against a second process, the fingerprint of the run, a line a finished block."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from filelock import FileLock, Timeout

from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import OutputError
from aqreanalysis.production.plan.block_keys import RunKeys
from aqreanalysis.production.stores.publish import sync_file_system
from aqreanalysis.production.stores.store import BlockResult

# Its name in the folder of what is unfinished.
LEDGER = "ledger.jsonl"

# What a failure of the machine (not of the process) may cost.
SYNC_SECONDS = 10.0


class Lock:
    """The right to write an output, held until `release` or the end of the process.

    The kernel drops the lock of a process that dies, so a killed run never blocks the next one.

    Raises
    ------
    OutputError
        If another process holds it.
    """

    def __init__(self, folder: Path, out: object) -> None:
        holder = folder / "holder"
        # Where the system has no such lock, none is made of files alone: that of a killed process would stay.
        self._lock = FileLock(folder / "lock", blocking=False, thread_local=False, fallback_to_soft=False)
        while not self._lock.is_locked:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire()
            except FileNotFoundError:  # the holder finished and removed the folder in between
                continue
            except Timeout:
                if not (folder / "lock").exists():  # so it did while this one waited for the file
                    continue
                name = holder.read_text(encoding="utf-8") if holder.exists() else "another process"
                raise OutputError(f"{out} is being written by {name}; wait for it or choose another --out") from None
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")

    def release(self) -> None:
        """Give the right back; again does nothing."""
        self._lock.release()


class Ledger:
    """The finished blocks of a run and their keys, in a file of JSON lines; the first line tells which run.

    A line is added after the block's chunks are written, and handed to the system at once: it survives whatever happens
    to the process. What a failure of the machine may take are the chunks that the system had not yet put on the disk.
    So every few seconds the whole file system is synced and that is noted; after a reboot (the boot's number is noted
    too) only blocks before such a note count as done. Syncing every chunk and line instead took 4 ms each.
    A last line cut by a crash is dropped.

    Attributes
    ----------
    header : dict or None
        ``fingerprint`` and what else the run noted at its beginning; None before `begin`.
    done : set of int
        Numbers of finished blocks.
    ready : bool
        The output is whole and only its final rename may be missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header: dict[str, Any] | None = None
        self.done: set[int] = set()
        self.ready = False
        self._keys: dict[int, str] = {}
        self._file: TextIO | None = None
        self._synced = time.monotonic()
        if path.exists():
            self._read()

    def _read(self) -> None:
        good, boot = 0, ""
        unsure: set[int] = set()
        with self.path.open("rb") as file:
            for line in file:
                try:
                    entry = json.loads(line)
                except ValueError:
                    break
                if not line.endswith(b"\n") or not isinstance(entry, dict):
                    break
                if self.header is None:
                    self.header = entry
                elif isinstance(entry.get("block"), int):
                    unsure.add(entry["block"])
                    self._keys[entry["block"]] = str(entry.get("key"))
                elif "boot" in entry:
                    unsure = unsure if entry["boot"] == boot else set()
                    boot = entry["boot"]
                elif entry.get("synced") is True:
                    self.done |= unsure
                    unsure = set()
                elif entry.get("ready") is True:
                    self.ready = True
                good += len(line)
        if boot == boot_number():
            self.done |= unsure
        if good < self.path.stat().st_size:
            os.truncate(self.path, good)

    def begin(self, header: dict[str, Any]) -> None:
        """Start a new ledger with `header`, dropping an old one."""
        self.drop()
        self.header = header
        self._append(header)
        self._sync()

    def drop(self) -> None:
        """Forget the run."""
        self.close()
        self.path.unlink(missing_ok=True)
        self.done.clear()
        self._keys = {}
        self.header, self.ready = None, False

    def record(self, number: int, key: bytes, checksums: Mapping[str, int] | None = None) -> None:
        """Note that a block of this key is written, and the CRC-32 of each of its stored chunks where it is known."""
        self._append({"block": number, "key": key.hex(), **({"crc32": dict(checksums)} if checksums else {})})
        self.done.add(number)
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self._sync()

    def keep(self, keys: RunKeys) -> None:
        """Forget as done whatever was made from something else than the run that goes on would make it from."""
        self.done = {number for number in self.done if self._keys.get(number) == keys[number].hex()}
        self._keys = {}

    def note_ready(self) -> None:
        """Note that the outputs are whole; they are on the disk already."""
        self._append({"ready": True})
        assert self._file is not None
        os.fsync(self._file.fileno())
        self.ready = True

    def close(self) -> None:
        """Close the file; again does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _append(self, entry: dict[str, Any]) -> None:
        entries = [entry]
        if self._file is None:
            self._file = self.path.open("a", encoding="utf-8")
            # After the header, or before what is added to an old file.
            entries.insert(1 if self.header is entry else 0, {"boot": boot_number()})
        for one in entries:
            self._file.write(json.dumps(one) + "\n")
            self._file.flush()

    def _sync(self) -> None:
        """Put everything written so far on the disk, and note it."""
        sync_file_system(self.path.parent)
        self._append({"synced": True})
        self._synced = time.monotonic()


def boot_number() -> str:
    """Return what tells one boot of this machine from the next; a constant where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


@dataclass
class BlockProgress:
    """Notes finished blocks, with their keys and checksums, in the ledger, and tells the progress.

    Attributes
    ----------
    blocks : int
        Of the run, those done and those to do.
    keys : RunKeys
        Of all of them.
    ledger : Ledger
        Where they are noted.
    progress : callable or None
        Told of each.
    begun : float
        Moment at which this process began.
    cells, bytes, here : int
        Cell-hours, bytes and blocks that this process has done.
    """

    blocks: int
    keys: RunKeys
    ledger: Ledger
    progress: Progress | None
    begun: float = field(default_factory=time.perf_counter)
    cells: int = 0
    bytes: int = 0
    here: int = 0

    def __call__(self, done: BlockResult | None) -> None:
        """Note one block; None is a block that was not begun because the run is stopping."""
        if done is None:
            return
        checksums = {name: chunk.checksum for name, chunk in done.written.chunks.items()}
        self.ledger.record(done.number, self.keys[done.number], checksums)
        self.cells, self.bytes, self.here = self.cells + done.cells, self.bytes + done.written.raw_bytes, self.here + 1
        if self.progress is not None:
            seconds = time.perf_counter() - self.begun
            left = seconds / self.here * (self.blocks - len(self.ledger.done))
            note = (
                f"{self.cells / seconds / 1e6:.2f} million cell-hours/s, {self.bytes / 1e6:.0f} MB, {left:.0f} s left"
            )
            self.progress(len(self.ledger.done), self.blocks, note)
