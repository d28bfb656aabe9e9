"""Which lines and branches of the package the tests come to, room by room; ``make coverage`` runs the tests before.

    python benchmarks/covered.py [--missed 0.8]

Reads what coverage.py kept in build/coverage. Ended by 1 where less than `fail_under` of pyproject.toml is come to.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results" / "coverage.md"
# A file of so few statements holds nothing that a test could come to: what a package says of itself.
_NOTHING = 2


@dataclass
class Covered:
    """What there is of some files, and what the tests came to."""

    statements: int = 0
    statements_met: int = 0
    branches: int = 0
    branches_met: int = 0

    @property
    def percent(self) -> float:
        """Of lines and branches together, as coverage.py counts."""
        return 100 * (self.statements_met + self.branches_met) / max(self.statements + self.branches, 1)

    def add(self, summary: dict[str, int]) -> None:
        """Count a file by what coverage.py says of it."""
        self.statements += summary["num_statements"]
        self.statements_met += summary["covered_lines"]
        self.branches += summary["num_branches"]
        self.branches_met += summary["covered_branches"]

    def row(self, name: str) -> str:
        """Return a line of the table."""
        return f"| {name} | {self.statements} | {self.branches} | {self.percent:.1f} |"


def measured() -> dict[str, dict[str, int]]:
    """Return file -> summary, from the data that the tests left."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "coverage.json"
        # Of a package that a test installed into a folder of its own, and took away, the lines are no more to be had.
        command = [sys.executable, "-m", "coverage", "json", "-q", "--ignore-errors", "--fail-under=0", "-o", str(out)]
        subprocess.run(command, check=True)
        files = json.loads(out.read_text(encoding="utf-8"))["files"]
    return {name: content["summary"] for name, content in files.items()}


def room_of(file: str) -> str:
    """Return the folder that a file belongs to: aqreanalysis/production, cli."""
    parts = Path(file).parts
    return "/".join(parts[: 2 if parts[0] == "aqreanalysis" and len(parts) > 2 else 1])


def as_markdown(files: dict[str, dict[str, int]], worst: float, state: str) -> tuple[str, Covered]:
    """Return the table, and all of it together; files of which less than `worst` is come to are named below."""
    rooms: dict[str, Covered] = defaultdict(Covered)
    whole = Covered()
    for name, summary in files.items():
        rooms[room_of(name)].add(summary)
        whole.add(summary)
    lines = [
        "# Coverage: lines and branches that the tests come to",
        "",
        f"`make coverage` (the tests that CI runs, then benchmarks/covered.py), {state}. Processes that tests start "
        "are measured too. Not counted are the bodies that numba compiles, where no tracer sees a line: each is held "
        "against its plain form by a test.",
        "",
        "| room | statements | branches | covered, % |",
        "|---|---:|---:|---:|",
        *(rooms[name].row(name) for name in sorted(rooms)),
        whole.row("all"),
    ]
    low = {}
    for name, summary in files.items():
        one = Covered()
        one.add(summary)
        if one.percent < 100 * worst and one.statements > _NOTHING:
            low[name] = one.percent
    if low:
        told = ", ".join(f"{name} {low[name]:.0f} %" for name in sorted(low, key=lambda name: low[name]))
        lines += ["", f"Less than {100 * worst:.0f} % of: {told}."]
    return "\n".join(lines) + "\n", whole


def main() -> None:
    """Count, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--missed", type=float, default=0.8, help="name files of which a smaller part is come to")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    said = ["git", "-C", str(ROOT), "log", "-1", "--format=commit %h of %cs"]
    state = subprocess.run(said, capture_output=True, text=True, check=True).stdout.strip()
    text, whole = as_markdown(measured(), given.missed, state)
    given.out.write_text(text, encoding="utf-8")
    least = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["coverage"]["report"]
    print(f"{whole.percent:.1f} % of lines and branches; at least {least['fail_under']} are asked for")
    sys.exit(whole.percent < least["fail_under"])


if __name__ == "__main__":
    main()
