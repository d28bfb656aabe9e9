"""The EEA's time series CSV: hours with their validity and unit, at the station of the sampling point."""

from __future__ import annotations

from pathlib import Path

import pytest
from station_files import flag, raw, read

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import Flag

HEADER = (
    "Countrycode,Namespace,AirQualityNetwork,AirQualityStation,AirQualityStationEoICode,SamplingPoint,SamplingProcess,"
    "Sample,AirPollutant,AirPollutantCode,AveragingTime,Concentration,UnitOfMeasurement,DatetimeBegin,DatetimeEnd,"
    "Validity,Verification"
)


def _row(hour: int, value: str, validity: int = 1, kind: str = "hour", point: str = "SPO-XX0001A_00008") -> str:
    begin, end = (f"2020-01-01 {h:02d}:00:00 +01:00" for h in (hour, hour + 1))
    return (
        f"XX,XX.A.AQ,NET-XX,STA-XX0001A,XX0001A,{point},SPP,SAM,NO2,http://dd.eionet.europa.eu/vocabulary/aq/pollutant/8,"
        f"{kind},{value},µg/m3,{begin},{end},{validity},1"
    )


def _file(folder: Path, rows: list[str], name: str = "XX_8_0001_2020_timeseries.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return path


def _list(folder: Path) -> Path:
    path = folder / "stations.csv"
    path.write_text("station_id,lat,lon\nXX0001A,50.0,8.0\n")
    return path


def test_hours_end_in_their_own_offset_and_validity_is_a_flag(tmp_path: Path) -> None:
    rows = [_row(0, "10"), _row(1, "11", -1), _row(2, "0.4", 2), _row(3, "13"), _row(0, "99", kind="day")]
    observations = read(_file(tmp_path, rows), _list(tmp_path))
    assert observations.stations == ["XX0001A"] and observations.report.counts["rows_not_hourly"] == 1
    assert raw(observations, "no2", "XX0001A", "2020-01-01 00:00") == 10  # ended at 01:00 +01:00
    assert flag(observations, "no2", "XX0001A", "2020-01-01 01:00") == Flag.INVALID_AT_SOURCE
    assert flag(observations, "no2", "XX0001A", "2020-01-01 02:00") == Flag.BELOW_DETECTION_LIMIT


def test_a_second_sampling_point_fills_the_gaps_of_the_first(tmp_path: Path) -> None:
    rows = [_row(0, "10"), _row(1, "11"), *(_row(h, "50", point="SPO-XX0001A_00108") for h in range(4))]
    observations = read(_file(tmp_path, rows), _list(tmp_path))
    assert list(observations.values("no2")[:, 0]) == [10, 11, 50, 50]
    assert observations.report.counts["gaps_filled_by_second"] == 2


def test_an_unknown_validity_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ObservationsError, match="line 3: Validity 7 is none of"):
        read(_file(tmp_path, [_row(0, "10"), _row(1, "11", 7)]), _list(tmp_path))


def test_the_mark_of_a_reading_counts_beside_its_validity(tmp_path: Path) -> None:
    rows = [_row(h, {3: "<4", 4: "18x"}.get(h, "20"), validity=2 if h == 5 else 1) for h in range(12)]
    observations = read(_file(tmp_path, rows), _list(tmp_path))
    flags = [flag(observations, "no2", "XX0001A", f"2020-01-01 {h:02d}:00") for h in (3, 4, 5, 6)]
    assert flags == [Flag.BELOW_DETECTION_LIMIT, Flag.INVALID_AT_SOURCE, Flag.BELOW_DETECTION_LIMIT, Flag.GOOD]
    assert raw(observations, "no2", "XX0001A", "2020-01-01 03:00") == pytest.approx(2.0)
