"""Lombardy's ARPA: hours of sensors, ``IdSensore,Data,Valore,Stato,idOperatore``, with the table of sensors as list.

Layout as https://www.dati.lombardia.it ("Dati sensori aria", "Stazioni qualità dell'aria") delivers it: a sensor is one
pollutant at a station; which, in what unit and where says the table of sensors (IdSensore, NomeTipoSensore,
UnitaMisura, Idstazione, NomeStazione, lat, lng), which is given with ``--stations``. Solar time all year (+01:00), an
hour stamped at its end; dates with the day first, or as the portal exports them with the month first and AM or PM.
-9999 is missing; status VA or none is usable, other ones are not; operator 1 is the mean, others (maxima ...) are left
out. PM10 and PM2.5 are mostly daily means, which are told by their stamps and left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.flags import Flag
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import LongTable, Texts, records_from_long, series_of
from aqreanalysis.observations.parse_numbers import CellRules, to_readings, to_texts
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import read_blocks
from aqreanalysis.observations.times import Clock, stamps_to_minutes

COLUMNS = ("IdSensore", "Data", "Valore", "Stato")
OPERATOR, MEAN = "idOperatore", "1"
# What the names of sensors begin with.
POLLUTANTS = {
    "Biossido di Azoto": "no2",
    "Biossido di Zolfo": "so2",
    "Monossido di Carbonio": "co",
    "Ozono": "o3",
    "PM10": "pm10",
    "PM2.5": "pm25",
    "Particelle sospese PM2.5": "pm25",
}
_MISSING = (-9999,)
_PATTERNS = (
    (re.compile(r"[AP]M$", re.IGNORECASE), "%m/%d/%Y %I:%M:%S %p"),
    (re.compile(r"^\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d\d:\d\d$"), "%d/%m/%Y %H:%M:%S"),
    (re.compile(r"^\d{1,2}/"), "%d/%m/%Y %H:%M"),
)


@station_format(
    name="lombardy",
    title="Lombardy's ARPA, sensors of air (CSV, with the table of sensors)",
    document="https://www.dati.lombardia.it/stories/s/auv9-c2sj",
    columns=COLUMNS,
    needs_stations=True,
)
def read_lombardy(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the readings of one file, a block at a time."""
    table = context.table()
    context.require(table.names, COLUMNS)
    if not context.stations.of_sensors("parameter"):
        raise ObservationsError(
            f"{context.source.name}: what its sensors measure stands in the table of sensors (IdSensore, "
            "NomeTipoSensore, UnitaMisura, Idstazione, lat, lng): give it with --stations"
        )
    wanted = [*COLUMNS, *([OPERATOR] if OPERATOR in table.names else [])]
    for block in read_blocks(table, wanted, context.report):
        yield from _records(_means(block.rows, context), context, block.where)


def _means(rows: pa.Table, context: ReadContext) -> pa.Table:
    """Return the rows of means, without those of maxima and other operators."""
    if OPERATOR not in rows.column_names:
        return rows
    codes, operators = to_texts(rows[OPERATOR])
    means = np.array([operator == MEAN for operator in operators] + [True])[codes]
    context.report.count("rows_of_other_periods", int((~means).sum()))
    return rows.filter(pa.array(means))


def _records(rows: pa.Table, context: ReadContext, where: Where) -> Iterator[RawRecords]:
    codes, sensors = to_texts(rows["IdSensore"])
    measured, units = (context.stations.of_sensors(what) for what in ("parameter", "unit"))
    first = next((text.strip() for text in rows["Data"].slice(0, 20).to_pylist() if text), "")
    pattern = next((pattern for looks, pattern in _PATTERNS if looks.search(first)), None)
    clock = context.clock(Clock("+01:00", "end", pattern, "Data"))
    end, minutes = stamps_to_minutes(rows["Data"], clock, context.report, where, series_of(codes))
    rules = CellRules(False, (*context.columns.missing, *_MISSING))
    readings = to_readings(rows["Valore"], "column 'Valore'", where, context.report, rules)
    states, words = to_texts(rows["Stato"])
    bad = np.array([word != "VA" for word in words] + [False])[states]
    context.report.count("readings_of_bad_flags", int((bad & np.isfinite(readings.values)).sum()))
    long_table = LongTable(
        station=(codes, sensors),
        pollutant=_of_sensors(codes, [measured.get(sensor, "") for sensor in sensors]),
        unit=_of_sensors(codes, [units.get(sensor, "") for sensor in sensors]),
        end=end,
        minutes=minutes,
        readings=readings,
        instrument=np.array([*(_rank(sensor) for sensor in sensors), 0], dtype=np.int64)[codes],
        flag=np.where(bad, np.int8(Flag.INVALID_AT_SOURCE), np.int8(Flag.GOOD)),
    )
    keys = {name: key for name in long_table.pollutant[1] if (key := _pollutant(name)) is not None}
    yield from records_from_long(long_table, keys, context, where)


def _of_sensors(codes: NDArray[np.integer], texts: list[str]) -> Texts:
    """Return a column of the texts of the rows' sensors, -1 where a sensor has none."""
    distinct = sorted(set(texts) - {""})
    place = {text: i for i, text in enumerate(distinct)}
    return np.array([*(place.get(text, -1) for text in texts), -1], dtype=np.int32)[codes], distinct


def _rank(sensor: str) -> int:
    return int(sensor) if sensor.isdigit() else 0


def _pollutant(name: str) -> str | None:
    return next((key for start, key in POLLUTANTS.items() if name.startswith(start)), None)
