"""India's CPCB: reports with lines on top (CSV, XLSX), files of the repository, and the collections made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from station_files import raw, read, write_list, write_workbook

from aqreanalysis.errors import ObservationsError

MANALI = "Manali, Chennai - CPCB"
TOP = [
    ["CENTRAL POLLUTION CONTROL BOARD"],
    ["CONTINUOUS AMBIENT AIR QUALITY"],
    ["Date: Monday, May 24 2021"],
    ["Time: 06:32:36 PM"],
    ["State", "Tamil Nadu"],
    ["City", "Chennai"],
    ["Station", MANALI],
    ["Parameter", "PM2.5,PM10,NO2,CO,Ozone"],
    ["AvgPeriod", "1 Hours"],
    ["From", "01-04-2020T00:00:00Z 00:00"],
    ["To", "02-04-2020T00:30:59Z 00:00"],
    [""],
    [MANALI],
    ["Prescribed Standards", " ", "0-60", "0-100", "0-80", "0-4", "0-180"],
    ["Exceeding Standards", " ", "NA", "NA", "NA", "NA", "NA"],
    ["Remarks", ""],
]
HEADER = ["From Date", "To Date", "PM2.5", "PM10", "NO2", "CO", "Ozone"]


def _hours(day: str = "01-04-2020", more: float = 0.0) -> list[list[object]]:
    ends = [*(f"{day} {h + 1:02d}:00" for h in range(23)), "02-04-2020 00:00"]
    return [[f"{day} {h:02d}:00", ends[h], h + more, "None", 20.5, 0.5 + h / 10, 40.0] for h in range(24)]


def _lines(rows: list[list[object]], width: int = 0) -> str:
    cells = [[f'"{c}"' if "," in str(c) else str(c) for c in row] for row in rows]
    return "\n".join(",".join(row + [""] * (width - len(row))) for row in cells) + "\n"


def test_a_report_ends_hours_in_indias_clock_and_leaves_a_short_last_period_out(tmp_path: Path) -> None:
    rows = [*_hours(), ["02-04-2020 00:00", "02-04-2020 00:30", 5, 5, 5, 5, 5]]
    path = write_workbook(tmp_path / "manali.xlsx", {"Sheet1": [*TOP, HEADER, *rows]})
    observations = read(path, write_list(tmp_path, [MANALI]))
    # 00:00 to 01:00 of India is 18:30 to 19:30 UTC, the hour that ends at 20:00 by the rule for half-hour zones.
    assert raw(observations, "pm25", MANALI, "2020-03-31 20:00") == 0
    assert raw(observations, "pm25", MANALI, "2020-04-01 19:00") == 23
    assert raw(observations, "co", MANALI, "2020-03-31 21:00") == pytest.approx(0.6)
    assert observations.report.counts["rows_of_other_periods"] == 1 and len(observations.times) == 24
    assert observations.report.readings["pm10"] == 0 and observations.report.readings["o3"] == 24


def test_the_same_report_as_csv_and_under_the_name_of_its_station_in_other_spelling(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(_lines([*TOP, HEADER, *_hours()]))
    observations = read(path, write_list(tmp_path, ["Manali Chennai CPCB"]))
    assert raw(observations, "o3", "Manali Chennai CPCB", "2020-03-31 20:00") == 40
    place = {"station": "M", "lat": 13.16, "lon": 80.26}
    assert raw(read(path, place=place), "no2", "M", "2020-04-01 19:00") == 20.5


def test_a_report_of_several_stations_has_a_block_and_columns_for_each(tmp_path: Path) -> None:
    other = ["From Date", "To Date", "Ozone", "PM2.5", "", "", ""]
    second = [[begin, end, 7.0, 100.0, "", "", ""] for begin, end, *_ in _hours()]
    rows = [*TOP[:4], ["Station", f"{MANALI},    Alandur, Chennai - CPCB"], ["AvgPeriod", "1 Hours"], [""]]
    rows += [[" ", " ", "Manali  Chennai - CPCB "], HEADER, *_hours(), [""], [" ", " ", "Alandur  Chennai - CPCB "]]
    path = tmp_path / "two.csv"
    path.write_text(_lines([*rows, other, *second], 7))
    observations = read(path, write_list(tmp_path, [MANALI, "Alandur, Chennai - CPCB"]))
    assert observations.stations == ["Alandur, Chennai - CPCB", MANALI]
    assert raw(observations, "pm25", MANALI, "2020-03-31 22:00") == 2
    assert raw(observations, "pm25", "Alandur, Chennai - CPCB", "2020-03-31 22:00") == 100
    assert raw(observations, "o3", "Alandur, Chennai - CPCB", "2020-03-31 22:00") == 7


def test_the_repository_stamps_starts_states_units_and_is_named_after_its_site(tmp_path: Path) -> None:
    head = "Timestamp,PM2.5 (µg/m³),NOx (ppb),CO (mg/m³),Ozone (µg/m³),AT (°C),RH (%)"
    lines = [head, *(f"2023-01-01 {h:02d}:{m:02d}:00,{10 * h + m},1,0.8,NA,25,60" for h in range(3) for m in (0, 30))]
    path = tmp_path / "Raw_data_30Min_2023_site_5024_Anand_Vihar_Delhi_DPCC.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    observations = read(path, write_list(tmp_path, ["site_5024"]))
    # 00:30 to 01:00 of India ends at 19:30 UTC, 01:00 to 01:30 at 20:00.
    assert raw(observations, "pm25", "site_5024", "2022-12-31 20:00") == pytest.approx((30 + 10) / 2)
    assert raw(observations, "co", "site_5024", "2022-12-31 20:00") == pytest.approx(0.8)
    assert np.isnan(observations.values("o3")).all()


def test_the_collections_are_known(tmp_path: Path) -> None:
    lines = ["From Date,To Date,PM2.5 (ug/m3),CO (mg/m3),NO2 (ug/m3)"]
    lines += [f"2010-01-01 {h:02d}:00:00,2010-01-01 {h + 1:02d}:00:00,{h},0.5," for h in range(23)]
    path = tmp_path / "AP001.csv"
    path.write_text("\n".join(lines) + "\n")
    assert raw(read(path, write_list(tmp_path, ["AP001"])), "pm25", "AP001", "2009-12-31 20:00") == 0
    lines = ["StationId,Datetime,PM2.5,PM10,NO,NO2,NOx,NH3,CO,SO2,O3,Benzene,Toluene,Xylene,AQI,AQI_Bucket"]
    lines += [f"DL001,2019-05-01 {h:02d}:00:00,{h},,,,,,0.4,,,,,,50,Good" for h in range(1, 24)]
    path = tmp_path / "station_hour.csv"
    path.write_text("\n".join(lines) + "\n")
    assert raw(read(path, write_list(tmp_path, ["DL001"])), "pm25", "DL001", "2019-04-30 20:00") == 1


def test_daily_reports_and_files_without_a_place_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "days.csv"
    rows = [[f"{d:02d}-01-2020 00:00", f"{d + 1:02d}-01-2020 00:00", 1, 2, 3, 4, 5] for d in range(1, 20)]
    path.write_text(_lines([*TOP, HEADER, *rows]))
    with pytest.raises(ObservationsError, match=r"line 18: From Date and To Date lie 24 hours apart"):
        read(path, write_list(tmp_path, [MANALI]))
    path.write_text(_lines([*TOP, HEADER, *_hours()]))
    with pytest.raises(ObservationsError, match=r"nothing says where its station 'Manali, Chennai - CPCB' stands"):
        read(path)
