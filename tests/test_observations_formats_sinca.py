"""SINCA: three columns of which one is filled, decimal commas, station and pollutant by the file's name."""

from __future__ import annotations

from pathlib import Path

import pytest
from station_files import flag, raw, read, write_list

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.flags import Flag

HEAD = "FECHA (YYMMDD);HORA (HHMM);Registros validados;Registros preliminares;Registros no validados;"


def _file(folder: Path, name: str) -> Path:
    cells = ["12,5;;", ";13,7;", ";;14,9", ";;"]
    lines = [HEAD, *(f"240101;{h:02d}00;{cells[(h - 1) % 4]};" for h in range(1, 24)), "240102;0000;7;;;"]
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="latin-1")
    return path


def test_whichever_column_is_filled_counts(tmp_path: Path) -> None:
    observations = read(_file(tmp_path, "D14_PM25.csv"), write_list(tmp_path, ["D14"]))
    values = [raw(observations, "pm25", "D14", f"2024-01-01 {h:02d}:00") for h in (5, 6, 7)]  # 01:00 to 03:00 there
    assert values == pytest.approx([12.5, 13.7, 14.9])
    assert raw(observations, "pm25", "D14", "2024-01-02 04:00") == 7 and observations.report.readings["pm25"] == 19


def test_a_marked_reading_keeps_what_its_mark_says(tmp_path: Path) -> None:
    path = _file(tmp_path, "D14_PM25.csv")
    path.write_text(path.read_text("latin-1").replace("0500;12,5;;", "0500;;<12,4;"), encoding="latin-1")
    observations = read(path, write_list(tmp_path, ["D14"]))
    assert raw(observations, "pm25", "D14", "2024-01-01 09:00") == pytest.approx(6.2)
    assert flag(observations, "pm25", "D14", "2024-01-01 09:00") == Flag.BELOW_DETECTION_LIMIT
    assert flag(observations, "pm25", "D14", "2024-01-01 06:00") == Flag.GOOD


def test_gases_are_in_ppb_and_what_the_name_does_not_say_is_told(tmp_path: Path) -> None:
    place = {"station": "Parque", "lat": -33.46, "lon": -70.66}
    observations = read(_file(tmp_path, "datos.csv"), place=place, species={"o3": "*"})
    assert raw(observations, "o3", "Parque", "2024-01-01 05:00") == pytest.approx(12.5 * 1.962, rel=1e-3)
    with pytest.raises(ObservationsError, match=r"which pollutant is it\? Name the file after it, D14_PM25.csv"):
        read(_file(tmp_path, "datos.csv"), place=place)
