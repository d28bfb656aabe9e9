"""Soramame-kun: Shift-JIS, date and hour 1 to 24, units in the names, oxidants for ozone."""

from __future__ import annotations

from pathlib import Path

import pytest
from station_files import raw, read, write_list


def test_hours_end_in_japans_clock_and_the_station_stands_in_the_name(tmp_path: Path) -> None:
    head = "日付,時,SO2(ppm),NO(ppm),NO2(ppm),NOX(ppm),CO(ppm),Ox(ppm),SPM(mg/m3),PM2.5(μg/m3),WD,WS(m/s)"
    lines = [head, *(f"2023/01/01,{h},0.001,0.002,0.010,0.012,,0.040,0.015,{h},NNE,1.2" for h in range(1, 25))]
    path = tmp_path / "202301_14209050.csv"
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode("cp932"))
    observations = read(path, write_list(tmp_path, ["14209050"]))
    assert set(observations.species) == {"pm25", "so2", "no2", "o3", "co"}
    assert raw(observations, "pm25", "14209050", "2022-12-31 16:00") == 1
    assert raw(observations, "pm25", "14209050", "2023-01-01 15:00") == 24
    assert raw(observations, "o3", "14209050", "2023-01-01 15:00") == pytest.approx(40 * 1.9957, rel=1e-3)
    assert any("oxidants (Ox) taken as ozone" in note for note in observations.report.notes)
