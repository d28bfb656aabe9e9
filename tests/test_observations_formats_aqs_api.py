"""The API of the US Air Quality System: rows of hourly samples, stamped in GMT at their beginning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from station_files import raw, read

from aqreanalysis.errors import ObservationsError


def _row(hour: int, value: float | None, **more: Any) -> dict[str, Any]:
    row = {"state_code": "06", "county_code": "067", "site_number": "0010", "parameter_code": "44201", "poc": 1}
    row |= {"latitude": 38.56, "longitude": -121.49, "datum": "WGS84", "parameter": "Ozone", "date_local": "2019-06-30"}
    row |= {"time_local": "16:00", "date_gmt": "2019-07-01", "time_gmt": f"{hour:02d}:00", "sample_measurement": value}
    row |= {"units_of_measure": "Parts per million", "units_of_measure_code": "007", "sample_duration": "1 HOUR"}
    row |= {"sample_duration_code": "1", "sample_frequency": "HOURLY", "detection_limit": 0.005, "uncertainty": None}
    row |= {"qualifier": None, "method_type": "FEM", "method": "UV", "method_code": "047", "state": "California"}
    return row | more


def _file(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "ozone.json"
    path.write_text(json.dumps({"Header": [{"status": "Success", "rows": len(rows)}], "Data": rows}, indent=1))
    return path


def test_hours_are_stamped_at_their_end_and_nulls_are_missing(tmp_path: Path) -> None:
    rows = [_row(h, None if h == 2 else 0.04 + h / 1000) for h in range(6)]
    rows += [_row(0, 0.05, sample_duration="8-HR RUN AVG BEGIN HOUR", sample_duration_code="W")]
    observations = read(_file(tmp_path, rows))
    assert observations.stations == ["06-067-0010"]
    assert raw(observations, "o3", "06-067-0010", "2019-07-01 01:00") == pytest.approx(40 * 1.962, rel=1e-3)
    assert np.isnan(raw(observations, "o3", "06-067-0010", "2019-07-01 03:00"))
    assert observations.report.counts["rows_not_hourly"] == 1


def test_daily_means_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ObservationsError, match=r"daily or yearly means of the API: ask it for sampleData"):
        read(_file(tmp_path, [_row(0, 1.0, arithmetic_mean=0.03)]))
