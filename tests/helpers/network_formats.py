"""A small made-up text of each format of a national network, for the tests that harm them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from station_files import write_list
from station_formats import Made

HOURS = range(26)


def _at(hour: int, pattern: str) -> str:
    return f"{datetime(2023, 6, 1) + timedelta(hours=hour):{pattern}}"


def _day_and_hour(hour: int, pattern: str) -> tuple[str, int]:
    return _at(hour // 24 * 24, pattern), hour % 24 + 1


def _lines(head: str, row: Callable[[int], str], *behind: str) -> str:
    return "\n".join([head, *(row(hour) for hour in HOURS), *behind]) + "\n"


def _uk_air(hour: int) -> str:
    day, clock = _day_and_hour(hour, "%d-%m-%Y")
    return f"{day},{clock:02d}:00,{20 + hour},R,ugm-3,{40 + hour},P,ugm-3"


def _uba(hour: int) -> str:
    day, clock = _day_and_hour(hour, "%d.%m.%Y")
    return f"DEBE034;{day};'{clock:02d}:00';{30 + hour};{20 + hour}"


def _airkorea(hour: int) -> str:
    day, clock = _day_and_hour(hour, "%Y%m%d")
    return f"A1,{day}{clock:02d},0.003,0.4,0.0{20 + hour},0.0{40 + hour},{12 + hour},{5 + hour}"


def _soramame(hour: int) -> str:
    day, clock = _day_and_hour(hour, "%Y/%m/%d")
    return f"14209050,{day},{clock},0.001,0.0{10 + hour},0.4,0.0{30 + hour},0.01,{5 + hour}"


def _aqobs(hour: int) -> str:
    return (
        f"A1,Site,Active,R4,30.50,-87.88,0,-6,US,AL,{_at(hour, '%m/%d/%Y,%H:%M')},A,,{5 + hour},UG/M3,{30 + hour},PPB"
    )


TEXTS: dict[str, tuple[str, str]] = {
    "narrow": (
        "measured.csv",
        _lines(
            "station,time,parameter,value,unit",
            lambda h: f"A1,{_at(h, '%Y-%m-%dT%H:%MZ')},pm25,{5 + h},ug/m3",
        ),
    ),
    "laqn-api": (
        "laqn.csv",
        _lines(
            "MeasurementDateGMT,A1: Nitrogen Dioxide (ug/m3),A1: Ozone (ug/m3)",
            lambda h: f"{_at(h, '%Y-%m-%d %H:%M')},{20 + h},{30 + h}",
        ),
    ),
    "uk-air": (
        "A1_2023.csv",
        _lines(
            "Data supplied by UK-AIR\nAll Data GMT hour ending\n"
            "Date,time,Ozone,status,unit,Nitrogen dioxide,status,unit",
            _uk_air,
        ),
    ),
    "cpcb": (
        "A1.csv",
        _lines(
            "From Date,To Date,PM2.5 (ug/m3),NO2 (ug/m3),CO (mg/m3)",
            lambda h: f"{_at(h, '%Y-%m-%d %H:%M:%S')},{_at(h + 1, '%Y-%m-%d %H:%M:%S')},{5 + h},{20 + h},0.{h + 10}",
        ),
    ),
    "purpleair": (
        "purpleair.csv",
        _lines(
            "time_stamp,sensor_index,humidity,pm2.5_cf_1_a,pm2.5_cf_1_b",
            lambda h: f"{_at(h, '%Y-%m-%dT%H:%M:%SZ')},A1,40,{10 + h},{10 + h}",
        ),
    ),
    "sensor-community": (
        "2023-06-01_sds011_sensor_140.csv",
        _lines(
            "sensor_id;sensor_type;location;lat;lon;timestamp;P1;durP1;ratioP1;P2;durP2;ratioP2",
            lambda h: f"140;SDS011;65;48.77;9.17;{_at(h, '%Y-%m-%dT%H:%M:%S')};{20 + h};;;{10 + h};;",
        ),
    ),
    "uba": (
        "Luftqualitaet.csv",
        _lines(
            "Stationscode;Datum;Uhrzeit;Ozon (O₃) Ein-Stunden-Mittelwert in µg/m³;"
            "Stickstoffdioxid (NO₂) Ein-Stunden-Mittelwert in µg/m³",
            _uba,
        ),
    ),
    "lombardy": (
        "sensori_aria.csv",
        _lines("IdSensore,Data,Valore,Stato", lambda h: f"A1,{_at(h, '%d/%m/%Y %H:%M:%S')},{20 + h},VA"),
    ),
    "airkorea": ("airkorea.csv", _lines("측정소코드,측정일시,SO2,CO,O3,NO2,PM10,PM25", _airkorea)),
    "soramame": (
        "202306_14209050.csv",
        _lines("局コード,日付,時,SO2(ppm),NO2(ppm),CO(ppm),Ox(ppm),SPM(mg/m3),PM2.5(μg/m3)", _soramame),
    ),
    "rama": (
        "2023PM25.csv",
        _lines("FECHA,HORA,ACO,AJM", lambda h: ",".join(map(str, _day_and_hour(h, "%Y-%m-%d"))) + f",{5 + h},{6 + h}"),
    ),
    "sinca": (
        "A1_PM25.csv",
        _lines(
            "FECHA (YYMMDD);HORA (HHMM);Registros validados;Registros preliminares;Registros no validados;",
            lambda h: f"{_at(h, '%y%m%d')};{_at(h, '%H%M')};{5 + h};;;",
        ),
    ),
    "airnow-aqobs": (
        "HourlyAQObs_2023060101.dat",
        _lines(
            "AQSID,SiteName,Status,EPARegion,Latitude,Longitude,Elevation,GMTOffset,CountryCode,StateName,ValidDate,"
            "ValidTime,DataSource,ReportingArea_PipeDelimited,PM25,PM25_Unit,OZONE,OZONE_Unit",
            _aqobs,
        ),
    ),
    "eea-e1a": (
        "XX_8_0001_2023_timeseries.csv",
        _lines(
            "AirQualityStationEoICode,SamplingPoint,AirPollutant,AirPollutantCode,AveragingTime,Concentration,UnitOfMeasurement,"
            "DatetimeBegin,DatetimeEnd,Validity",
            lambda h: (
                f"A1,SPO-1,NO2,http://x/pollutant/8,hour,{20 + h},µg/m3,{_at(h, '%Y-%m-%d %H:%M:%S +01:00')},"
                f"{_at(h + 1, '%Y-%m-%d %H:%M:%S +01:00')},1"
            ),
        ),
    ),
    "hour-columns": (
        "hours.csv",
        "station,parameter,date,"
        + ",".join(f"H{h:02d}" for h in range(1, 25))
        + "\n"
        + "".join(f"A1,NO2,2023-06-0{day}," + ",".join(str(20 + day + h) for h in range(24)) + "\n" for day in (1, 2)),
    ),
    "json-records": (
        "page.json",
        json.dumps(
            {"data": [{"station": "A1", "time": _at(h, "%Y-%m-%dT%H:%MZ"), "pm25": 5 + h, "no2": None} for h in HOURS]}
        ),
    ),
}


def make_network_files(folder: Path) -> dict[str, Made]:
    """Return a made-up file of each of `TEXTS`, in `folder`."""
    made: dict[str, Made] = {}
    for name, (filename, text) in TEXTS.items():
        path = folder / filename
        path.write_text(text, encoding="utf-8")
        stations = write_list(folder, ["A1", "ACO", "AJM", "DEBE034", "14209050"], f"{name}-list.csv")
        if name == "lombardy":
            stations.write_text(
                "IdSensore,NomeTipoSensore,UnitaMisura,Idstazione,NomeStazione,lat,lng\n"
                "A1,Biossido di Azoto,µg/m³,501,Milano,45.47,9.197\n",
                encoding="utf-8",
            )
        made[name] = Made(path, name, None if name in ("sensor-community", "airnow-aqobs") else stations)
    return made
