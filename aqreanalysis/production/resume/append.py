"""A cube that exists and newer observations: what of it stays, what is computed anew, what is added."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from aqreanalysis.common.hours import stamp_text
from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import CubeError, OutputError
from aqreanalysis.observations import Observations
from aqreanalysis.production.options import ProduceOptions
from aqreanalysis.production.plan import HOURS_A_DAY, Block, Moment, Plan, hours_between
from aqreanalysis.production.plan.block_keys import (
    MISSING,
    BlockKeys,
    DayChecksums,
    Reach,
    as_stored,
    days_of,
    days_within_reach,
    differences,
    empty_checksum,
    first_verifiable_day,
)
from aqreanalysis.production.plan.prepare import Prepared
from aqreanalysis.production.plan.timeline import FREQUENCIES, HOURLY, check_frequencies
from aqreanalysis.production.resume.ledger import LEDGER, Ledger
from aqreanalysis.production.resume.signals import output_errors
from aqreanalysis.production.stores.chunk_digests import damaged_blocks
from aqreanalysis.production.stores.existing import ExistingCube
from aqreanalysis.production.stores.outputs import Outputs
from aqreanalysis.production.stores.store import BlockSource, Output, Store
from aqreanalysis.production.template import Template, package_version

# Ranges of hours named one by one; more are counted.
_NAMED = 4


@dataclass(frozen=True)
class AppendPlan:
    """What a run does to the cubes that it continues, one or those of several frequencies.

    Attributes
    ----------
    prepared : Prepared
        The run over the whole timeline; of what newer observations no longer hold it has the older record.
    existing : dict
        Frequency -> the cube that is there.
    stores : dict
        Frequency -> store, with the outputs that are written: all, but where they are files of months or years those
        that stay as they are.
    adopted : dict
        Frequency -> time blocks that are taken over as they are, because their keys are those that the run wants.
    idle : frozenset of int
        Time blocks of the sweep that need not be computed.
    damaged : dict
        Frequency -> numbers of the blocks, in its plan, that a repair computes anew.
    """

    prepared: Prepared
    existing: dict[str, ExistingCube]
    stores: dict[str, Store]
    adopted: dict[str, frozenset[int]]
    idle: frozenset[int]
    damaged: dict[str, frozenset[int]] = field(default_factory=dict)

    @property
    def identities(self) -> dict[str, str]:
        """Which state of each cube is continued, for the fingerprint of the run."""
        return {name: cube.identity for name, cube in self.existing.items()}

    @property
    def is_nothing(self) -> bool:
        """Whether every cube is already what it would become."""
        return not any(self.damaged.values()) and all(
            self._plan(name).steps == len(cube.bounds) and not self.renewed(name)
            for name, cube in self.existing.items()
        )

    def _plan(self, frequency: str) -> Plan:
        return self.prepared.cubes[frequency].plan

    def renewed(self, frequency: str) -> list[tuple[int, int]]:
        """Return the steps that are there and are computed anew, as half-open ranges."""
        plan, old_steps = self._plan(frequency), len(self.existing[frequency].bounds)
        ranges: list[tuple[int, int]] = []
        for index in range(plan.counts[0]):
            start, stop = plan.time_block(index)
            stop = min(stop, old_steps)
            if index in self.adopted[frequency] or start >= stop:
                continue
            if ranges and ranges[-1][1] == start:
                start = ranges.pop()[0]
            ranges.append((start, stop))
        return ranges

    def facts(self) -> dict[str, Any]:
        """Return what the longer cubes say of the moment and of what was before."""
        facts = self.prepared.facts()
        now, observations = facts["created"], self.prepared.fingerprint["observations"]
        before = {}
        for frequency, output in self._written:
            there = [one for one in self.existing[frequency].files if str(one.path) == str(output.path)]
            if not there:
                continue  # a new month or year
            line = (
                f"{now} aqreanalysis {package_version()}: appended from observations {observations[:16]}: "
                f"{self.describe(frequency, output.steps)}"
            )
            history = there[0].carried.get("history", "")
            before[output.name] = {
                "created": there[0].carried.get("date_created", now),
                "history": f"{line}\n{history}" if history else line,
            }
        return {**facts, "before": before}

    def tell(self, say: Callable[[str], None] | None) -> None:
        """Say for people what is done to each cube."""
        if say is not None:
            for line in self.lines():
                say(line)

    def lines(self) -> list[str]:
        """Return what is done to each cube, for people."""
        if not self._written:
            return [f"{cube.path}: {self.describe(name)}" for name, cube in self.existing.items()]
        return [f"{output.path}: {self.describe(name, output.steps)}" for name, output in self._written]

    def describe(self, frequency: str, steps: tuple[int, int] | None = None) -> str:
        """Return what is done to a cube, for people and its history: which steps are computed anew, which are added.

        Of a file that holds some `steps` of it, what is done to those.
        """
        plan, old = self._plan(frequency), len(self.existing[frequency].bounds)
        first, end = steps or (0, plan.steps)
        renewed = [(max(a, first), min(b, end)) for a, b in self.renewed(frequency) if a < end and first < b]
        parts = [_steps(plan, [(max(old, first), end)]) + " added"] if end > old else []
        if renewed:
            parts.append(f"{_steps(plan, renewed)} computed anew")
        if lost := sorted(self.damaged.get(frequency, ())):
            named = "; ".join(plan.describe(plan.get_block(number)) for number in lost[:_NAMED])
            more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
            parts.append(f"{len(lost)} damaged block{'s' * (len(lost) > 1)} computed anew ({named}{more})")
        return ", ".join(parts) if parts else "nothing to add and nothing to compute anew"

    @property
    def _written(self) -> list[tuple[str, Output]]:
        """The outputs that are written, each with its frequency."""
        return [(name, output) for name, store in self.stores.items() for output in store.outputs]

    def blocks(self) -> Iterator[tuple[str | None, Block, int]]:
        """Yield every block that is not computed: whose cube it is adopted from (None: nobody's), itself, its number.

        Blocks are numbered as in the ledger: those of the sweep, then those of each cube of means.
        """
        sweep = self.prepared.plan
        for index in sorted(self.idle):
            hourly = HOURLY if HOURLY in self.adopted else None
            for block in sweep.blocks_of(index):
                if block.number not in self.damaged.get(HOURLY, ()):
                    yield hourly, block, block.number
        first = sweep.blocks
        for frequency, indices in self.adopted.items():
            if frequency == HOURLY:
                continue
            plan = self._plan(frequency)
            for index in sorted(indices):
                for block in plan.blocks_of(index):
                    yield frequency, block, first + block.number
            first += plan.blocks

    def check(self, templates: Mapping[str, Template]) -> None:
        """Refuse templates that do not continue the cubes.

        Raises
        ------
        OutputError
            As of `ExistingCube.check_fits`.
        """
        for name, template in templates.items():
            self.existing[name].check_fits(template)

    def adopt_blocks(self, templates: Mapping[str, Template], ledger: Ledger, progress: Progress) -> None:
        """Bring what stays into the stores, and note it as done; what was noted before is left out.

        Raises
        ------
        CubeError, OutputError
            As of `BlockSource`.
        """
        try:
            self._adopt(templates, ledger, progress)
        except (CubeError, OutputError):
            if not ledger.done:
                ledger.drop()  # refused before it did anything: the right command must not find it in its way
            raise

    def _adopt(self, templates: Mapping[str, Template], ledger: Ledger, progress: Progress) -> None:
        keys = self.prepared.keys
        left = [entry for entry in self.blocks() if entry[2] not in ledger.done]
        with ExitStack() as stack:
            sources: dict[str, BlockSource] = {}
            for name, template in templates.items():
                blocks = self.stores[name].open_source(self.existing[name], template)
                sources[name] = stack.enter_context(closing(blocks))
                blocks.check(chunked_alike=bool(self.adopted[name]))
            for count, (frequency, block, number) in enumerate(left, 1):
                adopted = frequency is not None and self._is_written(frequency, block)
                ledger.record(number, keys[number], sources[str(frequency)].adopt(block) if adopted else None)
                progress(count, len(left), "taking over what stays")

    def _is_written(self, frequency: str, block: Block) -> bool:
        """Tell whether a block has steps in an output that is written; the first ones hold the maps of all."""
        spans = [output.steps for output in self.stores[frequency].outputs]
        start, stop = block.time
        return bool(spans) and (
            start == 0 or any(span is None or (start < span[1] and span[0] < stop) for span in spans)
        )


def plan_append(prepared: Prepared, stores: Mapping[str, Store], repair: bool = False) -> AppendPlan:
    """Return what a prepared run does to the cubes that are there.

    Parameters
    ----------
    prepared : Prepared
        The run over the whole timeline.
    stores : mapping
        Frequency -> its store, with all its outputs.
    repair : bool
        Compute anew what is damaged, and refuse to do anything else.

    Raises
    ------
    OutputError
        If they are of another run, or the observations or covariates begin too late.
    """
    existing = {name: store.existing() for name, store in stores.items()}
    for cube in existing.values():
        _check_same_run(cube, prepared)
    # All cubes of a run are made from the same readings and covariates.
    older = next(iter(existing.values()))
    verifiable = _verifiable_from(prepared, older)
    readings = prepared.readings.with_older_days(older.made_from.readings, verifiable)
    covariates = _with_older_covariates(prepared, older)
    run = replace(prepared, readings=readings, covariates=covariates)
    reach = Reach.of(prepared.predictor)
    wanted = run.day_keys
    present = {name: cube.day_keys(reach) for name, cube in existing.items()}
    adopted = {
        name: BlockKeys(run.cubes[name].plan, present[name], len(cube.bounds)).time_blocks_like(
            BlockKeys(run.cubes[name].plan, wanted, run.cubes[name].plan.steps)
        )
        for name, cube in existing.items()
    }
    damaged = _damaged(run, existing, adopted) if repair else {}
    adopted = {name: indices - _joined_anew(run, name, damaged) for name, indices in adopted.items()}
    idle = _idle(run, adopted)
    computed = {
        day
        for index in range(run.plan.counts[0])
        if index not in idle
        for day in days_of(run.plan, run.plan.time_block(index))
    }
    _check_readings(prepared, older, computed, (reach, verifiable))
    if prepared.covariates is not None and older.made_from.covariates is not None:
        check_covariates(prepared.covariates, older.made_from.covariates, computed, reach.covariates)
    changed = {day for days in present.values() for day, key in days.items() if wanted.get(day) != key}
    written = {
        name: store.limited_to(
            [output for output in store.outputs if _changes(output, run.cubes[name].plan, existing[name], changed)]
            if not damaged.get(name)
            else store.outputs
        )
        for name, store in stores.items()
    }
    return AppendPlan(run, existing, written, adopted, idle, damaged)


def _damaged(
    run: Prepared, existing: Mapping[str, ExistingCube], adopted: Mapping[str, frozenset[int]]
) -> dict[str, frozenset[int]]:
    """Return frequency -> the numbers of the damaged blocks of the cubes that are there.

    Raises
    ------
    OutputError
        If the run would change more than those, or a cube cannot tell.
    """
    damaged: dict[str, frozenset[int]] = {}
    for name, cube in existing.items():
        plan = run.cubes[name].plan
        if plan.steps != len(cube.bounds) or len(adopted[name]) != plan.counts[0]:
            raise OutputError(
                f"{cube.path} is to be repaired, and these inputs would change more than what is damaged: give the "
                "same observations and --end that it was made with, or let it grow with --append"
            )
        numbers: set[int] = set()
        for begin, file in zip(_first_steps(cube), cube.files, strict=True):
            numbers |= damaged_blocks(file, plan, begin)
        damaged[name] = frozenset(numbers)
    return damaged


def _joined_anew(run: Prepared, frequency: str, damaged: Mapping[str, frozenset[int]]) -> set[int]:
    """Return the time blocks of means that have damage: they are computed whole, from the sums of all their days."""
    if frequency == HOURLY:
        return set()
    return {number // run.cubes[frequency].plan.tiles for number in damaged.get(frequency, ())}


def _first_steps(cube: ExistingCube) -> list[int]:
    """Return the step of the whole cube at which each of its files begins."""
    lengths = [len(file.bounds) for file in cube.files]
    return [sum(lengths[:place]) for place in range(len(lengths))]


def _changes(output: Output, plan: Plan, cube: ExistingCube, changed: set[int]) -> bool:
    """Tell whether an output is another than the one that is there: it has new steps, or days that `changed`."""
    steps = output.steps
    return steps is None or steps[1] > len(cube.bounds) or bool(changed.intersection(days_of(plan, steps)))


def _idle(run: Prepared, adopted: Mapping[str, frozenset[int]]) -> frozenset[int]:
    """Return the time blocks of the sweep that need not be computed.

    A cube of means needs the sums of all days of every block of its own that is computed, which are not kept with it.
    """
    needed: set[int] = set()
    for name, indices in adopted.items():
        plan = run.cubes[name].plan
        for index in set(range(plan.counts[0])) - indices if name != HOURLY else ():
            needed.update(days_of(plan, plan.time_block(index)))
    return frozenset(
        index
        for index in range(run.plan.counts[0])
        if not needed.intersection(days_of(run.plan, run.plan.time_block(index)))
        and (HOURLY not in adopted or index in adopted[HOURLY])
    )


def _check_same_run(cube: ExistingCube, prepared: Prepared) -> None:
    """Refuse to continue a cube by another run.

    Raises
    ------
    OutputError
        With both values.
    """
    for file in cube.files:
        if unlike := differences(as_stored(prepared.made_from.comparable_run), file.made_from.comparable_run):
            more = f" (and {len(unlike) - 1} more)" if len(unlike) > 1 else ""
            raise OutputError(
                f"{file.path} cannot be continued by another run: {unlike[0]}{more}; give what it was made from, or "
                "produce it anew"
            )


def _empty(prepared: Prepared) -> bytes:
    return empty_checksum(len(prepared.observations.stations), len(prepared.predictor.inputs))


def _verifiable_from(prepared: Prepared, older: ExistingCube) -> int:
    """Return the first day of whose readings the newer observations can tell."""
    observations: Observations = prepared.observations
    return first_verifiable_day(observations, older.made_from.readings, _empty(prepared))


def _with_older_covariates(prepared: Prepared, older: ExistingCube) -> DayChecksums | None:
    """Return the record of covariates of a longer cube: of days that newer files do not have what the cube says.

    Raises
    ------
    OutputError
        If the cube does not say from which covariates it was made.
    """
    if prepared.covariates is None:
        return None
    if older.made_from.covariates is None:
        raise OutputError(
            f"{older.path} does not say from which covariates it was made, by day: an older version wrote it; produce "
            "it anew, then it can grow"
        )
    return prepared.covariates.with_older_days(older.made_from.covariates)


def _check_readings(prepared: Prepared, older: ExistingCube, computed: set[int], limits: tuple[Reach, int]) -> None:
    """Refuse newer observations that begin too late: days to be computed read what they no longer hold.

    Raises
    ------
    OutputError
        With the moment to reach back to.
    """
    reach, verifiable = limits
    read = {near for day in computed for near in days_within_reach(day, reach.readings) if near < verifiable}
    empty = _empty(prepared)
    lost = [day for day in read if older.made_from.readings.get(day) not in (None, empty)]
    if lost:
        raise OutputError(
            f"the observations begin {stamp_text(prepared.observations.first_hour - 1)}, but hours from "
            f"{stamp_text(min(computed) * HOURS_A_DAY)} on are to be computed and read from "
            f"{stamp_text(min(lost) * HOURS_A_DAY)} on; give observations that reach back to there"
        )


def check_covariates(newer: DayChecksums, older: DayChecksums, computed: set[int], reach: tuple[int, int]) -> None:
    """Refuse covariates that no longer have what days to be computed read: they would come out worse than they were.

    Parameters
    ----------
    newer, older : DayChecksums
        Of the covariates that are given, and of those from which the cube was made.
    computed : set of int
        UTC days.
    reach : tuple of int
        Days before and after one that are read for it.

    Raises
    ------
    OutputError
        With the day to reach back to.
    """
    read = {near for day in computed for near in days_within_reach(day, reach)}
    lost = [day for day in read if newer.get(day) == MISSING and older.get(day) not in (None, MISSING)]
    if lost:
        raise OutputError(
            f"the covariates have no hour of {stamp_text(min(lost) * HOURS_A_DAY)[:10]}, from which the cube was made, "
            f"but hours from {stamp_text(min(computed) * HOURS_A_DAY)} on are to be computed and read it; give the "
            "files of that day with --covariates too"
        )


def open_existing(out: str | Path, options: ProduceOptions) -> dict[str, ExistingCube]:
    """Return the cube of each frequency that a run is to continue.

    Raises
    ------
    OutputError
        If one is missing or does not say how it was made.
    """
    outputs = Outputs.of(out, check_frequencies(options.frequencies))
    if options.split != "none":
        outputs.store.check_split(outputs.out)
    return {name: store.existing() for name, store in outputs.open(options, 0).items()}


def resolve_timeline(
    out: str | Path, timeline: tuple[Moment | None, Moment], options: ProduceOptions
) -> tuple[Moment, Moment]:
    """Return the timeline of a run that continues a cube, and begins with it.

    Raises
    ------
    OutputError
        If it does not continue the cube.
    """
    start, end = timeline
    part = Outputs.of(out, check_frequencies(options.frequencies)).part
    ledger = Ledger(part / LEDGER)
    if ledger.ready and ledger.header is not None:  # the cube may have got its new end already
        return stamp_text(ledger.header["fingerprint"]["timeline and blocks"]["first_hour"] - 1), end
    with output_errors(part):
        return _longer_timeline(open_existing(out, options), start, end)


def _longer_timeline(
    existing: Mapping[str, ExistingCube], start: Moment | None, end: Moment
) -> tuple[np.datetime64, Moment]:
    """Return the timeline of the longer cubes: from their first hour to the new end.

    Parameters
    ----------
    existing : mapping
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
    first, *others = existing.values()
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


def _steps(plan: Plan, ranges: list[tuple[int, int]]) -> str:
    """Return ``48 hours (2019-01-05T00:00 to 2019-01-07T00:00)``."""
    count = sum(stop - start for start, stop in ranges)
    named = [_span((int(plan.bounds[a, 0]), int(plan.bounds[b - 1, 1]))) for a, b in ranges[:_NAMED]]
    more = f" and {len(ranges) - _NAMED} more ranges" if len(ranges) > _NAMED else ""
    return f"{count} {FREQUENCIES[plan.frequency].period}{'s' * (count != 1)} ({', '.join(named)}{more})"


def _span(hours: tuple[int, int]) -> str:
    return f"{stamp_text(hours[0])} to {stamp_text(hours[1])}"
