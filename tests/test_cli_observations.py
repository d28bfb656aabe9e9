"""``observations import``, ``check`` and ``formats``, and ``--observations`` with a format and a station list."""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from aqreanalysis.cli import main, options
from aqreanalysis.errors import ObservationsError


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], prog_name="aqreanalysis")


@pytest.fixture
def london(tmp_path: Path) -> Path:
    """Return a folder with two days of two London sites, and their list beside it."""
    folder = tmp_path / "laqn"
    folder.mkdir()
    for day in (1, 2):
        lines = ["Site,Species,ReadingDateTime,Value,Units,Provisional or Ratified"]
        lines += [
            f"{site},NO2,{day:02d}/01/2013 {h:02d}:00,{30 + h + i},ug m-3,R"
            for i, site in enumerate(("HG4", "MY1"))
            for h in range(24)
        ]
        (folder / f"LaqnData{day}.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "sites.csv").write_text("SiteCode,Latitude,Longitude\nHG4,51.6,-0.1\nMY1,51.52,-0.15\n")
    return folder


def test_a_folder_is_imported_and_checked(london: Path, tmp_path: Path) -> None:
    out = tmp_path / "obs.nc"
    result = _run("observations", "import", london, "--stations", tmp_path / "sites.csv", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"observations: {out}\n"
    again = _run(
        "observations", "import", london, "--stations", tmp_path / "sites.csv", "--out", out, "--overwrite", "--json"
    )
    printed = json.loads(again.stdout)
    assert printed["file"] == str(out) and printed["readings"] == {"no2": 96} and printed["rows"] == 96
    checked = _run("observations", "check", out, "--json")
    facts = json.loads(checked.stdout)
    assert facts["format"] == "netcdf" and facts["stations"] == 2 and facts["hours"] == 48
    before = json.loads(_run("observations", "check", london, "--stations", tmp_path / "sites.csv", "--json").stdout)
    assert before["format"] == "laqn" and "Species" in before["reason"] and before["digest"] == facts["digest"]
    text = _run("observations", "check", london, "--stations", tmp_path / "sites.csv").stdout
    assert "format    laqn: London" in text and "no2 " in text and "stamped 2013-01-01T01:00:00" in text


def test_a_broken_file_is_named_and_skipped_on_demand(london: Path, tmp_path: Path) -> None:
    (london / "LaqnData9.csv").write_bytes(
        b"Site,Species,ReadingDateTime,Value,Units,Provisional or Ratified\n\xff\xfe"
    )
    order = ("observations", "import", london, "--stations", tmp_path / "sites.csv", "--out", tmp_path / "obs.nc")
    refused = _run(*order)
    assert refused.exit_code == 2 and "LaqnData9.csv" in refused.stderr and "line 2" in refused.stderr
    skipped = _run(*order, "--skip-broken")
    assert skipped.exit_code == 0 and "1 file left out that could not be read" in skipped.stderr
    assert "LaqnData9.csv" in skipped.stderr


def test_formats_are_listed() -> None:
    names = {each["name"] for each in json.loads(_run("observations", "formats", "--json").stdout)}
    assert {"aqs", "airnow", "eea", "laqn", "openaq-archive", "china-archive", "uci-beijing", "table"} <= names
    assert "laqn" in _run("observations", "formats").stdout


def test_a_wrong_format_name_gives_the_nearest(london: Path) -> None:
    result = _run("observations", "check", london, "--format", "lagn")
    assert result.exit_code == 2 and "did you mean 'laqn'" in result.stderr


def test_wherever_observations_are_read_format_and_stations_are_taken(london: Path, tmp_path: Path) -> None:
    @click.command()
    @options.observations_option
    def command(observations_path: str) -> None:
        click.echo(repr(options.load_observations(observations_path, options.load_run_config(None, ()))))

    files = [part for day in (1, 2) for part in ("--observations", str(london / f"LaqnData{day}.csv"))]
    given = CliRunner().invoke(command, [*files, "--format", "laqn", "--stations", str(tmp_path / "sites.csv")])
    assert given.exit_code == 0 and "stations  2: HG4, MY1" in given.stdout, given.output
    without = CliRunner().invoke(command, files)
    assert isinstance(without.exception, ObservationsError) and "--stations" in str(without.exception)


def test_kinds_are_counted_told_by_the_record_and_kept_on_request(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    times = pd.date_range("2019-01-01 01:00", periods=24 * 30, freq="h").astype(str)
    days = 20 + 5 * np.sin(2 * np.pi * np.arange(24 * 30) / 24)
    rows = [
        pd.DataFrame(
            {"station_id": f"s{i}", "time": times, "lat": 50 + i / 10, "lon": 4.0, "no2": days + rng.normal(0, 2, 720)}
        )
        for i in range(9)
    ]
    pd.concat(rows).to_csv(tmp_path / "obs.csv", index=False)
    checked = _run("observations", "check", tmp_path / "obs.csv")
    assert checked.exit_code == 0 and "kinds     not told; by their records" in checked.stdout
    made = _run("observations", "import", tmp_path / "obs.csv", "--out", tmp_path / "obs.nc", "--kinds-from-record")
    assert made.exit_code == 0 and "kinds by the stations' records: " in made.stderr
    counted = _run("observations", "check", tmp_path / "obs.nc")
    assert counted.stdout.count("kinds     ") == 1 and "not told" not in counted.stdout
