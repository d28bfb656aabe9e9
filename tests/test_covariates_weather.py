from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from covariates_case import hour
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.covariates import Covariates, get_field, wind_components
from aqreanalysis.errors import CovariatesError

REAL = Path(__file__).parents[2] / "shared" / "data" / "beijing_uci12_2013_2017.parquet"


def table(**columns: object) -> pd.DataFrame:
    """Return two stations and three hours of weather; columns replace those of the layout."""
    times = pd.date_range("2020-01-01T01:00", periods=3, freq="h")
    frame = pd.DataFrame(
        {
            "station_id": ["a"] * 3 + ["b"] * 3,
            "time": [*times, *times],
            "lat": [40.0] * 3 + [41.0] * 3,
            "lon": [116.0] * 3 + [117.0] * 3,
            "temp": [1.0, 2.0, 3.0, 11.0, 12.0, 13.0],
            "pres": 1010.0,
            "dewp": -5.0,
            "rain": [0.0, 0.5, 0.0, 0.0, 0.0, 2.0],
            "wspm": [2.0, 2.0, 0.0, 4.0, np.nan, 3.0],
            "wdir": [0.0, 90.0, np.nan, 180.0, 270.0, 270.0],
        }
    )
    return frame.assign(**columns)


def opened(tmp_path: Path, frame: pd.DataFrame) -> Covariates:
    frame.to_csv(tmp_path / "weather.csv", index=False)
    return Covariates.open(tmp_path / "weather.csv")


def test_the_wind_blows_towards_where_it_does_not_come_from() -> None:
    u, v = wind_components(np.array([2.0, 2.0, 2.0, 2.0, 0.0]), np.array([0.0, 90.0, 180.0, 270.0, np.nan]))
    assert u == pytest.approx([0, -2, 0, 2, 0], abs=1e-12)
    assert v == pytest.approx([-2, 0, 2, 0, 0], abs=1e-12)


def test_columns_become_fields_in_their_units_at_the_nearest_station_within_reach(tmp_path: Path) -> None:
    covariates = opened(tmp_path, table())
    assert covariates.fields == ("u10", "v10", "t2m", "d2m", "sp", "tp")
    hours = np.array([hour("2020-01-01T02:00"), hour("2020-01-01T03:00"), hour("2020-01-02")])
    values = covariates.at(np.array([40.01, 41.0, 30.0]), np.array([116.0, 117.0, 100.0]), hours)
    assert values[0, 0] == pytest.approx([-2.0, 0.0, 275.15, 268.15, 101000.0, 0.5], abs=1e-3)
    assert values[1, 1] == pytest.approx([3.0, 0.0, 286.15, 268.15, 101000.0, 2.0], abs=1e-3)
    assert np.isnan(values[0, 1, :2]).all()  # no speed
    assert np.isnan(values[:, 2]).all() and np.isnan(values[2]).all()


def test_a_parquet_table_may_end_in_capitals(tmp_path: Path) -> None:
    table().to_parquet(tmp_path / "weather.PARQUET")
    assert Covariates.open(tmp_path / "weather.PARQUET").fields == ("u10", "v10", "t2m", "d2m", "sp", "tp")


def test_a_word_among_numbers_is_named_by_its_row_of_the_file_when_rows_before_it_repeat(tmp_path: Path) -> None:
    repeated = pd.concat([table()[:2], table()[:2], table()[2:].assign(temp=[1, 2, "warm", 4])])
    with pytest.raises(CovariatesError, match=r"row 7: 'warm' in column 'temp' is no number"):
        opened(tmp_path, repeated)


def test_points_of_the_compass_are_read(tmp_path: Path) -> None:
    covariates = opened(tmp_path, table(wspm=2.0, wdir=["N", "E", "nnw", "S", "W", "SW"]))
    values = covariates.at(np.array([40.0]), np.array([116.0]), np.array([hour("2020-01-01T03:00")]))[0, 0, :2]
    assert values == pytest.approx([2 * np.sin(np.radians(22.5)), -2 * np.cos(np.radians(22.5))], abs=1e-5)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"temp": [1, 2, "warm", 4, 5, 6]}, r"row 3: 'warm' in column 'temp' is no number"),
        ({"pres": 101000.0}, r"column 'pres' as sp runs from .* set covariates.weather_table.units.sp"),
        ({"wdir": 450.0}, r"directions outside 0 to 360"),
        ({"time": ["2020-01-01T01:30"] * 6}, r"row 1: .* is no full hour"),
        ({"time": ["then"] * 6}, r"row 1: 'then' is no time"),
        ({"lat": 400.0}, r"station a has no latitude"),
    ],
)
def test_what_cannot_be_is_refused_with_file_and_row(tmp_path: Path, columns: dict, message: str) -> None:
    with pytest.raises(CovariatesError, match=rf"weather.csv.*{message}"):
        opened(tmp_path, table(**columns))


def test_a_table_without_places_or_weather_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(CovariatesError, match="no column 'lon'"):
        opened(tmp_path, table().drop(columns="lon"))
    with pytest.raises(CovariatesError, match="no column of weather"):
        opened(tmp_path, table()[["station_id", "time", "lat", "lon"]])


@given(
    name=st.sampled_from(["weather.csv", "weather.parquet"]),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
    length=st.floats(0.01, 1),
)
@settings(max_examples=20, deadline=None)
def test_a_damaged_table_is_refused_in_one_line_or_its_values_can_be(
    tmp_path_factory: pytest.TempPathFactory, name: str, changes: list[tuple[float, int]], length: float
) -> None:
    path = tmp_path_factory.mktemp("damaged") / name
    table().to_csv(path, index=False) if path.suffix == ".csv" else table().to_parquet(path, index=False)
    raw = bytearray(path.read_bytes())
    for where, byte in changes:
        raw[int(where * len(raw))] = byte
    path.write_bytes(bytes(raw[: max(int(length * len(raw)), 1)]))
    try:
        covariates = Covariates.open(path)
    except CovariatesError as error:
        assert "\n" not in str(error) and name in str(error)
        return
    values = covariates.at(np.array([40.0]), np.array([116.0]), np.array([hour("2020-01-01T02:00")]))[0, 0]
    for key, value in zip(covariates.fields, values, strict=True):
        low, high = get_field(key).plausible
        assert np.isnan(value) or low <= value <= high


@pytest.mark.skipif(not REAL.exists(), reason="the real records are not here")
def test_the_meteorology_of_the_beijing_stations_is_theirs() -> None:
    covariates = Covariates.open(REAL)
    frame = pd.read_parquet(REAL).query("station_id == 'dingling'").sample(50, random_state=0)
    hours = ((frame["time"] - pd.Timestamp(0)) / pd.Timedelta(hours=1)).to_numpy(np.int64)
    values = covariates.at(frame["lat"].to_numpy(float)[:1], frame["lon"].to_numpy(float)[:1], hours)[:, 0]
    named = dict(zip(covariates.fields, values.T, strict=True))
    assert named["t2m"] == pytest.approx(frame["temp"] + 273.15, abs=1e-3, nan_ok=True)
    assert named["sp"] == pytest.approx(frame["pres"] * 100, rel=1e-5, nan_ok=True)
    assert np.hypot(named["u10"], named["v10"]) == pytest.approx(
        frame["wspm"].where(frame["wdir"].notna()), abs=1e-3, nan_ok=True
    )
