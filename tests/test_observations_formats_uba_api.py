"""The Umweltbundesamt's API: numbers of components, means of an hour, Central European Time all year."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from station_files import raw, read, write_list

from aqreanalysis.errors import ObservationsError


def _answer(folder: Path, rows: dict[str, list[object]], name: str = "measures.json") -> Path:
    indices = {"data": {"station id": {"date start": ["component id", "scope id", "value", "date end", "index"]}}}
    path = folder / name
    path.write_text(json.dumps({"request": {"lang": "de"}, "indices": indices, "data": {"143": rows}}))
    return path


def test_hours_of_each_component_in_its_unit_by_their_end(tmp_path: Path) -> None:
    rows: dict[str, list[object]] = {
        f"2023-06-01 {h:02d}:00:00": [5, 2, 10 + h, f"2023-06-01 {h + 1:02d}:00:00", "0"] for h in range(24)
    }
    rows["2023-06-02 00:00:00"] = [2, 2, 0.4, "2023-06-02 01:00:00", "0"]
    rows["2023-06-02 01:00:00"] = [1, 1, 99, "2023-06-03 00:00:00", "0"]  # a mean of the day
    rows["2023-06-02 02:00:00"] = [3, 2, None, "2023-06-02 03:00:00", "0"]
    observations = read(_answer(tmp_path, rows), write_list(tmp_path, ["143"]))
    assert raw(observations, "no2", "143", "2023-06-01 00:00") == 10
    assert raw(observations, "no2", "143", "2023-06-01 23:00") == 33  # it ends at 24:00
    assert raw(observations, "co", "143", "2023-06-02 00:00") == pytest.approx(0.4)
    assert "pm10" not in observations.species and observations.report.counts["rows_not_hourly"] == 1


def test_an_answer_of_the_index_is_refused_with_the_one_that_has_hours(tmp_path: Path) -> None:
    rows: dict[str, list[object]] = {"2023-06-01 00:00:00": ["2023-06-01 01:00:00", 1, 0, [3, 45, 1, "0.4"]]}
    with pytest.raises(ObservationsError, match=r"give answers of measures/json"):
        read(_answer(tmp_path, rows), write_list(tmp_path, ["143"]), format="uba-api")
