"""Sensor.Community: reports every two or three minutes, P2 and P1, made hours by each sensor's own rhythm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from station_files import flag, raw, read

from aqreanalysis.observations.flags import Flag

HEAD = "sensor_id;sensor_type;location;lat;lon;timestamp;P1;durP1;ratioP1;P2;durP2;ratioP2"


def _stamps(first: int, last: int, seconds: int) -> list[str]:
    return [f"2020-01-01T{s // 3600:02d}:{s % 3600 // 60:02d}:{s % 60:02d}" for s in range(first, last, seconds)]


def _file(folder: Path, lines: list[str], name: str = "2020-01-01_sds011_sensor_140.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([HEAD, *lines]) + "\n")
    return path


def test_reports_become_hours_with_their_place_and_incomplete_ones_are_flagged(tmp_path: Path) -> None:
    lines = [f"140;SDS011;60;48.774;9.150;{t};20.5;;;{10 + (t[14:] >= '30')};;" for t in _stamps(30, 3 * 3600, 148)]
    lines += [f"141;SDS011;61;48.8;9.2;{t};5;;;2;;" for t in _stamps(90, 2 * 3600 + 1800, 300)]
    observations = read(_file(tmp_path, lines, "2020-01_sds011.csv"))
    assert observations.stations == ["140", "141"] and observations.species == ("pm25", "pm10")
    assert raw(observations, "pm25", "140", "2020-01-01 02:00") == pytest.approx(10.5, abs=0.03)
    assert raw(observations, "pm10", "140", "2020-01-01 02:00") == pytest.approx(20.5)
    # Every five minutes covers an hour just as well; half an hour of it does not.
    assert flag(observations, "pm25", "141", "2020-01-01 02:00") == Flag.GOOD
    assert flag(observations, "pm25", "141", "2020-01-01 03:00") == Flag.TOO_LITTLE_DATA
    assert observations.networks == ["Sensor.Community"] * 2
    assert any("low-cost sensors" in note for note in observations.report.notes)


def test_the_end_of_the_scale_is_no_reading(tmp_path: Path) -> None:
    lines = [f"140;SDS011;60;48.774;9.150;{t};1999.9;;;999.9;;" for t in _stamps(30, 3600, 148)]
    lines += [f"140;SDS011;60;48.774;9.150;{t};20;;;10;;" for t in _stamps(3630, 7200, 148)]
    observations = read(_file(tmp_path, lines))
    assert np.isnan(observations.values("pm25")[0, 0]) and raw(observations, "pm25", "140", "2020-01-01 02:00") == 10


def test_sensors_of_weather_among_the_files_are_left_out(tmp_path: Path) -> None:
    weather = tmp_path / "2020-01-01_dht22_sensor_141.csv"
    weather.write_text(
        "sensor_id;sensor_type;location;lat;lon;timestamp;temperature;humidity\n141;DHT22;60;48;9;x;5;80\n"
    )
    _file(tmp_path, [f"140;SDS011;60;48.774;9.150;{t};20;;;10;;" for t in _stamps(30, 7200, 148)])
    observations = read(tmp_path)
    assert observations.stations == ["140"] and any("no particles" in note for note in observations.report.notes)
