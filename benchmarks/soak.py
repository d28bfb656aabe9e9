"""Years of use in an hour: train, produce, kill, resume, append, repair, export, again and again; what grows is told.

    python benchmarks/soak.py [--minutes 60]

Each round does all of it in one process, as a service would, on a small network: a training, a cube that is stopped
half way by SIGTERM and gone on with, two days more, a chunk damaged and repaired, tables and files exported. After each
round memory, open files, threads, child processes and temporary space are noted. The first rounds fill caches; through
the others a straight line is fitted.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "soak.md"
#: Rounds that fill caches.
FIRST = 5
MEASURES = ("memory, MB", "open files", "threads", "child processes", "temporary files", "temporary MB")


def one_round(work: Path, observations: Path) -> None:
    """Do once all that an agency does."""
    from kill_case import BLOCKS, GRID, SMALL, SPAN

    cube, model = work / "x.zarr", work / "model"
    command(["train", "--observations", str(observations), "--out", str(model), "--device", "cpu", *SMALL])
    run = ["produce", "--model", str(model), "--observations", str(observations), "--grid", GRID, *BLOCKS]
    first = [*run, "--start", SPAN[0], "--end", "2019-01-05", "--out", str(cube)]
    stop_half_way(first)
    command(first)
    command([*run, "--end", SPAN[1], "--out", str(cube), "--append"])
    chunk = next(file for file in sorted((cube / "pm2p5").iterdir()) if not file.name.startswith("."))
    damage(chunk)
    command([*run, "--end", SPAN[1], "--out", str(cube), "--repair"])
    (work / "places.csv").write_text("place,lat,lon\na,39.5,117\n", encoding="utf-8")
    command(["export", "points", str(cube), "--places", str(work / "places.csv"), "--out", str(work / "t.csv")])
    command(["export", "netcdf", str(cube), "--out", str(work / "files")])
    command(["validate", str(cube), "--no-checker"])


def command(arguments: list[str], expected: int = 0) -> None:
    """Run a command in this process.

    Raises
    ------
    SystemExit
        If it does not end as expected.
    """
    from click.testing import CliRunner

    from aqreanalysis.cli import main

    done = CliRunner().invoke(main, arguments)
    if done.exit_code != expected:
        raise SystemExit(f"{' '.join(arguments)} ended with {done.exit_code}: {done.output[-500:]}")


def stop_half_way(arguments: list[str]) -> None:
    """Run a command and send it SIGTERM after some blocks, as a batch system does."""
    from aqreanalysis.production.resume import ledger

    note, noted = ledger.Ledger.record, []

    def record(self: ledger.Ledger, *given: object) -> None:
        note(self, *given)  # type: ignore[arg-type]
        noted.append(1)
        if len(noted) == 8:
            os.kill(os.getpid(), signal.SIGTERM)

    ledger.Ledger.record = record  # type: ignore[method-assign,assignment]
    try:
        command(arguments, 143)
    finally:
        ledger.Ledger.record = note  # type: ignore[method-assign]


def damage(path: Path) -> None:
    """Turn a bit of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def measure(temporary: Path) -> list[float]:
    """Return the figures of `MEASURES` now."""
    gc.collect()
    me = psutil.Process()
    files = [file for file in temporary.rglob("*") if file.is_file()]
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    children = len(me.children(recursive=True))
    return [me.memory_info().rss / 1e6, me.num_fds(), me.num_threads(), children, len(files), megabytes]


def as_markdown(figures: list[list[float]], minutes: float) -> str:
    """Return the table."""
    table = np.array(figures)
    later = table[min(FIRST, len(table) - 1) :]
    slopes = np.polyfit(np.arange(len(later)), later, 1)[0] if len(later) > 1 else np.full(table.shape[1], np.nan)
    lines = [
        "# Soak: what grows when everything is done again and again",
        "",
        f"`make soak` (benchmarks/soak.py), {len(table)} rounds in {minutes:.0f} minutes in one process: train, "
        f"produce and stop, resume, append, damage, repair, export, validate. Growth from round {FIRST} on.",
        "",
        f"| | after round 1 | after round {FIRST} | at the end | growth a round |",
        "|---|---:|---:|---:|---:|",
    ]
    middle = table[min(FIRST, len(table)) - 1]
    for i, name in enumerate(MEASURES):
        lines.append(f"| {name} | {table[0, i]:.5g} | {middle[i]:.5g} | {table[-1, i]:.5g} | {slopes[i]:.3f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Go round, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS="1")
    sys.path.insert(0, str(HERE.parent / "tests" / "helpers"))
    from production_case import make_frame

    figures: list[list[float]] = []
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        work, temporary = Path(folder) / "work", Path(folder) / "tmp"
        temporary.mkdir()
        tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)
        observations = Path(folder) / "obs.parquet"
        make_frame().to_parquet(observations)
        while not figures or time.monotonic() - begun < 60 * given.minutes:
            work.mkdir()
            one_round(work, observations)
            left = [path.name for path in work.iterdir() if path.name.endswith(".part") or path.name.startswith(".")]
            if left:
                raise SystemExit(f"round {len(figures) + 1} left {left}")
            shutil.rmtree(work)
            figures.append(measure(temporary))
            row = ", ".join(f"{name} {value:.5g}" for name, value in zip(MEASURES, figures[-1], strict=True))
            print(f"round {len(figures)}: {row}", flush=True)
    given.out.write_text(as_markdown(figures, (time.monotonic() - begun) / 60), encoding="utf-8")


if __name__ == "__main__":
    main()
