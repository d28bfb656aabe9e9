"""A month of hourly COGs of north China at 0.1 degree, timed from outside: at most 60 s on two cores, 1 GB.

    python benchmarks/export.py --cube outputs/january.nc [--epsg 3857] [--short]

Takes a cube that `aqreanalysis produce` made (201 x 101 cells, 744 hours for the bar); records wall clock, processor
time and peak memory of `aqreanalysis export cog`, start of Python included.
"""

from __future__ import annotations

import argparse
import resource
import sys
from pathlib import Path

from producing import machine, record, run_watched, table

BAR_SECONDS, BAR_GB = 60.0, 1.0


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cube", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("outputs/benchmarks/export"))
    parser.add_argument("--epsg")
    parser.add_argument("--short", action="store_true", help="nothing is recorded")
    options = parser.parse_args()
    command = [sys.executable, "-m", "aqreanalysis.cli", "export", "cog", str(options.cube), "--overwrite"]
    command += ["--out", str(options.work / "cogs"), *(["--epsg", options.epsg] if options.epsg else [])]
    _, seconds, peak = run_watched(command)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    files = list((options.work / "cogs").glob("*.tif"))
    figures = {
        "files": len(files),
        "megabytes": sum(file.stat().st_size for file in files) / 1e6,
        "seconds": seconds,
        "processor_seconds": used.ru_utime + used.ru_stime,
        "peak_gb": peak / 1e9,
    }
    where = f" in EPSG:{options.epsg}" if options.epsg else ""
    lines = ["# COGs of a month", "", f"`benchmarks/export.py`, {len(files)} files{where}. {machine()}.", ""]
    rows = [
        ("wall, s", figures["seconds"], f"at most {BAR_SECONDS:g} on two cores"),
        ("processor, s", figures["processor_seconds"], ""),
        ("peak, GB", figures["peak_gb"], f"at most {BAR_GB:g}"),
        ("files, MB", figures["megabytes"], ""),
    ]
    record("export", [*lines, *table(("what", "measured", "bar"), rows)], figures, options.short)


if __name__ == "__main__":
    main()
