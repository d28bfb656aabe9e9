"""PurpleAir: its API (JSON, CSV), its download tool, the download page before 2022, and the sensors' SD cards (CSV).

Layouts as https://api.purpleair.com (history), https://community.purpleair.com/t/api-history-fields-descriptions/4652
and .../sd-card-file-headers/279 describe them. ``time_stamp`` is in seconds since 1970 or ISO 8601, UTC unless it
carries an offset, and begins its average; ``created_at`` ("... UTC") and ``UTCDateTime`` are moments of some two
minutes. Two counters (channels A and B) measure side by side: their mean counts, and is flagged where they differ by 5
ug/m3 and 61 % or more (Barkjohn et al. 2021). Of the two estimates of PM2.5, CF=1 is what the correction takes, ATM
what PurpleAir's map shows.

The correction is that of Barkjohn, Gantt and Clements 2021 (https://doi.org/10.5194/amt-14-4617-2021):
0.524 CF=1 - 0.0862 RH + 5.75, RH in % as the sensor measures it. It is applied where a file has CF=1 and humidity,
unless ``columns.correction=none``; files without them are read as ATM, and told of. PM10 is left out: these counters
see hardly a coarse particle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.files import is_json
from aqreanalysis.observations.flags import Flag
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.json_rows import json_table
from aqreanalysis.observations.long_format import ColumnTable, PollutantColumns, Texts, one_text, records_from_columns
from aqreanalysis.observations.parse_numbers import to_texts
from aqreanalysis.observations.raw_records import RawRecords, as_float32
from aqreanalysis.observations.read_context import FileHead, FileStation, ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import read_blocks
from aqreanalysis.observations.times import Clock, stamps_to_minutes

# The correction: slope, what a percent of humidity takes off, what is added (ug/m3).
SLOPE, PER_HUMIDITY, ADDED = 0.524, 0.0862, 5.75
# Channels disagree where they differ by both, in ug/m3 and as a share of their mean.
DISAGREE, DISAGREE_SHARE = 5.0, 0.61
_TIMES = ("time_stamp", "created_at", "utcdatetime")
# "NAME B (undefined) (38.75 -120.93) Primary Real Time 10_01_2020 10_07_2020.csv" of the download page.
_PAGE = re.compile(r"^(.+?)( B)? \((outside|inside|undefined)\) \((-?[\d.]+) (-?[\d.]+)\)", re.IGNORECASE)


@dataclass(frozen=True)
class _Columns:
    """Columns of a file by what they are; of an estimate its channels, or their mean alone."""

    time: str
    sensor: str | None
    cf1: tuple[str, ...]
    atm: tuple[str, ...]
    humidity: tuple[str, ...]

    @property
    def correctable(self) -> bool:
        """Whether the file has what the correction takes."""
        return bool(self.cf1 and self.humidity)


def _plain(name: str) -> str:
    return name.strip().lower().replace(".", "_").removesuffix("_ug/m3")


def _find_columns(names: Sequence[str]) -> _Columns | None:
    """Return which column is what, None where a table is none of PurpleAir's."""
    by_plain = {_plain(name): name for name in names}
    time = next((by_plain[word] for word in _TIMES if word in by_plain), None)
    if time is None or not any(re.match(r"pm\d+_\d+|pm2_5|[\d.>=_]+um", word) for word in by_plain):
        return None
    card = _plain(time) == "utcdatetime"

    def channels(*estimates: str) -> tuple[str, ...]:
        for estimate in estimates:
            pair = [f"{estimate}_a", f"{estimate}_b"] if not card else [estimate, f"{estimate}_b"]
            there = tuple(by_plain[word] for word in pair if word in by_plain)
            there = there or tuple(by_plain[word] for word in (estimate,) if word in by_plain)
            if there:
                return there
        return ()

    humidity = next(
        (by_plain[word] for word in ("humidity", "current_humidity", "humidity_%") if word in by_plain), None
    )
    sensor = next((by_plain[word] for word in ("sensor_index", "mac_address") if word in by_plain), None)
    return _Columns(
        time,
        sensor,
        channels("pm2_5_cf_1", "pm2_5_cf1"),
        channels("pm2_5_atm", "pm2_5", "pm2_5_alt"),
        (humidity,) if humidity else tuple(by_plain[w] for w in ("humidity_a", "humidity_b") if w in by_plain),
    )


def matches(head: FileHead) -> str | None:
    """Return why a file is of PurpleAir."""
    if '"fields"' in head.text and '"time_stamp"' in head.text and '"pm2.5' in head.text and not head.names:
        return "it is JSON with fields and data as PurpleAir's API names them"
    columns = _find_columns(head.names)
    return (
        None if columns is None else f"it has {columns.time} and counts or masses of particles as PurpleAir names them"
    )


