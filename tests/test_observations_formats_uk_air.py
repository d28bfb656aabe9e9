"""UK-AIR: lines on top, hours that end, 24:00, status beside unit, and several sites in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from station_files import flag, raw, read, write_list

from aqreanalysis.observations.flags import Flag

TOP = ["Data supplied by UK-AIR on 24/9/2026", "All Data GMT hour ending  ", "Status: R = Ratified / P = Provisional"]


def _write(folder: Path, lines: list[str], name: str) -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def _hours(cells: str) -> list[str]:
    return [f"01-01-2021,{h:02d}:00,{cells.format(h=h)}" for h in range(1, 25)]


def test_a_flat_file_is_of_the_site_of_its_name(tmp_path: Path) -> None:
    head = "Date,time,Ozone,status,unit,PM<sub>10</sub> particulate matter (Hourly measured),status,unit,"
    head += "Volatile PM<sub>2.5</sub> (Hourly measured),status,unit,Carbon monoxide,status,unit"
    rows = _hours("{h},R,ugm-3,2{h},P*,ugm-3 (FIDAS),99,R,ugm-3,0.5,S,mgm-3")
    lines = [*TOP, ",,Aberdeen Erroll Park,,,,,,,,,,,", head, *rows]
    observations = read(_write(tmp_path, lines, "ABD9_2021.csv"), write_list(tmp_path, ["ABD9"]))
    assert set(observations.species) == {"pm10", "o3", "co"} and len(observations.times) == 24
    assert raw(observations, "o3", "ABD9", "2021-01-01 01:00") == 1
    assert raw(observations, "o3", "ABD9", "2021-01-02 00:00") == 24  # 24:00
    assert raw(observations, "pm10", "ABD9", "2021-01-01 05:00") == 25
    assert flag(observations, "co", "ABD9", "2021-01-01 05:00") == Flag.INVALID_AT_SOURCE


def test_the_data_selector_has_sites_over_columns_units_in_status_and_an_end(tmp_path: Path) -> None:
    head = 'Date,Time,"Nitrogen dioxide",Status,"PM2.5 particulate matter (Hourly measured)",Status,"Ozone",Status'
    rows = [row.replace("-", "/", 2) for row in _hours("{h},V ugm-3,No data,,{h}.5,P ugm-3 (TEOM FDMS)")]
    lines = [TOP[0], TOP[1], "Status: V=Verified P=Provisionaly Verified N=Not Verified S=Suspect"]
    lines += [',,"Harwell",,,,"Yarner Wood",', head, *rows, "End"]
    observations = read(_write(tmp_path, lines, "9120.csv"), write_list(tmp_path, ["harwell", "Yarner Wood"]))
    assert observations.stations == ["Yarner Wood", "harwell"]
    assert raw(observations, "no2", "harwell", "2021-01-01 07:00") == 7
    assert raw(observations, "o3", "Yarner Wood", "2021-01-01 07:00") == 7.5
    assert np.isnan(observations.values("pm25")).all() and "broken_lines" not in observations.report.counts


def test_a_station_page_says_where_it_stands(tmp_path: Path) -> None:
    lines = [
        "Hourly data from Defra on 15/01/2025",
        "Site Name,Test Site",
        "Site Type,Urban Background",
        "Region,London",
    ]
    lines += ["Latitude,51.5074", "Longitude,-0.1278", "Notes:,[1] All Data GMT hour ending;  [2] V = Verified"]
    lines += ["Date,Time,PM10 particulate matter (Hourly measured),Status", *_hours("{h},V")]
    observations = read(_write(tmp_path, lines, "x.csv"))
    assert raw(observations, "pm10", "Test Site", "2021-01-01 03:00") == 3
