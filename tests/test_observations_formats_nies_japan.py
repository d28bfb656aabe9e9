"""NIES: fiscal years, 24 padded columns, PPB and 0.1PPM, 9999 for missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from station_files import raw, read, write_list


def _row(month: int, day: int, item: str, unit: str, values: list[int]) -> str:
    cells = ",".join(f"{value:>4}" for value in values)
    return f"2023,13101010,101,{item:<4},{unit:<6},{month:>2},{day:>2},{cells}"


def test_a_fiscal_year_begins_in_april(tmp_path: Path) -> None:
    head = "測定年度,測定局コード,市町村コード,測定項目コード,測定単位コード,測定月,測定日,"
    head += ",".join(f"{h:02d}時" for h in range(1, 25))
    lines = [head, _row(3, 30, "PMBH", "UG/M3", [*range(1, 24), 9999]), _row(3, 30, "CO", "0.1PPM", [4] * 24)]
    lines += [_row(3, 30, "OX", "PPB", [40] * 24), _row(3, 30, "SPM", "UG/M3", [30] * 24)]
    path = tmp_path / "j132023_13101010.csv"
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode("cp932"))
    observations = read(path, write_list(tmp_path, ["13101010"]))
    assert raw(observations, "pm25", "13101010", "2024-03-29 16:00") == 1  # 01:00 of 30 March 2024 in Japan
    assert np.isnan(raw(observations, "pm25", "13101010", "2024-03-30 15:00"))
    assert raw(observations, "co", "13101010", "2024-03-30 15:00") == pytest.approx(0.4 * 1.1644, rel=1e-3)
    assert raw(observations, "o3", "13101010", "2024-03-30 15:00") == pytest.approx(40 * 1.9957, rel=1e-3)
    assert set(observations.species) == {"pm25", "o3", "co"} and len(observations.times) == 24
