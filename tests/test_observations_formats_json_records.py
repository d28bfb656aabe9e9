"""JSON of APIs: lists of rows, whatever they are wrapped in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from station_files import raw, read, write_list

from aqreanalysis.errors import ObservationsError


def _write(tmp_path: Path, name: str, page: object, ascii_only: bool = True) -> Path:
    path = tmp_path / name
    path.write_text(json.dumps(page, ensure_ascii=ascii_only), encoding="utf-8")
    return path


def test_measurements_of_luchtmeetnet(tmp_path: Path) -> None:
    rows = [
        {"station_number": "NL10107", "value": 4.0 + h, "timestamp_measured": f"2023-06-01T{h:02d}:00:00+00:00"}
        | {"formula": formula}
        for h in range(24)
        for formula in ("NO2", "NO")
    ]
    path = _write(tmp_path, "m.json", {"pagination": {"last_page": 1}, "data": rows})
    seen = read(path, write_list(tmp_path, ["NL10107"]))
    assert raw(seen, "no2", "NL10107", "2023-06-01 05:00") == 9.0
    assert seen.report.counts["rows_of_other_pollutants"] == 24


def test_measurements_whose_date_and_place_are_objects(tmp_path: Path) -> None:
    rows = [
        {
            "location": "Del Norte",
            "parameter": "o3",
            "value": 0.03 + h / 1000,
            "unit": "ppm",
            "date": {"utc": f"2023-06-01T{h:02d}:00:00+00:00", "local": "2023-06-01T00:00:00-07:00"},
            "coordinates": {"latitude": 35.1353, "longitude": -106.584702},
        }
        for h in range(24)
    ]
    seen = read(_write(tmp_path, "v2.json", {"meta": {"found": 24}, "results": rows}))
    assert raw(seen, "o3", "Del Norte", "2023-06-01 00:00") == pytest.approx(59.86, abs=0.01)
    assert float(seen.dataset["lat"][0]) == 35.1353


def test_rows_of_a_station_and_hour(tmp_path: Path) -> None:
    rows = [
        {"station_id": "A", "time": f"2023-06-01T{h:02d}:00", "lat": 40, "lon": 116, "pm25": h, "no2": None}
        for h in range(24)
    ]
    seen = read(_write(tmp_path, "rows.json", rows))
    assert raw(seen, "pm25", "A", "2023-06-01 07:00") == 7.0


def test_an_answer_of_airkorea(tmp_path: Path) -> None:
    rows = [
        {"stationName": "종로구", "dataTime": f"2023-06-01 {h:02d}:00", "so2Value": "-", "o3Value": "0.030"}
        | {"pm10Value": str(10 + h), "pm25Value": str(h), "pm10Value24": "99", "pm10Grade": "1"}
        for h in range(1, 25)
    ]
    path = _write(tmp_path, "a.json", {"response": {"body": {"totalCount": 24, "items": rows}}})
    seen = read(path, write_list(tmp_path, ["종로구"]))
    assert raw(seen, "pm10", "종로구", "2023-05-31 16:00") == 11.0
    assert raw(seen, "pm25", "종로구", "2023-06-01 15:00") == 24.0  # 24:00 in Korea
    assert raw(seen, "o3", "종로구", "2023-05-31 16:00") == pytest.approx(30 * 1.96183, rel=1e-4)  # ppm at 25 degC


@pytest.mark.parametrize("ascii_only", [True, False])
def test_answers_of_gios_today_and_before(tmp_path: Path, ascii_only: bool) -> None:
    hours = [(f"2023-06-01 {h:02d}:00:00", None if h == 3 else 10.0 + h) for h in range(24)]
    today = [{"Kod stanowiska": "MzWarAlNiepo-PM10-1g", "Data": time, "Wartość": value} for time, value in hours]
    before = {"key": "PM10", "values": [{"date": time, "value": value} for time, value in hours]}
    stations = write_list(tmp_path, ["MzWarAlNiepo"])
    for name, page in (("v1.json", {"Lista danych pomiarowych": today}), ("MzWarAlNiepo.json", before)):
        seen = read(_write(tmp_path, name, page, ascii_only), stations)
        assert raw(seen, "pm10", "MzWarAlNiepo", "2023-06-01 00:00") == 12.0  # 02:00 of Polish summer time
        assert seen.report.readings["pm10"] == 23


def test_json_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ObservationsError, match="JSON without a list of rows"):
        read(_write(tmp_path, "x.json", {"time": "2020", "pm25": 5}), write_list(tmp_path, ["A"]))


def test_hours_within_stations_have_what_is_said_of_these(tmp_path: Path) -> None:
    def series(station: str, component: str, unit: str, lat: float, level: float) -> dict[str, object]:
        hours = [
            {
                "fromTime": f"2023-06-01T{h:02d}:00:00+02:00",
                "toTime": f"2023-06-01T{h + 1:02d}:00:00+02:00",
                "value": level,
            }
            for h in range(20)
        ]
        about = {"station": station, "component": component, "unit": unit, "latitude": lat, "longitude": 10.8}
        return {"zone": "Oslo", **about, "timestep": 3600, "values": hours}

    page = [series("Alnabru", "NO2", "µg/m³", 59.9, 20.0), series("Kirkeveien", "CO", "µg/m³", 59.95, 400.0)]
    seen = read(_write(tmp_path, "nilu.json", page))
    assert seen.stations == ["Alnabru", "Kirkeveien"] and seen.lat.tolist() == [59.9, 59.95]
    assert raw(seen, "no2", "Alnabru", "2023-05-31 23:00") == 20.0
    assert raw(seen, "co", "Kirkeveien", "2023-05-31 23:00") == pytest.approx(0.4)


def test_members_of_other_names_are_told(tmp_path: Path) -> None:
    rows = [{"SiteName": "Guting", "PM2.5": "7", "published": f"2023-06-01 {h:02d}:00"} for h in range(24)]
    path = _write(tmp_path, "portal.json", {"success": True, "result": {"fields": [{"id": "x"}], "records": rows}})
    seen = read(path, write_list(tmp_path, ["Guting"]), time="published", time_zone="+08:00")
    assert raw(seen, "pm25", "Guting", "2023-05-31 17:00") == 7.0
