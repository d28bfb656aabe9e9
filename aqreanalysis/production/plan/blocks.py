"""What a run will do, known before its first byte: hours, blocks, chunks, bytes, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.common.hours import stamp_text
from aqreanalysis.errors import ConfigError, OutputError, as_given
from aqreanalysis.production.plan.timeline import FREQUENCIES, HOURLY, period_edges

if TYPE_CHECKING:
    from aqreanalysis.configs import ProductionConfig

HOURS_A_DAY = 24
# float32 values that are alive at once for a cell and hour while a block is computed, beyond the finished layers:
# the neighbours' weighted moments, the head's activations and the quantiles.
WORKING_VALUES = 96
# The same of the means: bytes a cell while one period is looked at, for its hundred quantiles and a month of sums.
MEAN_WORKING_BYTES = 4 * 8 * 100 + 31 * 4 * 20

# NumPy's names of what a cube is split by.
_SPLIT_UNITS = {"month": "M", "year": "Y"}

Moment = str | datetime | date | np.datetime64 | pd.Timestamp


@dataclass(frozen=True)
class Block:
    """One unit of work: whole chunks of the store, half-open index ranges into the cube."""

    number: int
    time: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]

    @property
    def tile(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Rows and columns: what the geometry depends on."""
        return self.rows, self.columns

    @property
    def cell_hours(self) -> int:
        """Its size."""
        (t0, t1), (r0, r1), (c0, c1) = self.time, self.rows, self.columns
        return (t1 - t0) * (r1 - r0) * (c1 - c0)

    def cut(self, steps: int) -> list[Block]:
        """Return it in parts of so many steps, from its beginning on: the chunks that it holds."""
        start, stop = self.time
        return [replace(self, time=(at, min(at + steps, stop))) for at in range(start, stop, steps)]

    @property
    def region(self) -> tuple[slice, slice, slice]:
        """Slices over (time, lat, lon)."""
        return slice(*self.time), slice(*self.rows), slice(*self.columns)


