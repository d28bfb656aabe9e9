"""London's API: JSON of a site and species or of a site, and CSV; hours are stamped at their start."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from station_files import raw, read, write_list


def _stamps() -> list[str]:
    return [f"2022-12-10 {h:02d}:00:00" for h in range(6)]


def test_json_of_a_site_and_species(tmp_path: Path) -> None:
    rows = [{"@MeasurementDateGMT": t, "@Value": "" if t[11:13] == "02" else f"{i}.4"} for i, t in enumerate(_stamps())]
    path = tmp_path / "my1.json"
    path.write_text(json.dumps({"RawAQData": {"@SiteCode": "MY1", "@SpeciesCode": "NO2", "Data": rows}}))
    observations = read(path, write_list(tmp_path, ["MY1"]))
    assert abs(raw(observations, "no2", "MY1", "2022-12-10 01:00") - 0.4) < 1e-6
    assert np.isnan(raw(observations, "no2", "MY1", "2022-12-10 03:00")) and len(observations.times) == 6


def test_json_of_a_site_with_its_species(tmp_path: Path) -> None:
    rows = [
        {"@SpeciesCode": code, "@MeasurementDateGMT": t, "@Value": value}
        for code, value in (("PM25", "9.5"), ("CO", "0.4"), ("NO", "7"))
        for t in _stamps()
    ]
    path = tmp_path / "my1.json"
    path.write_text(json.dumps({"AirQualityData": {"@SiteCode": "MY1", "Data": rows}}))
    observations = read(path, write_list(tmp_path, ["MY1"]))
    assert observations.species == ("pm25", "co") and raw(observations, "pm25", "MY1", "2022-12-10 06:00") == 9.5
    assert observations.report.counts["rows_of_other_pollutants"] == 6


def test_csv_names_sites_and_pollutants_or_has_a_column_of_stations(tmp_path: Path) -> None:
    head = "MeasurementDateGMT,Marylebone Road: Nitrogen Dioxide (ug/m3),Marylebone Road: PM10 Particulate (ug/m3)"
    path = tmp_path / "wide.csv"
    path.write_text("\n".join([head, *(f"{t},{i},-999" for i, t in enumerate(_stamps()))]) + "\n")
    observations = read(path, write_list(tmp_path, ["Marylebone Road"]))
    assert raw(observations, "no2", "Marylebone Road", "2022-12-10 04:00") == 3
    assert np.isnan(observations.values("pm10")).all()
    rows = [f"{i},{t},BL0,{i + 1},," for i, t in enumerate(_stamps())]
    path.write_text("\n".join([",MeasurementDateGMT,station_id,PM2.5 (ug/m3),PM10 (ug/m3),NO2 (ug/m3)", *rows]) + "\n")
    observations = read(path, write_list(tmp_path, ["BL0"]))
    assert raw(observations, "pm25", "BL0", "2022-12-10 01:00") == 1
