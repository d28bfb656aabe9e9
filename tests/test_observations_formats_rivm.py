"""RIVM's files: rows of stations on top, a column a station, the component and its unit in each row."""

from __future__ import annotations

from pathlib import Path

import pytest
from station_files import raw, read, write_list


def _file(folder: Path, top: list[str]) -> Path:
    lines = [*top, "Component;Bep.periode;Eenheid;Begindatumtijd;Einddatumtijd;NL01485;NL10131"]
    lines += [
        f"CO;uur;µg/m³;20230101 {h:02d}:00;20230101 {h + 1:02d}:00;{400 + h};{'' if h == 2 else 300 + h}"
        for h in range(23)
    ]
    lines += ["CO;dag;µg/m³;20230101 00:00;20230102 00:00;410;310"]
    path = folder / "2023_CO.csv"
    path.write_bytes("\r\n".join(lines).encode() + b"\r\n")
    return path


@pytest.mark.parametrize(
    "places", [[";;;;LatLong;(51.867,4.355);(51.54,5.853)"], [";;;;Lat;51.867;51.54", ";;;;Lon;4.355;5.853"], None]
)
def test_hours_by_their_end_at_the_places_on_top_or_of_a_list(tmp_path: Path, places: list[str] | None) -> None:
    top = ["Datum export;2024-05-01;;;StationsCode;NL01485;NL10131", "Periode;2023;;;StationsNaam;Hoogvliet;Vredepeel"]
    lists = [] if places else [write_list(tmp_path, ["NL01485", "NL10131"])]
    observations = read(_file(tmp_path, [*top, *(places or [])]), *lists, time_zone="+01:00")
    assert raw(observations, "co", "NL01485", "2023-01-01 00:00") == pytest.approx(0.4)
    assert observations.report.readings["co"] == 45 and observations.report.counts["rows_not_hourly"] == 1
    assert float(observations.lat[0]) == pytest.approx(51.867 if places else 40.0)