@station_format(
    name="purpleair",
    title="PurpleAir: API (JSON, CSV), download tool, old download page, SD card, low-cost sensors",
    document="https://community.purpleair.com/t/api-history-fields-descriptions/4652",
    matches=matches,
)
def read_purpleair(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the averages of one file, a block at a time."""
    answer = json_table(context.source) if is_json(context.source) else None
    columns = _find_columns(context.table().names if answer is None else answer.column_names)
    if columns is None:
        raise ObservationsError(f"{context.source.name}: without a column of times ({', '.join(_TIMES)})")
    page = _PAGE.match(context.source.filename)
    if page is not None and page.group(3).lower() == "inside":
        raise ObservationsError(
            f"{context.source.name}: a sensor inside a building: the air of rooms is no ambient air; leave the file out"
        )
    if not (columns.cf1 or columns.atm):
        context.report.note(f"{context.source.name}: no PM2.5 (a secondary file of counts): left out")
        return
    corrected = _corrects(columns, context)
    if page is not None and page.group(2) and corrected is False and context.columns.correction != "none":
        context.report.note(
            f"{context.source.name}: channel B without humidity, which stands in channel A's file: left out"
        )
        return
    alone = columns.sensor is None or context.columns.place is not None
    station = _of_file(page, context) if alone else None
    wanted = [
        columns.time,
        columns.sensor,
        *(columns.cf1 if corrected else columns.atm or columns.cf1),
        *columns.humidity,
    ]
    for rows, where in _blocks(context, answer, list(dict.fromkeys(name for name in wanted if name))):
        yield from _records(rows, columns, station, corrected, context, where)


def _blocks(context: ReadContext, answer: pa.Table | None, names: list[str]) -> Iterator[tuple[pa.Table, Where]]:
    """Yield these columns of a text table a block at a time, or the rows of the API's answer, with where they stand."""
    if answer is not None:
        yield answer, Where(context.source.name, 1, "row")
        return
    for block in read_blocks(context.table(), names, context.report):
        yield block.rows, block.where


def _corrects(columns: _Columns, context: ReadContext) -> bool:
    """Return whether the correction is applied, and note it.

    Raises
    ------
    ObservationsError
        It is asked for, and the file lacks what it takes.
    """
    asked = context.columns.correction
    if asked == "barkjohn" and not columns.correctable:
        raise ObservationsError(
            f"{context.source.name}: the correction of Barkjohn et al. needs columns of pm2.5_cf_1 and humidity: ask "
            "the API for both, or set columns.correction=none"
        )
    applied = asked != "none" and columns.correctable
    if applied:
        how = f"corrected as Barkjohn et al. 2021, {SLOPE} CF=1 - {PER_HUMIDITY} RH + {ADDED} (columns.correction)"
    else:
        how = "not corrected" if asked == "none" else "not corrected, for want of CF=1 and humidity"
    context.report.note(f"PurpleAir: low-cost sensors, PM2.5 {how}; PM1 and PM10 left out")
    return applied


def _of_file(page: re.Match[str] | None, context: ReadContext) -> FileStation:
    """Return the station that a file without a column of sensors is of, by its name."""
    if page is not None:
        return context.one_station([page.group(1)], float(page.group(4)), float(page.group(5)))
    stem = context.source.stem
    number = re.match(r"\D*(\d+)", stem)
    return context.one_station([number.group(1), stem] if number else [stem])


def _records(
    rows: pa.Table,
    columns: _Columns,
    station: FileStation | None,
    corrected: bool,
    context: ReadContext,
    where: Where,
) -> Iterator[RawRecords]:
    n = rows.num_rows
    ids: Texts = one_text(station.id, n) if station is not None else to_texts(rows[str(columns.sensor)])
    lat, lon = (None, None) if station is None else (np.full(n, station.lat), np.full(n, station.lon))
    end, minutes = _times(rows[columns.time], columns.time, ids[0], context, where)
    used = columns.cf1 if corrected else columns.atm or columns.cf1
    channels = [context.readings(rows, name, where) for name in used]
    value, disagree = _of_channels([channel.values for channel in channels])
    if corrected:
        humidity, _ = _of_channels([context.readings(rows, name, where).values for name in columns.humidity])
        value = SLOPE * value - PER_HUMIDITY * humidity + ADDED
    measured = PollutantColumns({"pm25": as_float32(value)})
    flags = [channel.flags for channel in channels if channel.flags is not None]
    if disagree.any():
        context.report.count("channels_disagree", int(disagree.sum()))
        flags.append(np.where(disagree, np.int8(Flag.INVALID_AT_SOURCE), np.int8(Flag.GOOD)))
    if flags:
        measured.flags = {"pm25": np.maximum.reduce(flags)}
    labels = {"network": one_text("PurpleAir", n)}
    averages = ColumnTable(ids, end, minutes, measured, lat, lon, labels)
    yield from records_from_columns(averages, context, where)


def _of_channels(channels: Sequence[NDArray[np.floating]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the mean of the channels that report, and where two disagree."""
    if len(channels) == 1:
        return channels[0].astype(np.float64), np.zeros(len(channels[0]), bool)
    a, b = (channel.astype(np.float64) for channel in channels)
    mean = np.where(np.isnan(a), b, np.where(np.isnan(b), a, (a + b) / 2))
    with np.errstate(invalid="ignore"):
        apart = np.abs(a - b)
        return mean, (apart >= DISAGREE) & (apart >= DISAGREE_SHARE * np.abs(mean))


def _times(
    column: pa.ChunkedArray, name: str, series: NDArray[np.integer], context: ReadContext, where: Where
) -> tuple[NDArray[np.int32], int | NDArray[np.int16]]:
    """Return ends and lengths of the averages; stamps of the API begin them, others are the moment of a report."""
    texts = pc.utf8_trim_whitespace(column)
    texts = pc.replace_substring_regex(texts, r" ?(UTC|z)$", "Z")
    api = _plain(name) == "time_stamp"
    if not api:
        texts = pc.replace_substring(texts, "/", "-")
    first = next((text for text in texts.slice(0, 20).to_pylist() if text), "")
    pattern = ("epoch-ms" if len(first) >= 13 else "epoch") if first.isdigit() else None
    clock = context.clock(Clock("UTC", "start" if api else "end", pattern, name))
    return stamps_to_minutes(texts, clock, context.report, where, series)
