"""Wide tables: a column a station, the pollutant in the column, in the file's name or told."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from station_files import raw, read, write_list

from aqreanalysis.errors import ObservationsError


def _frame(names: list[str]) -> pd.DataFrame:
    times = pd.date_range("2020-01-01 01:00", periods=5, freq="h")
    return pd.DataFrame({"time": times, **{name: [10.0 * i + h for h in range(5)] for i, name in enumerate(names)}})


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_columns_of_station_and_pollutant(tmp_path: Path, suffix: str) -> None:
    frame = _frame(["a:pm25", "o3__a", "b:pm25", "zz:pm25"])
    path = tmp_path / f"net.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    observations = read(path, write_list(tmp_path, ["a", "b"]))
    assert observations.species == ("pm25", "o3")
    assert raw(observations, "pm25", "b", "2020-01-01 02:00") == 21
    assert raw(observations, "o3", "a", "2020-01-01 03:00") == 12
    assert observations.report.counts["stations_not_listed"] == 1


def test_the_pollutant_of_the_name_or_of_the_settings(tmp_path: Path) -> None:
    stations = write_list(tmp_path, ["a", "b"])
    named, plain = tmp_path / "pm10_2020.csv", tmp_path / "net.csv"
    for path in (named, plain):
        _frame(["a", "b"]).to_csv(path, index=False)
    assert read(named, stations, format="wide").species == ("pm10",)
    assert read(plain, stations, format="wide", species={"so2": "*"}).species == ("so2",)
    with pytest.raises(ObservationsError, match=r"column 'a' names no pollutant: call it a:pm25"):
        read(plain, stations, format="wide")


def test_decimal_commas_are_read_where_semicolons_part_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "net.csv"
    path.write_text("time;a:pm25;b:pm25\n2020-01-01 01:00;12,5;3\n2020-01-01 02:00;1,25;4\n")
    observations = read(path, write_list(tmp_path, ["a", "b"]))
    assert raw(observations, "pm25", "a", "2020-01-01 01:00") == 12.5
    assert any("decimal commas" in note for note in observations.report.notes)


@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_blocks_of_parquet_change_nothing_and_name_the_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    stations, path = write_list(tmp_path, ["a", "b"]), tmp_path / "net.parquet"
    _frame(["a:pm25", "b:pm25"]).to_parquet(path)
    whole = read(path, stations)
    monkeypatch.setattr("aqreanalysis.observations.table_blocks.BLOCK_ROWS", rows)
    assert read(path, stations).digest() == whole.digest()
    frame = _frame(["a:pm25", "b:pm25"]).astype({"a:pm25": str})
    frame.loc[3, "a:pm25"] = "much"
    frame.to_parquet(path)
    with pytest.raises(ObservationsError, match=r"net\.parquet, row 4: column 'a:pm25' holds 'much'"):
        read(path, stations)


def test_columns_of_a_station_of_the_list_with_pollutant_and_unit(tmp_path: Path) -> None:
    times = pd.date_range("2023-06-01 01:00", periods=24, freq="h")
    names = [
        "RANDWICK PM2.5 1h average [µg/m³]",
        "OZONE 1h average [pphm] NORTH-SIDE",
        "NORTH-SIDE OZONE 8h average [pphm]",
    ]
    frame = pd.DataFrame({"Date": times.strftime("%d.%m.%Y"), "Time": times.strftime("%H:%M")})
    frame = frame.assign(**{name: [1.0 + h for h in range(24)] for name in names})
    path = tmp_path / "nsw.csv"
    frame.to_csv(path, index=False)
    observations = read(path, write_list(tmp_path, ["RANDWICK", "NORTH-SIDE"]))
    assert raw(observations, "pm25", "RANDWICK", "2023-06-01 02:00") == 2.0
    assert raw(observations, "o3", "NORTH-SIDE", "2023-06-01 02:00") == pytest.approx(20 * 1.99534, rel=1e-4)
