"""Station files that went wrong when produce was tried from outside: each is refused in one line with the way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from aqreanalysis.cli import main

CASES = Path(__file__).resolve().parents[2] / "shared" / "cases" / "production"
RUN = ("--grid", "11,47,13,48@0.2", "--start", "2001-03-02", "--end", "2001-03-04")


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("one-station/n1.parquet", "at least 2"),
        ("no-readings/nopm25.parquet", "no usable reading of pm25"),
    ],
)
def test_records_that_no_map_can_be_made_from_are_refused_and_leave_nothing(
    production_files: tuple[Path, Path], tmp_path: Path, case: str, expected: str
) -> None:
    records = CASES / case
    if not records.exists():
        pytest.skip(f"{records} is not here")
    out = tmp_path / "x.nc"
    given = ("--model", str(production_files[0]), "--observations", str(records), *RUN, "--out", str(out))
    done = CliRunner().invoke(main, ["produce", *given])
    assert done.exit_code == 2, done.output
    assert expected in done.output and "Traceback" not in done.output
    assert list(tmp_path.iterdir()) == []
