"""Time and memory of reading a station file into `Observations`: ``python benchmarks/read_observations.py FILE...``.

Each file is read in fresh processes, so that the import, the readings and the peak memory of each are its own. Prints
one row a file: medians of the seconds of the call and of the processor, and the largest peak of memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

CHILD = """
import json, resource, sys, time
from aqreanalysis.observations import read_observations
begin, cpu = time.perf_counter(), time.process_time()
observations = read_observations(sys.argv[1])
print(json.dumps({
    "seconds": time.perf_counter() - begin,
    "cpu": time.process_time() - cpu,
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
    "rows": observations.report.rows, "stations": len(observations.stations), "hours": len(observations.times),
}))
"""


def measure(path: Path, runs: int) -> dict[str, float]:
    """Return medians of ``seconds`` and ``cpu`` (s), the largest ``peak`` (GiB), and what the file holds."""
    results = []
    for _ in range(runs):
        done = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True)
        results.append(json.loads(done.stdout))
    middle = {key: statistics.median(r[key] for r in results) for key in ("seconds", "cpu")}
    return {**results[0], **middle, "peak": max(r["peak"] for r in results)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    print("| file | rows | stations | hours | read (s) | processor (s) | peak (GiB) |")
    print("|---|---|---|---|---|---|---|")
    for path in arguments.files:
        r = measure(path, arguments.runs)
        print(
            f"| {path.name} | {r['rows']:,} | {r['stations']} | {r['hours']:,} | {r['seconds']:.2f} | {r['cpu']:.2f} "
            f"| {r['peak']:.2f} |"
        )


if __name__ == "__main__":
    main()
