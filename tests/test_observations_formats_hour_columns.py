"""A row a day and a column an hour: Madrid's with validity, Taiwan's from hour 0, NAPS' from hour 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from station_files import raw, read, write_list

from aqreanalysis.errors import ObservationsError


def _write(folder: Path, lines: list[str], name: str) -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_madrid_counts_from_one_and_says_what_is_valid(tmp_path: Path) -> None:
    head = "PROVINCIA;MUNICIPIO;ESTACION;MAGNITUD;PUNTO_MUESTREO;ANO;MES;DIA;"
    head += ";".join(f"H{h:02d};V{h:02d}" for h in range(1, 25))
    cells = ";".join(f"{h + 0.5};{'N' if h == 3 else 'V'}" for h in range(1, 25))
    lines = [head, f"28;79;4;08;28079004_8_8;2021;6;1;{cells}", f"28;79;4;12;28079004_12_8;2021;6;1;{cells}"]
    observations = read(_write(tmp_path, lines, "jun_mo21.csv"), write_list(tmp_path, ["4"]), time_zone="+01:00")
    assert observations.species == ("no2",) and len(observations.times) == 24
    assert raw(observations, "no2", "4", "2021-06-01 00:00") == 1.5  # H01 ends at 01:00 of the wall, 00:00 UTC
    assert np.isnan(raw(observations, "no2", "4", "2021-06-01 02:00"))
    assert raw(observations, "no2", "4", "2021-06-01 23:00") == 24.5


def test_taiwan_counts_from_nought_and_marks_what_is_invalid(tmp_path: Path) -> None:
    lines = [
        "測站,日期,測項," + ",".join(f"{h:02d}" for h in range(24)),
        "萬里,2021/01/01,PM2.5," + ",".join("18x" if h == 5 else str(h + 10) for h in range(24)),
        "萬里,2021/01/01,AMB_TEMP," + ",".join("15.1" for _ in range(24)),
    ]
    told = {"station": "測站", "time": "日期", "time_zone": "Asia/Taipei"}
    observations = read(_write(tmp_path, lines, "wanli.csv"), write_list(tmp_path, ["萬里"]), **told)
    assert raw(observations, "pm25", "萬里", "2020-12-31 17:00") == 10  # 00 begins at midnight and ends at 01:00
    assert np.isnan(observations.values("pm25")[5, 0]) and observations.values("pm25")[23, 0] == 33


def test_naps_has_one_pollutant_a_row_and_codes_of_missing_hours(tmp_path: Path) -> None:
    head = "Pollutant,NAPS ID,City,Latitude,Longitude,Date," + ",".join(f"H{h:02d}" for h in range(1, 25))
    rows = [f"O3,60430,Toronto,43.7,-79.4,2019-07-{d:02d}," + ",".join(["-999", *["30"] * 23]) for d in (1, 2)]
    told = {"station": "NAPS ID", "time": "Date", "time_zone": "-05:00", "missing": [-999], "units": {"o3": "ppb"}}
    observations = read(_write(tmp_path, [head, *rows], "O3_2019.csv"), **told)
    assert np.isnan(observations.values("o3")[0, 0]) and len(observations.times) == 48
    assert raw(observations, "o3", "60430", "2019-07-01 07:00") == pytest.approx(59.86, abs=0.01)


def test_a_table_without_a_column_of_pollutants_says_so(tmp_path: Path) -> None:
    lines = ["station_id,time,lat,lon," + ",".join(f"H{h:02d}" for h in range(1, 25)), "a,2021-01-01,1,2" + ",3" * 24]
    with pytest.raises(ObservationsError, match=r"without a column of pollutants .*set columns.parameter"):
        read(_write(tmp_path, lines, "x.csv"))


def test_files_of_barcelona_catalonia_and_canada_as_they_are_shipped(tmp_path: Path) -> None:
    """Names of their own, in two languages, with notes on top; the same hours each."""
    hours = [f"{h:02d}" for h in range(1, 25)]
    values = ",".join(str(20 + h) for h in range(1, 25))
    flagged = ",".join(f"{20 + h},{'N' if h == 3 else 'V'}" for h in range(1, 25))
    barcelona = "ESTACIO,CODI_CONTAMINANT,ANY,MES,DIA," + ",".join(f"H{h},V{h}" for h in hours)
    catalonia = "CODI EOI,DATA,MAGNITUD,CONTAMINANT,UNITATS," + ",".join(f"{h}h" for h in hours) + ",LATITUD,LONGITUD"
    canada = (
        "Pollutant//Polluant,NAPS ID//Identifiant SNPA,Latitude//Latitude,Longitude//Longitude,Date//Date,"
        + ",".join(f"H{h}//H{h}" for h in hours)
    )
    notes = "National Air Pollution Surveillance Program//Programme\n2023\n\nNotes,,\n"
    files = {
        "4": (f"{barcelona}\n4,8,2023,6,1,{flagged}\n4,7,2023,6,1,{flagged}\n", {}),
        "08019004": (f"{catalonia}\n08019004,2023-06-01T00:00:00.000,8,NO2,µg/m3,{values},41.4,2.2\n", {}),
        "010102": (f"{notes}{canada}\nNO2,010102,47.56,-52.71,2023-06-01,{values}\n", {"units": {"no2": "ppb"}}),
    }
    stations = write_list(tmp_path, ["4"])
    for station, (text, settings) in files.items():
        path = tmp_path / f"{station}.csv"
        path.write_text(text, encoding="utf-8-sig")
        seen = read(path, *([stations] if station == "4" else []), **settings)
        factor = 1.91245 if settings else 1.0
        assert raw(seen, "no2", station, "2023-06-01 01:00") == pytest.approx(21 * factor, rel=1e-4)
        assert raw(seen, "no2", station, "2023-06-02 00:00") == pytest.approx(44 * factor, rel=1e-4)
        assert seen.species == ("no2",)


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        ("2019-03-31", {1: "00:00", 3: "01:00", 4: "02:00", 24: "22:00"}),  # 02:00 is not shown
        ("2019-10-27", {3: "02:00", 4: "03:00", 24: "23:00"}),  # 02:00 is shown twice
    ],
)
def test_on_the_day_of_a_clock_change_hours_are_those_that_the_clock_shows(
    tmp_path: Path, day: str, hours: dict[int, str]
) -> None:
    before = str(np.datetime64(day) - 1)
    head = "station_id,parameter,date," + ",".join(f"H{h:02d}" for h in range(1, 25))
    lines = [f"a,NO2,{each}," + ",".join(f"{h + 0.5}" for h in range(1, 25)) for each in (before, day)]
    path = _write(tmp_path, [head, *lines], "wall.csv")
    observations = read(path, write_list(tmp_path, ["a"]), time_zone="Europe/Madrid")
    assert {h: raw(observations, "no2", "a", f"{day} {utc}") for h, utc in hours.items()} == {h: h + 0.5 for h in hours}
    assert observations.report.counts["rows_in_clock_change"] == 1


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "+05:30"])
def test_the_hours_of_a_zone_with_half_an_hour_of_offset_go_to_the_next_full_ones(tmp_path: Path, zone: str) -> None:
    head = "station_id,parameter,date," + ",".join(f"H{h:02d}" for h in range(1, 25))
    lines = [head, "a,NO2,2019-03-31," + ",".join(f"{h + 0.5}" for h in range(1, 25))]
    observations = read(_write(tmp_path, lines, "half.csv"), write_list(tmp_path, ["a"]), time_zone=zone)
    assert raw(observations, "no2", "a", "2019-03-30 20:00") == 1.5  # 01:00 there is 19:30 UTC
    assert observations.report.counts["hours_off_utc"] > 0


def test_texts_of_other_quantities_are_no_readings(tmp_path: Path) -> None:
    lines = [
        "測站,日期,測項," + ",".join(f"{h:02d}" for h in range(24)),
        "萬里,2021/01/01,PM2.5," + ",".join(str(h + 10) for h in range(24)),
        "萬里,2021/01/01,RAINFALL," + ",".join("NR" for _ in range(24)),
    ]
    path = _write(tmp_path, lines, "wanli.csv")
    observations = read(path, write_list(tmp_path, ["萬里"]), time_zone="Asia/Taipei")
    assert observations.values("pm25")[:, 0].tolist() == [h + 10 for h in range(24)]
    assert observations.report.counts["rows_of_other_pollutants"] == 1
