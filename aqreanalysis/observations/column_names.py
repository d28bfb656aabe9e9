"""The usual names of columns: which roles they play in tables of readings, and which pollutant a text means."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.observations.units import read_unit
from aqreanalysis.species import SPECIES

# Names that a role goes by, the surest first, as `plain` writes them. Of stamps those stand last that say neither
# their clock nor their end: what they mean must be told where it is not UTC and the end.
USUAL_NAMES: dict[str, tuple[str, ...]] = {
    role: tuple(names.split())
    for role, names in {
        "station": "stationid siteid sitecode stationcode locationid airqualitystationeoicode aqsid station site "
        "airqualitystation sensorindex "
        "location idstation estacion stationname sitename locationname sensorid stationnumber codieoi codesite "
        "codigoestacion codigoestacao estacio codnum aqs estacao napsid havaintoasema messstation 测站 測站 站点 "
        "測站名稱 站名 监测点 監測站 측정소코드 측정소명 nomestacio nomsite nomstation "
        "code name",
        "time": "timeutc datetimeutc dateutc utc timestamputc datetimeend endtime end totime datefin datedefin "
        "einddatumtijd slut time datetime timestamp date readingdatetime timestampmeasured monitordate measurementdate "
        "measurementdategmt measuredatetime datumzeit fechahora datahora dataehora dateheure horodatage fecha data "
        "datum 日期时间 日期時間 監測時間 监测时间 日期 时间 時間 datetimelocal datelocal localtime datelt datelst",
        "lat": "lat latitude sitelatitude latitud latitudine breitengrad 纬度 緯度 위도",
        "lon": "lon longitude sitelongitude lng long longitud longitudine langengrad 经度 経度 經度 경도",
        "parameter": "parameter pollutant airpollutant species parametername pollutantname component analyte indicator "
        "variable measurand contaminante contaminant polluant nompolluant formula itemengname nomeparametro parametro "
        "inquinante schadstoff komponente itemcode pollutantcode parametercode codicontaminant magnitud magnitude 測項 "
        "測項名稱",
        "value": "value concentration reading measurement result valor samplemeasurement rawconc valeur wert waarde "
        "valore mediahoraria averagevalue",
        "unit": "unit units unitofmeasurement unitofmeasure unitsofmeasure reportingunits uom unidad unitedemesure "
        "unite unitats unidade unidadedemedida einheit eenheid unitadimisura itemunit concunit",
        "flag": "flag flags qcflag qaflag validity valid isvalid qcname qc quality status validite valido",
        "kind": "kind stationkind airqualitystationtype stationtype sitetype typeofstation environmenttype "
        "stationclassification stationclass tipoestacion tipodeestacion tipostazione typestation influence stationsart "
        "stationstyp dominantsource measurementscale tipusestacio typedinfluence 站点类型 局種別",
        "network": "network networks networkname networktype airqualitynetwork airqualitynetworkname 网络",
        "period": "averagingtime averagingperiod aggtype sampleduration aggregation period duration typedevaleur "
        "bepperiode",
    }.items()
}
# Columns of the parts of a stamp, as `plain` writes them: where no column holds it whole, these are joined.
_YEAR_MONTH_DAY = (
    ("year", "month", "day"),
    ("ano", "mes", "dia"),
    ("any", "mes", "dia"),
    ("year", "m", "d"),
    ("vuosi", "kuukausi", "paiva"),
    ("annee", "mois", "jour"),
    ("jahr", "monat", "tag"),
)
_DATE = ("date", "fecha", "data", "datum", "day", "日期")
_HOUR = (
    "hour",
    "time",
    "hora",
    "heure",
    "stunde",
    "zeit",
    "hours",
    "hr",
    "ora",
    "uhrzeit",
    "aika",
    "时间",
    "小时",
    "時間",
)
# Other ways to write a pollutant, in the languages of networks, as `plain` writes them.
_POLLUTANTS = {
    name: key
    for key, names in {
        "o3": "ozone trioxygen ozon ozono ozoni otsoni 臭氧 오존 オゾン",
        "so2": "sulfurdioxide sulphurdioxide schwefeldioxid dioxydedesoufre dioxidodeazufre biossidodizolfo "
        "dioxidodeenxofre rikkidioksidi zwaveldioxide 二氧化硫 아황산가스 二酸化硫黄",
        "co": "carbonmonoxide kohlenmonoxid monoxydedecarbone monoxidodecarbono monossidodicarbonio hiilimonoksidi "
        "koolmonoxide 一氧化碳 일산화탄소 一酸化炭素",
        "no2": "nitrogendioxide stickstoffdioxid dioxydedazote dioxidodenitrogeno biossidodiazoto dioxidodenitrogenio "
        "typpidioksidi stikstofdioxide 二氧化氮 이산화질소 二酸化窒素",
        "pm25": "pm25localconditions pm25rawdata particulatematter25 pm25mass pm25principal fsp mp25 feinstaubpm25 "
        "particulespm25 particulatematter25μm particulas25μm pienhiukkaset25μm particellesospesepm25 "
        "finesuspendedparticulates particulasinalaveisfinas 细颗粒物 細懸浮微粒 초미세먼지 微小粒子状物質",
        "pm10": "pm10total010umstp particulatematter10 pm10mass rsp mp10 feinstaubpm10 particulespm10 "
        "particulatematter10μm particulas10μm hengitettavathiukkaset10μm particellesospesepm10 pm10sm2005 "
        "respirablesuspendedparticulates particulasinalaveis 可吸入颗粒物 懸浮微粒 미세먼지",
    }.items()
    for name in names.split()
}
#: A column of an hour of the day: H01, 23h, 7:00.
HOUR_COLUMN = re.compile(r"^(?:h|hour|hr|hora)?[ _]?(\d{1,2})(?:h|:00)?(?:\s*//.*)?$", re.IGNORECASE)
_SUBSCRIPTS = str.maketrans("₀₁₂₃₅", "01235")
# An hourly mean says so behind its pollutant; means of 8 or 24 hours are other quantities.
_HOURLY = re.compile(
    r"^(.+?)[ _-](?:1[ _-]?(?:hr?|hour)|hourly|pt1h)(?:[ _-](?:avg|average|mean))?(?=$|\s*[\[(])", re.IGNORECASE
)
_UNIT_JOINED = re.compile(r"^(.+?)[ _-]([uµm]g[_/]?m-?[3³]|pphm|ppbv?|ppmv?)$", re.IGNORECASE)


@lru_cache(maxsize=4096)
def plain(name: str) -> str:
    """Return a name in small letters without accents, blanks, points and other signs: what spellings have in common.

    Of a name in two languages, ``Latitude//Latitude``, the first counts.
    """
    letters = unicodedata.normalize("NFKD", name.split("//")[0].translate(_SUBSCRIPTS).lower())
    whole = unicodedata.normalize("NFC", "".join(c for c in letters if unicodedata.category(c) != "Mn"))
    return re.sub(r"[^0-9a-z\u0080-\uffff]", "", whole)


def pollutant_of(text: str) -> str | None:
    """Return the key of the pollutant that a text names, None if it names none of `SPECIES`.

    Examples
    --------
    >>> pollutant_of("PM₂.₅"), pollutant_of("Nitrogen dioxide"), pollutant_of("NOx"), pollutant_of("CO(GT)")
    ('pm25', 'no2', None, 'co')
    """
    key = _pollutant(text)
    parts = None if key is not None else _bracketed(text)
    if parts is None:
        return key
    # The bracket says the name again, or that it is the reference instrument's (GT).
    key, again = map(_pollutant, parts)
    return key if key is not None and (plain(parts[1]) == "gt" or again == key) else None


def _pollutant(name: str) -> str | None:
    written = plain(name)
    if written in SPECIES:
        return written
    return _POLLUTANTS.get(written) or {species.layer: key for key, species in SPECIES.items()}.get(written)


def _bracketed(name: str) -> tuple[str, str] | None:
    """Return what stands before a bracket at the end of a name and what stands in it, None without such a bracket."""
    whole = name.rstrip()
    if not whole.endswith((")", "]")):
        return None
    closed = max(whole.rfind(")", 0, -1), whole.rfind("]", 0, -1))
    opened = [at for at in (whole.find(sign, max(closed, 0) + 1) for sign in "([") if at > 0]
    if not opened:
        return None
    before, within = whole[: min(opened)].rstrip(), whole[min(opened) + 1 : -1].strip()
    return (before, within) if before and within else None


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
    hourly = _HOURLY.match(name)
    if hourly is not None:
        return pollutant_and_unit(hourly.group(1) + name[hourly.end() :])
    joined = _UNIT_JOINED.match(name)
    for parts in (_bracketed(name), None if joined is None else joined.groups()):
        if parts is not None and pollutant_of(parts[0]) is not None and read_unit(parts[1]) is not None:
            return pollutant_of(parts[0]), parts[1]
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
    parts = _bracketed(name)
    return parts[0] if parts is not None and read_unit(parts[1]) is not None else name


def usual_time(names: Sequence[str]) -> tuple[str, ...] | None:
    """Return the columns that make a stamp by their usual names, None if there are none.

    One column that holds it whole, or those of its parts, to be joined: year, month, day (and hour), or date and hour.

    Examples
    --------
    >>> usual_time(["No", "year", "month", "day", "hour", "pm2.5"]), usual_time(["Date", "Time", "NO2"])
    (('year', 'month', 'day', 'hour'), ('Date', 'Time'))
    """
    by_plain: dict[str, str] = {}
    for name in names:
        by_plain.setdefault(plain(_without_unit(name)), name)
        by_plain.setdefault(plain(re.sub(r"[\[(].*$", "", name)), name)
    hour = next((by_plain[word] for word in _HOUR if word in by_plain), None)
    sure = [alias for alias in USUAL_NAMES["time"] if alias not in (*_DATE, *_HOUR)]
    whole = next((by_plain[alias] for alias in sure if alias in by_plain), None)
    if whole is not None:
        return (whole,)
    whole = usual_column("time", names)
    parts = next(([by_plain[part] for part in day] for day in _YEAR_MONTH_DAY if set(day) <= set(by_plain)), None)
    if parts is None:
        date = next((by_plain[word] for word in _DATE if word in by_plain), None)
        parts = None if date is None else [date]
    if parts is None or hour is None or hour in parts:
        return (whole,) if whole is not None else None if parts is None else tuple(parts)
    return (*parts, hour)
