"""The fuzz tests for as long as one likes, each round from another seed: how many examples held, and what fell.

    python benchmarks/fuzz.py [--minutes 60] [--examples 200]

Hypothesis shrinks what falls and keeps it in ``.hypothesis``, from where the next run of the tests tries it first; put
it into the test as an ``@example`` to keep it for everybody. Nothing is guided by coverage: of the readers most is C.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "fuzz.md"
TESTS = ("test_fuzz_observations.py", "test_fuzz_covariates.py")
_COUNTS = re.compile(r"(\d+) passing examples, (\d+) failing examples, (\d+) invalid examples")
_NAMES = re.compile(r"^tests/(\S+?)::(\w+)(?:\[[^\n]*\])?:$", re.MULTILINE)


def one_round(examples: int, seed: int, most_seconds: float) -> tuple[dict[str, list[int]], list[str]]:
    """Return passing, failing and invalid examples by test, and the names of tests that fell."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--hypothesis-show-statistics"]
    command += [f"--hypothesis-seed={seed}", *(f"tests/{name}" for name in TESTS)]
    environment = {**os.environ, "FUZZ_EXAMPLES": str(examples), "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, cwd=HERE.parent, env=environment, capture_output=True, text=True, timeout=most_seconds
        )
    except subprocess.TimeoutExpired:
        return {}, []
    counts: dict[str, list[int]] = {}
    parts = _NAMES.split(done.stdout)
    for _, name, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=False):
        held = counts.setdefault(name, [0, 0, 0])
        for found in _COUNTS.findall(text):
            for i, number in enumerate(found):
                held[i] += int(number)
    return counts, re.findall(r"^FAILED (\S+)", done.stdout, re.MULTILINE)


def as_markdown(counts: dict[str, list[int]], fell: list[str], minutes: float, rounds: int) -> str:
    """Return the table."""
    together = sum(a + b for a, b, _ in counts.values())
    lines = [
        "# Fuzz: harmed files of stations and covariates",
        "",
        f"`make fuzz` (benchmarks/fuzz.py), {rounds} rounds in {minutes:.0f} minutes, each from another seed.",
        "",
        "| test | held | fell | not tried (drawn anew) |",
        "|---|---:|---:|---:|",
        *(
            f"| {name.removeprefix('test_').replace('_', ' ')} | {a} | {b} | {c} |"
            for name, (a, b, c) in counts.items()
        ),
        "",
        f"Together {together} examples; fell: {', '.join(sorted(set(fell))) or 'none'}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Go round, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--examples", type=int, default=200, help="of each test and kind of file, a round")
    parser.add_argument("--seed", type=int, help="of the first round; drawn without it")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    total: dict[str, list[int]] = {}
    fell: list[str] = []
    begun, rounds = time.monotonic(), 0
    while rounds == 0 or time.monotonic() - begun < 60 * given.minutes:
        left = 60 * given.minutes - (time.monotonic() - begun)
        counts, failed = one_round(given.examples, draw.randrange(2**31), max(left, 60.0) if rounds else 86_400.0)
        if not counts:
            break
        rounds += 1
        fell += failed
        for name, numbers in counts.items():
            total[name] = [a + b for a, b in zip(total.get(name, [0, 0, 0]), numbers, strict=True)]
        print(f"round {rounds}: {sum(a for a, _, _ in counts.values())} held; fell: {failed or 'none'}", flush=True)
    given.out.write_text(as_markdown(total, fell, (time.monotonic() - begun) / 60, rounds), encoding="utf-8")
    sys.exit(bool(fell))


if __name__ == "__main__":
    main()
