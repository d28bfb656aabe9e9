"""Clocks put wrong by 1 to 12 hours, told by the check of readings: ``python benchmarks/clock.py --seeds 100``.

Of each seed's nature run (spring, ozone and NO2 of its stations) the stamps are moved by 1 to 12 hours to either side
and the whole record is judged as `observations check` does: refused with the offset that the sun suggests, warned of,
or not told. A seed is found where all its shifts are told. Right clocks are judged too. The rows of the seeds, each as
it is done, replace those in ``results/clock.md``.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np

from aqreanalysis import nature_run
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import Observations
from aqreanalysis.observations.clock_check import MeanDays, judge_clock
from aqreanalysis.observations.report import QualityReport

RESULTS = Path(__file__).parent / "results" / "clock.md"
SHIFTS = [shift for hours in range(1, 13) for shift in ((hours, -hours) if hours < 12 else (hours,))]
COLUMNS = "| seed | right clock | shifts | refused | of these with the offset within 1 h | warned of | not told |"


def judged(observations: Observations, shift: int) -> tuple[str, float]:
    """Return what is made of a record whose stamps stand `shift` hours late, and the offset that is suggested."""
    values = {key: observations.values(key) for key in observations.species}
    days, report = MeanDays(len(observations.stations)), QualityReport()
    days.add(values, observations.hours + shift)
    try:
        judge_clock(days, observations.lat, observations.lon, report)
    except ObservationsError as error:
        suggested = re.search(r"about UTC([+-]\d+)", str(error))
        return "refused", float(suggested[1]) if suggested else np.nan
    return ("warned" if report.warnings else "silent"), np.nan


def row_of(seed: int, days: int, stations: int) -> str:
    """Return the row of a seed."""
    observations = nature_run(seed=seed, days=days, stations=stations, species=["o3", "no2"]).observations
    right, _ = judged(observations, 0)
    told = {shift: judged(observations, shift) for shift in SHIFTS}
    counts = {what: sum(verdict == what for verdict, _ in told.values()) for what in ("refused", "warned", "silent")}
    near = sum(
        verdict == "refused" and min((offset - shift) % 24, (shift - offset) % 24) <= 1
        for shift, (verdict, offset) in told.items()
    )
    return (
        f"| {seed} | {right} | {len(told)} | {counts['refused']} | {near} | {counts['warned']} | {counts['silent']} |"
    )


def write_results(days: int, stations: int, rows: dict[int, str]) -> str:
    """Write the rows of all seeds that are there, and return the sentence that sums them up."""
    before = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []
    known = {int(line.split("|")[1]): line for line in before if re.match(r"\| \d", line)} | rows
    cells = [line.split("|")[1:-1] for _, line in sorted(known.items())]
    found = sum(int(each[6]) == 0 for each in cells)
    shifts, silent = (sum(int(each[at]) for each in cells) for at in (2, 6))
    blamed = [each[0].strip() for each in cells if each[1].strip() != "silent"]
    said = (
        f"{found} of {len(cells)} seeds with every shift told; {shifts - silent} of {shifts} shifts told; right clocks "
        f"warned of or refused: {len(blamed)}{' (seeds ' + ', '.join(blamed) + ')' if blamed else ''}."
    )
    head = [
        "# Wrong clocks",
        "",
        f"`python benchmarks/clock.py`: {days} days of spring, {stations} stations.",
        "",
        said,
    ]
    table = [COLUMNS, "|---" * 7 + "|", *(line for _, line in sorted(known.items()))]
    RESULTS.write_text("\n".join([*head, "", *table]) + "\n", encoding="utf-8")
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--stations", type=int, default=16)
    arguments = parser.parse_args()
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        row = row_of(seed, arguments.days, arguments.stations)
        said = write_results(arguments.days, arguments.stations, {seed: row})
        print(row, flush=True)
    print(said)


if __name__ == "__main__":
    main()
