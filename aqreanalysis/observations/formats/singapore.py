"""Singapore's hourly PM2.5: JSON of data.gov.sg, ``environment/pm25`` (version 1) and ``real-time-apis/pm25``.

Layout as https://data.gov.sg describes it: regions with their names and where their labels stand, and items of an hour
each, ``timestamp`` with its offset and ``readings`` -> ``pm25_one_hourly`` -> region -> ug/m3. A reading is of the hour
that ends with the stamp. The pollutant index (``psi``) holds means of 8 and 24 hours, from which hours cannot be had.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from aqreanalysis.errors import ObservationsError, in_one_line
from aqreanalysis.observations.files import read_json
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import LongTable, one_text, records_from_long
from aqreanalysis.observations.parse_numbers import to_readings, to_texts
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import FileHead, ReadContext
from aqreanalysis.observations.report import Where
from aqreanalysis.observations.times import Clock, stamps_to_minutes

_REGIONS = (("region_metadata", "label_location"), ("regionMetadata", "labelLocation"))
_READINGS = "pm25_one_hourly"


def matches(head: FileHead) -> str | None:
    """Return why a file is of Singapore's regions."""
    there = any(f'"{regions}"' in head.text and f'"{place}"' in head.text for regions, place in _REGIONS)
    return "it is JSON with the regions of Singapore and where their labels stand" if there else None


@station_format(
    name="singapore",
    title="Singapore's hourly PM2.5 (JSON of data.gov.sg)",
    document="https://data.gov.sg",
    matches=matches,
    texts_alone=True,
    periods_stated=True,
)
def read_singapore(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the hours of one answer."""
    where = Where(context.source.name, 1, "row")
    answer = read_json(context.source)
    page = answer.get("data", answer) if isinstance(answer, dict) else {}
    places = _places(page, context.source.name)
    rows = [
        (name, str(item.get("timestamp")), None if value is None else str(value))
        for item in page.get("items", ())
        for name, value in _hour(item).items()
        if name in places
    ]
    if not rows:
        raise ObservationsError(
            f"{context.source.name}: no {_READINGS}: means of an hour are needed, which pm25 has and psi has not"
        )
    station = to_texts(pa.array([row[0] for row in rows]))
    clock = context.clock(Clock("+08:00", "end", None, "timestamp"))
    end, _ = stamps_to_minutes(pa.array([row[1] for row in rows]), clock, context.report, where)
    texts = pa.array([row[2] for row in rows], pa.string())
    readings = to_readings(texts, _READINGS, where, context.report, context.cells())
    at = np.array([places[name] for name in station[1]])[station[0]]
    n = len(rows)
    table = LongTable(station, one_text("pm25", n), one_text("ug/m3", n), end, 60, readings, at[:, 0], at[:, 1])
    yield from records_from_long(table, {"pm25": "pm25"}, context, where)


def _places(page: Mapping[str, Any], source: str) -> dict[str, tuple[float, float]]:
    """Return region -> latitude and longitude of its label; the whole country has none.

    Raises
    ------
    ObservationsError
        A region lacks its name or place.
    """
    try:
        return {
            str(region["name"]): (float(region[label]["latitude"]), float(region[label]["longitude"]))
            for regions, label in _REGIONS
            for region in page.get(regions, ())
            if region["name"] != "national"
        }
    except (KeyError, TypeError, ValueError) as error:
        lacks = in_one_line(error)
        raise ObservationsError(
            f"{source}: a region without name or place ({lacks}): give the answer as it came"
        ) from None


def _hour(item: object) -> Mapping[str, object]:
    """Return region -> reading of an hour, nothing where it has none."""
    readings = item.get("readings") if isinstance(item, dict) else None
    hour = readings.get(_READINGS) if isinstance(readings, dict) else None
    return hour if isinstance(hour, dict) else {}
