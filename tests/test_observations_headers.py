"""Tables as they are shipped: notes above the header, units below it, footers under the rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from station_files import raw, read, write_list, write_workbook

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.headers import header_line

A = {"station": "A", "lat": 32.0, "lon": 34.9}
HOURS = pd.date_range("2023-06-01", periods=30, freq="h")


def test_a_header_is_found_below_notes_a_line_of_units_is_read_and_a_footer_left_out(tmp_path: Path) -> None:
    rows = [f"{t:%d/%m/%Y} {t.hour + 1:02d}:00,{12 + i},{30 + i}" for i, t in enumerate(HOURS)]
    lines = ["Station: Yad Avner,,", "Date & Time,PM10,O3", ",µg/m³,ppb", *rows, "Minimum,12,30", "MaxDate,2/6/2023,x"]
    path = tmp_path / "envista.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    seen = read(path, place=A, time_format="%d/%m/%Y %H:%M", time_zone="+02:00")
    assert raw(seen, "pm10", "A", "2023-05-31 23:00") == 12.0
    assert raw(seen, "o3", "A", "2023-05-31 23:00") == pytest.approx(30 * 1.99534, rel=1e-4)  # ppb at 20 degC
    assert raw(seen, "pm10", "A", "2023-06-01 22:00") == 35.0  # 24:00 of the first day
    assert seen.report.counts["rows_without_time"] == 2
    assert any("its header stands in line 2 (columns.skip_lines=1)" in line for line in seen.report.lines())


def test_a_sheet_with_notes_and_units_is_read_as_the_text_is(tmp_path: Path) -> None:
    rows = [[f"{t:%Y-%m-%d %H:%M}", 10 + i if i != 4 else "NoData"] for i, t in enumerate(HOURS)]
    path = write_workbook(
        tmp_path / "report.xlsx", {"Report": [["Diepkloof", ""], ["Date & Time", "NO2"], ["", "ppb"], *rows]}
    )
    seen = read(path, place=A)
    assert raw(seen, "no2", "A", "2023-06-01 00:00") == pytest.approx(10 * 1.91245, rel=1e-4)
    assert seen.report.readings["no2"] == 29


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("station_id,time,lat,lon,pm25\nA,2020-01-01,1,2,3\n", 0),
        ("Hourly means\nGenerated on: 2023\n\nDATE,HOUR,STATION,CO,FSP,NO2\n01/06/2023,1,CENTRAL,50,5,40\n", 3),
        ("# Station: X\n# NO2\nStart;Slut;NO2 (µg/m3);Kontroll\n2023-06-01 00:00;2023-06-01 01:00;10,5;1\n", 2),
        ("a,b\n1,2\n", 0),
        ("pm25,station,lat\n2019,A,1\n", 0),
    ],
)
def test_the_first_line_is_the_header_unless_one_below_has_more_of_its_names(text: str, line: int) -> None:
    assert header_line(text, ColumnsConfig()) == line


def test_what_the_user_says_of_lines_counts() -> None:
    assert header_line("x\nstation_id,time,lat,lon,pm25\n", ColumnsConfig(skip_lines=5)) == 5


def test_the_sheet_with_the_readings_is_the_one_whose_fault_is_told(tmp_path: Path) -> None:
    sheets = {"ReadMe": [["WHO"]], "data": [["city", "Measurement Year", "PM2.5", "lat", "lon"], ["X", 2015, 14, 1, 2]]}
    with pytest.raises(ObservationsError, match="its only time is the column 'Measurement Year': means of years"):
        read(write_workbook(tmp_path / "who.xlsx", sheets))


def test_one_yearly_mean_beside_others_of_its_station_is_no_hour(tmp_path: Path) -> None:
    path = tmp_path / "years.csv"
    path.write_text("station_id,time,pm25,pm10\nA,2015,,17\nA,2016,14,24\nB,2015,,19\nB,2016,,21\n")
    with pytest.raises(ObservationsError, match="all averages longer than an hour"):
        read(path, write_list(tmp_path, ["A", "B"]))
