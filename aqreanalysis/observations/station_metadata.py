"""Station lists: where stations stand, in the shapes in which networks publish it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import pandas as pd
import pyarrow as pa

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.column_names import USUAL_NAMES, plain, pollutant_and_unit, usual_column, usual_time
from aqreanalysis.observations.files import PathLike, Source, list_sources, own_encoding, read_json
from aqreanalysis.observations.parse_numbers import CellRules, to_numbers, to_texts
from aqreanalysis.observations.places import LABELS, exact_degrees
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.observations.table_blocks import TextBlock, TextTable, inspect_csv, read_blocks

# What some networks call the names of stations.
_NAMES = ("NomeStazione", "nom_estac", "測定局名称", "측정소명")
# Names that a role goes by, the surest first: the project's own, then EEA's metadata, the list of the Chinese archive,
# OpenAQ's and London's site lists. Compared without regard to case, blanks, dots, underscores and hyphens.
ROLES: dict[str, tuple[str, ...]] = {
    "key": (
        "station_id",
        "Sampling Point Id",
        "Samplingpoint",
        "AQSID",
        "监测点编码",
        "location_id",
        "sensor_index",
        "SiteCode",
        "Kod stacji",
        "cve_estac",
        "IdSensore",
        "station code",
        "stationcode",
        "측정소코드",
        "国環研局番",
        "測定局コード",
        "UK-AIR ID",
        "CODIGO_CORTO",
        "Estacio",
        *USUAL_NAMES["station"],
        "codigo",
        "id",
    ),
    "station": ("Air Quality Station EoI Code", "AirQualityStationEoICode", "Idstazione"),
    "former": ("Stary Kod stacji (o ile inny od aktualnego)", "Stary Kod stacji"),
    "parameter": ("NomeTipoSensore",),
    "unit": ("UnitaMisura",),
    "lat": (*USUAL_NAMES["lat"], "WGS84 φ N"),
    "lon": (*USUAL_NAMES["lon"], "WGS84 λ E"),
    "city": ("city", "城市", "Municipality"),
    "name": ("name", "station_name", "Air Quality Station Name", "监测点名称", "SiteName", "Nazwa stacji", *_NAMES),
    "kind": USUAL_NAMES["kind"],
    "network": USUAL_NAMES["network"],
}
# Roles of lists that have a row a sensor.
_OF_SENSORS = ("parameter", "unit")
_TIMES = (
    "time",
    "date",
    "datetime",
    "datetimeutc",
    "timestamp",
    "start",
    "end",
    "readingdatetime",
    "validdate",
    "measurementdate",
    "측정일시",
)
# Bar-separated list of AirNow, without a header: Monitoring_Site_Locations, whose fields are AQSID, parameter, site
# code, site name, status, agency id, agency name, EPA region, latitude, longitude, elevation, GMT offset, country
# and ten more of towns and counties; so many fields at least.
_AIRNOW_FIELDS = 20
_AIRNOW = {"key": 0, "name": 3, "lat": 8, "lon": 9, "city": 16}


@dataclass
class StationList:
    """Places of stations.

    Attributes
    ----------
    frame : DataFrame
        ``key`` (the id in the readings), ``station`` (the id to use: of a sampling point its station), ``lat``,
        ``lon`` (degrees), and of `LABELS` what is known (texts, None where unknown).
    """

    frame: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=["key", "station", "lat", "lon"]))

    def __bool__(self) -> bool:
        return len(self.frame) > 0

    def joined(self, other: StationList) -> StationList:
        """Return this list and another as one."""
        if not (self and other):
            return other if other else self
        return StationList(pd.concat([self.frame, other.frame], ignore_index=True).drop_duplicates(ignore_index=True))

    def places(self) -> pd.DataFrame:
        """Return the places with the columns that `places_of_rows` takes."""
        return self.frame.drop(columns=["key", *_OF_SENSORS], errors="ignore").drop_duplicates()

    def of_sensors(self, what: str) -> dict[str, str]:
        """Return what each key measures (``parameter``) or in which unit (``unit``), where the list says so."""
        if what not in self.frame:
            return {}
        known = self.frame[self.frame[what].notna()]
        return dict(zip(known["key"], known[what], strict=True))

    def stations(self) -> dict[str, str]:
        """Return which station each key is."""
        return dict(zip(self.frame["key"], self.frame["station"], strict=True))

    def match(self, candidates: Sequence[str]) -> str | None:
        """Return the key of the first candidate that the list knows, by its id or its name; None if it knows none."""
        keys = self.keys()
        exact = next((text for text in candidates if text in keys), None)
        if exact is not None or not self:
            return exact
        by_plain: dict[str, str] = {}
        for column in ("key", "name"):
            if column in self.frame:
                for key, text in zip(self.frame["key"], self.frame[column], strict=True):
                    if isinstance(text, str):
                        by_plain.setdefault(plain(text), key)
        return next((by_plain[plain(text)] for text in candidates if plain(text) in by_plain), None)

    def keys(self) -> set[str]:
        """Return the ids in the readings that the list knows."""
        return set(self.frame["key"])


def read_station_lists(
    paths: Sequence[PathLike], columns: ColumnsConfig, report: QualityReport, known: Sequence[Source] = ()
) -> StationList:
    """Return the station lists in files, as one.

    Raises
    ------
    ObservationsError
        A file is damaged, or has no columns of ids, latitudes and longitudes.
    """
    sources = [*(list_sources(list(paths)) if paths else []), *known]
    frames = [_read(source, columns, report) for source in _lists(sources, columns)]
    if not frames:
        return StationList()
    return StationList(pd.concat(frames, ignore_index=True).drop_duplicates(ignore_index=True))


def _lists(sources: Sequence[Source], columns: ColumnsConfig) -> list[Source]:
    """Return the sources without those sheets of a workbook that are no station lists, where one of it is."""
    listed = {
        source.path
        for source in sources
        if source.sheet is not None and {"key", "lat", "lon"} <= set(_roles(inspect_csv(source).names, columns))
    }
    return [
        source
        for source in sources
        if source.path not in listed or {"key", "lat", "lon"} <= set(_roles(inspect_csv(source).names, columns))
    ]


def looks_like_list(names: Sequence[str], text: str, columns: ColumnsConfig) -> bool:
    """Return whether a table lists stations: it has ids and coordinates, and no times."""
    if _airnow_list(text):
        return True
    if '"sensors"' in text and '"coordinates"' in text:
        return True
    words = {plain(name) for name in names}
    if set(columns.time_columns) & set(names) or words & set(_TIMES):
        return False
    read = any(pollutant_and_unit(name)[0] for name in names) or usual_column("value", names) is not None
    if (
        read and usual_time(names) is not None
    ):  # times in other languages; of a list a date alone is that of its opening
        return False
    roles = _roles(names, columns)
    return {"key", "lat", "lon"} <= set(roles)


def _airnow_list(text: str) -> bool:
    fields = text[: text.find("\n") + 1 or None].split("|")
    degrees = [fields[_AIRNOW[role]] for role in ("lat", "lon")] if len(fields) >= _AIRNOW_FIELDS else [""]
    return all(re.fullmatch(r"[+-]?\d+(?:\.\d+)?", text.strip()) for text in degrees)


def _roles(names: Sequence[str], columns: ColumnsConfig) -> dict[str, str]:
    """Return which column of a list plays which role."""
    by_plain: dict[str, str] = {}
    for name in names:
        by_plain.setdefault(plain(name), name)
    roles: dict[str, str] = {}
    for role, aliases in ROLES.items():
        configured = columns.station if role == "key" else getattr(columns, role, None)
        for alias in ([configured] if configured else []) + list(aliases):
            if plain(alias) in by_plain:
                roles[role] = by_plain[plain(alias)]
                break
    return roles


def _other_keys(names: Sequence[str], roles: dict[str, str]) -> list[str]:
    """Return the columns that hold ids or names of stations too, by which readings may call them."""
    words = {plain(alias) for alias in ROLES["key"]}
    return [name for name in dict.fromkeys(names) if plain(name) in words and name not in roles.values()]


def _read(source: Source, columns: ColumnsConfig, report: QualityReport) -> pd.DataFrame:
    if source.has_suffix((".parquet", ".pq")):
        raise ObservationsError(f"{source.name}: a station list is read from a text table (CSV), not from Parquet")
    if source.has_suffix((".json",)):
        return _locations(source)
    start = source.head().decode("utf-8-sig", errors="replace")
    others: list[str] = []
    if _airnow_list(start):
        fields = start.splitlines()[0].count("|") + 1
        table = TextTable(source, [f"field {i}" for i in range(fields)], "|", "latin-1", 0)
        roles = {role: f"field {i}" for role, i in _AIRNOW.items()}
    else:
        table = inspect_csv(source, own_encoding(source, columns.encoding))
        roles = _roles(table.names, columns)
        others = _other_keys(table.names, roles)
    missing = next((role for role in ("key", "lat", "lon") if role not in roles), None)
    if missing is not None:
        raise ObservationsError(
            f"{source.name}: no column for the {missing} of stations (there are: {', '.join(table.names):.200}): "
            f"name one {' or '.join(ROLES[missing][:3])}"
        )
    wanted = list(dict.fromkeys([*roles.values(), *others]))
    blocks = list(read_blocks(table, wanted, report))
    if not blocks:
        raise ObservationsError(f"{source.name}: a station list without stations")
    frame = pd.concat([_frame(block, roles, table, report) for block in blocks], ignore_index=True)
    listed = len(frame)
    for name in others:
        texts = [text for block in blocks for text in _texts(block.rows[name])]
        if len(texts) == listed:  # ids of former times have rows of their own
            frame = _with_keys(frame, frame[:listed].assign(key=pd.Series(texts, dtype=object)))
    return frame


def _with_keys(frame: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    """Return a list that knows stations by other ids too, where these are of one station and no id of another."""
    more = more[more["key"].notna() & ~more["key"].isin(frame["key"])]
    stations = more.groupby("key")["station"].transform("nunique")
    return pd.concat([frame, more[stations == 1]], ignore_index=True)


def _locations(source: Source) -> pd.DataFrame:
    """Return the sensors of a page of OpenAQ's ``/v3/locations``: sensor id -> its location, and where that stands."""
    page = read_json(source)
    try:
        rows = [
            {
                "key": str(sensor["id"]),
                "station": str(place["id"]),
                "lat": float(place["coordinates"]["latitude"]),
                "lon": float(place["coordinates"]["longitude"]),
                "city": place.get("locality"),
                "name": place.get("name"),
            }
            for place in page["results"]  # type: ignore[index]
            for sensor in place["sensors"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ObservationsError(
            f"{source.name}: no page of locations ({type(error).__name__}: {error}): expected results with id, "
            "coordinates and sensors"
        ) from None
    if not rows:
        raise ObservationsError(f"{source.name}: a station list without stations")
    return pd.DataFrame(rows)


def _frame(block: TextBlock, roles: dict[str, str], table: TextTable, report: QualityReport) -> pd.DataFrame:
    out = pd.DataFrame({"key": _texts(block.rows[roles["key"]])})
    out["station"] = _texts(block.rows[roles["station"]]) if "station" in roles else out["key"]
    for role in ("lat", "lon"):
        numbers = to_numbers(
            block.rows[roles[role]], f"column {roles[role]!r}", block.where, report, CellRules(table.decimal_comma)
        )
        out[role] = exact_degrees(numbers)
    for role in (*LABELS, *_OF_SENSORS):
        if role in roles:
            out[role] = _texts(block.rows[roles[role]])
    if "former" in roles:  # ids that a station had before, several with commas
        former = out.assign(key=pd.Series(_texts(block.rows[roles["former"]]), dtype=object).str.split(","))
        former = former.explode("key")
        out = pd.concat([out, former.assign(key=former["key"].str.strip())], ignore_index=True)
    return out[out["key"].notna()].reset_index(drop=True)


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    codes, distinct = to_texts(column)
    names = [*distinct, None]
    return [names[code] for code in codes]
