"""Singapore's regions: hours of PM2.5 in both versions of the API, and an index without hours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from station_files import raw, read

from aqreanalysis.errors import ObservationsError


def _items(what: str = "pm25_one_hourly") -> list[dict[str, object]]:
    stamps = [f"2023-06-01T{h:02d}:00:00+08:00" for h in range(8, 20)]
    return [{"timestamp": t, "readings": {what: {"west": i + 5, "east": i + 7}}} for i, t in enumerate(stamps)]


def _regions(label: str) -> list[dict[str, object]]:
    places = (("west", 1.35735, 103.7), ("east", 1.35735, 103.94))
    return [{"name": name, label: {"latitude": lat, "longitude": lon}} for name, lat, lon in places]


@pytest.mark.parametrize("version", [1, 2])
def test_hours_end_at_the_stamp_and_regions_stand_where_their_label_does(tmp_path: Path, version: int) -> None:
    path = tmp_path / "pm25.json"
    if version == 1:
        page = {"region_metadata": _regions("label_location"), "items": _items(), "api_info": {"status": "healthy"}}
    else:
        page = {"code": 0, "data": {"regionMetadata": _regions("labelLocation"), "items": _items()}}
    path.write_text(json.dumps(page))
    observations = read(path)
    assert observations.stations == ["east", "west"]
    assert raw(observations, "pm25", "west", "2023-06-01 00:00") == 5
    assert float(observations.lon[0]) == pytest.approx(103.94)


def test_means_of_a_day_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "psi.json"
    page = {"region_metadata": _regions("label_location"), "items": _items("pm25_twenty_four_hourly")}
    path.write_text(json.dumps(page))
    with pytest.raises(ObservationsError, match="means of an hour are needed, which pm25 has and psi has not"):
        read(path)
