"""Spreadsheets are read as the tables they hold, sheet by sheet; without their reader one line says so."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from station_files import raw, read, write_list, write_workbook

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.files import list_sources
from aqreanalysis.observations.spreadsheets import sheet_as_csv


def _rows(station: str, value: float) -> list[list[object]]:
    times = [datetime(2020, 1, 1, 1) + timedelta(hours=h) for h in range(24)]
    head = ["station_id", "time", "lat", "lon", "pm25"]
    return [head, *([station, time, 40.0, 116.5, value] for time in times)]


def test_cells_are_written_as_the_tables_of_this_program_have_them(tmp_path: Path) -> None:
    path = write_workbook(
        tmp_path / "x.xlsx", {"S": [["a, b", 1001.0, 0.1, datetime(2020, 1, 1, 13)], ["", "two\nlines"]]}
    )
    assert sheet_as_csv(path.read_bytes(), "x").decode() == '"a, b",1001,0.1,2020-01-01 13:00:00\n,two lines,,\n'


def test_a_workbook_is_read_sheet_by_sheet(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "two.xlsx", {"north": _rows("a", 5.0), "empty": [], "south": _rows("b", 7.0)})
    assert [source.sheet for source in list_sources(path)] == ["north", "south"]
    observations = read(path)
    assert raw(observations, "pm25", "a", "2020-01-01 13:00") == 5 and raw(observations, "pm25", "b", "2020-01-02") == 7


def test_a_sheet_of_notes_beside_the_readings_is_left_out_and_told(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "x.xlsx", {"readme": [["what this is"], ["notes"]], "data": _rows("a", 5.0)})
    observations = read(path)
    assert observations.stations == ["a"] and any("sheet 'readme'" in note for note in observations.report.notes)


def test_station_lists_may_be_spreadsheets(tmp_path: Path) -> None:
    readings = tmp_path / "pm25_2020.csv"
    readings.write_text("time,S1\n" + "".join(f"2020-01-01 {h:02d}:00,{h}\n" for h in range(1, 20)))
    places = write_workbook(tmp_path / "places.xlsx", {"x": [["station_id", "lat", "lon"], ["S1", 40.0, 116.0]]})
    assert raw(read(readings, places), "pm25", "S1", "2020-01-01 05:00") == 5


def test_damage_and_a_missing_reader_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.xlsx"
    path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ObservationsError, match=r"x.xlsx is no readable spreadsheet \(.+\): is it truncated"):
        read(path)
    path = write_workbook(path, {"data": _rows("a", 5.0)})
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(ObservationsError, match="python-calamine, which is not installed: pip install python-calamine"):
        read(path, write_list(tmp_path, ["a"]))
