"""EEA's Parquet with its metadata: sampling points become stations, validity becomes a flag."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from station_files import flag, raw, read

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import Flag

META = (
    "Country,Air Quality Network,Air Quality Station EoI Code,Air Quality Station Name,Sampling Point Id,Air Pollutant,"
    "Longitude,Latitude,Altitude,Municipality,Timezone\n"
    "Austria,NET-AT,AT30101,Enzersdorf,SPO.30.0101.1.1,O3,16.5,48.2,150,Gross Enzersdorf,UTC+01:00\n"
    "Austria,NET-AT,AT30101,Enzersdorf,SPO.30.0101.2.1,NO2,16.5,48.2,150,Gross Enzersdorf,UTC+01:00\n"
    "Austria,NET-AT,AT30101,Enzersdorf,SPO.30.0101.2.2,NO2,16.5,48.2,150,Gross Enzersdorf,UTC+01:00\n"
)


def _file(path: Path, point: str, pollutant: int, values: list[float], **change: object) -> Path:
    n = len(values)
    start = pd.date_range("2023-01-01 00:00", periods=n, freq="h")
    columns = {
        "Samplingpoint": [f"AT/{point}"] * n,
        "Pollutant": pa.array([pollutant] * n, pa.int32()),
        "Start": start,
        "End": start + pd.Timedelta("1h"),
        "Value": pa.array([Decimal(str(v)) for v in values], pa.decimal128(38, 18)),
        "Unit": ["ug.m-3"] * n,
        "AggType": ["hour"] * n,
        "Validity": pa.array([1] * n, pa.int32()),
        "Verification": pa.array([1] * n, pa.int32()),
        "ResultTime": [pd.Timestamp("2024-05-01")] * n,
        "DataCapture": pa.array([None] * n, pa.decimal128(38, 18)),
        "FkObservationLog": ["x"] * n,
    }
    pq.write_table(pa.table(columns | change), path)
    return path


@pytest.fixture
def metadata(tmp_path: Path) -> Path:
    path = tmp_path / "metadata.csv"
    path.write_text(META)
    return path


def test_sampling_points_of_a_station_are_one_station_in_utc(tmp_path: Path, metadata: Path) -> None:
    (tmp_path / "E1a").mkdir()
    _file(tmp_path / "E1a" / "o3.parquet", "SPO.30.0101.1.1", 7, [60.0, 61.5, 62.0])
    validity = pa.array([1, -1, 2], pa.int32())
    _file(tmp_path / "E1a" / "no2.parquet", "SPO.30.0101.2.1", 8, [20.0, 21.0, 0.3], Validity=validity)
    observations = read(tmp_path / "E1a", metadata)
    assert observations.stations == ["AT30101"] and observations.species == ("no2", "o3")
    assert str(observations.times[0]) == "2023-01-01 00:00:00"  # 00:00 to 01:00 at UTC+1
    assert raw(observations, "o3", "AT30101", "2023-01-01 01:00") == 61.5
    assert flag(observations, "no2", "AT30101", "2023-01-01 01:00") == Flag.INVALID_AT_SOURCE
    assert flag(observations, "no2", "AT30101", "2023-01-01 02:00") == Flag.BELOW_DETECTION_LIMIT
    assert observations.values("no2")[2, 0] == pytest.approx(0.3)  # small, and usable


def test_a_second_instrument_fills_what_the_first_calls_invalid(tmp_path: Path, metadata: Path) -> None:
    (tmp_path / "E1a").mkdir()
    validity = pa.array([1, -99, 1], pa.int32())
    _file(tmp_path / "E1a" / "a.parquet", "SPO.30.0101.2.1", 8, [20.0, -999.0, 22.0], Validity=validity)
    _file(tmp_path / "E1a" / "b.parquet", "SPO.30.0101.2.2", 8, [30.0, 31.0, 32.0])
    observations = read(tmp_path / "E1a", metadata)
    assert list(observations.values("no2")[:, 0]) == [20.0, 31.0, 22.0]
    assert observations.report.counts["gaps_filled_by_second"] == 1


def test_daily_means_are_counted_and_left_out(tmp_path: Path, metadata: Path) -> None:
    kinds = ["hour", "hour", "day"]
    observations = read(_file(tmp_path / "a.parquet", "SPO.30.0101.1.1", 7, [1.0, 2.0, 3.0], AggType=kinds), metadata)
    assert observations.report.counts["rows_not_hourly"] == 1 and len(observations.times) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Validity": pa.array([1, 7, 1], pa.int32())}, r"a.parquet, row 2: Validity 7 is none of 1, 2"),
        ({"Unit": ["ug.m-3", "ug.m-3", "furlong"]}, r"a.parquet, row 3: unit 'furlong' of o3 is unknown"),
        (
            {"End": pd.date_range("2023-01-01 02:00", periods=3, freq="h")},
            r"row 1: AggType says hour, and .* 120 minutes",
        ),
        ({"Samplingpoint": ["AT/none"] * 3}, "no row has a station"),
    ],
)
def test_what_cannot_be_is_refused_by_its_row(tmp_path: Path, metadata: Path, change: dict, message: str) -> None:
    with pytest.raises(ObservationsError, match=message):
        read(_file(tmp_path / "a.parquet", "SPO.30.0101.1.1", 7, [1.0, 2.0, 3.0], **change), metadata)
