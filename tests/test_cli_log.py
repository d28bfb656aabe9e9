"""What is said and logged: control characters written out, run id and levels, and what is kept of a fault."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from aqreanalysis.cli import crash, main
from aqreanalysis.cli.errors import RUN_ID, Commands
from aqreanalysis.cli.log import say

ROOT = Path(__file__).parents[1]
SECRET = "S3CR3T"


def test_no_control_character_of_a_name_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b]0;owned\x07\u202eb", err=True)
    assert capsys.readouterr().err == "a\\x1b]0;owned\\x07\\u202eb\n"


def test_every_command_prints_by_the_one_way_that_writes_them_out() -> None:
    found = [path.name for path in (ROOT / "cli").glob("*.py") if "click.echo(" in path.read_text(encoding="utf-8")]
    assert set(found) <= {"log.py", "errors.py", "printing.py", "completion.py"}


def test_a_log_file_has_moment_level_and_run_of_each_line_and_is_appended_to(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    for _ in range(2):
        done = CliRunner().invoke(main, ["grids", "show", "north-china-0.1", "--log-file", str(log)])
        assert done.exit_code == 0, done.output
    lines = log.read_text(encoding="utf-8").splitlines()
    assert len(lines) > 3
    for line in lines:
        assert re.match(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO run={RUN_ID} .", line), line
    assert sum("begins" in line for line in lines) == 2


def test_an_error_is_logged_with_its_status_and_less_than_the_level_is_not(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    asked = ["grids", "show", "nowhere", "--log-level", "error", "--log-file", str(log)]
    assert CliRunner().invoke(main, asked).exit_code == 2
    (line,) = log.read_text(encoding="utf-8").splitlines()
    assert f"ERROR run={RUN_ID} Error: no grid named 'nowhere'" in line and line.endswith("status 2")


def test_a_log_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["grids", "list", "--log-file", str(tmp_path / "nowhere" / "run.log")])
    assert done.exit_code == 2 and "choose another --log-file" in done.stderr


def test_what_the_package_warns_of_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("aqreanalysis.model").warning("two\nlines of %s", "it")
    assert capsys.readouterr().err == "warning: two lines of it\n"


def test_the_report_knows_which_commands_have_commands_below() -> None:
    assert set(crash.GROUPS) == {name for name, one in main.commands.items() if isinstance(one, click.Group)}


def test_a_fault_leaves_a_report_with_versions_options_and_block_and_without_data_or_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.group(cls=Commands)
    def broken() -> None: ...

    @broken.command()
    def produce() -> None:
        try:
            raise ZeroDivisionError(f"a reading of {SECRET}")
        except ZeroDivisionError as error:
            error.add_note("block 12: steps, rows, columns (0, 24)")
            error.add_note(f"token {SECRET}")
            raise

    monkeypatch.setattr(crash.tempfile, "gettempdir", lambda: str(tmp_path))
    options = ["--out", f"/{SECRET}.nc", "--set", f"metadata.contact={SECRET}", "--set", "production.tile_rows=64"]
    monkeypatch.setattr("sys.argv", ["aqreanalysis", "produce", SECRET, *options, "--json"])
    done = CliRunner().invoke(broken, ["produce"])
    assert done.exit_code == 1 and "which holds no data" in done.stderr
    (report,) = tmp_path.iterdir()
    text = report.read_text(encoding="utf-8")
    assert SECRET not in text and report.stat().st_mode & 0o077 == 0
    for part in (
        RUN_ID,
        "numpy ",
        "command    produce",
        "block 12: ",
        "tile_rows=64",
        "ZeroDivisionError",
        "test_cli_log.py",
    ):
        assert part in text, text
