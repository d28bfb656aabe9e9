"""Germany's Umweltbundesamt: JSON of its API, ``measures/json``, the means of a station and a component.

Layout as https://www.umweltbundesamt.de/daten/luft/luftdaten/doc describes it: ``data`` -> id of the station -> begin
of the mean (``2023-06-01 00:00:00``) -> [id of the component, id of the scope, value, end of the mean, index]. Times
are Central European all year (+01:00), ends are counted from 01:00 to 24:00 or 00:00; ug/m3, CO in mg/m3. Of the scopes
2 is the mean of an hour; means of days, running means and maxima are left out. Stations are called by the API's number,
by which a station list must know them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.files import read_json
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import LongTable, records_from_long, rows_of_known
from aqreanalysis.observations.parse_numbers import to_readings, to_texts
from aqreanalysis.observations.pollutant_codes import CODES
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import FileHead, ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.times import Clock, stamps_to_minutes
from aqreanalysis.species import SPECIES

#: The scope of means of an hour (Ein-Stunden-Mittelwert).
HOURLY = "2"
_LOOKS = re.compile(r'"scope id"|"component id"')


def matches(head: FileHead) -> str | None:
    """Return why a file is an answer of the Umweltbundesamt."""
    beginning = head.text.lstrip()
    there = beginning.startswith("{") and _LOOKS.search(beginning) is not None
    return "it is JSON whose indices are component id and scope id" if there else None


@station_format(
    name="uba-api",
    title="Germany's Umweltbundesamt, API (measures/json)",
    document="https://www.umweltbundesamt.de/daten/luft/luftdaten/doc",
    matches=matches,
    texts_alone=True,
    needs_stations=True,
    periods_stated=True,
)
def read_uba_api(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the hourly means of one answer."""
    where = Where(context.source.name, 1, "row")
    page = read_json(context.source)
    stations = page.get("data") if isinstance(page, dict) else None
    if not isinstance(stations, dict) or not stations:
        raise ObservationsError(f"{context.source.name}: an answer without data: ask measures/json for other days")
    rows = [
        (str(station), str(begin), *map(_text, mean[:4]))
        for station, means in stations.items()
        for begin, mean in (means.items() if isinstance(means, dict) else ())
        if isinstance(mean, list) and len(mean) >= 4 and not isinstance(mean[3], list)
    ]
    if not rows:
        raise ObservationsError(
            f"{context.source.name}: no rows of component, scope, value and end: give answers of measures/json, not of "
            "airquality/json, whose particles are means of a day"
        )
    table = pa.table({str(i): pa.array([row[i] for row in rows], pa.string()) for i in range(6)})
    hourly = np.array([row[3] == HOURLY for row in rows])
    context.report.rows += int((~hourly).sum())
    context.report.count("rows_not_hourly", int((~hourly).sum()))
    table = table.filter(pa.array(hourly))
    component = to_texts(table["2"])
    table, component = rows_of_known(table, component, CODES["uba"], context)
    clock = context.clock(Clock("+01:00", "end", None, "date end"))
    end, _ = stamps_to_minutes(table["5"], clock, context.report, where)
    readings = to_readings(table["4"], "value", where, context.report, context.cells())
    keys = [CODES["uba"].get(text, "") for text in component[1]]
    units = component[0], [SPECIES[key].units if key else "" for key in keys]
    rows_of_hours = LongTable(to_texts(table["0"]), component, units, end, 60, readings)
    yield from records_from_long(rows_of_hours, CODES["uba"], context, where)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
