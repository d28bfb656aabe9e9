from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from covariates_case import message, plane, write_grib

from aqreanalysis.cli import main


@pytest.fixture
def weather(tmp_path: Path) -> Path:
    instants = [message("t2m", f"2020-01-01T{h:02d}:00", plane(280.0, 2.0)) for h in (0, 1, 2, 8)]
    return write_grib(tmp_path / "weather.grib", instants)


def test_check_says_fields_span_step_grid_and_missing_hours(weather: Path) -> None:
    result = CliRunner().invoke(main, ["covariates", "check", str(weather)])
    assert result.exit_code == 0, result.output
    assert "temperature at 2 m [K]" in result.output
    assert (
        "2020-01-01T00:00 to 2020-01-01T08:00 UTC (end of the hour), 4 hours, every 1 h, 5 hours missing"
        in result.output
    )
    assert "lat 48 to 51, lon 5 to 9, 4 x 5 at 1 x 1 degree" in result.output
    assert "276 to 282, mean 279" in result.output


def test_check_gives_the_same_as_json(weather: Path) -> None:
    result = CliRunner().invoke(main, ["covariates", "check", str(weather), "--json"])
    facts = json.loads(result.stdout)
    assert facts["fields"]["t2m"]["missing_hours"] == 5
    assert facts["fields"]["t2m"]["look"]["max"] == pytest.approx(282.0)
    assert len(facts["digest"]) == 64


def test_settings_of_the_config_are_taken_and_others_refused(weather: Path) -> None:
    wide = CliRunner().invoke(main, ["covariates", "check", str(weather), "--set", "covariates.max_step_hours=6"])
    assert "9 hours, every 1 h\n" in wide.output
    other = CliRunner().invoke(main, ["covariates", "check", str(weather), "--set", "training.epochs=2"])
    assert other.exit_code == 2 and "has no effect here" in other.output


def test_broken_and_absent_files_end_with_one_line_and_status_2(weather: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.grib"
    cut.write_bytes(weather.read_bytes()[:-9])
    hot = write_grib(tmp_path / "hot.grib", [message("t2m", "2020-01-01", np.full((4, 5), 20.0))])
    for path, reason in ((cut, "message 4"), (tmp_path / "none.grib", "no such file"), (hot, "outside 180 to 340")):
        result = CliRunner().invoke(main, ["covariates", "check", str(path)])
        assert result.exit_code == 2
        errors = [line for line in result.stderr.splitlines() if line.startswith("Error")]
        assert len(errors) == 1 and reason in errors[0] and path.name in errors[0]
        assert "Traceback" not in result.output
