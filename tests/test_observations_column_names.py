"""The names of columns, in the languages and with the oddities of networks."""

from __future__ import annotations

from pathlib import Path

import pytest
from station_files import raw, read, write_list

from aqreanalysis.configs import load_config
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.column_names import pollutant_and_unit, usual_column, usual_time


@pytest.mark.parametrize(
    ("name", "pollutant", "unit"),
    [
        ("Particulate matter < 2.5 µm (ug/m3)", "pm25", "ug/m3"),
        ("Typpidioksidi [µg/m3]", "no2", "µg/m3"),
        ("Dióxido de Nitrógeno", "no2", None),
        ("NO2 (Dióxido de Nitrogênio)", "no2", None),
        ("MP2.5 (Partículas Inaláveis Finas)", "pm25", None),
        ("OZONE 1h average [pphm]", "o3", "pphm"),
        ("PM10_PT1H_avg", "pm10", None),
        ("CO(GT)", "co", None),
        ("FSP", "pm25", None),
        ("二氧化氮", "no2", None),
        ("O3_8hr", None, None),
        ("PM10 (24h)", None, None),
        ("PT08.S1(CO)", None, None),
        ("AQI_NO2", None, None),
        ("NOx (ppb)", None, None),
    ],
)
def test_a_name_means_a_pollutant_in_any_language_and_no_other_quantity(
    name: str, pollutant: str | None, unit: str | None
) -> None:
    assert pollutant_and_unit(name) == (pollutant, unit)


@pytest.mark.parametrize(
    ("names", "time"),
    [
        ("No,year,month,day,hour,pm2.5", ("year", "month", "day", "hour")),
        ("Year,m,d,Time,Time zone", ("Year", "m", "d", "Time")),
        ("Vuosi,Kuukausi,Päivä,Aika [UTC]", ("Vuosi", "Kuukausi", "Päivä", "Aika [UTC]")),
        ("DATE,HOUR,STATION", ("DATE", "HOUR")),
        ("ANO,MES,DIA,H01", ("ANO", "MES", "DIA")),
        ("GPS,DateTime,Date,Time", ("DateTime",)),
        ("Date de début,Date de fin,valeur", ("Date de fin",)),
        ("Begindatumtijd,Einddatumtijd", ("Einddatumtijd",)),
        ("time,pm25", ("time",)),
        ("date,co", ("date",)),
        ("a,b", None),
    ],
)
def test_a_stamp_is_one_column_or_its_parts(names: str, time: tuple[str, ...] | None) -> None:
    assert usual_time(names.split(",")) == time


def test_of_a_name_in_two_languages_the_first_counts() -> None:
    names = ["Pollutant//Polluant", "NAPS ID//Identifiant SNPA", "Latitude//Latitude"]
    assert [usual_column(role, names) for role in ("parameter", "station", "lat")] == names


def test_a_table_whose_stamps_stand_in_parts_is_read_without_a_setting(tmp_path: Path) -> None:
    path = tmp_path / "parts.csv"
    rows = "".join(f"2023,6,{1 + h // 24},{h % 24},{5 + h}\n" for h in range(30))
    path.write_text("year,month,day,hour,pm2.5\n" + rows)
    place = {"station": "A", "lat": 39.9, "lon": 116.4}
    seen = read(path, place=place, time_zone="Asia/Shanghai")
    assert raw(seen, "pm25", "A", "2023-05-31 16:00") == 5.0
    assert raw(seen, "pm25", "A", "2023-06-01 21:00") == 34.0


def test_a_column_time_beside_a_date_may_hold_the_whole_stamp_or_the_hour(tmp_path: Path) -> None:
    stations = write_list(tmp_path, ["A"])
    for name, time in (("whole", "2023-06-01 {:02d}:00"), ("hour", "{:02d}:00")):
        path = tmp_path / f"{name}.csv"
        rows = "".join(f"A,2023-06-01,{time.format(h)},{5 + h}\n" for h in range(24))
        path.write_text("station_id,date,time,pm25\n" + rows)
        assert raw(read(path, stations), "pm25", "A", "2023-06-01 07:00") == 12.0


def test_local_times_of_no_known_clock_are_refused_or_warned_of_where_the_user_named_them(tmp_path: Path) -> None:
    path = tmp_path / "embassy.csv"
    rows = "".join(f"Hanoi,PM2.5 - Principal,2023-06-01 {h:02d}:00 AM,{5 + h},UG/M3,1 Hr,Valid\n" for h in range(1, 12))
    path.write_text("Site,Parameter,Date (LT),Raw Conc.,Conc. Unit,Duration,QC Name\n" + rows)
    stations = write_list(tmp_path, ["Hanoi"])
    with pytest.raises(ObservationsError, match=r"column 'Date \(LT\)' holds local times: say of which clock"):
        read(path, stations)
    seen = read(path, stations, time_zone="Asia/Ho_Chi_Minh")
    assert raw(seen, "pm25", "Hanoi", "2023-05-31 18:00") == 6.0
    named = read(path, stations, time="Date (LT)")
    assert any("taken as UTC" in text for text in named.report.warnings)


def test_what_is_assumed_of_the_clock_is_told(tmp_path: Path) -> None:
    path = tmp_path / "plain.csv"
    path.write_text("station_id,time,pm25\n" + "".join(f"A,2023-06-01 {h:02d}:00,{5 + h}\n" for h in range(24)))
    stations = write_list(tmp_path, ["A"])
    told = "times state no clock, taken to be UTC (columns.time_zone)"
    assert told in read(path, stations).report.lines()
    assert told not in read(path, stations, time_zone="UTC").report.lines()


@pytest.mark.parametrize(
    ("key", "written", "meant"),
    [
        ("time_zone", "+12:00", "+12:00"),  # which YAML reads as 12 x 60
        ("time_zone", "-10:30", "-10:30"),
        ("time_zone", "+05:30", "+05:30"),
        ("time_format", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M"),  # whose quotes a shell takes off
    ],
)
def test_clocks_and_patterns_are_taken_from_the_command_line_as_they_are_written(
    key: str, written: str, meant: str
) -> None:
    columns = load_config("aqnet", [f"columns.{key}={written}"]).columns
    assert getattr(columns, key) == meant
