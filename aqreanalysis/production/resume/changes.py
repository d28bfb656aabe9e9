"""A cube that exists and newer observations: what of it stays, what is computed anew, what is added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from aqreanalysis.errors import OutputError
from aqreanalysis.observations import Observations
from aqreanalysis.production.plan import HOURS_A_DAY, Block, Moment, Plan, hours_between, stamp_text
from aqreanalysis.production.plan.timeline import FREQUENCIES, HOURLY
from aqreanalysis.production.resume.ledger import differences
from aqreanalysis.production.resume.record import Readings, empty_checksum, first_whole_day
from aqreanalysis.production.stores.existing import ExistingCube

# Ranges of hours named one by one; more are counted.
_NAMED = 4


@dataclass(frozen=True)
class Growth:
    """What an append does to each cube of a run.

    Attributes
    ----------
    plans : dict
        Frequency -> plan of the grown cube.
    old_steps : dict
        Frequency -> steps of the cube that is there.
    kept : dict
        Frequency -> time blocks that are taken over as they are.
    idle : frozenset of int
        Time blocks of the sweep that need not be computed.
    sweep : Plan
        Of the sweep.
    """

    plans: Mapping[str, Plan]
    old_steps: Mapping[str, int]
    kept: Mapping[str, frozenset[int]]
    idle: frozenset[int]
    sweep: Plan

    @property
    def is_nothing(self) -> bool:
        """Whether every cube is already what it would become."""
        return all(self.plans[name].steps == self.old_steps[name] for name in self.plans) and not any(
            self.renewed(name) for name in self.plans
        )

    def renewed(self, frequency: str) -> list[tuple[int, int]]:
        """Return the steps that are there and are computed anew, as half-open ranges."""
        plan = self.plans[frequency]
        ranges: list[tuple[int, int]] = []
        for index in range(plan.counts[0]):
            start, stop = plan.time_block(index)
            stop = min(stop, self.old_steps[frequency])
            if index in self.kept[frequency] or start >= stop:
                continue
            if ranges and ranges[-1][1] == start:
                start = ranges.pop()[0]
            ranges.append((start, stop))
        return ranges

    def blocks(self) -> Iterator[tuple[str | None, Block, int]]:
        """Yield every block that is not computed: whose cube it is copied from (None: nobody's), itself, its number.

        Blocks are numbered as in the ledger: those of the sweep, then those of each cube of means.
        """
        for index in sorted(self.idle):
            hourly = HOURLY if HOURLY in self.plans else None
            for block in self.sweep.blocks_of(index):
                yield hourly, block, block.number
        first = self.sweep.blocks
        for frequency, plan in self.plans.items():
            if frequency == HOURLY:
                continue
            for index in sorted(self.kept[frequency]):
                for block in plan.blocks_of(index):
                    yield frequency, block, first + block.number
            first += plan.blocks

    @property
    def computed_days(self) -> set[int]:
        """The UTC days that are swept."""
        indices = set(range(self.sweep.counts[0])) - self.idle
        return {day for index in indices for day in _days(self.sweep, self.sweep.time_block(index))}

    def touches(self, frequency: str, steps: tuple[int, int], changed: set[int]) -> bool:
        """Tell whether some steps have any that is added or of a day that has changed."""
        return steps[1] > self.old_steps[frequency] or bool(changed & _days(self.plans[frequency], steps))

    def said(self, frequency: str, steps: tuple[int, int] | None = None) -> str:
        """Return what is done to a cube, for people and its history: which steps are computed anew, which are added.

        Of a file that holds some `steps` of it, what is done to those.
        """
        plan, old = self.plans[frequency], self.old_steps[frequency]
        first, end = steps or (0, plan.steps)
        renewed = [(max(a, first), min(b, end)) for a, b in self.renewed(frequency) if a < end and first < b]
        parts = [_steps(plan, [(max(old, first), end)]) + " added"] if end > old else []
        if renewed:
            parts.append(f"{_steps(plan, renewed)} computed anew")
        return ", ".join(parts) if parts else "nothing to add and nothing to compute anew"


def choose_timeline(
    bases: Mapping[str, ExistingCube], start: Moment | None, end: Moment
) -> tuple[np.datetime64, Moment]:
    """Return the timeline of the grown cubes: from their first hour to the new end.

    Parameters
    ----------
    bases : mapping
        Frequency -> cube that is there.
    start : moment or None
        As the user gave it: the beginning of the cubes, or any moment up to their end, from which hours go on.
    end : moment
        The new end.

    Raises
    ------
    OutputError
        If the cubes differ in their hours, `end` lies before theirs, or `start` leaves a gap.
    """
    first, *others = bases.values()
    for other in others:
        if other.hours != first.hours:
            raise OutputError(
                f"{first.path} holds {_span(first.hours)} and {other.path} {_span(other.hours)}: cubes of one run "
                "cover the same hours; grow them one by one"
            )
    begin, stop = first.hours
    opening = np.datetime64(begin, "h")
    if start is not None:
        asked = hours_between(start, end)[0] - 1
        if asked < begin:
            raise OutputError(
                f"start {stamp_text(asked)} is before the beginning of {first.path}, {stamp_text(begin)}: a cube grows "
                "at its end only; leave --start out, or produce the longer cube to another --out"
            )
        if asked > stop:
            raise OutputError(
                f"start {stamp_text(asked)} is after the end of {first.path}, {stamp_text(stop)}, and a cube has no "
                f"gap in time: leave --start out, or give {stamp_text(stop)}"
            )
    given, count = hours_between(opening, end)
    if given - 1 + count < stop:
        raise OutputError(
            f"end {stamp_text(given - 1 + count)} is before the end of {first.path}, {stamp_text(stop)}: hours are "
            "never taken off; give a later --end"
        )
    return opening, end


def check_same_run(base: ExistingCube, run: Mapping[str, Any]) -> None:
    """Refuse to continue a cube by another run.

    Raises
    ------
    OutputError
        With both values.
    """
    grows = ("last readings",)
    for file in base.files:
        theirs, ours = ({k: v for k, v in values.items() if k not in grows} for values in (file.run, run))
        if unlike := differences(ours, theirs):
            more = f" (and {len(unlike) - 1} more)" if len(unlike) > 1 else ""
            raise OutputError(
                f"{file.path} cannot be continued by another run: {unlike[0]}{more}; give what it was made from, or "
                "produce it anew"
            )


def known_from(observations: Observations, older: Readings, empty: bytes) -> int:
    """Return the first day of whose readings `observations` can tell; of days before it the older ones are true.

    A first day that begins after 01:00 tells of itself only where nothing was read before it either.
    """
    first = first_whole_day(observations)
    began = (observations.first_hour - 1) // HOURS_A_DAY
    return began if began < first and older.get(began - 1) == empty else first


def changed_days(
    base: ExistingCube,
    readings: Readings,
    last_observed: Mapping[str, int],
    reach: tuple[int, int],
    days: tuple[int, int],
) -> set[int]:
    """Return the UTC days whose estimates may differ from those in the cube.

    Parameters
    ----------
    base : ExistingCube
        The cube, or one of its files.
    readings : Readings
        Of the newer observations.
    last_observed : mapping
        Species key -> last stamp with a reading, of the newer observations.
    reach : tuple of int
        Hours before and after a day that the model reads for it.
    days : tuple of int
        Half-open range of the days looked at.
    """
    before, after = (-(-hours // HOURS_A_DAY) for hours in reach)
    found = days_near(readings, base.readings, (before, after), days)
    # An hour that lies no longer after the last reading loses its flag, even where its window has gained nothing.
    for key, last in last_observed.items():
        old = base.run["last readings"][key]
        low, high = min(old, last), max(old, last)
        if low != high:
            found |= set(range(low // HOURS_A_DAY, (high - 1) // HOURS_A_DAY + 1)) & set(range(*days))
    return found


def days_near(newer: Readings, older: Readings, reach: tuple[int, int], days: tuple[int, int]) -> set[int]:
    """Return those of `days` that lie within a reach (in days before and after them) of a day whose record differs."""
    moved = {day for day in range(newer.first_day, newer.end_day) if newer.get(day) != older.get(day)}
    return {day for day in range(*days) if any(near in moved for near in range(day - reach[0], day + reach[1] + 1))}


def plan_growth(plans: Mapping[str, Plan], sweep: Plan, old_steps: Mapping[str, int], changed: set[int]) -> Growth:
    """Return what is kept of each cube: whole time blocks that were there and have no day that has changed.

    A cube of means needs the sums of all days of every block of its own that is computed, which are not kept with it.
    """
    kept = {
        name: frozenset(
            index
            for index in range(plan.counts[0])
            if plan.time_block(index)[1] <= old_steps[name] and not changed & _days(plan, plan.time_block(index))
        )
        for name, plan in plans.items()
    }
    needed: set[int] = set()
    for name, plan in plans.items():
        for index in set(range(plan.counts[0])) - kept[name] if name != HOURLY else ():
            needed |= _days(plan, plan.time_block(index))
    idle = {
        index
        for index in range(sweep.counts[0])
        if not needed & _days(sweep, sweep.time_block(index)) and (HOURLY not in plans or index in kept[HOURLY])
    }
    return Growth(plans, old_steps, kept, frozenset(idle), sweep)


def check_known(growth: Growth, base: ExistingCube, observations: Observations, model: tuple[int, int, int]) -> None:
    """Refuse newer observations that begin too late: hours to be computed read what they no longer hold.

    Parameters
    ----------
    growth : Growth
        What is to be computed.
    base : ExistingCube
        The cube, with its readings.
    observations : Observations
        The newer ones.
    model : tuple of int
        Hours before and after a day that the model reads for it, and how many pollutants.

    Raises
    ------
    OutputError
        With the moment to reach back to.
    """
    empty = empty_checksum(len(observations.stations), model[2])
    limit = known_from(observations, base.readings, empty)
    before, after = (-(-hours // HOURS_A_DAY) for hours in model[:2])
    computed = sorted(growth.computed_days)
    lost = [
        near
        for day in computed
        for near in range(day - before, min(day + after + 1, limit))
        if base.readings.get(near) not in (None, empty)
    ]
    if lost:
        raise OutputError(
            f"the observations begin {stamp_text(observations.first_hour - 1)}, but hours from "
            f"{stamp_text(computed[0] * HOURS_A_DAY)} on are to be computed and read from "
            f"{stamp_text(min(lost) * HOURS_A_DAY)} on; give observations that reach back to there"
        )


def _days(plan: Plan, steps: tuple[int, int]) -> set[int]:
    """Return the UTC days of some steps of a plan."""
    begin, end = int(plan.bounds[steps[0], 0]), int(plan.bounds[steps[1] - 1, 1])
    return set(range(begin // HOURS_A_DAY, (end - 1) // HOURS_A_DAY + 1))


def _steps(plan: Plan, ranges: list[tuple[int, int]]) -> str:
    """Return ``48 hours (2019-01-05T00:00 to 2019-01-07T00:00)``."""
    count = sum(stop - start for start, stop in ranges)
    named = [_span((int(plan.bounds[a, 0]), int(plan.bounds[b - 1, 1]))) for a, b in ranges[:_NAMED]]
    more = f" and {len(ranges) - _NAMED} more ranges" if len(ranges) > _NAMED else ""
    return f"{count} {FREQUENCIES[plan.frequency].period}{'s' * (count != 1)} ({', '.join(named)}{more})"


def _span(hours: tuple[int, int]) -> str:
    return f"{stamp_text(hours[0])} to {stamp_text(hours[1])}"