@dataclass(frozen=True)
class Plan:
    """The cube cut into blocks.

    Attributes
    ----------
    first_hour, hours : int
        First stamp (hours since 1970-01-01 00:00 UTC, end of the averaging hour) and number of hours.
    rows, columns : int
        Shape of the grid.
    block : tuple of int
        Steps, rows and columns of a whole block, whole chunks of the store; those at the end of an axis may be smaller.
    value_bytes : int
        Bytes a cell and step over all layers.
    frequency : str
        What a step of the cube is.
    edges : tuple of int
        Of its periods, hours since 1970-01-01 00:00 UTC; empty where the steps are the hours.
    stamp : str
        Where in its period a step of the cube is stamped, of `STAMPS`.
    """

    first_hour: int
    hours: int
    rows: int
    columns: int
    block: tuple[int, int, int]
    value_bytes: int
    frequency: str = HOURLY
    edges: tuple[int, ...] = ()
    stamp: str = "middle"

    @property
    def steps(self) -> int:
        """Number of steps of the time axis: hours or periods."""
        return len(self.edges) - 1 if self.edges else self.hours

    @property
    def shape(self) -> tuple[int, int, int]:
        """Steps, rows, columns."""
        return self.steps, self.rows, self.columns

    @property
    def counts(self) -> tuple[int, int, int]:
        """Blocks along time, latitude and longitude."""
        time, rows, columns = (-(-n // b) for n, b in zip(self.shape, self.block, strict=True))
        return time, rows, columns

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return int(np.prod(self.counts))

    @property
    def chunk(self) -> tuple[int, int, int]:
        """Steps, rows and columns of a chunk of the store: a block of hours holds one a day."""
        return min(FREQUENCIES[self.frequency].chunk, self.block[0]), self.block[1], self.block[2]

    @property
    def tiles(self) -> int:
        """Number of blocks of one time block."""
        return self.counts[1] * self.counts[2]

    @property
    def bounds(self) -> NDArray[np.int64]:
        """Begin and end of every step, hours since 1970-01-01 00:00 UTC, (step, 2)."""
        edges = np.array(self.edges) if self.edges else np.arange(self.hours + 1) + self.first_hour - 1
        return np.stack((edges[:-1], edges[1:]), axis=1).astype(np.int64)

    def bounds_of(self, steps: tuple[int, int]) -> tuple[int, int]:
        """Return where some steps begin and end, hours since 1970-01-01 00:00 UTC."""
        if self.edges:
            return self.edges[steps[0]], self.edges[steps[1]]
        return self.first_hour - 1 + steps[0], self.first_hour - 1 + steps[1]

    @property
    def raw_bytes(self) -> int:
        """Bytes of all layers, uncompressed."""
        return self.steps * self.rows * self.columns * self.value_bytes

    @property
    def working_bytes(self) -> int:
        """Memory that one block in hand takes."""
        if self.edges:
            return int(np.prod(self.block)) * self.value_bytes + self.block[1] * self.block[2] * MEAN_WORKING_BYTES
        return int(np.prod(self.block)) * (self.value_bytes + 4 * WORKING_VALUES)

    def time_block(self, index: int) -> tuple[int, int]:
        """Return the half-open range of steps of time block `index`."""
        start = index * self.block[0]
        return start, min(start + self.block[0], self.steps)

    def get_block(self, number: int) -> Block:
        """Return block `number`; they are counted along longitude first, time last."""
        time, rest = divmod(number, self.tiles)
        row, column = divmod(rest, self.counts[2])
        rows, columns = row * self.block[1], column * self.block[2]
        return Block(
            number,
            self.time_block(time),
            (rows, min(rows + self.block[1], self.rows)),
            (columns, min(columns + self.block[2], self.columns)),
        )

    def describe(self, block: Block) -> str:
        """Return in words where a block or a part of one lies."""
        begin, end = self.bounds_of((block.time[0], min(block.time[1], self.steps)))
        rows, columns = (f"{a} to {b - 1}" for a, b in (block.rows, block.columns))
        return f"{stamp_text(begin)} to {stamp_text(end)}, rows {rows}, columns {columns}"

    def blocks_of(self, time_index: int) -> Iterator[Block]:
        """Yield the blocks of one time block."""
        for number in range(time_index * self.tiles, (time_index + 1) * self.tiles):
            yield self.get_block(number)

    def stamps_of(self, time: tuple[int, int]) -> range:
        """Return the stamps of the hours `time`, a half-open range of steps of a sweep, hours since 1970-01-01."""
        return range(self.first_hour + time[0], self.first_hour + time[1])

    def days(self, time: tuple[int, int]) -> tuple[int, int]:
        """Return the half-open range of UTC days (since 1970-01-01) that the steps `time` touch.

        A day holds the stamps 01:00 to 24:00, so that windows are anchored to absolute days, never to a run.
        """
        first, last = self.first_hour + time[0], self.first_hour + time[1] - 1
        return (first - 1) // HOURS_A_DAY, (last - 1) // HOURS_A_DAY + 1


def hours_between(start: Moment | None, end: Moment) -> tuple[int, int]:
    """Return the first stamp and the number of the hours that lie between two moments.

    Parameters
    ----------
    start, end : str, datetime, date, datetime64 or Timestamp
        UTC where no zone is given. An hour lies between if its whole averaging period does: 2019-01-07 to 2019-01-14
        is 168 hours, the first stamped 01:00 on the 7th.

    Raises
    ------
    ConfigError
        If there is no start.
    OutputError
        If a moment cannot be read, or no whole hour lies between the two.
    """
    if start is None:
        raise ConfigError("start is missing: only a cube that grows (--append) has one already")
    first, last = _moment(start, "start"), _moment(end, "end")
    if first >= last:
        raise OutputError(f"start {first:%Y-%m-%d %H:%M} is not before end {last:%Y-%m-%d %H:%M} (UTC); swap them")
    epoch = pd.Timestamp(0)
    hour = pd.Timedelta(hours=1)
    begin, stop = (first.ceil("h") - epoch) // hour, (last.floor("h") - epoch) // hour
    if stop <= begin:
        raise OutputError(f"no whole hour lies between start {first} and end {last}; give them at least one hour")
    return int(begin) + 1, int(stop - begin)


def _moment(value: Moment, name: str) -> pd.Timestamp:
    try:
        moment = pd.Timestamp(value).as_unit("ns")
    except (ValueError, TypeError, OverflowError):
        moment = pd.NaT  # type: ignore[assignment]
    if moment is pd.NaT:
        raise OutputError(
            f"{name} {as_given(value)} is no date of the years 1678 to 2261: write 2019-01-07 or 2019-01-07T06:00 (UTC)"
        )
    return moment.tz_convert("UTC").tz_localize(None) if moment.tzinfo else moment


def make_plan(
    hours: tuple[int, int], shape: tuple[int, int], config: ProductionConfig, value_bytes: int, stamp: str = "middle"
) -> Plan:
    """Return the plan of a cube.

    Parameters
    ----------
    hours : tuple of int
        First stamp and number of hours, of `hours_between`.
    shape : tuple of int
        Rows and columns of the grid.
    config : ProductionConfig
        Sizes of blocks.
    value_bytes : int
        Bytes a cell and hour over all layers.
    stamp : str
        Where in its period a step is stamped.
    """
    first, count = hours
    block = (
        min(config.block_days * HOURS_A_DAY, count),
        min(config.tile_rows, shape[0]),
        min(config.tile_columns, shape[1]),
    )
    return Plan(first, count, shape[0], shape[1], block, value_bytes, stamp=stamp)


def make_mean_plan(sweep: Plan, frequency: str, value_bytes: int, utc_offset_hours: int = 0) -> Plan:
    """Return the plan of a cube of means over the hours and tiles of the plan of the `sweep`.

    Raises
    ------
    OutputError
        If the timeline cuts a period.
    """
    edges = period_edges(frequency, (sweep.first_hour, sweep.hours), utc_offset_hours)
    block = (min(FREQUENCIES[frequency].chunk, len(edges) - 1), *sweep.block[1:])
    return replace(sweep, block=block, value_bytes=value_bytes, frequency=frequency, edges=edges)


def parts_of(plan: Plan, split: str, utc_offset_hours: int = 0) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the label (``201901`` or ``2019``) and the half-open range of steps of each file.

    A step belongs to the month or year in which it begins, by the clock that is so many hours ahead of UTC.

    Raises
    ------
    ConfigError
        If a step is longer than a file.
    """
    order = list(FREQUENCIES)
    if order.index(plan.frequency) > order.index("monthly" if split == "month" else "annual"):
        raise ConfigError(f"split {split}: a step of the {plan.frequency} cube is longer than a {split}; split by year")
    begins = (plan.bounds[:, 0] + utc_offset_hours).astype("M8[h]").astype(f"M8[{_SPLIT_UNITS[split]}]")
    edges = [0, *(np.flatnonzero(begins[1:] != begins[:-1]) + 1).tolist(), len(begins)]
    for start, stop in pairwise(edges):
        yield str(begins[start]).replace("-", ""), (start, stop)


def part_plan(plan: Plan, steps: tuple[int, int]) -> Plan:
    """Return the plan of some steps of a cube as a cube of its own."""
    begin, end = int(plan.bounds[steps[0], 0]), int(plan.bounds[steps[1] - 1, 1])
    return replace(
        plan,
        first_hour=begin + 1,
        hours=end - begin,
        block=(min(plan.block[0], steps[1] - steps[0]), *plan.block[1:]),
        edges=plan.edges[steps[0] : steps[1] + 1],
    )


def check_timeline(plan: Plan, observed: tuple[int, int], able: tuple[int, int]) -> None:
    """Refuse a timeline that the model cannot estimate from the observations.

    Parameters
    ----------
    plan : Plan
        Its hours are looked at.
    observed : tuple of int
        First and last stamp with a usable reading.
    able : tuple of int
        First and last stamp that the model can estimate from them, of `Predictor.timeline`.

    Raises
    ------
    OutputError
        If an hour lies before the first that the model can estimate, or after the last.
    """
    first, last = observed
    span = f"the observations span {stamp_text(first - 1)} to {stamp_text(last)} (UTC)"
    asked = f"timeline {stamp_text(plan.first_hour - 1)} to {stamp_text(plan.first_hour + plan.hours - 1)}"
    if plan.first_hour > able[1] or plan.first_hour + plan.hours - 1 < first:
        reach = f"{stamp_text(max(first, able[0]) - 1)} to {stamp_text(able[1])}"
        raise OutputError(
            f"{asked} lies wholly outside the observations: {span}; this model estimates {reach} from them, choose "
            "start and end within"
        )
    if plan.first_hour < first:
        raise OutputError(f"{asked} begins before the observations: {span}; start at {stamp_text(first - 1)} or later")
    if plan.first_hour < able[0]:
        raise OutputError(
            f"{asked} begins too early: {span}, and this model forecasts the hours after the last reading alone; "
            f"start at {stamp_text(able[0] - 1)} or later"
        )
    if plan.first_hour + plan.hours - 1 > able[1]:
        raise OutputError(
            f"{asked} ends too late: {span}, and this model forecasts at most {able[1] - last} h beyond; "
            f"end at {stamp_text(able[1])} or earlier"
        )


def block_layout(plan: Plan) -> dict[str, Any]:
    """Return what of the plan decides the bytes of the store, for the fingerprint of a run."""
    return {"first_hour": plan.first_hour, "hours": plan.hours, "block": list(plan.block)}
