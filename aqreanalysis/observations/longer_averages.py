"""Daily, weekly and yearly means among hourly ones, told by the stamps of each series over the whole record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.observations.averaging_periods import ADJACENT_SHARE, usual_distance
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.observations.time_partitions import TimePartitions

# Series that are named, at most.
NAMED = 6
_SPANS = ((24, "one a day"), (168, "one a week"), (730, "one a month"), (8766, "one a year"))

# Pollutant, index of the station, rank of the instrument.
Series = tuple[str, int, int]


@dataclass(frozen=True)
class LongerAverages:
    """Series whose readings are averages longer than an hour, with their readings and the hours between them.

    Attributes
    ----------
    series : dict of tuple to (int, int)
        Pollutant, station and instrument -> how many readings, and how many hours apart.
    everything : bool
        Whether no other series has a reading.
    """

    series: dict[Series, tuple[int, int]]
    everything: bool = False

    def __bool__(self) -> bool:
        return bool(self.series)

    def without(self, records: RawRecords) -> RawRecords:
        """Return records without the readings of these series, whose station codes are indices of stations."""
        values = {}
        for key, readings in records.values.items():
            own = [(station, rank) for name, station, rank in self.series if name == key]
            if own:
                longer = np.isin(records.station, [station for station, _ in own])
                if records.instrument is not None:
                    pairs = pd.MultiIndex.from_arrays([records.station, records.instrument])
                    longer &= pairs.isin(own)
                readings = np.where(longer, np.float32(np.nan), readings)
            values[key] = readings
        return replace(records, values=values)

    def describe(self, ids: Sequence[str]) -> str:
        """Return which they are, for people."""
        parts = [
            f"{key} at {ids[station]} ({n}, {_spoken(hours)})" for (key, station, _), (n, hours) in self.series.items()
        ]
        more = f" and {len(parts) - NAMED} more" if len(parts) > NAMED else ""
        return f"{', '.join(parts[:NAMED])}{more}"

    def tell(self, ids: Sequence[str], report: QualityReport) -> None:
        """Count their readings and name them."""
        if self.series:
            report.count("rows_not_hourly", sum(n for n, _ in self.series.values()))
            report.warnings.append(f"averages longer than an hour left out: {self.describe(ids)}")


def _spoken(hours: int) -> str:
    near = next((text for span, text in _SPANS if abs(hours - span) <= 0.12 * span), None)
    return near or f"{hours} h apart"


def find_longer_averages(partitions: TimePartitions, index: NDArray[np.int32], first: int, last: int) -> LongerAverages:
    """Return the series of a record whose averages are longer than an hour.

    Parameters
    ----------
    partitions : TimePartitions
        The raw records.
    index : ndarray
        Code -> index of the station, as `assign_stations` takes it.
    first, last : int
        First and last stamp, hours since 1970-01-01 UTC.
    """
    counts: dict[Series, int] = {}
    adjacent: dict[Series, int] = {}
    sparse: dict[Series, list[NDArray[np.int64]]] = {}
    for number, begin, end in partitions.blocks(first, last):
        by_key: dict[str, list[RawRecords]] = {}
        for records in partitions.read_block(number, index):
            for key in records.values:
                by_key.setdefault(key, []).append(records)
        for key, batches in by_key.items():
            for series, hours in _presence(key, batches, begin, end - begin + 1):
                counts[series] = counts.get(series, 0) + len(hours)
                following = int(np.count_nonzero(np.diff(hours) == 1))
                adjacent[series] = adjacent.get(series, 0) + following
                if following <= ADJACENT_SHARE * len(hours):
                    sparse.setdefault(series, []).append(hours.astype(np.int64) + begin)
    longer = {}
    for series, parts in sparse.items():
        hours = np.concatenate(parts)
        if adjacent[series] <= ADJACENT_SHARE * counts[series] and (distance := usual_distance(hours)) > 1:
            longer[series] = counts[series], distance
    of_station: dict[int, list[Series]] = {}
    for series, count in counts.items():
        if count > 1:
            of_station.setdefault(series[1], []).append(series)
    for series in [series for series, count in counts.items() if count == 1 and series not in longer]:
        # One stamp alone tells no step; where all else that the station measures is longer, it is too.
        beside = of_station.get(series[1], [])
        if beside and all(each in longer for each in beside):
            longer[series] = 1, longer[beside[0]][1]
    return LongerAverages(longer, bool(longer) and len(longer) == len(counts))


def _presence(key: str, batches: Sequence[RawRecords], begin: int, hours: int) -> list[tuple[Series, NDArray[np.intp]]]:
    """Return the hours from `begin` on at which each series of a pollutant has a reading, sorted."""
    ends, stations, ranks = [], [], []
    for records in batches:
        there = np.isfinite(records.values[key])
        ends.append(records.hours[there])
        stations.append(records.station[there])
        ranks.append(np.zeros(len(ends[-1]), np.int64) if records.instrument is None else records.instrument[there])
    station, rank = np.concatenate(stations), np.concatenate(ranks)
    ranked, ranks_there = pd.factorize(rank)
    code, pairs = pd.factorize(station * np.int64(len(ranks_there) + 1) + ranked)
    grid = np.zeros((len(pairs), hours), dtype=bool)
    grid[code, np.concatenate(ends) - begin] = True
    split = [divmod(int(pair), len(ranks_there) + 1) for pair in pairs]
    return [((key, at, int(ranks_there[r])), np.flatnonzero(grid[i])) for i, (at, r) in enumerate(split)]
