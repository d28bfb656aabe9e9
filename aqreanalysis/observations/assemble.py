"""`RawRecords` of any format -> `Observations`: stations resolved, hours merged, units, clock and twins checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from aqreanalysis.configs import ColumnsConfig, QualityConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.clock_check import check_clock
from aqreanalysis.observations.dataset import Observations
from aqreanalysis.observations.merging import MergeRules, assign_stations, is_all_missing, merge, timeline
from aqreanalysis.observations.places import StationPlaces, check_colocated
from aqreanalysis.observations.quality import Screening, check_units
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.observations.station_identity import StationRules, resolve_stations
from aqreanalysis.observations.station_metadata import StationList
from aqreanalysis.observations.times import times_from_hours


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
    """

    columns: ColumnsConfig
    quality: QualityConfig | None = None
    stations: StationList = field(default_factory=StationList)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    repeats: str = "refuse"
    moved: str = "refuse"

    @property
    def rules(self) -> MergeRules:
        """Rules of merging."""
        return MergeRules(self.columns.repeats or self.repeats, self.columns.completeness)  # type: ignore[arg-type]

    @property
    def station_rules(self) -> StationRules:
        """Rules of placing."""
        return StationRules(dict(self.columns.rename), self.columns.moved_stations or self.moved)


def assemble(batches: Sequence[RawRecords], assembly: Assembly, report: QualityReport) -> Observations:
    """Return the observations of all `batches`.

    Raises
    ------
    ObservationsError
        No row is left, a station moves or has a twin, station-hours contradict each other, the clock is not UTC, or a
        unit is wrong.
    """
    if report.rows == 0 or not batches:
        raise ObservationsError(f"{report.source}: holds no rows: give a file with readings")
    split = assembly.station_rules.moved == "split"
    resolved = resolve_stations(
        [placed(records, split) for records in batches], assembly.stations, assembly.station_rules, report
    )
    here = []
    for records, index in zip(batches, resolved.index, strict=True):
        part = assign_stations(records, index)
        report.count("rows_without_place", len(records.end) - len(part.end))
        here.append(part)
    here = [records for records in here if len(records.end)]
    if not here:
        raise ObservationsError(
            f"{report.source}: no row has a station, a place and a time: {'; '.join(report.lines())}"
        )
    places, here = _seen(resolved.places, here, report)
    span = timeline(here, report)
    hourly = merge(here, places.ids, span, assembly.rules, report)
    if is_all_missing(hourly.values):
        raise ObservationsError(
            f"{report.source}: not one reading of {', '.join(hourly.values)}: the columns are empty"
        )
    check_units(hourly.values, report)
    times = times_from_hours(np.arange(span[0], span[0] + span[1], dtype=np.int64))
    screening = Screening(assembly.quality, hourly.flags)
    observations = Observations.from_arrays(times, places, hourly.values, assembly.attributes, report, screening)
    _check_whole(observations, places, assembly.columns, report)
    return observations


def placed(records: RawRecords, with_since: bool) -> pd.DataFrame:
    """Return the places of the stations of `records`, and where stations may move the first minute at each of them."""
    if not with_since:
        return records.places
    since = np.full(len(records.places), np.iinfo(np.int32).max, np.int32)
    np.minimum.at(since, records.station, records.end)
    return records.places.assign(since=since)


def _seen(
    places: StationPlaces, batches: list[RawRecords], report: QualityReport
) -> tuple[StationPlaces, list[RawRecords]]:
    """Return the places that have rows, and the records numbered by them."""
    seen = np.zeros(len(places.ids), dtype=bool)
    for records in batches:
        seen[records.station] = True
    if seen.all():
        return places, batches
    from aqreanalysis.observations.station_identity import subset_stations

    report.count("listed_without_rows", int((~seen).sum()))
    index = np.where(seen, np.cumsum(seen) - 1, -1).astype(np.int32)
    return subset_stations(places, np.flatnonzero(seen)), [assign_stations(records, index) for records in batches]


def _check_whole(
    observations: Observations, places: StationPlaces, columns: ColumnsConfig, report: QualityReport
) -> None:
    """Run the checks that need the whole record, on usable readings."""
    usable = {key: observations.values(key) for key in observations.species}
    check_colocated(places, usable, report)
    if columns.check_clock:
        check_clock(usable, observations.hours, observations.lon, report)
    else:
        report.notes.append("clock: not checked (columns.check_clock=false)")
    silent = ~np.any([np.isfinite(values).any(axis=0) for values in usable.values()], axis=0)
    report.count("stations_without_readings", int(silent.sum()))
