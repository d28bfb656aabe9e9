"""Files as an attacker would send them, each with the command that an agency would run on it, and how that ends.

``benchmarks/trust.py`` runs all of them, each in a process of its own within limits; the tests run them one by one.
"""

from __future__ import annotations

import io
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: What stands where nobody may see it.
SECRET = "S3CR3T0KEY"
# What each attempt may have beyond what the process had at its beginning, and how long it may compute.
MEMORY_BYTES, CPU_SECONDS, WAIT_SECONDS = 2 << 30, 40, 90
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Assets:
    """What a user has: a model, readings as Parquet and CSV, a cube as a NetCDF file and as Zarr stores of 2 and 3."""

    model: Path
    parquet: Path
    csv: Path
    netcdf: Path
    zarr: Path
    zarr3: Path


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str
    seconds: float

    @property
    def errors(self) -> list[str]:
        """The lines that say an error."""
        return [line for line in self.err.splitlines() if line.startswith("Error:")]


Command = list[str]


@dataclass(frozen=True)
class Attack:
    """One attempt: `prepare` writes into a folder and returns the arguments of the program.

    `harmless` says that the file may be used, if nothing in what is written or printed does any harm; else it must be
    refused in one line with status 2. `look` sees the folder afterwards, and returns what is wrong there.
    """

    kind: str
    name: str
    prepare: Callable[[Assets, Path], Command]
    harmless: bool = False
    look: Callable[[Path], str] | None = None


def judge(attack: Attack, outcome: Outcome, folder: Path) -> str:
    """Return what is wrong with how an attack ended, empty if it was held."""
    said = outcome.out + outcome.err
    if found := _CONTROLS.search(said):
        return f"control character {found[0]!r} printed"
    if SECRET in said:
        return "the secret was repeated"
    if outcome.seconds > CPU_SECONDS:
        return f"{outcome.seconds:.0f} s"
    if "Traceback" in said or "unexpected" in said or "out of memory" in said:
        return f"status {outcome.status}: {outcome.err[-300:]!r}"
    if "No such option" in said or "No such command" in said or "Missing" in said or "nothing given" in said:
        return f"nothing was tried: {outcome.err!r}"
    if outcome.status == 2:
        lines = outcome.errors
        return "" if len(lines) == 1 and len(lines[0]) < 1200 else f"no one line: {outcome.err[-600:]!r}"
    examined = outcome.status == 1 and "NOT clean" in outcome.out  # what `validate` says of a cube with errors
    if not (outcome.status == 0 and attack.harmless) and not examined:
        return f"status {outcome.status}: {said[-300:]!r}"
    return attack.look(folder) if attack.look is not None else ""


def attempt(arguments: Command, cwd: Path) -> Outcome:
    """Run the program in a fork of this process, with little memory of its own, and return how it ended."""
    begun = time.perf_counter()
    names = cwd / ".out", cwd / ".err"
    child = os.fork()
    if child == 0:
        _become(arguments, cwd, names)
    _, status, used = os.wait4(child, 0)
    out, err = (name.read_bytes().decode("utf-8", "replace") for name in names)
    for name in names:
        name.unlink()
    code = os.waitstatus_to_exitcode(status)
    seconds = min(time.perf_counter() - begun, used.ru_utime + used.ru_stime)
    return Outcome(code, out, err, seconds)


def _become(arguments: Command, cwd: Path, names: tuple[Path, Path]) -> None:
    """Be the program and end as it does."""
    status = 70
    try:
        os.chdir(cwd)
        for number, name in zip((1, 2), names, strict=True):
            os.dup2(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), number)
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding="utf-8", write_through=True)
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding="utf-8", write_through=True)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
        signal.alarm(WAIT_SECONDS)
        from aqreanalysis.cli import main

        main(arguments, prog_name="aqreanalysis")
        status = 0
    except SystemExit as leave:
        status = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except BaseException as error:
        print(f"Traceback: {error!r}", file=sys.stderr)
    finally:
        os._exit(status)
