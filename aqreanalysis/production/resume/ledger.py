"""What is done, on disk: a lock against a second process, the fingerprint of the run, a line a finished block."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from filelock import FileLock, Timeout
from isal import isal_zlib

from aqreanalysis.common.progress import Progress
from aqreanalysis.common.publish import sync_file_system
from aqreanalysis.errors import OutputError
from aqreanalysis.production.plan.block_keys import RunKeys
from aqreanalysis.production.stores.store import BlockResult, Checksums

# Their names in the folder of what is unfinished.
LEDGER, LOCK = "ledger.jsonl", "lock"
_LOG = logging.getLogger(__name__)

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
        self._lock = FileLock(folder / LOCK, blocking=False, thread_local=False, fallback_to_soft=False)
        while not self._lock.is_locked:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire()
            except FileNotFoundError:  # the holder finished and removed the folder in between
                continue
            except Timeout:
                if not (folder / LOCK).exists():  # so it did while this one waited for the file
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
    A last line cut by a crash is dropped. Each line carries its own CRC-32: of one that was damaged since, the block is
    not done. The first line, on which all others rest, stands twice.

    Attributes
    ----------
    header : dict or None
        ``fingerprint`` and what else the run noted at its beginning; None before `begin`.
    damaged : list of str
        What is known of lines that were damaged: ``block 12``, or that there was a line.
    checksums : dict
        Number of a finished block -> layer -> the CRC-32 of its chunks, where they are known.
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
        self.damaged: list[str] = []
        self.checksums: dict[int, Mapping[str, Checksums]] = {}
        self._keys: dict[int, str] = {}
        self._file: TextIO | None = None
        self._synced = time.monotonic()
        self._readable_bytes: int | None = None
        if path.exists():
            self._read()

    def _read(self) -> None:
        good, boot = 0, ""
        unsure: set[int] = set()
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                entry = unsealed(line)
                if entry is None:
                    self.damaged.append(_subject(line))
                elif "fingerprint" in entry:
                    self.header = entry
                elif "block" in entry:
                    number = entry["block"]
                    unsure.add(number)
                    self._keys[number] = entry["key"]
                    self.checksums[number] = {name: _numbers(text) for name, text in entry.get("chunks", {}).items()}
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
        if good and self.header is None:
            raise OutputError(
                f"{self.path} does not say whose work this is: its first lines are damaged, or an older version wrote "
                f"them; go on with that version, or delete {self.path.parent} and begin anew"
            )
        self._readable_bytes = good

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
        self._keys, self.checksums, self.damaged = {}, {}, []
        self.header, self.ready, self._readable_bytes = None, False, None

    def record(self, number: int, key: bytes, checksums: Mapping[str, Checksums] | None = None) -> None:
        """Note that a block of this key is written, and the CRC-32 of each of its stored chunks where it is known."""
        chunks = {name: "".join(f"{one:08x}" for one in some) for name, some in (checksums or {}).items()}
        self._append({"block": number, "key": key.hex(), **({"chunks": chunks} if chunks else {})})
        self.done.add(number)
        self.checksums[number] = dict(checksums or {})
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
            # Only now: whoever but reads may look at the ledger of a run that is in the middle of a line.
            if self._readable_bytes is not None:
                os.truncate(self.path, self._readable_bytes)
                self._readable_bytes = None
            self._file = self.path.open("a", encoding="utf-8")
            # After the header and its copy, or before what is added to an old file.
            entries = [entry, entry] if self.header is entry else entries
            entries.insert(2 if self.header is entry else 0, {"boot": boot_number()})
        for one in entries:
            text = json.dumps(one)
            self._file.write(f'{text[:-1]}, "line": "{isal_zlib.crc32(text.encode()):08x}"}}\n')
            self._file.flush()

    def _sync(self) -> None:
        """Put everything written so far on the disk, and note it."""
        sync_file_system(self.path.parent)
        self._append({"synced": True})
        self._synced = time.monotonic()


_SEALED = re.compile(rb'(\{.+), "line": "([0-9a-f]{8})"\}\n')


def unsealed(line: bytes) -> dict[str, Any] | None:
    """Return what a line of a ledger says; None if it does not end with the CRC-32 of that."""
    match = _SEALED.fullmatch(line)
    if match is None or isal_zlib.crc32(match[1] + b"}") != int(match[2], 16):
        return None
    try:
        entry: dict[str, Any] = json.loads(match[1] + b"}")
    except (ValueError, RecursionError):  # sealed, and yet nothing that a run writes
        return None
    return entry


def _subject(line: bytes) -> str:
    """Return of which block a damaged line seems to speak."""
    number = re.search(rb'"block": (\d+),', line)
    return f"the line of block {int(number[1])}" if number else "a line"


def _numbers(text: str) -> Checksums:
    return tuple(int(text[i : i + 8], 16) for i in range(0, len(text), 8))


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
    cells, bytes : int
        Cell-hours and bytes that this process has done.
    """

    blocks: int
    keys: RunKeys
    ledger: Ledger
    progress: Progress | None
    begun: float = field(default_factory=time.perf_counter)
    cells: int = 0
    bytes: int = 0

    def __call__(self, done: BlockResult | None) -> None:
        """Note one block; None is a block that was not begun because the run is stopping."""
        if done is None:
            return
        checksums = {name: layer.checksums for name, layer in done.written.layers.items()}
        self.ledger.record(done.number, self.keys[done.number], checksums)
        _LOG.debug("block %d done", done.number)
        self.cells, self.bytes = self.cells + done.cells, self.bytes + done.written.raw_bytes
        if self.progress is not None:
            seconds = time.perf_counter() - self.begun
            note = f"{self.cells / seconds / 1e6:.2f} million cell-hours/s, {self.bytes / 1e6:.0f} MB"
            self.progress(len(self.ledger.done), self.blocks, note)
