"""Days of the Chinese archive: hours and types in rows, stations in columns."""

from __future__ import annotations

from pathlib import Path

import pytest
from station_files import flag, raw, read, write_list

from aqreanalysis.observations.flags import Flag

TYPES = ("AQI", "PM2.5", "PM2.5_24h", "PM10", "PM10_24h", "SO2", "SO2_24h", "NO2", "NO2_24h", "O3", "O3_24h", "O3_8h")
ALL = (*TYPES, "O3_8h_24h", "CO", "CO_24h")


def _day(folder: Path, date: str, stations: tuple[str, ...] = ("1001A", "1002A", "9999X")) -> Path:
    lines = ["date,hour,type," + ",".join(stations)]
    for hour in range(24):
        for number, kind in enumerate(ALL):
            cells = [
                f"{0.1 * (hour + 1):.1f}" if kind == "CO" else str(10 * number + hour + s) for s in range(len(stations))
            ]
            if hour == 5:
                cells[1] = ""
            lines.append(f"{date},{hour},{kind}," + ",".join(cells))
    path = folder / f"china_sites_{date}.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_hourly_types_are_read_at_listed_stations_and_daily_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "days").mkdir()
    _day(tmp_path / "days", "20190101")
    _day(tmp_path / "days", "20190102")
    observations = read(tmp_path / "days", write_list(tmp_path, ["1001A", "1002A"]))
    assert observations.stations == ["1001A", "1002A"]
    assert str(observations.times[0]) == "2018-12-31 16:00:00" and len(observations.times) == 48
    assert raw(observations, "pm25", "1001A", "2018-12-31 16:00") == 10
    assert raw(observations, "pm10", "1002A", "2018-12-31 17:00") == 32
    assert raw(observations, "co", "1001A", "2019-01-01 16:00") == pytest.approx(0.1)
    assert observations.report.readings["o3"] == 2 * 48 - 2
    assert observations.report.counts["stations_not_listed"] == 2


def test_the_list_of_the_archive_in_chinese_places_the_codes(tmp_path: Path) -> None:
    path = tmp_path / "站点列表.csv"
    path.write_text(
        "监测点编码,监测点名称,城市,经度,纬度,对照点\n1001A,万寿西宫,北京,116.362,39.8784,N\n", encoding="utf-8"
    )
    observations = read(_day(tmp_path, "20190101"), path)
    assert observations.lat[0] == 39.8784 and observations.lon[0] == 116.362
    assert observations.city == ["北京"] and observations.names == ["万寿西宫"]


def test_a_marked_reading_keeps_what_its_mark_says(tmp_path: Path) -> None:
    path = _day(tmp_path, "20190101", ("1001A", "1002A"))
    path.write_text(path.read_text().replace("20190101,2,PM2.5,12,", "20190101,2,PM2.5,12x,"))
    observations = read(path, write_list(tmp_path, ["1001A"]))
    assert flag(observations, "pm25", "1001A", "2018-12-31 18:00") == Flag.INVALID_AT_SOURCE
    assert flag(observations, "pm25", "1001A", "2018-12-31 19:00") == Flag.GOOD
    assert flag(observations, "pm10", "1001A", "2018-12-31 18:00") == Flag.GOOD
