"""Station files of any size in the exact form of a network: ``python benchmarks/made_station_files.py uba out/``.

A file has as many rows as asked for; those of networks that send a file a station become a folder of them. Readings are
numbers between 1 and 99 that change from row to row, so that nothing is stuck and nothing compresses to a line.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

START = datetime(2019, 1, 1)
STATIONS = 500


@dataclass(frozen=True)
class Shape:
    """How a format's files are made.

    Attributes
    ----------
    header : str
        Lines before the rows.
    row : callable
        Station, time of the row's end and a number -> the row.
    name : str
        The file's name, ``{station}`` in it where a station has a file of its own.
    minutes : int
        From one row of a station to the next.
    id : callable
        Number of a station -> its id.
    readings : int
        Readings in a row.
    listed : bool
        Whether a station list places it.
    encoding : str
        Of the file.
    """

    header: str
    row: Callable[[str, datetime, int], str]
    name: str
    minutes: int = 60
    id: Callable[[int], str] = "S{:04d}".format
    readings: int = 1
    listed: bool = True
    encoding: str = "utf-8"


def _hour_before(time: datetime) -> datetime:
    return time - timedelta(hours=1)


def _hour_24(time: datetime, pattern: str) -> str:
    """Return a date and an hour of 1 to 24."""
    before = _hour_before(time)
    return before.strftime(pattern) + f"{before.hour + 1:02d}"


_AQOBS = (
    "AQSID,SiteName,Status,EPARegion,Latitude,Longitude,Elevation,GMTOffset,CountryCode,StateName,ValidDate,ValidTime"
)
_AQOBS += ",DataSource,ReportingArea_PipeDelimited,PM25,PM25_Unit,OZONE,OZONE_Unit"

SHAPES = {
    "narrow": Shape(
        "station,time,parameter,value,unit\n", lambda s, t, v: f"{s},{t:%Y-%m-%dT%H:%MZ},pm25,{v},ug/m3", "narrow.csv"
    ),
    "laqn": Shape(
        "Site,Species,ReadingDateTime,Value,Units,Provisional or Ratified\n",
        lambda s, t, v: f"{s},NO2,{t:%d/%m/%Y %H:%M},{v},ug m-3,R",
        "LaqnData.csv",
    ),
    "cpcb": Shape(
        "Timestamp,PM2.5 (µg/m³),PM10 (µg/m³),NO2 (µg/m³),Ozone (µg/m³),AT (°C)\n",
        lambda s, t, v: f"{t:%Y-%m-%d %H:%M:%S},{v},{v + 20},NA,{100 - v},25",
        "Raw_data_15Min_{station}.csv",
        15,
        "site_{}".format,
        4,
    ),
    "purpleair": Shape(
        "time_stamp,sensor_index,humidity,pm2.5_cf_1_a,pm2.5_cf_1_b\n",
        lambda s, t, v: f"{t:%Y-%m-%dT%H:%M:%SZ},{s},40,{v},{v}",
        "purpleair.csv",
        10,
        str,
    ),
    "sensor-community": Shape(
        "sensor_id;sensor_type;location;lat;lon;timestamp;P1;durP1;ratioP1;P2;durP2;ratioP2\n",
        lambda s, t, v: f"{s};SDS011;1;{40 + int(s) / 100:.3f};9.15;{t:%Y-%m-%dT%H:%M:%S};{v}.5;;;{v};;",
        "2019-01_sds011.csv",
        3,
        str,
        2,
        False,
    ),
    "airnow-aqobs": Shape(
        _AQOBS + "\n",
        lambda s, t, v: (
            f"{s},Site,Active,R4,{30 + int(s) / 100:.2f},-87.87,0,-6,US,AL,{t:%m/%d/%Y,%H:%M},A,,{v},UG/M3,{v},PPB"
        ),
        "HourlyAQObs_2019010101.dat",
        60,
        str,
        2,
        False,
    ),
    "uk-air": Shape(
        "Data supplied by UK-AIR\nAll Data GMT hour ending\n\n,,Site,,,,,\nDate,time,Ozone,status,unit,"
        "Nitrogen dioxide,status,unit\n",
        lambda s, t, v: f"{_hour_24(t, '%d-%m-%Y,')}:00,{v},R,ugm-3,{100 - v},R,ugm-3",
        "{station}_2019.csv",
        readings=2,
    ),
    "laqn-api": Shape(
        ",MeasurementDateGMT,station_id,PM2.5 (ug/m3),NO2 (ug/m3)\n",
        lambda s, t, v: f"1,{t:%Y-%m-%d %H:%M:%S},{s},{v},{100 - v}",
        "london.csv",
        readings=2,
    ),
    "airkorea": Shape(
        "지역,망,측정소코드,측정소명,측정일시,SO2,CO,O3,NO2,PM10,PM25,주소\n",
        lambda s, t, v: f"서울,도시,{s},중구,{_hour_24(t, '%Y%m%d')},0.004,0.5,0.0{v},0.02,{v},{v},덕수궁길",
        "2019.csv",
        60,
        str,
        6,
        encoding="cp949",
    ),
    "soramame": Shape(
        "日付,時,SO2(ppm),NO2(ppm),Ox(ppm),PM2.5(μg/m3)\n",
        lambda s, t, v: f"{_hour_before(t):%Y/%m/%d},{_hour_before(t).hour + 1},0.001,0.010,0.0{v},{v}",
        "201901_{station}.csv",
        60,
        "1320{:04d}".format,
        4,
        encoding="cp932",
    ),
    "nies-japan": Shape(
        "測定年度,測定局コード,市町村コード,測定項目コード,測定単位コード,測定月,測定日,"
        + ",".join(f"{h:02d}時" for h in range(1, 25))
        + "\n",
        lambda s, t, v: f"{t.year - (t.month < 4)},{s},101,PM25,UG/M3 ,{t.month},{t.day},"
        + ",".join(str((v + h) % 99) for h in range(24)),
        "j13.csv",
        24 * 60,
        "1320{:04d}".format,
        encoding="cp932",
    ),
    "gios": Shape(
        "Kod stacji," + ",".join(f"S{i:04d}" for i in range(100)) + "\nWskaźnik" + ",PM2.5" * 100 + "\nCzas uśredniania"
        + ",1g" * 100 + "\n",
        lambda s, t, v: f"{t:%Y-%m-%d %H:%M:%S}," + ",".join(str((v + i) % 99) for i in range(100)),
        "2019_PM25_1g.csv",
        readings=100,
    ),
    "rama": Shape(
        "notas\ndate,id_station,id_parameter,value,unit\n",
        lambda s, t, v: f"{_hour_24(t, '%d/%m/%Y ')}:00,{s},PM2.5,{v},2",
        "contaminantes_2019.csv",
    ),
    "sinca": Shape(
        "FECHA (YYMMDD);HORA (HHMM);Registros validados;Registros preliminares;Registros no validados;\n",
        lambda s, t, v: f"{t:%y%m%d;%H%M};{v},5;;;",
        "{station}_PM25.csv",
    ),
    "uba": Shape(
        "Stationscode;Datum;Ozon (O₃) Ein-Stunden-Mittelwert in µg/m³;Stickstoffdioxid (NO₂) Ein-Stunden-Mittelwert in "
        "µg/m³\n",
        lambda s, t, v: f"{s};'{t:%d.%m.%Y %H:%M}';{v};{100 - v}",
        "uba.csv",
        readings=2,
    ),
    "lombardy": Shape(
        "IdSensore,Data,Valore,Stato,idOperatore\n",
        lambda s, t, v: f"{s},{t:%d/%m/%Y %H:%M:%S},{v},VA,1",
        "aria.csv",
        id=str,
    ),
}  # fmt: skip


def make(form: str, folder: Path, rows: int) -> tuple[list[Path], Path | None]:
    """Write files of a format with about `rows` rows, and return them and their station list if they need one."""
    shape = SHAPES[form]
    stations = 1 if form == "gios" else STATIONS
    each = max(rows // stations, 2)
    ids = [shape.id(i) for i in range(stations)]
    files: list[Path] = []
    if "{station}" in shape.name:
        for name in ids:
            files.append(folder / shape.name.format(station=name))
            with files[-1].open("w", encoding=shape.encoding) as out:
                out.write(shape.header)
                out.writelines(_rows(shape, [name], each))
    else:
        files.append(folder / shape.name)
        with files[-1].open("w", encoding=shape.encoding) as out:
            out.write(shape.header)
            out.writelines(_rows(shape, ids, each))
    if not shape.listed:
        return files, None
    places = folder / "places.csv"
    listed = [f"S{i:04d}" for i in range(100)] if form == "gios" else ids
    more = ",NomeTipoSensore,UnitaMisura" if form == "lombardy" else ""
    kind = ",Ozono,µg/m³" if form == "lombardy" else ""
    lines = [f"station_id,lat,lon{more}", *(f"{name},{40 + i / 100},9{kind}" for i, name in enumerate(listed))]
    places.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return files, places


def _rows(shape: Shape, ids: list[str], each: int) -> Iterator[str]:
    """Yield rows by time, then by station, as networks write them."""
    numbers = np.random.default_rng(0).integers(1, 99, each)
    for step in range(each):
        time = START + timedelta(minutes=shape.minutes * (step + 1))
        for i, name in enumerate(ids):
            yield shape.row(name, time, int(numbers[step] + i) % 98 + 1) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("format", choices=list(SHAPES))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    files, places = make(arguments.format, arguments.folder, arguments.rows)
    print(f"{len(files)} files, the first {files[0]}" + (f", placed by {places}" if places else ""))


if __name__ == "__main__":
    main()
