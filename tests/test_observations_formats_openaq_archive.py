"""Days of OpenAQ's archive: offsets taken off, units made mass, short periods averaged, stations that move told."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from station_files import flag, raw, read

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import Flag

HEADER = "location_id,sensors_id,location,datetime,lat,lon,parameter,units,value"


def _write(path: Path, rows: list[str]) -> Path:
    path.write_bytes(gzip.compress(("\n".join([HEADER, *rows]) + "\n").encode("utf-8")))
    return path


def _hours(sensor: int, parameter: str, units: str, value: float, n: int = 6, lat: float = 35.1353) -> list[str]:
    return [
        f"2178,{sensor},Del Norte,2023-01-01T{h:02d}:00:00-07:00,{lat},-106.58,{parameter},{units},{value + h / 100}"
        for h in range(1, n + 1)
    ]


def test_local_stamps_end_the_hour_and_ppm_becomes_mass(tmp_path: Path) -> None:
    rows = (
        _hours(3919, "pm10", "µg/m³", 45.0)
        + _hours(3917, "o3", "ppm", 0.04)
        + _hours(3920, "um003", "particles/cm³", 1)
    )
    observations = read(_write(tmp_path / "location-2178-20230101.csv.gz", rows))
    assert observations.stations == ["2178"] and observations.names == ["Del Norte"]
    assert raw(observations, "pm10", "2178", "2023-01-01 08:00") == pytest.approx(45.01)
    # 0.05 ppm of ozone at 20 degC and 1013.25 hPa: 0.05e-6 * 47.998 g/mol * 101325 Pa / (8.314 * 293.15) in ug/m3.
    expected = 0.05e-6 * 47.998e6 * 101325 / (8.314462618 * 293.15)
    assert raw(observations, "o3", "2178", "2023-01-01 08:00") == pytest.approx(expected, rel=1e-6)
    assert observations.report.counts["rows_of_other_pollutants"] == 6
    assert any("20 degC and 1013.25 hPa" in note for note in observations.report.notes)


def test_quarters_are_averaged_and_an_hour_with_too_few_is_flagged(tmp_path: Path) -> None:
    stamps = [f"2025-07-03T{h:02d}:{m:02d}:00Z" for h in range(4) for m in (15, 30, 45)]
    stamps += [f"2025-07-03T{h:02d}:00:00Z" for h in (1, 2, 3)]
    rows = [f'1,7,"A, B",{t},21.0,105.9,pm25,µg/m³,{i}' for i, t in enumerate(sorted(stamps))]
    observations = read(_write(tmp_path / "location-1-20250703.csv.gz", rows))
    assert raw(observations, "pm25", "1", "2025-07-03 01:00") == pytest.approx(1.5)
    assert flag(observations, "pm25", "1", "2025-07-03 01:00") == Flag.GOOD
    assert flag(observations, "pm25", "1", "2025-07-03 04:00") == Flag.GOOD  # three of four: 75 % of the hour
    strict = read(tmp_path / "location-1-20250703.csv.gz", completeness=1.0)
    assert flag(strict, "pm25", "1", "2025-07-03 04:00") == Flag.TOO_LITTLE_DATA
    assert raw(strict, "pm25", "1", "2025-07-03 04:00") == pytest.approx(13.0)  # kept beside its flag
    assert np.isnan(strict.values("pm25")[3, 0])


def test_a_station_that_moves_becomes_two_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "days").mkdir()
    _write(tmp_path / "days" / "location-2178-20230101.csv.gz", _hours(1, "pm10", "µg/m³", 45.0))
    later = [row.replace("2023-01-01", "2023-01-02") for row in _hours(1, "pm10", "µg/m³", 50.0, lat=35.2)]
    _write(tmp_path / "days" / "location-2178-20230102.csv.gz", later)
    observations = read(tmp_path / "days")
    assert observations.stations == ["2178", "2178-2"]
    assert list(observations.lat) == [35.1353, 35.2]  # the first place keeps the name
    assert observations.report.counts["stations_split"] == 1
    with pytest.raises(ObservationsError, match="a station must not move"):
        read(tmp_path / "days", moved_stations="refuse")


def test_two_sensors_of_a_pollutant_are_two_instruments(tmp_path: Path) -> None:
    rows = _hours(10, "pm10", "µg/m³", 40.0)[:3] + _hours(20, "pm10", "µg/m³", 60.0)
    observations = read(_write(tmp_path / "location-2178-20230101.csv.gz", rows))
    assert raw(observations, "pm10", "2178", "2023-01-01 08:00") == pytest.approx(40.01)
    assert raw(observations, "pm10", "2178", "2023-01-01 11:00") == pytest.approx(60.04)
    assert observations.report.counts["instruments_beside"] == 3
    assert observations.report.counts["gaps_filled_by_second"] == 3


def test_an_unknown_unit_is_refused_with_its_line(tmp_path: Path) -> None:
    rows = [*_hours(1, "no2", "ppb", 12.0), *_hours(2, "co", "ppq", 12.0)]
    with pytest.raises(ObservationsError, match=r"\.csv\.gz, line 8: unit 'ppq' of co is unknown: expected one of ug"):
        read(_write(tmp_path / "location-2178-20230101.csv.gz", rows))
