"""Pages of OpenAQ's API, with a page of locations that places their sensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from station_files import flag, raw, read

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import Flag


def _result(hour: int, value: float, flagged: bool = False) -> dict[str, Any]:
    def both(h: int) -> dict[str, str]:
        return {"utc": f"2024-01-01T{h:02d}:00:00Z", "local": f"2024-01-01T{h + 1:02d}:00:00+01:00"}

    return {
        "value": value,
        "flagInfo": {"hasFlags": flagged},
        "parameter": {"id": 2, "name": "pm25", "units": "µg/m³", "displayName": None},
        "period": {"label": "raw", "interval": "01:00:00", "datetimeFrom": both(hour), "datetimeTo": both(hour + 1)},
        "coordinates": None,
        "summary": None,
        "coverage": {"expectedCount": 1, "percentComplete": 100.0},
    }


def _page(folder: Path, results: list[Any], name: str = "sensor-3917-page1.json") -> Path:
    path = folder / name
    page = {"meta": {"name": "openaq-api", "website": "/", "page": 1, "limit": 100, "found": 5}, "results": results}
    path.write_text(json.dumps(page), encoding="utf-8")
    return path


def _locations(folder: Path) -> Path:
    path = folder / "locations.json"
    place = {
        "id": 2178,
        "name": "Del Norte",
        "locality": "Albuquerque",
        "coordinates": {"latitude": 35.13, "longitude": -106.6},
    }
    place["sensors"] = [{"id": 3917, "name": "pm25 µg/m³", "parameter": {"id": 2, "name": "pm25"}}]
    path.write_text(json.dumps({"meta": {}, "results": [place]}), encoding="utf-8")
    return path


def test_a_sensor_is_placed_by_its_location_and_flagged_results_stay_out(tmp_path: Path) -> None:
    page = _page(tmp_path, [_result(h, 10.0 + h, flagged=h == 2) for h in range(4)])
    observations = read(page, _locations(tmp_path))
    assert observations.stations == ["2178"] and observations.names == ["Del Norte"]
    assert raw(observations, "pm25", "2178", "2024-01-01 01:00") == 10
    assert flag(observations, "pm25", "2178", "2024-01-01 03:00") == Flag.INVALID_AT_SOURCE
    assert raw(observations, "pm25", "2178", "2024-01-01 03:00") == 12


def test_pages_that_overlap_are_one_and_a_later_value_wins(tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    _page(folder, [_result(h, 10.0 + h) for h in range(3)])
    _page(folder, [_result(2, 12.0), _result(1, 99.0)], "sensor-3917-page2.json")
    observations = read(folder, _locations(tmp_path))
    assert raw(observations, "pm25", "2178", "2024-01-01 02:00") == 99
    assert observations.report.counts["repeated_rows"] == 1 and observations.report.counts["rows_reissued"] == 1


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([_result(0, 1.0), {"value": 3}], r"result 2: not as the API writes it \(KeyError: 'parameter'\)"),
        ([{**_result(0, 1.0), "value": "x"}], "result 1: not as the API writes it"),
        (
            [{**_result(0, 1.0), "period": {"datetimeFrom": {"utc": "now"}, "datetimeTo": {"utc": "later"}}}],
            "'now' is no",
        ),
    ],
)
def test_a_result_of_another_shape_is_refused_by_number(tmp_path: Path, results: list[Any], message: str) -> None:
    with pytest.raises(ObservationsError, match=message):
        read(_page(tmp_path, results), _locations(tmp_path), format="openaq-api")


def test_a_cut_page_is_refused_with_its_line(tmp_path: Path) -> None:
    path = _page(tmp_path, [_result(0, 1.0)])
    path.write_text(path.read_text()[:-40])
    with pytest.raises(ObservationsError, match=r"page1.json, line 1: no JSON .*truncated"):
        read(path, _locations(tmp_path))
