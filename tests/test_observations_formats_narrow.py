"""Narrow tables are read pollutant by pollutant, in the unit of each row, and never as one pollutant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from station_files import flag, raw, read, write_list

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import Flag, Observations

HOURS = 30


def _rows(names: tuple[str, ...], more: dict[str, object] | None = None, hours: int = HOURS) -> pd.DataFrame:
    """Return a measurement of PM2.5 (10, 11 ...), of ozone (0.03 ppm) and of wind an hour, under other names."""
    station, time, parameter, value, unit = names
    parts = [
        pd.DataFrame(
            {
                station: "Alpha",
                time: pd.date_range("2021-06-01 01:00", periods=hours, freq="h").strftime("%Y-%m-%dT%H:%M:%SZ"),
                parameter: name,
                value: level + np.arange(hours) * step,
                unit: text,
                "latitude": 51.5,
                "longitude": -3.2,
            }
        )
        for name, level, step, text in (("PM2.5", 10.0, 1.0, "µg/m³"), ("O3", 0.03, 0.0, "ppm"), ("WS", 3.0, 0, "m/s"))
    ]
    return pd.concat(parts, ignore_index=True).assign(**(more or {}))


def _file(folder: Path, frame: pd.DataFrame | None = None, name: str = "export.csv") -> Path:
    path = folder / name
    rows = _rows(("location", "utc", "parameter", "value", "unit")) if frame is None else frame
    rows.to_parquet(path) if path.suffix == ".parquet" else rows.to_csv(path, index=False)
    return path


def _check(observations: Observations, hours: int = HOURS) -> None:
    assert observations.species == ("pm25", "o3")
    np.testing.assert_array_equal(observations.values("pm25")[:, 0], 10 + np.arange(hours))
    assert raw(observations, "o3", observations.stations[0], "2021-06-01 01:00") == pytest.approx(59.86, abs=0.01)
    assert observations.report.counts["rows_of_other_pollutants"] == hours


@pytest.mark.parametrize(
    "names",
    [
        ("location", "utc", "parameter", "value", "unit"),
        ("site_code", "datetime", "Pollutant", "Concentration", "UnitOfMeasurement"),
        ("Station ID", "Date (UTC)", "component", "result", "units"),
    ],
)
def test_columns_are_known_by_their_usual_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    _check(read(_file(tmp_path, _rows(names)), time=names[1]))


def test_parquet_reads_as_text_does(tmp_path: Path) -> None:
    assert read(_file(tmp_path, name="a.parquet")).digest() == read(_file(tmp_path)).digest()


def test_columns_of_other_names_are_told(tmp_path: Path) -> None:
    frame = _rows(("ort", "zeit", "was", "wieviel", "wovon"))
    columns = {"station": "ort", "time": "zeit", "parameter": "was", "value": "wieviel", "unit": "wovon"}
    _check(read(_file(tmp_path, frame), **columns))
    with pytest.raises(ObservationsError, match="no column 'wiviel' for value; did you mean 'wieviel'"):
        read(_file(tmp_path, frame), format="narrow", **(columns | {"value": "wiviel"}))


def test_a_pollutant_said_of_the_column_of_readings_is_the_only_one_read(tmp_path: Path) -> None:
    observations = read(_file(tmp_path), species={"pm25": "value"})
    assert observations.species == ("pm25",) and observations.values("pm25").mean() == 10 + (HOURS - 1) / 2


def test_such_a_table_is_never_read_as_a_long_one(tmp_path: Path) -> None:
    with pytest.raises(ObservationsError, match=r"its column 'parameter' names pollutants.*--format narrow"):
        read(_file(tmp_path), format="table", species={"pm25": "value"}, station="location", time="utc")


def test_flags_are_the_usual_words_or_told(tmp_path: Path) -> None:
    words = ["valid"] * (3 * HOURS - 2) + ["invalid", "<LOD"]
    frame = _rows(("location", "utc", "parameter", "value", "unit"), {"flag": words[::-1]})
    observations = read(_file(tmp_path, frame))
    assert flag(observations, "pm25", "Alpha", "2021-06-01 01:00") == Flag.BELOW_DETECTION_LIMIT
    assert flag(observations, "pm25", "Alpha", "2021-06-01 02:00") == Flag.INVALID_AT_SOURCE
    odd = _file(tmp_path, frame.assign(flag=["K1" if word == "valid" else "Z9" for word in words[::-1]]))
    with pytest.raises(ObservationsError, match=r"flags 'K1', 'Z9', of which it is not known.*columns.good_flags"):
        read(odd)
    assert read(odd, good_flags=["K1"]).report.counts["readings_of_bad_flags"] == 2
    assert "readings_of_bad_flags" not in read(odd, good_flags=["*"]).report.counts


def test_daily_rows_are_left_out_by_the_column_of_averaging_times_and_by_their_stamps(tmp_path: Path) -> None:
    frame = _rows(("location", "utc", "parameter", "value", "unit"), hours=96)
    daily = frame[(frame["parameter"] == "PM2.5") & frame["utc"].str.contains("T00")].assign(value=500.0)
    both = pd.concat([frame.assign(AveragingTime="hour"), daily.assign(AveragingTime="day")])
    _check(read(_file(tmp_path, both)), 96)
    beside = pd.concat([frame, daily.assign(location="Beta", latitude=51.6)])
    observations = read(_file(tmp_path, beside))
    assert observations.report.counts["rows_not_hourly"] == 4
    assert "pm25 at Beta (4, one a day)" in " ".join(observations.report.warnings)
    assert np.nanmax(observations.values("pm25")) < 500
    with pytest.raises(ObservationsError, match=r"24 h apart, never one, so that these are daily means: hourly"):
        read(_file(tmp_path, daily))


def test_places_may_come_from_a_list_or_from_the_one_station(tmp_path: Path) -> None:
    frame = _rows(("location", "utc", "parameter", "value", "unit")).drop(columns=["latitude", "longitude"])
    _check(read(_file(tmp_path, frame), write_list(tmp_path, ["Alpha"])))
    alone = _file(tmp_path, frame.drop(columns="location"))
    observations = read(alone, place={"station": "Beta", "lat": 1.5, "lon": 2.5})
    _check(observations)
    assert observations.stations == ["Beta"] and (observations.lat[0], observations.lon[0]) == (1.5, 2.5)
