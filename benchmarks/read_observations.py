"""Time and memory of reading station files into `Observations`: ``python benchmarks/read_observations.py FILE...``.

Or of made-up files in the form of networks, ``--formats all`` or some of them, with ``--rows`` rows each (ten million
are the bar: 60 s and 1.5 GB); their rows replace those in ``results/read_observations_formats.md``. Each is read in
fresh processes, so that the import, the readings and the peak memory of each are its own. Prints one row a file:
medians of the seconds of the call and of the processor, and the largest peak of memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from made_station_files import SHAPES, make

RESULTS = Path(__file__).parent / "results" / "read_observations_formats.md"
HEAD = """# Reading station files of each format

`python benchmarks/read_observations.py --formats all`: made-up files in the form of each network
(made_station_files.py), 500 stations, fresh processes, quality control included. A row of several readings counts
once; where stations or hours are columns, ten million readings stand for ten million rows. The bar is 60 s and 1.5 GB.
On a machine shared by a dozen the seconds of the processor say how long it takes, those of the wall clock do not; each
of 500 files costs a hundredth of a second beside its rows.

"""
COLUMNS = "| format | files | rows | readings | read (s) | processor (s) | peak (GiB) |"

CHILD = """
import json, resource, sys, time
from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.observations import ReadOptions, read_observations
paths, lists = json.loads(sys.argv[1])
begin, cpu = time.perf_counter(), time.process_time()
observations = read_observations(paths, ColumnsConfig(check_clock=not lists), ReadOptions(stations=lists))
print(json.dumps({
    "seconds": time.perf_counter() - begin,
    "cpu": time.process_time() - cpu,
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
    "rows": observations.report.rows, "stations": len(observations.stations), "hours": len(observations.times),
}))
"""


def measure(paths: list[Path], lists: list[Path], runs: int) -> dict[str, float]:
    """Return medians of ``seconds`` and ``cpu`` (s), the largest ``peak`` (GiB), and what the file holds."""
    results = []
    for _ in range(runs):
        what = json.dumps([[str(path) for path in paths], [str(path) for path in lists]])
        done = subprocess.run([sys.executable, "-c", CHILD, what], capture_output=True, text=True, check=True)
        results.append(json.loads(done.stdout))
    middle = {key: statistics.median(r[key] for r in results) for key in ("seconds", "cpu")}
    return {**results[0], **middle, "peak": max(r["peak"] for r in results)}


def measure_format(form: str, rows: int, runs: int) -> str:
    """Return a row of the table of formats."""
    with tempfile.TemporaryDirectory() as folder:
        files, places = make(form, Path(folder), rows)
        r = measure(files, [places] if places else [], runs)
    count = int(r["rows"])
    return (
        f"| `{form}` | {len(files)} | {count:,} | {count * SHAPES[form].readings:,} | {r['seconds']:.1f} "
        f"| {r['cpu']:.1f} | {r['peak']:.2f} |"
    )


def write_results(lines: dict[str, str]) -> None:
    """Put rows into the results file in place of those of the same formats."""
    before = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    known = {line.split("`")[1]: line for line in before if line.startswith("| `")}
    table = [COLUMNS, "|---" * 7 + "|", *(line for _, line in sorted((known | lines).items()))]
    RESULTS.write_text(HEAD + "\n".join(table) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--formats", nargs="+", default=[], choices=["all", *SHAPES])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    for form in SHAPES if "all" in arguments.formats else arguments.formats:
        line = measure_format(form, arguments.rows, arguments.runs)
        write_results({form: line})
        print(line, flush=True)
    if not arguments.files:
        return
    print("| file | rows | stations | hours | read (s) | processor (s) | peak (GiB) |")
    print("|---|---|---|---|---|---|---|")
    for path in arguments.files:
        r = measure([path], [], arguments.runs)
        print(
            f"| {path.name} | {r['rows']:,} | {r['stations']} | {r['hours']:,} | {r['seconds']:.2f} | {r['cpu']:.2f} "
            f"| {r['peak']:.2f} |"
        )


if __name__ == "__main__":
    main()
