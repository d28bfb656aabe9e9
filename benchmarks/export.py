"""A month of hourly COGs of north China at 0.1 degree, timed from outside: at most 60 s on two cores, 1 GB.

    python benchmarks/export.py --cube outputs/january.zarr --work outputs/export [--epsg 3857]

Takes a cube that `aqreanalysis produce` made (201 x 101 cells, 744 hours for the bar); prints wall clock, processor
time and peak memory of `aqreanalysis export cog`, start of Python included.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

BAR_SECONDS, BAR_GB = 60.0, 1.0


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cube", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("outputs/export"))
    parser.add_argument("--epsg")
    options = parser.parse_args()
    command = [sys.executable, "-m", "aqreanalysis.cli", "export", "cog", str(options.cube), "--overwrite"]
    command += ["--out", str(options.work / "cogs"), *(["--epsg", options.epsg] if options.epsg else [])]
    began = time.perf_counter()
    done = subprocess.run(command, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(done.returncode)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    files = list((options.work / "cogs").glob("*.tif"))
    size = sum(file.stat().st_size for file in files)
    print(
        f"{len(files)} COGs, {size / 1e6:.0f} MB: {seconds:.1f} s wall (bar {BAR_SECONDS:g}), "
        f"{used.ru_utime + used.ru_stime:.1f} s of processor, peak {used.ru_maxrss / 1e6:.2f} GB (bar {BAR_GB:g}), "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
