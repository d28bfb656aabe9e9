"""For a table of no known format `observations check` proposes the mapping, ready to be filled in and used."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from aqreanalysis.cli import main
from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.observations import read_observations
from aqreanalysis.observations.propose import propose_columns

PREAMBLE = ["Notes on this dataset,,,,", ",,,,", "Site,Parameter,Date (LST),Value,QC Name"]


def _file(folder: Path, lines: list[str]) -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_header_is_found_and_the_mapping_reads_the_file(tmp_path: Path) -> None:
    rows = [f"Town,PM2.5,2021-06-01 {h:02d}:00,{h + 5},Valid" for h in range(24)]
    path = _file(tmp_path, [*PREAMBLE, *rows])
    lines = propose_columns(path, ColumnsConfig(time="Date (LST)"))
    mapping = yaml.safe_load("\n".join(lines))["columns"]
    assert mapping["skip_lines"] == 2 and mapping["parameter"] == "Parameter" and mapping["time"] == "Date (LST)"
    (tmp_path / "stations.csv").write_text("station_id,lat,lon\nTown,10.8,106.7\n")
    from aqreanalysis.observations import ReadOptions

    columns = ColumnsConfig(**(mapping | {"check_clock": False}))
    observations = read_observations(path, columns, ReadOptions(stations=[tmp_path / "stations.csv"]))
    assert observations.values("pm25")[:, 0].tolist() == [h + 5 for h in range(24)]


@pytest.mark.parametrize(
    ("stamps", "line"),
    [
        (["13/01/2021 00:00", "13/01/2021 01:00"], "time_format: day-first"),
        (["01/13/2021 00:00", "01/13/2021 01:00"], "time_format: month-first"),
        (["01/02/2021 00:00", "01/02/2021 01:00"], "or month-first"),
        (["1549198800", "1549202400"], "time_format: epoch"),
        (["1549198800000", "1549202400000"], "time_format: epoch-ms"),
        (["2021-01-01 00:00", "2021-01-01 01:00"], "time_zone: UTC"),
    ],
)
def test_how_stamps_are_written_is_seen(tmp_path: Path, stamps: list[str], line: str) -> None:
    lines = propose_columns(_file(tmp_path, ["fecha;no2", *(f"{stamp};5" for stamp in stamps)]))
    assert any(line in text for text in lines) and any("place: {station: NAME" in text for text in lines)


def test_check_prints_it_beside_the_error(tmp_path: Path) -> None:
    path = _file(tmp_path, [*PREAMBLE, "Town,PM2.5,2021-06-01 00:00,5,Valid"])
    result = CliRunner().invoke(main, ["observations", "check", str(path)])
    assert result.exit_code != 0 and "  skip_lines: 2" in result.output and "--config" in result.output


def test_an_encoding_is_proposed_so_that_the_file_is_read(tmp_path: Path) -> None:
    rows = [f"Montéreau,48.4,2.9,13/05/2021,{h:02d}:00,{h + 5}" for h in range(24)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["Site,Lat,Lon,Date,Time,PM2.5 (µg/m³)", *rows]) + "\n", encoding="cp1252")
    mapping = yaml.safe_load("\n".join(propose_columns(path)))["columns"]
    assert mapping["time"] == ["Date", "Time"] and mapping["encoding"] == "cp1252"
    observations = read_observations(path, ColumnsConfig(**(mapping | {"check_clock": False})))
    assert observations.values("pm25")[:, 0].tolist() == [h + 5 for h in range(24)]


def test_nothing_is_proposed_for_what_is_no_table(tmp_path: Path) -> None:
    assert propose_columns(_file(tmp_path, ["some words", "and more"])) == []
    assert propose_columns(tmp_path / "none.csv") == []
