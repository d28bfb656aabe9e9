"""OpenAQ's API, version 3: pages of JSON as ``/v3/sensors/<id>/measurements`` or ``/hours`` return them.

Described at https://docs.openaq.org/resources/measurements and in the API reference: ``meta`` and ``results``, each
result with value, parameter {name, units}, period {interval, datetimeFrom {utc}, datetimeTo {utc}}, flagInfo
{hasFlags}, coordinates (null for fixed stations) and coverage. A page names neither its sensor nor its place: the
file's name must, ``sensor-<id>...json`` or ``<id>...json``, and a page of ``/v3/locations`` beside it, or a station
list, places the sensors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.averaging_periods import NO_TIME, nearest_hours
from aqreanalysis.observations.files import read_json
from aqreanalysis.observations.flags import Flag
from aqreanalysis.observations.formats.openaq_archive import PERIODS, POLLUTANTS, aware_minutes, on_periods
from aqreanalysis.observations.formats.registry import station_format
from aqreanalysis.observations.long_format import LongTable, Texts, records_from_long
from aqreanalysis.observations.parse_numbers import Readings
from aqreanalysis.observations.raw_records import RawRecords
from aqreanalysis.observations.read_context import FileHead, ReadContext
from aqreanalysis.observations.report import QualityReport, Where


def matches(head: FileHead) -> str | None:
    """Return why a file is a page of measurements."""
    if '"results"' in head.text and '"period"' in head.text and '"datetimeTo"' in head.text:
        return "it is JSON with results, period and datetimeTo"
    return None


@station_format(
    name="openaq-api",
    title="OpenAQ API v3 pages of measurements or hours (JSON)",
    document="https://docs.openaq.org/resources/measurements",
    matches=matches,
    texts_alone=True,
    periods_stated=True,
)
def read_openaq_api(context: ReadContext) -> Iterator[RawRecords]:
    """Yield the readings of one page."""
    where = Where(context.source.name, 1, "result")
    results = _results(read_json(context.source), where)
    if not results:
        return
    sensor = re.search(r"\d+", context.source.filename)
    if sensor is None:
        raise ObservationsError(
            f"{where.source}: a page does not name its sensor: name the file after it, such as sensor-3917-page1.json"
        )
    frame = pd.DataFrame([_row(result, where, i) for i, result in enumerate(results)])
    begin = aware_minutes(frame["begin"], where, context.report)
    end = aware_minutes(frame["end"], where, context.report)
    length = np.where((begin != NO_TIME) & (end != NO_TIME), end.astype(np.int64) - begin, 60)
    context.report.count("rows_not_hourly", int((length > 60).sum()))
    period = PERIODS[np.clip(np.searchsorted(PERIODS, length, side="right") - 1, 0, None)]
    for minutes in np.unique(period[length <= 60]):
        part = frame[(period == minutes) & (length <= 60)]
        n = len(part)
        flag = np.where(part["flagged"], np.int8(Flag.INVALID_AT_SOURCE), np.int8(0))
        long_table = LongTable(
            station=(np.zeros(n, np.int32), [sensor.group()]),
            pollutant=_texts(part["parameter"]),
            unit=_texts(part["units"]),
            end=_ends(end[part.index], int(minutes), context.report),
            minutes=int(minutes),
            readings=Readings(part["value"].to_numpy(dtype=np.float64)),
            lat=part["lat"].to_numpy(dtype=np.float64),
            lon=part["lon"].to_numpy(dtype=np.float64),
            instrument=np.full(n, int(sensor.group()[:18]), np.int64),
            flag=flag,
        )
        yield from records_from_long(long_table, POLLUTANTS, context, where)


def _ends(end: NDArray[np.int32], minutes: int, report: QualityReport) -> NDArray[np.int32]:
    """Return the ends of periods on full ones; of hours as every reader puts them."""
    if minutes < 60:
        return on_periods(end, minutes)
    report.count("hours_off_utc", int(np.count_nonzero((end != NO_TIME) & (end % 60 != 0))))
    return nearest_hours(end)


def _results(page: object, where: Where) -> list[Any]:
    results = page.get("results") if isinstance(page, dict) else None
    if not isinstance(results, list):
        raise ObservationsError(f"{where.source}: no list 'results': give a page of the API as it came")
    return results


def _degrees(place: dict[str, Any], name: str) -> float:
    degrees = place.get(name)
    return np.nan if degrees is None else float(degrees)


def _row(result: Any, where: Where, index: int) -> dict[str, Any]:
    """Return one result flat.

    Raises
    ------
    ObservationsError
        It lacks a field, or has one of another kind.
    """
    try:
        place = result.get("coordinates") or {}
        value = result["value"]
        return {
            "value": np.nan if value is None else float(value),
            "parameter": str(result["parameter"]["name"]),
            "units": str(result["parameter"]["units"]),
            "begin": str(_utc(result["period"]["datetimeFrom"])),
            "end": str(_utc(result["period"]["datetimeTo"])),
            "flagged": bool((result.get("flagInfo") or {}).get("hasFlags", False)),
            "lat": _degrees(place, "latitude"),
            "lon": _degrees(place, "longitude"),
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ObservationsError(
            f"{where.at(index)}: not as the API writes it ({type(error).__name__}: {error}): expected value, parameter "
            "{name, units} and period {datetimeFrom, datetimeTo}"
        ) from None


def _utc(stamp: Mapping[str, str]) -> str:
    return stamp["utc"]


def _texts(column: pd.Series) -> Texts:
    codes, distinct = pd.factorize(column)
    return codes, [str(text) for text in distinct]
