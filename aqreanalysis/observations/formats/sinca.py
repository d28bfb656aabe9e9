"""Chile's SINCA: hours of a station and pollutant, ``FECHA (YYMMDD);HORA (HHMM);Registros validados;...``.

Layout as https://sinca.mma.gob.cl delivers it: three columns of readings, validated, preliminary and not validated, of
which a row fills one, with decimal commas. Neither station nor pollutant stands in the file: its name must say them, or
``columns.place`` and ``columns.species.pm25='*'``. An hour is stamped at its end, Chile's standard time all year
(-04:00). Particles are in ug/m3 (the network's normal state is that of 25 degC and 1013.25 hPa), O3, NO2 and SO2 in
ppb, CO in ppm, unless ``columns.units`` says otherwise. Not validated readings are used as the others are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.column_names import plain
from aqreanalysis.observations.flags import Flag
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.formats.wide import pollutants_in_name
from aqreanalysis.observations.long_format import ColumnTable, PollutantColumns, one_text, records_from_columns
from aqreanalysis.observations.parse_numbers import Readings
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import FileHead, FileStation, ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.table_blocks import numbered, read_blocks
from aqreanalysis.observations.times import Clock, stamps_to_minutes
from aqreanalysis.observations.units import factor_of
from aqreanalysis.species import get_species

_UNITS = {"o3": "ppb", "no2": "ppb", "so2": "ppb", "co": "ppm", "pm25": "ug/m3", "pm10": "ug/m3"}


def _is_header(names: Sequence[str]) -> bool:
    words = [plain(name) for name in names]
    return len(words) > 2 and words[0][:5] == "fecha" and words[1][:4] == "hora" and words[2][:9] == "registros"


def matches(head: FileHead) -> str | None:
    """Return why a file is of SINCA."""
    return "it has FECHA, HORA and Registros validados" if _is_header(head.names) else None


@station_format(
    name="sinca",
    title="Chile's SINCA (FECHA;HORA;Registros validados;...)",
    document="https://sinca.mma.gob.cl",
    matches=matches,
    temperature_celsius=25.0,
)
def read_sinca(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the hours of one file, a block at a time."""
    context.encoding = "latin-1"
    table = context.table()
    key, station = _pollutant(context), _station(context)
    kinds = [str(at) for at, name in enumerate(table.names) if plain(name).startswith("registros")]
    for block in read_blocks(numbered(table), ["0", "1", *kinds], context.report):
        yield from _records(block.rows, key, station, kinds, context, block.where)


def _pollutant(context: ReadContext) -> str:
    """Return the pollutant of the file: what is told, or what its name says.

    Raises
    ------
    ObservationsError
        Neither says it, or both of several.
    """
    configured = [get_species(name).key for name, column in context.columns.species.items() if column == "*"]
    named = configured or pollutants_in_name(re.sub(r"(?i)\bMP(?=\d)", "PM", context.source.filename.replace("_", " ")))
    if len(named) != 1:
        raise ObservationsError(
            f"{context.source.name}: which pollutant is it? Name the file after it, D14_PM25.csv, or set "
            "columns.species.pm25='*'"
        )
    return named[0]


def _station(context: ReadContext) -> FileStation:
    stem = context.source.stem
    words = [word for word in re.split(r"[ _.-]+", stem) if word and not pollutants_in_name(f"{word}.csv")]
    return context.one_station([" ".join(words), *words, stem] if words else [stem])


def _records(
    rows: pa.Table, key: str, station: FileStation, kinds: Sequence[str], context: ReadContext, where: Where
) -> Iterator[RawRecords]:
    n = rows.num_rows
    # A spreadsheet takes the noughts before 0100 away.
    parts = [pc.utf8_lpad(pc.utf8_trim_whitespace(rows[name]), width, "0") for name, width in (("0", 6), ("1", 4))]
    stamps = pc.binary_join_element_wise(*(part.combine_chunks() for part in parts), " ")
    clock = context.clock(Clock("-04:00", "end", "%y%m%d %H%M", "FECHA, HORA"))
    end, minutes = stamps_to_minutes(pa.chunked_array([stamps]), clock, context.report, where)
    value, flags = np.full(n, np.nan), np.full(n, Flag.GOOD, np.int8)
    for kind in kinds:
        readings = context.readings(rows, kind, where, decimal_comma=True)
        if readings.flags is not None:
            flags = np.where(np.isnan(value), readings.flags, flags)
        value = np.where(np.isnan(value), readings.values, value)
    factor = factor_of(key, _UNITS[key], context.columns, context.report, where.source)
    measured = PollutantColumns()
    measured.add(key, Readings(value, flags if flags.any() else None), factor)
    places = np.full(n, station.lat), np.full(n, station.lon)
    yield from records_from_columns(
        ColumnTable(one_text(station.id, n), end, minutes, measured, *places), context, where
    )
