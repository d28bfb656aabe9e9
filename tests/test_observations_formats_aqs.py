"""Hourly files of US EPA's AQS: start stamps in GMT, occurrence codes as instruments, detection limits as flags."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from station_files import flag, raw, read

from aqreanalysis.observations import Flag

HEADER = (
    '"State Code","County Code","Site Num","Parameter Code","POC","Latitude","Longitude","Datum","Parameter Name",'
    '"Date Local","Time Local","Date GMT","Time GMT","Sample Measurement","Units of Measure","MDL","Uncertainty",'
    '"Qualifier","Method Type","Method Code","Method Name","State Name","County Name","Date of Last Change"'
)


def _row(
    hour: int, value: str, poc: int = 1, code: str = "44201", unit: str = "Parts per million", mdl: str = "0.005"
) -> str:
    return (
        f'"01","003","0010","{code}",{poc},30.497478,-87.880258,"NAD83","Ozone","2024-03-01","{hour:02d}:00","2024-03-01",'
        f'"{hour + 6:02d}:00",{value},"{unit}",{mdl},,"","FEM","087","INSTRUMENTAL","Alabama","Baldwin","2024-07-19"'
    )


def _file(folder: Path, rows: list[str], name: str = "hourly_44201_2024.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def test_sampling_begins_at_the_stamp_and_what_is_below_the_limit_stays_usable(tmp_path: Path) -> None:
    observations = read(_file(tmp_path, [_row(0, "0.062"), _row(1, "0.004"), _row(2, "0.029")]))
    assert observations.stations == ["01-003-0010"]
    assert str(observations.times[0]) == "2024-03-01 07:00:00"  # began at 06:00 GMT
    ug = 47.998e6 * 101325 / (8.314462618 * 298.15)  # 25 degC, the EPA's
    assert raw(observations, "o3", "01-003-0010", "2024-03-01 07:00") == pytest.approx(0.062e-6 * ug, rel=1e-6)
    assert flag(observations, "o3", "01-003-0010", "2024-03-01 08:00") == Flag.BELOW_DETECTION_LIMIT
    assert observations.values("o3")[1, 0] > 0


def test_the_stated_temperature_counts(tmp_path: Path) -> None:
    path = _file(tmp_path, [_row(0, "0.05"), _row(1, "0.05")])
    cool = read(path, temperature_celsius=20.0)
    assert raw(read(path), "o3", "01-003-0010", "2024-03-01 07:00") / raw(
        cool, "o3", "01-003-0010", "2024-03-01 07:00"
    ) == pytest.approx(293.15 / 298.15, rel=1e-6)


def test_a_reference_method_comes_before_another_one(tmp_path: Path) -> None:
    unit = {"unit": "Micrograms/cubic meter (LC)", "mdl": "2"}
    rows = [_row(0, "8", code="88502", **unit), _row(1, "9", code="88502", **unit), _row(0, "7", 3, "88101", **unit)]
    observations = read(_file(tmp_path, rows, "hourly_88101_2024.csv"))
    assert raw(observations, "pm25", "01-003-0010", "2024-03-01 07:00") == 7
    assert raw(observations, "pm25", "01-003-0010", "2024-03-01 08:00") == 9


def test_zip_archives_of_several_parameters_are_read_as_one(tmp_path: Path) -> None:
    for code, name in (("44201", "a"), ("42602", "b")):
        unit = "Parts per million" if code == "44201" else "Parts per billion"
        file = _file(
            tmp_path, [_row(h, str(0.03 + h / 100), code=code, unit=unit) for h in range(3)], f"hourly_{code}_2024.csv"
        )
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(file, file.name)
        file.unlink()
    assert read(tmp_path).species == ("no2", "o3")
