"""A run that continues a finished cube: its timeline, what it takes over, and what the cube's history says of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import ConfigError, OutputError
from aqreanalysis.production.options import ProduceOptions
from aqreanalysis.production.plan import Block, Moment, stamp_text
from aqreanalysis.production.plan.facts import package_version
from aqreanalysis.production.plan.prepare import Prepared
from aqreanalysis.production.plan.timeline import check_frequencies
from aqreanalysis.production.resume.changes import (
    Growth,
    changed_days,
    check_known,
    check_same_run,
    choose_timeline,
    days_near,
    known_from,
    plan_growth,
)
from aqreanalysis.production.resume.covariate_changes import check_weather, days_reached, with_older
from aqreanalysis.production.resume.ledger import LEDGER, Ledger
from aqreanalysis.production.resume.record import Readings, empty_checksum
from aqreanalysis.production.resume.signals import output_errors
from aqreanalysis.production.stores.existing import ExistingCube
from aqreanalysis.production.stores.outputs import Outputs
from aqreanalysis.production.stores.store import BlockSource, Output, Store
from aqreanalysis.production.template import Template


@dataclass(frozen=True)
class Append:
    """A cube, or those of several frequencies, that a run continues.

    Attributes
    ----------
    prepared : Prepared
        The run over the whole timeline; what newer observations no longer hold is on record as the cubes have it.
    growth : Growth
        What is kept, computed anew, added.
    bases : dict
        Frequency -> cube that is there.
    stores : dict
        Frequency -> store, with the outputs that are written: all, but where they are files of months or years those
        that stay as they are.
    """

    prepared: Prepared
    growth: Growth
    bases: dict[str, ExistingCube]
    stores: dict[str, Store]

    @property
    def identities(self) -> dict[str, str]:
        """Which state of each cube is continued, for the fingerprint of the run."""
        return {name: base.identity for name, base in self.bases.items()}

    def facts(self) -> dict[str, Any]:
        """Return what the grown cubes say of the moment and of what was before."""
        facts = self.prepared.facts()
        now, observations = facts["created"], self.prepared.fingerprint["observations"]
        before = {}
        for frequency, output in self._written:
            there = [one for one in self.bases[frequency].files if str(one.path) == str(output.path)]
            if not there:
                continue  # a new month or year
            line = (
                f"{now} aqreanalysis {package_version()}: appended from observations {observations[:16]}: "
                f"{self.growth.said(frequency, output.steps)}"
            )
            held = there[0].kept.get("history", "")
            before[output.name] = {
                "created": there[0].kept.get("date_created", now),
                "history": f"{held}\n{line}" if held else line,
            }
        return {**facts, "before": before}

    def lines(self) -> list[str]:
        """Return what is done to each cube, for people."""
        if not self._written:
            return [f"{base.path}: {self.growth.said(name)}" for name, base in self.bases.items()]
        return [f"{output.path}: {self.growth.said(name, output.steps)}" for name, output in self._written]

    @property
    def _written(self) -> list[tuple[str, Output]]:
        """The outputs that are written, each with its frequency."""
        return [(name, output) for name, store in self.stores.items() for output in store.outputs]

    def check(self, templates: Mapping[str, Template]) -> None:
        """Refuse templates that do not continue the cubes.

        Raises
        ------
        OutputError
            As of `ExistingCube.check_fits`.
        """
        for name, template in templates.items():
            self.bases[name].check_fits(template)

    def adopt_blocks(self, templates: Mapping[str, Template], ledger: Ledger, progress: Progress) -> None:
        """Bring what is kept into the stores, and note it as done; what was noted before is left out."""
        left = [entry for entry in self.growth.blocks() if entry[2] not in ledger.done]
        with ExitStack() as stack:
            sources: dict[str, BlockSource] = {}
            for name, template in templates.items():
                blocks = self.stores[name].open_source(self.bases[name], template)
                sources[name] = stack.enter_context(closing(blocks))
                blocks.check(chunked_alike=bool(self.growth.kept[name]))
            for count, (frequency, block, number) in enumerate(left, 1):
                if frequency is not None and self._is_written(frequency, block):
                    sources[frequency].adopt(block)
                ledger.record(number)
                progress(count, len(left), "taking over what stays")

    def _is_written(self, frequency: str, block: Block) -> bool:
        """Tell whether a block has steps in an output that is written; the first ones hold the maps of all."""
        spans = [output.steps for output in self.stores[frequency].outputs]
        start, stop = block.time
        return bool(spans) and (
            start == 0 or any(span is None or (start < span[1] and span[0] < stop) for span in spans)
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
    """Return the timeline of a run; that of one which continues a cube begins with the cube.

    Raises
    ------
    OutputError
        If it does not continue the cube.
    ConfigError
        If there is no start, and no cube that has one.
    """
    start, end = timeline
    if options.append:
        part = Outputs.of(out, check_frequencies(options.frequencies)).part
        ledger = Ledger(part / LEDGER)
        if ledger.ready and ledger.header is not None:  # the cube may have got its new end already
            return stamp_text(ledger.header["fingerprint"]["timeline and blocks"]["first_hour"] - 1), end
        with output_errors(part):
            return choose_timeline(open_existing(out, options), start, end)
    if start is None:
        raise ConfigError("start is missing: only a cube that grows (--append) has one already")
    return start, end


def make_append(prepared: Prepared, stores: Mapping[str, Store]) -> Append:
    """Return what a prepared run does to the cubes that are there.

    Parameters
    ----------
    prepared : Prepared
        The run over the whole timeline.
    stores : mapping
        Frequency -> its store, with all its outputs.

    Raises
    ------
    OutputError
        If they are of another run, or the observations or covariates begin too late.
    """
    bases = {name: store.existing() for name, store in stores.items()}
    predictor, observations = prepared.predictor, prepared.observations
    for base in bases.values():
        check_same_run(base, prepared.run)
    # All cubes of a run are made from the same readings.
    base = next(iter(bases.values()))
    reach = predictor.history_hours, predictor.lookahead_hours
    empty = empty_checksum(len(observations.stations), len(predictor.inputs))
    readings = prepared.readings.backed_by(base.readings, known_from(observations, base.readings, empty))
    weather = _weather_of(prepared, base)
    changed: set[int] = set()
    for file in (file for one in bases.values() for file in one.files):
        changed |= changed_days(file, readings, prepared.last_observed, reach, file.days)
        if weather is not None and file.weather is not None:
            changed |= days_near(weather, file.weather, days_reached(predictor), file.days)
    plans = {name: cube.plan for name, cube in prepared.cubes.items()}
    steps = {name: len(one.bounds) for name, one in bases.items()}
    growth = plan_growth(plans, prepared.plan, steps, changed)
    check_known(growth, base, observations, (*reach, len(predictor.inputs)))
    if prepared.weather is not None and base.weather is not None:
        check_weather(prepared.weather, base.weather, growth.computed_days, days_reached(predictor))
    written = {name: _with_changes(name, store, growth, changed) for name, store in stores.items()}
    known = replace(prepared, readings=readings, weather=weather)
    return Append(known, growth, bases, written)


def _with_changes(frequency: str, store: Store, growth: Growth, changed: set[int]) -> Store:
    """Return a store with those of its outputs that do not stay as they are."""
    return store.limited_to(
        [o for o in store.outputs if o.steps is None or growth.touches(frequency, o.steps, changed)]
    )


def _weather_of(prepared: Prepared, base: ExistingCube) -> Readings | None:
    """Return the record of covariates of a grown cube: of days that newer files do not have what the cube says.

    Raises
    ------
    OutputError
        If the cube does not say from which covariates it was made.
    """
    if prepared.weather is None:
        return None
    if base.weather is None:
        raise OutputError(
            f"{base.path} does not say from which covariates it was made, by day: an older version wrote it; produce "
            "it anew, then it can grow"
        )
    return with_older(prepared.weather, base.weather)
