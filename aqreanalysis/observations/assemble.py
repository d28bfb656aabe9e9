"""`TimePartitions` -> `Observations`: stations resolved, hours merged, flags set, units, twins and clock checked.

The one way from raw records to readings, in blocks of hours. A record that memory holds is one block; of a longer one
each block is merged once and screened with the blocks before and after in sight (no test of quality control looks
farther, see `reach_hours`), so that the result is the same, to the digest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.common.hours import times_from_hours
from aqreanalysis.configs import ColumnsConfig, QualityConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.averaging_periods import STRAY_SHARE
from aqreanalysis.observations.backing import HourlyBlock
from aqreanalysis.observations.clock_check import MeanDays, judge_clock
from aqreanalysis.observations.dataset import Observations
from aqreanalysis.observations.digest import count_flags, flag_totals, mask_unusable
from aqreanalysis.observations.flags import Flag
from aqreanalysis.observations.longer_averages import LongerAverages, find_longer_averages
from aqreanalysis.observations.merging import Hourly, Merger, MergeRules
from aqreanalysis.observations.places import TwinCount
from aqreanalysis.observations.quality import check_units, flag_readings
from aqreanalysis.observations.raw_records import Repeats
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.observations.station_identity import StationRules, resolve_stations
from aqreanalysis.observations.station_metadata import StationList
from aqreanalysis.observations.time_partitions import TimePartitions
from aqreanalysis.species import SPECIES, in_order

# A timeline this much longer than the hours that have rows comes from one wrong year, and would fill the memory.
LONGEST_EMPTY_HOURS = 10 * 366 * 24
# Readings that the check of units looks at: of the whole record, and of each block at least.
SAMPLE, SAMPLE_OF_BLOCK = 200_000, 20_000


@dataclass
class Assembly:
    """What assembling needs beside the records.

    Attributes
    ----------
    columns : ColumnsConfig
        What the user says of oddities.
    quality : QualityConfig or None
        Tests of quality control; None for the built-in ones.
    stations : StationList
        Places that the files do not give.
    attributes : mapping
        Attributes of the source to keep.
    repeats, moved : str
        What the format does with rows that differ and with stations that move, where `columns` does not say.
    periods_stated : bool
        Whether the files say that their readings are hourly means; else the stamps of each series tell.
    """

    columns: ColumnsConfig
    quality: QualityConfig | None = None
    stations: StationList = field(default_factory=StationList)
    attributes: Mapping[str, object] = field(default_factory=dict)
    repeats: Repeats = "refuse"
    moved: str = "refuse"
    periods_stated: bool = False

    @property
    def rules(self) -> MergeRules:
        """Rules of merging."""
        return MergeRules(self.columns.repeats or self.repeats, self.columns.completeness)

    @property
    def station_rules(self) -> StationRules:
        """Rules of placing."""
        return StationRules(dict(self.columns.rename), self.columns.moved_stations or self.moved)


class Assembler:
    """A record on its way from raw records to readings; its stations and its timeline are settled where it is built.

    Attributes
    ----------
    places : StationPlaces
        The stations that have rows, sorted by id.
    first, last : int
        First and last stamp, hours since 1970-01-01 UTC.
    keys : list of str
        The pollutants, in the order of `SPECIES`.

    Raises
    ------
    ObservationsError
        Where it is built: no row is left, a station moves, no two stamps are an hour apart, or next to none of a long
        timeline's hours has a row.
    """

    def __init__(self, partitions: TimePartitions, assembly: Assembly, report: QualityReport) -> None:
        forms = list(partitions.forms())
        if report.rows == 0 or not forms:
            raise ObservationsError(f"{report.source}: {_nothing(report)}")
        self._partitions, self._assembly, self._report = partitions, assembly, report
        table = partitions.station_table()
        resolved = resolve_stations(table, assembly.stations, assembly.station_rules, report)
        self.places, self._index = resolved.places, resolved.index
        hours, unplaced = partitions.hours(self._index)
        report.count("rows_without_place", unplaced)
        if len(hours) == 0:
            raise ObservationsError(
                f"{report.source}: no row has a station, a place and a time: {'; '.join(report.lines())}"
            )
        check_timeline(hours, report)
        self.first, self.last = int(hours[0]), int(hours[-1])
        self._longer = self._longer_averages(len(hours))
        report.count("hours_without_rows", self.last - self.first + 1 - len(hours))
        self.keys = in_order({key for records in forms for key in records.values})
        # A row of a wide table holds several pollutants.
        self._wide = all(len(records.values) == len(self.keys) for records in forms)
        hourly = all(records.minutes == 60 and records.instrument is None and not records.flags for records in forms)
        self._merger = Merger(self.keys, self.places.ids, assembly.rules, report, hourly)

    def _longer_averages(self, stamps: int) -> LongerAverages:
        """Return the series of daily and other longer means, counted and named; a record of nothing else is refused."""
        if self._assembly.periods_stated:
            return LongerAverages({})
        longer = find_longer_averages(self._partitions, self._index, self.first, self.last)
        if longer.everything:
            raise ObservationsError(
                f"{self._report.source}: {self._report.rows} rows, all averages longer than an hour "
                f"({longer.describe(self.places.ids)}): hourly means are needed"
            )
        longer.tell(self.places.ids, self._report)
        if stamps == 1:
            self._report.warnings.append(
                f"all rows carry one stamp, {times_from_hours([self.first])[0]} UTC: nothing tells that these are "
                "hourly means, and no daily or yearly ones"
            )
        return longer

    def blocks(self) -> Iterator[HourlyBlock]:
        """Yield the blocks of the record, once, and after the last check what only the whole tells.

        Raises
        ------
        ObservationsError
            Station-hours contradict each other, not one reading is there, a unit is wrong, one station stands under
            two names, or the clock is not UTC.
        """
        spans = self._partitions.blocks(self.first, self.last)
        whole = _WholeChecks(self, self._assembly.columns, self._report, max(SAMPLE // len(spans), SAMPLE_OF_BLOCK))
        merged: dict[int, Hourly] = {}
        for at, (number, _, _) in enumerate(spans):
            for near, first, last in spans[max(at - 1, 0) : at + 2]:
                if near not in merged:
                    merged[near] = self._merge(near, first, last)
            merged.pop(number - 2, None)
            block = self._screen(number, merged)
            whole.add(block)
            yield block
        self._merger.count(self._wide)
        whole.judge()

    def observations(self, block: HourlyBlock, report: QualityReport) -> Observations:
        """Return a block as observations, with the attributes of the source."""
        return Observations.from_block(block, self.places, self._assembly.attributes, report)

    def _merge(self, number: int, first: int, last: int) -> Hourly:
        batches = list(self._partitions.read_block(number, self._index))
        if self._longer:
            batches = [self._longer.without(records) for records in batches]
        return self._merger.merge([records for records in batches if len(records.end)], first, last - first + 1)

    def _screen(self, number: int, merged: dict[int, Hourly]) -> HourlyBlock:
        """Return a block with its flags, which quality control sets with the neighbours of the block in sight."""
        around = [merged[near] for near in (number - 1, number, number + 1) if near in merged]
        own = merged[number]
        values, source_flags = own.values, own.flags
        if len(around) > 1:
            values = {key: np.concatenate([part.values[key] for part in around]) for key in self.keys}
            source_flags = {
                key: np.concatenate([part.flags.get(key, np.zeros(part.values[key].shape, np.int8)) for part in around])
                for key in {key for part in around for key in part.flags}
            }
        flags = flag_readings(values, self.places.lat, self.places.lon, self._assembly.quality, source_flags)
        if len(around) > 1:
            begin = own.first_hour - around[0].first_hour
            flags = {key: flags[key][begin : begin + len(own.values[key])] for key in self.keys}
        usable = {key: mask_unusable(own.values[key], flags[key]) for key in self.keys}
        return HourlyBlock(own.first_hour, own.values, usable, flags)


def assemble(partitions: TimePartitions, assembly: Assembly, report: QualityReport) -> Observations:
    """Return the observations of all records, which are one block.

    Raises
    ------
    ObservationsError
        As `Assembler` and its blocks.
    """
    assembler = Assembler(partitions, assembly, report)
    (block,) = assembler.blocks()
    # Counted by the checks of the whole already.
    observations = assembler.observations(block, QualityReport())
    observations.report = report
    return observations


def _nothing(report: QualityReport) -> str:
    """Return why a record holds nothing."""
    longer = report.counts.get("rows_not_hourly", 0)
    if longer:
        return f"{longer} rows, all averages longer than an hour (such as daily means): hourly means are needed"
    if report.rows and report.counts.get("rows_of_other_pollutants", 0):
        return f"{report.rows} rows, none of a known pollutant ({', '.join(SPECIES)}): give a file with readings of one"
    return "holds no rows: give a file with readings"


def check_timeline(distinct: NDArray[np.integer], report: QualityReport) -> None:
    """Refuse hours that are never one apart, or that one wrong year stretches.

    Raises
    ------
    ObservationsError
        One of the two.
    """
    steps = np.diff(distinct)
    if len(steps) >= 2 and steps.min() > 1:
        raise ObservationsError(
            f"{report.source}: the stamps are {int(np.median(steps))} h apart, never one"
            f"{', so that these are daily means' if np.median(steps) == 24 else ''}: hourly means are needed"
        )
    length = int(distinct[-1] - distinct[0]) + 1
    if length > LONGEST_EMPTY_HOURS and len(distinct) < STRAY_SHARE * length:
        span = times_from_hours([int(distinct[0]), int(distinct[-1])])
        raise ObservationsError(
            f"{report.source}: the stamps run from {span[0]} to {span[1]}, and only {len(distinct)} of these {length} "
            "hours have rows: correct the stamp with the wrong year"
        )


class _WholeChecks:
    """What can only be said of the whole record, gathered block by block."""

    def __init__(self, record: Assembler, columns: ColumnsConfig, report: QualityReport, sample: int) -> None:
        self._places, self._keys, self._columns, self._report = record.places, record.keys, columns, report
        self._sample_size = sample
        self._sample: dict[str, list[NDArray[np.float32]]] = {key: [] for key in record.keys}
        self._counts = {key: np.zeros(len(Flag), dtype=np.int64) for key in record.keys}
        self._seen = np.zeros(len(record.places.ids), dtype=bool)
        self._twins = TwinCount(record.places)
        self._mean_days = MeanDays(len(record.places.ids))

    def add(self, block: HourlyBlock) -> None:
        """Take a block in."""
        for key in self._keys:
            self._counts[key] += flag_totals(block.flags[key])
            values = block.values[key]
            self._sample[key].append(values.ravel()[:: max(values.size // self._sample_size, 1)].copy())
            self._seen |= np.isfinite(block.usable[key]).any(axis=0)
        self._twins.add(block.usable)
        if self._columns.check_clock:
            self._mean_days.add(block.usable, block.hours)

    def judge(self) -> None:
        """Run the checks of the whole and write into the report what they say.

        Raises
        ------
        ObservationsError
            Not one reading is there, a unit is wrong, one station stands under two names, or the clock is not UTC.
        """
        self._judge_readings()  # what makes no sense at all is told first
        report = self._report
        if self._columns.check_clock:
            judge_clock(self._mean_days, self._places.lat, self._places.lon, report)
        else:
            report.notes.append("clock: not checked (columns.check_clock=false)")
        report.count("stations_without_readings", int((~self._seen).sum()))

    def _judge_readings(self) -> None:
        if not any(int(counts.sum() - counts[Flag.MISSING]) for counts in self._counts.values()):
            keys = ", ".join(self._keys)
            raise ObservationsError(f"{self._report.source}: not one reading of {keys}: the columns are empty")
        check_units({key: np.concatenate(parts) for key, parts in self._sample.items()}, self._report)
        count_flags(self._counts, self._report)
        self._twins.judge(self._report)
