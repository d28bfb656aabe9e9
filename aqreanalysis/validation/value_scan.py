"""One pass over the values: what the rules of values find, and the differences between neighbours for the seams."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.common.progress import Progress
from aqreanalysis.production.layers import CUBE_DIMS
from aqreanalysis.validation.raw_cube import RawCube, Slab
from aqreanalysis.validation.rules import Finding, Rule

#: A difference at a block border so many times that of the pairs around it is a seam.
SEAM_RATIO = 3.0
#: Pairs on each side of a border that it is compared with.
SEAM_REACH = 3
#: Pairs that there must be.
SEAM_PAIRS = 4
SEAMS = Rule(
    "seams",
    "error",
    "a step at the border of blocks comes from the way the cube was made, not from the air; blocks must not show",
)


@dataclass
class Broken:
    """What one rule found in one layer: how many values, and the first."""

    count: int = 0
    first: str = ""


@dataclass
class Survey:
    """The outcome of a pass.

    Attributes
    ----------
    broken : dict
        ``(rule id, layer)`` -> `Broken`.
    borders : dict
        ``(layer, axis)`` -> mean absolute difference of each pair of neighbours along an axis.
    values : int
        Values looked at.
    """

    broken: dict[tuple[str, str], Broken] = field(default_factory=dict)
    borders: dict[tuple[str, str], NDArray[np.float64]] = field(default_factory=dict)
    values: int = 0


def survey(cube: RawCube, rules: Iterable[Rule], progress: Progress | None = None) -> Survey:
    """Return what the value rules and the search for seams find in all values of the cube."""
    wanted = [rule for rule in rules if rule.values is not None]
    scan = Survey()
    sums = _Sums(cube)
    total = cube.raw.sizes["time"]
    for slab in cube.slabs():
        scan.values += sum(values.size for values in slab.values.values())
        for rule in wanted:
            assert rule.values is not None
            for name, mask in rule.values(cube, slab):
                _note(scan, cube, slab, (rule.id, name), mask)
        sums.add(slab)
        if progress is not None:
            progress(slab.steps.stop, total, "values")
    scan.borders = sums.means()
    return scan


def _note(scan: Survey, cube: RawCube, slab: Slab, key: tuple[str, str], mask: NDArray[np.bool_]) -> None:
    count = int(np.count_nonzero(mask))
    if not count:
        return
    entry = scan.broken.setdefault(key, Broken())
    if not entry.count:
        step, row, column = np.unravel_index(int(mask.argmax()), mask.shape)
        value = slab.values[key[1]][step, row, column] if key[1] in slab.values else np.nan
        lat, lon = (float(cube.raw[a].values[i]) for a, i in (("lat", row), ("lon", column)))
        entry.first = f"{value:g} at {_stamp(cube, slab.steps.start + int(step))}, {lat:g} N, {lon:g} E"
    entry.count += count


def _stamp(cube: RawCube, step: int) -> str:
    hours = float(cube.raw["time"].values[step])
    if cube.attrs("time").get("units", "").startswith("hours since 1970-01-01"):
        return f"{pd.Timestamp(0) + pd.Timedelta(hours=hours):%Y-%m-%dT%H:%M}"
    return f"step {step}"


def value_findings(scan: Survey, rules: Iterable[Rule]) -> list[Finding]:
    """Return a finding a rule and layer."""
    by_id = {rule.id: rule for rule in rules}
    return [
        Finding(
            name, by_id[name].severity, f"{layer}: {entry.count} values, the first {entry.first}", by_id[name].reason
        )
        for (name, layer), entry in scan.broken.items()
    ]


def seam_findings(cube: RawCube, scan: Survey) -> list[Finding]:
    """Return the block borders at which neighbours differ far more than the pairs of neighbours around them do.

    In space each border is judged for itself, over all hours. In time all borders are judged together, by the median
    of their ratios: a front may well pass at midnight once.
    """
    findings = []
    for (name, axis), differences in scan.borders.items():
        chunk = cube.chunks(name)[CUBE_DIMS.index(axis)]
        ratios = border_ratios(differences, chunk)
        if axis == "time":
            if len(ratios) >= 2 and np.median(list(ratios.values())) > SEAM_RATIO:
                text = (
                    f"{name}: the {len(ratios)} borders in time differ {np.median(list(ratios.values())):.1f} times as"
                )
                findings.append(_seam(f"{text} much as the hours around them"))
            continue
        for at, ratio in ratios.items():
            if ratio > SEAM_RATIO:
                place = float(cube.raw[axis].values[at])
                findings.append(
                    _seam(f"{name}: at {axis} {place:g} neighbours differ {ratio:.1f} times as much as around")
                )
    return findings


def _seam(message: str) -> Finding:
    return Finding(SEAMS.id, SEAMS.severity, message, SEAMS.reason)


def border_ratios(differences: NDArray[np.float64], chunk: int) -> dict[int, float]:
    """Return index of the first cell after a border -> its difference over that of the pairs around.

    That is their median, or half the largest of them if it is more.

    Parameters
    ----------
    differences : float64 (n - 1,)
        Of each pair of neighbours; NaN where nothing is known.
    chunk : int
        Length of a block; borders lie at its multiples. Other borders are not among the pairs around.
    """
    borders = set(range(chunk - 1, len(differences), chunk))
    ratios = {}
    for border in sorted(borders):
        around = [
            differences[i]
            for i in range(max(0, border - SEAM_REACH), min(len(differences), border + SEAM_REACH + 1))
            if i not in borders and np.isfinite(differences[i])
        ]
        # With fewer pairs beside it, or one among them nearly as large, a border cannot be told from a rough field.
        if len(around) >= SEAM_PAIRS and np.isfinite(differences[border]) and np.median(around) > 0:
            usual = max(float(np.median(around)), max(around) / 2)
            ratios[border + 1] = float(differences[border] / usual)
    return ratios


class _Sums:
    """Sums and counts of absolute differences between neighbours, of estimates and standard errors."""

    def __init__(self, cube: RawCube) -> None:
        names = [n for one in cube.species for n in (one.layer, f"{one.layer}_standard_error") if n in cube.layers]
        self._sums: dict[tuple[str, str], NDArray[np.float64]] = {}
        self._counts: dict[tuple[str, str], NDArray[np.float64]] = {}
        self._last: dict[str, NDArray[Any]] = {}
        for name in names:
            for axis in CUBE_DIMS:
                length = max(cube.raw.sizes[axis] - 1, 0)
                self._sums[name, axis] = np.zeros(length)
                self._counts[name, axis] = np.zeros(length)

    def add(self, slab: Slab) -> None:
        """Take in a slab; slabs come in the order of time."""
        for name in dict.fromkeys(name for name, _ in self._sums):
            values = slab.values.get(name)
            if values is None:
                continue
            self._take(name, "lat", np.diff(values, axis=1), (0, 2), slice(None))
            self._take(name, "lon", np.diff(values, axis=2), (0, 1), slice(None))
            first = slab.steps.start
            if name in self._last:
                values = np.concatenate([self._last[name], values])
                first -= 1
            self._take(name, "time", np.diff(values, axis=0), (1, 2), slice(first, first + len(values) - 1))
            self._last[name] = values[-1:]

    def _take(self, name: str, axis: str, steps: NDArray[Any], over: tuple[int, int], at: slice) -> None:
        known = np.isfinite(steps)
        self._sums[name, axis][at] += np.where(known, np.abs(steps), 0.0).sum(axis=over)
        self._counts[name, axis][at] += known.sum(axis=over)

    def means(self) -> dict[tuple[str, str], NDArray[np.float64]]:
        """Return the mean absolute differences; NaN where no pair is known."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return {key: self._sums[key] / self._counts[key] for key in self._sums}
