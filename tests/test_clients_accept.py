"""How ``make accept`` reads what the clients say: what counts as passed, as known, and as failed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import accept
import pandas as pd
import pytest
from clients_case import kinds_of, make_inputs
from export_case import Cubes

PRINTED = """== /cubes/year.nc
PASS    xarray        xarray 2026.9.0, 6 variables, 8760 steps [4s]
FAIL    cdo           CDO 2.1.1 -- pm2p5: units None is not 'ug m-3' [2s]
ABSENT  netcdf-java   no java [0s]
FAIL    compliance    acdd:1.3: 1 errors -- acdd:1.3 standard_name [9s]
FAIL    compliance    acdd:1.3: 2 errors -- acdd:1.3 title not present [9s]
FAIL    r             -- no verdict: killed [600s]
"""


def test_a_verdict_is_read_with_its_complaint_and_without_its_seconds() -> None:
    verdicts = accept.read_verdicts("year.nc", PRINTED)
    assert [v.client for v in verdicts] == ["xarray", "cdo", "netcdf-java", "compliance", "compliance", "r"]
    assert [v.mark for v in verdicts] == ["pass", "FAIL", "-", "known", "FAIL", "FAIL"]
    assert verdicts[1].complaint == "pm2p5: units None is not 'ug m-3'"
    assert verdicts[5].complaint == "no verdict: killed"


def test_a_known_complaint_is_known_only_alone_from_its_client_and_of_such_layers() -> None:

    def mark(who: str, said: str, *unnamed: str, steps: int = 9) -> str:
        return accept.Verdict("x.nc", who, "FAIL", f"-- {said} [1s]", unnamed, steps).mark

    asked = "acdd:1.3 standard_name"
    assert mark("compliance", asked, "nearest_station_distance", "pm2p5_exceedance_75", "aqi_lower") == "known"
    assert mark("compliance", asked, "nearest_station_distance", "pm2p5_lower") == "known"
    assert mark("compliance", asked, "nearest_station_distance", "pm2p5_standard_error") == "FAIL"
    assert mark("compliance", f"{asked}; cf:1.11 units") == "FAIL"
    assert mark("cdo", asked) == "FAIL"
    assert mark("cfdm", "aqi: no standard_name; aqi_lower: no standard_name (+2 more)", "aqi", "aqi_lower") == "known"
    assert mark("cfdm", "pm2p5: no standard_name", "pm2p5") == "FAIL"
    assert mark("xarray", "pm2p5: no standard_name") == "FAIL" and mark("xarray", "aqi: no standard_name") == "known"
    assert mark("xarray", "aqi: no standard_name; aqi: no grid mapping", "aqi") == "FAIL"
    assert mark("netcdf-java", "pm2p5: ymax 90.0 is not 90.125; o3: ymax 90.0 is not 90.125") == "known"
    assert mark("netcdf-java", "pm2p5: ymax 89.0 is not 90.0") == "FAIL"
    dated = "pm2p5: start '1970-01-01T00:00' is not '2002-01-01T00:00'"
    assert mark("qgis", dated, steps=1) == "known"
    assert mark("qgis", dated) == "FAIL" and mark("qgis", f"{dated}; pm2p5: no raster layer", steps=1) == "FAIL"


def test_a_client_whose_library_is_not_here_is_absent_and_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = "FAIL    cfdm          -- no verdict: FileNotFoundError [1s]\nFAIL    cdo           -- empty [1s]\n"
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1, printed, ""))
    for library, mark in ((None, "-"), ("libudunits2.so.0", "FAIL")):
        monkeypatch.setattr(accept, "find_library", lambda _, found=library: found)
        verdicts = accept.ask_clients(Path("cube.zarr"), ["pm2p5"])
        assert [(v.client, v.mark) for v in verdicts] == [("cfdm", mark), ("cdo", "FAIL")]
        assert ("tests/clients/install.sh" in verdicts[0].text) is (library is None)


def test_layers_without_a_standard_name_and_steps_are_read_from_the_file(cubes: Cubes) -> None:
    assert accept.facts_of(cubes.two) == (
        (
            *("pm2p5_lower", "pm2p5_upper", "pm2p5_nearest_station_distance"),
            *("o3_lower", "o3_upper", "o3_exceedance_60", "o3_nearest_station_distance"),
        ),
        72,
    )
    assert accept.facts_of(cubes.one) == ((), 0)


def test_the_table_has_a_row_a_file_and_says_every_failure_in_words() -> None:
    table = accept.format_table(accept.read_verdicts("year.nc", PRINTED)).splitlines()
    assert table[0].split() == ["file", "xarray", "cdo", "netcdf-java", "compliance", "r"]
    assert table[1].split()[:3] == ["year.nc", "pass", "FAIL"]
    assert "FAIL year.nc cdo: pm2p5: units None is not 'ug m-3'" in table
    assert "absent: netcdf-java: no java" in table
    assert sum(line.startswith("known: ") for line in table) == 1


def test_the_known_failure_stands_in_the_page_of_clients() -> None:
    page = (Path(__file__).parents[1] / "docs" / "clients.md").read_text()
    assert all(name in page for name in (*accept.KNOWN, "standard_name", "nearest_station_distance", "Zarr 3"))


def test_the_records_and_the_network_of_make_accept_can_be_made_and_are_read_again(tmp_path: Path) -> None:
    made = make_inputs(tmp_path, days=31)
    assert made.records.times[0] == pd.Timestamp("2001-01-01T01:00")
    assert make_inputs(tmp_path, days=31).records.digest() == made.records.digest()
    assert {"one_month", "six_year", "pole"} <= {kind.name for kind in kinds_of(made.records)}
