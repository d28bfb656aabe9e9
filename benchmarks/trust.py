"""Kills, flipped bits, faults and attacks, each tried on the commands of the program: what was tried, and what held.

    python benchmarks/trust.py [--kills 50] [--flips 40] [--only KIND] [--match TEXT] [--seed 0]

Kills: a command is ended by SIGKILL at a moment drawn from its work, looked at, and given again. Flips: a bit of what
an unfinished run left, of a finished cube or of a bundle is turned, and must be found or change nothing. Faults: a
limit of the size of files, a folder that cannot be written in, an address space that is too small. Attacks: files as
strangers may send them. The cases are those of the tests (tests/helpers); a line of the table is a command.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "trust.md"
KINDS = ("kills", "flips", "faults", "attacks")
# What a fork must not import first: a moment is to be drawn from its work.
_WARM = (
    *("aqreanalysis.cli", "aqreanalysis.production.run", "aqreanalysis.production.execute.threads"),
    *("aqreanalysis.export.points", "aqreanalysis.training.train", "aqreanalysis.evaluation.run"),
    *("aqreanalysis.validation", "aqreanalysis.pictures", "netCDF4", "h5py", "zarr", "rioxarray"),
)


@dataclass
class Row:
    """What was tried of one kind on one command."""

    kind: str
    command: str
    tried: int = 0
    fell: list[str] = field(default_factory=list)

    def add(self, fault: str) -> None:
        """Count one attempt; `fault` says what was wrong, or nothing."""
        self.tried += 1
        if fault:
            self.fell.append(fault)
            print(f"  {self.command}: {fault}", flush=True)


def kills(work: Path, count: int, seed: int, match: str) -> Iterator[Row]:
    """Yield a row a command that was killed `count` times."""
    from kill_case import JOBS, kill_once, make_whole

    draw = random.Random(seed)
    for number, job in enumerate(job for job in JOBS if match in job.name):
        row, folder = Row("kills", job.name), work / f"kills-{number}"
        try:
            whole = make_whole(job, make_assets(work), folder)
        except AssertionError as error:
            row.add(f"does not run: {str(error)[-200:]}")
        else:
            for _ in range(count):
                row.add(kill_once(job, make_assets(work), whole, draw))
        shutil.rmtree(folder, ignore_errors=True)
        yield row


def flips(work: Path, count: int, seed: int, match: str) -> Iterator[Row]:
    """Yield a row a kind of thing of which `count` bits were turned, one at a time."""
    from flip_case import TARGETS, flip_once

    draw = random.Random(seed)
    for target in (one for one in TARGETS if match in one.name):
        row = Row("flips", target.name)
        for _ in range(count):
            row.add(flip_once(target, make_assets(work), work / "flips", draw))
        yield row


def faults(work: Path, count: int, seed: int, match: str) -> Iterator[Row]:
    """Yield a row a command that met a full disk, a folder that is read-only, and too little memory."""
    del count, seed
    from fault_case import FAULTS, meet
    from kill_case import JOBS

    for number, job in enumerate(job for job in JOBS if match in job.name):
        row = Row("faults", job.name)
        for name in FAULTS:
            row.add(meet(job, make_assets(work), work / f"faults-{number}-{name}", name))
        yield row


def attacks(work: Path, count: int, seed: int, match: str) -> Iterator[Row]:
    """Yield a row a kind of attack."""
    del count, seed
    from attack_case import attempt, judge
    from attack_kit import all_attacks

    rows: dict[str, Row] = {}
    for one in (one for one in all_attacks() if match in one.kind):
        row = rows.setdefault(one.kind, Row("attacks", one.kind))
        folder = work / "attack"
        folder.mkdir()
        try:
            fault = judge(one, attempt(one.prepare(make_assets(work), folder), folder), folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        row.add(f"{one.name}: {fault}" if fault else "")
    yield from rows.values()


def make_assets(work: Path):  # type: ignore[no-untyped-def]
    """Return the small case that everything is tried on, made when it is first asked for."""
    from attack_case import Assets
    from production_case import END, GRID, START, TILES, make_bundle, make_frame

    from aqreanalysis.production import ProduceOptions, produce

    folder = work / "assets"
    names = {"x.nc": {}, "x2.zarr": {}, "x3.zarr": {"zarr_format": 3}}
    if not folder.exists():
        folder.mkdir()
        make_bundle(folder / "model")
        make_frame().to_parquet(folder / "obs.parquet")
        make_frame().to_csv(folder / "obs.csv", index=False)
        for name, more in names.items():
            options = ProduceOptions(production=TILES, **more)
            produce(folder / "model", folder / "obs.parquet", GRID, START, END, folder / name, options).close()
    return Assets(*(folder / name for name in ("model", "obs.parquet", "obs.csv", *names)))


def as_markdown(rows: list[Row]) -> str:
    """Return the table, and what fell below it."""
    from aqreanalysis import __version__

    lines = [
        "# Trust: what was tried, and what held",
        "",
        f"`make trust` (benchmarks/trust.py), aqreanalysis {__version__}, Python {sys.version.split()[0]}. "
        "What was killed is also given again, to its end, and compared byte by byte with a run that nobody killed.",
        "",
        "| kind | command | tried | held |",
        "|---|---|---:|---:|",
        *(f"| {row.kind} | {row.command} | {row.tried} | {row.tried - len(row.fell)} |" for row in rows),
    ]
    fell = [f"- {row.kind}, {row.command}: {' '.join(fault.split())[:300]}" for row in rows for fault in row.fell]
    total = sum(row.tried for row in rows)
    lines += ["", f"Together {total} tried, {total - len(fell)} held.", *(["", "What fell:", *fell] if fell else [])]
    return "\n".join(lines) + "\n"


def write(rows: list[Row], out: Path) -> None:
    """Write the table, and the rows beside it as JSON."""
    rows = sorted(rows, key=lambda row: KINDS.index(row.kind))
    out.write_text(as_markdown(rows), encoding="utf-8")
    out.with_suffix(".json").write_text(json.dumps([vars(row) for row in rows], indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Try, print, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="of each command")
    parser.add_argument("--flips", type=int, default=40, help="of each thing that is kept")
    parser.add_argument("--only", choices=KINDS, action="append", help="repeatable")
    parser.add_argument("--match", default="", help="rows whose command holds this text; the others stay")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS, help="a .json of the rows is written beside it")
    given = parser.parse_args()
    os.environ.update(SOURCE_DATE_EPOCH="1700000000", OMP_NUM_THREADS="1")
    sys.path.insert(0, str(HERE.parent / "tests" / "helpers"))
    import importlib

    for name in _WARM:  # a fork then begins at once
        importlib.import_module(name)
    kept = given.out.with_suffix(".json")
    part = bool(given.only or given.match)  # then the other rows stay as they are
    rows = [Row(**one) for one in json.loads(kept.read_text())] if part and kept.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        for kind in given.only or KINDS:
            count = {"kills": given.kills, "flips": given.flips}.get(kind, 1)
            for row in globals()[kind](Path(folder), count, given.seed, given.match):
                rows = [one for one in rows if (one.kind, one.command) != (row.kind, row.command)] + [row]
                write(rows, given.out)
                print(f"{row.kind:8} {row.command:28} {row.tried - len(row.fell)} of {row.tried}", flush=True)
    sys.exit(any(row.fell for row in rows))


if __name__ == "__main__":
    main()
