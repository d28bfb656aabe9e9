"""The usual names of columns: which roles they play in tables of readings, and which pollutant a text means."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.observations.units import read_unit
from aqreanalysis.species import SPECIES

# Names that a role goes by, the surest first, as `plain` writes them. Of stamps those stand last that say neither
# their clock nor their end: what they mean must be told where it is not UTC and the end.
USUAL_NAMES: dict[str, tuple[str, ...]] = {
    role: tuple(names.split())
    for role, names in {
        "station": "stationid siteid sitecode stationcode locationid airqualitystationeoicode aqsid station site "
        "location idstation estacion stationname sitename locationname sensorid code",
        "time": "timeutc datetimeutc dateutc utc timestamputc datetimeend endtime time datetime timestamp date "
        "readingdatetime datetimelocal measuredatetime fecha",
        "lat": "lat latitude latitud 纬度",
        "lon": "lon longitude lng long longitud 经度",
        "parameter": "parameter pollutant airpollutant species parametername pollutantname component analyte indicator "
        "variable measurand contaminante itemcode pollutantcode parametercode",
        "value": "value concentration reading measurement result valor samplemeasurement rawconc",
        "unit": "unit units unitofmeasurement unitofmeasure unitsofmeasure reportingunits uom unidad",
        "flag": "flag flags qcflag qaflag validity valid isvalid qcname qc quality status",
        "kind": "kind stationkind airqualitystationtype stationtype sitetype typeofstation environmenttype "
        "stationclassification stationclass tipoestacion tipodeestacion tipostazione typestation influence stationsart "
        "stationstyp dominantsource measurementscale 站点类型 局種別",
        "network": "network networks networkname networktype airqualitynetwork airqualitynetworkname 网络",
        "period": "averagingtime averagingperiod aggtype sampleduration aggregation period",
    }.items()
}
# Other ways to write a pollutant, as `plain` writes them.
_POLLUTANTS = {
    "ozone": "o3",
    "trioxygen": "o3",
    "sulfurdioxide": "so2",
    "sulphurdioxide": "so2",
    "carbonmonoxide": "co",
    "nitrogendioxide": "no2",
    "pm25localconditions": "pm25",
    "pm10total010umstp": "pm10",
    "pm25rawdata": "pm25",
    "particulatematter25": "pm25",
    "particulatematter10": "pm10",
    "pm25mass": "pm25",
    "pm10mass": "pm10",
}
_SUBSCRIPTS = str.maketrans("₀₁₂₃₅", "01235")
_UNIT_BEHIND = re.compile(r"^(.+?)\s*[\[(]\s*([^\])]+?)\s*[\])]\s*$")
_UNIT_JOINED = re.compile(r"^(.+?)[ _-]([uµm]g[_/]?m-?[3³]|ppbv?|ppmv?)$", re.IGNORECASE)


def plain(name: str) -> str:
    """Return a name in small letters without blanks, points and other signs: what spellings have in common."""
    return re.sub(r"[^0-9a-z\u0080-\uffff]", "", name.translate(_SUBSCRIPTS).lower())


def pollutant_of(text: str) -> str | None:
    """Return the key of the pollutant that a text names, None if it names none of `SPECIES`.

    Examples
    --------
    >>> pollutant_of("PM₂.₅"), pollutant_of("Nitrogen dioxide"), pollutant_of("NOx")
    ('pm25', 'no2', None)
    """
    name = plain(text)
    layers = {species.layer: key for key, species in SPECIES.items()}
    return name if name in SPECIES else layers.get(name) or _POLLUTANTS.get(name)


def pollutant_and_unit(name: str) -> tuple[str | None, str | None]:
    """Return the pollutant that the name of a column means and the unit that it states, None where it has none.

    Examples
    --------
    >>> pollutant_and_unit("PM2.5 (µg/m³)"), pollutant_and_unit("o3_ppb"), pollutant_and_unit("station")
    (('pm25', 'µg/m³'), ('o3', 'ppb'), (None, None))
    """
    key = pollutant_of(name)
    if key is not None:
        return key, None
    for pattern in (_UNIT_BEHIND, _UNIT_JOINED):
        match = pattern.match(name)
        if match is not None and pollutant_of(match.group(1)) is not None and read_unit(match.group(2)) is not None:
            return pollutant_of(match.group(1)), match.group(2)
    return None, None


def configured_or_usual(role: str, names: Sequence[str], columns: ColumnsConfig) -> str | None:
    """Return the column of a role: the one that `columns` names, else the first usual name that is there.

    A configured name that is not there is returned as it is, for the message that refuses it.
    """
    own = getattr(columns, role, None)
    if own is not None and (own in names or own != type(columns).model_fields[role].default):
        return str(own)
    return usual_column(role, names)


def usual_column(role: str, names: Sequence[str]) -> str | None:
    """Return the column that goes by the surest of the usual names of a role; None if there is none."""
    by_plain: dict[str, str] = {}
    for name in names:
        by_plain.setdefault(plain(_without_unit(name)), name)
    return next((by_plain[alias] for alias in USUAL_NAMES[role] if alias in by_plain), None)


def _without_unit(name: str) -> str:
    match = _UNIT_BEHIND.match(name)
    return match.group(1) if match is not None and read_unit(match.group(2)) is not None else name
