"""Peak memory of reading, training on and producing from a long record beside a short one: it should be flat.

    python benchmarks/long_record.py [--stations 2000] [--years 1 3] [--step check train ...]

A network is made up, PM2.5 of so many stations and years, and written as one Parquet table, a month at a time. Then
each command of `STEPS` runs in a process of its own, and the most memory that it ever had is read from the system every
20 ms: all of it, and its own without mapped files (those are pages of a file on disk, which the system takes back when
anything else needs the room). Training is of two steps and makes nothing of worth. Writes results/long_record.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from producing import RESULTS, machine, record, table

FIRST = 2010
READ = "## Read\n\n"
SMALL = (
    *("training.epochs=1", "training.steps_per_epoch=2", "training.members=1"),
    *("model.neighbours=6", "model.kernels=2", "model.state_width=8", "model.channels=2", "model.head_width=8"),
    *("model.attention_heads=1", "training.masks_per_batch=1"),
)
GRID = "10,45,11,46@0.25"
STEPS = ("import", "check", "check the table", "train", "plan of all years", "produce a week")


def make_table(path: Path, stations: int, years: int) -> None:
    """Write the network's table, a month a row group; nothing if it is there."""
    if path.exists():
        return
    rng = np.random.default_rng(0)
    ids = pa.array([f"made-up-{i:04d}" for i in range(stations)])
    lat, lon = rng.uniform(36, 60, stations), rng.uniform(-5, 30, stations)
    level, writer = rng.uniform(5, 40, stations), None
    for month in pd.period_range(f"{FIRST}-01", f"{FIRST + years - 1}-12", freq="M"):
        times = pd.date_range(month.start_time + pd.Timedelta(hours=1), (month + 1).start_time, freq="h")
        day = 1 + 0.4 * np.sin(2 * np.pi * (times.hour.to_numpy()[:, None] + lon / 15) / 24)
        values = np.round(level * day * rng.gamma(4, 0.25, (len(times), stations)), 1).astype(np.float32)
        values[rng.random(values.shape) < 0.1] = np.nan
        code = pa.array(np.tile(np.arange(stations, dtype=np.int32), len(times)))
        rows = pa.table(
            {
                "station_id": pa.DictionaryArray.from_arrays(code, ids),
                "time": pa.array(np.repeat(times.to_numpy(), stations)),
                "lat": np.tile(lat, len(times)),
                "lon": np.tile(lon, len(times)),
                "pm25": pa.array(values.ravel(), from_pandas=True),
            }
        )
        writer = writer or pq.ParquetWriter(path, rows.schema)
        writer.write_table(rows)
    assert writer is not None
    writer.close()


def watched(command: list[str]) -> tuple[float, float, float, float]:
    """Return processor seconds, seconds, and the peaks of all memory and of the process's own, in bytes."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "aqreanalysis.cli", *command], stdout=subprocess.DEVNULL)
    peaks, used, done = [0, 0], [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            try:
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
                ticks = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            lines_by_name = {
                line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "RssAnon"))
            }
            for i, name in enumerate(("VmRSS", "RssAnon")):
                peaks[i] = max(peaks[i], 1024 * int(lines_by_name.get(name, 0)))
            used[0] = (int(ticks[11]) + int(ticks[12])) / 100

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    done.set()
    watcher.join()
    if code:
        raise SystemExit(f"{' '.join(command)}: exit status {code}")
    return used[0], time.perf_counter() - began, peaks[0], peaks[1]


def commands(work: Path, years: int) -> dict[str, list[str]]:
    """Return the command of each step."""
    observations, model = str(work / f"{years}.nc"), work / f"model_{years}"
    # To produce any model will do.
    trained = next((path for path in (model, *sorted(work.glob("model_?"))) if path.is_dir()), model)
    sets = [word for setting in SMALL for word in ("--set", setting)]
    end = FIRST + years
    produce = ["produce", "--model", str(trained), "--observations", observations, "--grid", GRID, "--device", "cpu"]
    produce += ["--out", str(work / f"cube_{years}.nc"), "--overwrite"]
    return {
        "import": ["observations", "import", str(work / f"{years}.parquet"), "--out", observations, "--overwrite"],
        "check": ["observations", "check", observations],
        "check the table": ["observations", "check", str(work / f"{years}.parquet")],
        "train": [
            "train",
            "--observations",
            observations,
            "--out",
            str(model),
            "--device",
            "cpu",
            "--overwrite",
            *sets,
        ],
        "plan of all years": [*produce, "--start", f"{FIRST}-01-10", "--end", f"{end - 1}-12-20", "--dry-run"],
        "produce a week": [*produce, "--start", f"{end - 1}-06-01", "--end", f"{end - 1}-06-08"],
    }


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stations", type=int, default=2000)
    parser.add_argument("--years", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--step", choices=STEPS, nargs="+", default=list(STEPS))
    parser.add_argument("--work", type=Path, default=Path("outputs/benchmarks/long_record"))
    parser.add_argument("--short", action="store_true", help="200 stations, to see that it runs; nothing is recorded")
    asked = parser.parse_args()
    stations = 200 if asked.short else asked.stations
    work = asked.work / str(stations)
    work.mkdir(parents=True, exist_ok=True)
    file = RESULTS / "long_record.json"
    # Runs of other years and steps stay: all of them together take long.
    figures = json.loads(file.read_text(encoding="utf-8")) if file.exists() and not asked.short else {}
    for years in asked.years:
        make_table(work / f"{years}.parquet", stations, years)
        shutil.rmtree(work / f"cube_{years}.nc.part", ignore_errors=True)
        for step, command in commands(work, years).items():
            if step in asked.step:
                used, seconds, all_of_it, own = watched(command)
                figures[f"{step}, {years}"] = {"processor": used, "peak_bytes": all_of_it, "own_bytes": own}
                print(step, years, f"{used:.0f} {all_of_it / 1e9:.2f} {own / 1e9:.2f} {seconds:.0f} s", flush=True)
    rows = []
    for name, lines_by_name in figures.items():
        step, years = name.split(", ")
        cells = (
            f"{lines_by_name['processor']:.0f}",
            f"{lines_by_name['peak_bytes'] / 1e9:.2f}",
            f"{lines_by_name['own_bytes'] / 1e9:.2f}",
        )
        rows.append((step, int(years), *cells))
    rows.sort(key=lambda row: (STEPS.index(row[0]), row[1]))
    lines = [
        "# Memory of long records",
        "",
        f"`benchmarks/long_record.py`, last called with `{' '.join(sys.argv[1:])}`: PM2.5 of {stations} made-up "
        f"stations, {8760 * stations / 1e6:.1f} million readings a year, less a tenth. Up to 30 million are read at "
        f"once, more stay in their file. {machine()}.",
        "",
        *table(("step", "years", "processor (s)", "peak (GB)", "own, without mapped files (GB)"), rows),
    ]
    # What was read out of the table stands behind it, by hand.
    before = RESULTS / "long_record.md"
    text = before.read_text(encoding="utf-8") if before.exists() and not asked.short else ""
    lines += ["", READ + text.partition(READ)[2].strip()] if READ in text else []
    record("long_record", lines, figures, asked.short)


if __name__ == "__main__":
    main()
