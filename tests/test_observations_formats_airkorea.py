"""AirKorea: hours 01 to 24, ppm, cp949 or a workbook, and Seoul's collection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from station_files import raw, read, write_list, write_workbook

HEAD = ["지역", "망", "측정소코드", "측정소명", "측정일시", "SO2", "CO", "O3", "NO2", "PM10", "PM25", "주소"]


def _rows() -> list[list[object]]:
    start = ["서울 중구", "도시대기", 111121, "중구"]
    return [[*start, 2019010100 + h, 0.004, 0.5, 0.03, -999, 40 + h, "", "덕수궁길 15"] for h in range(1, 25)]


def test_hours_end_and_24_is_midnight(tmp_path: Path) -> None:
    path = tmp_path / "2019년 1월.csv"
    path.write_bytes("\n".join(",".join(map(str, row)) for row in [HEAD, *_rows()]).encode("cp949") + b"\n")
    observations = read(path, write_list(tmp_path, ["111121"]))
    assert raw(observations, "pm10", "111121", "2018-12-31 16:00") == 41
    assert raw(observations, "pm10", "111121", "2019-01-01 15:00") == 64
    assert raw(observations, "o3", "111121", "2019-01-01 01:00") == pytest.approx(30 * 1.962, rel=1e-3)
    assert raw(observations, "co", "111121", "2019-01-01 01:00") == pytest.approx(0.5 * 1.145, rel=1e-3)
    assert np.isnan(observations.values("no2")).all() and len(observations.times) == 24
    book = write_workbook(tmp_path / "2019년 1월.xlsx", {"1월": [HEAD, *_rows()]})
    assert read(book, write_list(tmp_path, ["111121"])).dataset.attrs == observations.dataset.attrs


def test_seouls_collection_has_places_and_minus_one_for_what_is_missing(tmp_path: Path) -> None:
    lines = ["Measurement date,Station code,Address,Latitude,Longitude,SO2,NO2,O3,CO,PM10,PM2.5"]
    lines += [f'2017-01-01 {h:02d}:00,101,"19, Jongno-gu",37.57,127.0,0.004,-1,0.002,1.2,73,{h}' for h in range(24)]
    path = tmp_path / "Measurement_summary.csv"
    path.write_text("\n".join(lines) + "\n")
    observations = read(path)
    assert raw(observations, "pm25", "101", "2016-12-31 16:00") == 1
    assert np.isnan(observations.values("no2")).all()
