"""GIOS: rows of codes on top, hours in Central European Time, the archive's own list, former codes."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from station_files import raw, read, write_list, write_workbook

from aqreanalysis.errors import ObservationsError

TOP = [
    ["Nr", 1, 2],
    ["Kod stacji", "DsWrocAlWisn", "MzWarAlNiepo"],
    ["Wskaźnik", "PM2.5", "PM2.5"],
    ["Czas uśredniania", "1g", "1g"],
    ["Jednostka", "ug/m3", "ug/m3"],
    ["Kod stanowiska", "DsWrocAlWisn-PM2.5-1g", "MzWarAlNiepo-PM2.5-1g"],
]


def _hours() -> list[list[object]]:
    times = [datetime(2019, 1, 1) + timedelta(hours=h) for h in range(1, 25)]
    return [[time, h + 0.5, f"{h},25"] for h, time in enumerate(times, 1)]


def test_a_workbook_and_the_archives_list_with_former_codes(tmp_path: Path) -> None:
    places = [
        "Nr",
        "Kod stacji",
        "Nazwa stacji",
        "Stary Kod stacji (o ile inny od aktualnego)",
        "WGS84 φ N",
        "WGS84 λ E",
    ]
    listed = [
        places,
        [1, "DsWrocAlWisn", "Wrocław", "", 51.09, 17.01],
        [2, "MzWarszAlNie", "W-wa", "MzWarAlNiepo", 52.2, 21],
    ]
    stations = write_workbook(tmp_path / "Metadane.xlsx", {"STACJE": listed, "info": [["opis"]]})
    path = write_workbook(tmp_path / "2019_PM25_1g.xlsx", {"Arkusz1": [*TOP, *_hours()]})
    observations = read(path, stations)
    assert observations.stations == ["DsWrocAlWisn", "MzWarszAlNie"]
    assert raw(observations, "pm25", "DsWrocAlWisn", "2019-01-01 00:00") == 1.5  # 01:00 in Poland
    assert raw(observations, "pm25", "MzWarszAlNie", "2019-01-01 23:00") == 24.25


def test_older_files_as_csv_name_the_pollutant_by_column_or_file(tmp_path: Path) -> None:
    path = tmp_path / "2012_CO_1g.csv"
    lines = ["Kod stacji;A1;B2", "Wskaźnik;CO;CO", "Czas uśredniania;1g;1g"]
    lines += [f"2012-01-01 {h:02d}:00;0,{h:02d};" for h in range(1, 24)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    observations = read(path, write_list(tmp_path, ["A1", "B2"]))
    assert raw(observations, "co", "A1", "2012-01-01 04:00") == pytest.approx(0.05)


def test_daily_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "2019_PM10_24g.csv"
    path.write_text(
        "Kod stacji,A1\nWskaźnik,PM10\nCzas uśredniania,24g\n2019-01-01,20\n2019-01-02,30\n", encoding="utf-8"
    )
    with pytest.raises(ObservationsError, match=r"means of 24g, no hours: take the file of 1g"):
        read(path, write_list(tmp_path, ["A1"]))
