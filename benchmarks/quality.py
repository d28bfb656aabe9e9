"""What each test of quality control flags, and what that does to skill: ``python benchmarks/quality.py [--data F]``.

Inverse-distance weighting (power 2, 16 nearest) estimates every station from the others, hour by hour, once with the
readings that a test has flagged among the neighbours and once without them. It is scored at the same readings both
times: at those that no test flags (what quality control is for), and at all. Of a nature run, whose faults are known,
it counts what the tests find. Writes benchmarks/results/quality.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import BallTree

from aqreanalysis.common.geodesy import EARTH_RADIUS_KM
from aqreanalysis.configs import DEFAULT_TESTS, QualityConfig
from aqreanalysis.nature import nature_run
from aqreanalysis.observations import Observations, ReadOptions, read_observations
from aqreanalysis.observations.flags import Flag
from aqreanalysis.observations.quality import flag_readings
from aqreanalysis.observations.quality_tests import TESTS

RESULTS = Path(__file__).parent / "results" / "quality.md"
FOLDER = Path("../shared/data")
FILES = ("china_north_2019.parquet", "beijing35_2013_2018.parquet", "beijing_uci12_2013_2017.parquet")
READ = "## Read\n\n"
NEAREST, POWER = 16, 2.0
TOGETHER = "all default tests"


def weights(observations: Observations) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the nearest other stations of each and their inverse-distance weights, (station, NEAREST)."""
    places = np.radians(np.stack([observations.lat, observations.lon], axis=1))
    distance, index = BallTree(places, metric="haversine").query(places, k=min(NEAREST + 1, len(places)))
    return index[:, 1:], (1.0 / np.maximum(distance[:, 1:] * EARTH_RADIUS_KM, 0.1) ** POWER).astype(np.float32)


def estimate(values: NDArray[np.float32], index: NDArray[np.intp], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the estimate of each station from the others, (time, station)."""
    total = np.zeros(values.shape, np.float32)
    mass = np.zeros(values.shape, np.float32)
    for j in range(index.shape[1]):
        near = values[:, index[:, j]]
        there = np.isfinite(near)
        total += np.where(there, near, 0) * weight[:, j]
        mass += there * weight[:, j]
    return np.where(mass > 0, total / np.maximum(mass, 1e-12), np.nan)


def rows_of(path: Path, keys: list[str]) -> list[str]:
    """Return a row of the table for each pollutant and test: its flags, and the error with and without it."""
    observations = read_observations(path, None, ReadOptions(quality=QualityConfig(tests=())))
    values = {key: np.asarray(observations.dataset[key].values) for key in keys}
    flags = {}
    for flag, _ in TESTS:
        name = flag.name.lower()
        flagged = flag_readings(values, observations.lat, observations.lon, QualityConfig(tests=(name,)))  # type: ignore[arg-type]
        flags[name] = {key: flagged[key] == flag for key in keys}
    index, weight = weights(observations)
    out = []
    for key in keys:
        any_default = np.any([flagged[key] for name, flagged in flags.items() if name in DEFAULT_TESTS], axis=0)
        before = np.abs(estimate(values[key], index, weight) - values[key])
        for name, flagged in [*flags.items(), (TOGETHER, {key: any_default})]:
            if flagged[key].any():
                cells = compare(values[key], before, flagged[key], any_default, (index, weight))
                use = "yes" if name in (*DEFAULT_TESTS, TOGETHER) else "no"
                out.append(f"| {key} | {name} | {use} | {' | '.join(cells)} |")
    return out


def compare(
    raw: NDArray[np.float32],
    before: NDArray[np.float32],
    flagged: NDArray[np.bool_],
    any_default: NDArray[np.bool_],
    network: tuple[NDArray[np.intp], NDArray[np.float32]],
) -> list[str]:
    """Return the cells of one row: how many are flagged, and the error of all readings with them and without them."""
    hours = np.flatnonzero(flagged.any(axis=1))  # in other hours nothing changes
    after = before.copy()
    cleaned = np.where(flagged[hours], np.float32(np.nan), raw[hours])
    after[hours] = np.abs(estimate(cleaned, *network) - raw[hours])
    both = np.isfinite(before) & np.isfinite(after)
    good = both & ~any_default & ~flagged
    cells = [f"{int(flagged.sum()):,}", f"{1e6 * flagged.sum() / np.isfinite(raw).sum():.1f}"]
    for there in (good, both):
        one, two = (float(error[there].mean(dtype=np.float64)) for error in (before, after))
        cells += [f"{one:.4f}", f"{two:.4f}", f"{100 * (two / one - 1):+.3f}"]
    beside = good.copy()
    beside[hours] &= flagged[hours][:, network[0]].any(axis=2)
    beside[np.setdiff1d(np.arange(len(raw)), hours)] = False
    one, two = (float(error[beside].mean(dtype=np.float64)) if beside.any() else np.nan for error in (before, after))
    return [*cells, f"{one:.2f}", f"{two:.2f}"]


def section(path: Path, keys: list[str]) -> list[str]:
    """Return the table of one file."""
    rows = rows_of(path, keys)
    return [
        f"## {path.name}",
        "",
        "| species | test | default | flagged | per million | unflagged, with | without | % | all, with | without | % "
        "| beside, with | without |",
        "|" + "---|" * 13,
        *rows,
        "",
    ]


def known_faults(seed: int = 1, days: int = 30) -> list[str]:
    """Return what the default tests find of a nature run's faults, which are known, as lines of a table."""
    nature = nature_run(seed=seed, days=days)
    lines = [
        f"## Nature run, seed {seed}, {days} days: faults that are known",
        "",
        "| species | readings | faulty | found | of them | false alarms |",
        "|" + "---|" * 6,
    ]
    for key in nature.observations.species:
        flags, faulty = nature.observations.flags(key), nature.faulty[key]
        flagged = (flags != 0) & (flags != Flag.MISSING)
        found = int((flagged & faulty).sum())
        lines.append(
            f"| {key} | {int((flags != Flag.MISSING).sum()):,} | {int(faulty.sum())} | {found} "
            f"| {found / faulty.sum():.3f} | {int((flagged & ~faulty).sum())} |"
        )
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", default=[FOLDER / name for name in FILES])
    parser.add_argument("--species", nargs="+", default=["pm25", "pm10", "so2", "no2", "o3", "co"])
    arguments = parser.parse_args()
    how = " ".join(["python benchmarks/quality.py", *sys.argv[1:]])
    lines = [
        "# What quality control does to skill",
        "",
        f"`{how}`: leave-one-out inverse-distance weighting (power {POWER:g}, {NEAREST} nearest), mean absolute error "
        "in the pollutant's unit, with a test's readings among the neighbours and without them, at the same readings. "
        "Unflagged: readings that neither the test nor any default test flags; all: every reading, faults included; "
        "beside: unflagged readings with a flagged one among their 16 nearest in that hour.",
        "",
        *(line for path in arguments.data for line in section(path, arguments.species)),
        *known_faults(),
    ]
    # What was read out of the tables stands behind them, by hand.
    before = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    lines += [READ + before.partition(READ)[2].strip()] if READ in before else []
    print("\n".join(lines))
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
