"""openair's frames as CSV: start stamps, coordinates from its meta data."""

from __future__ import annotations

from pathlib import Path

from station_files import raw, read


def test_hours_begin_at_the_stamp_and_stand_where_meta_says(tmp_path: Path) -> None:
    lines = ["source,site,code,date,nox,no2,o3,co,pm10,pm2.5,latitude,longitude,site_type"]
    lines += [
        f"aurn,Marylebone Road,MY1,2022-01-01T{h:02d}:00:00Z,80,{40 + h},NA,0.3,20,{12 + h},51.52253,-0.1546,Urban"
        for h in range(4)
    ]
    path = tmp_path / "aurn.csv"
    path.write_text("\n".join(lines) + "\n")
    observations = read(path)
    assert observations.stations == ["MY1"] and observations.lat[0] == 51.52253
    assert observations.species == ("pm25", "pm10", "no2", "o3", "co")
    assert raw(observations, "no2", "MY1", "2022-01-01 01:00") == 40
    assert observations.report.readings["o3"] == 0


def test_narrow_frames_are_read_pollutant_by_pollutant(tmp_path: Path) -> None:
    lines = ["date,site,code,source,latitude,longitude,variable,value"]
    lines += [
        f"2022-01-01T{h:02d}:00:00Z,Marylebone Road,MY1,aurn,51.5,-0.15,{name},{level + h}"
        for name, level in (("no2", 40), ("pm2.5", 12), ("nox", 80))
        for h in range(4)
    ]
    path = tmp_path / "aurn.csv"
    path.write_text("\n".join(lines) + "\n")
    observations = read(path)
    assert observations.species == ("pm25", "no2")
    assert raw(observations, "pm25", "MY1", "2022-01-01 01:00") == 12
