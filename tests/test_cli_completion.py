"""The shell completes what options take, after one command that can be undone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from aqreanalysis.cli import main
from aqreanalysis.cli.completion import BEGIN, PROGRAM, SHELLS, VARIABLE


def completed(line: str) -> list[str]:
    """Return what bash would be given at the end of a line."""
    words = line.split(" ")
    environment = {VARIABLE: "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    result = CliRunner().invoke(main, [], prog_name=PROGRAM, env=environment)
    return [answer.partition(",")[2] for answer in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("aqreanalysis prod", "produce"),
        ("aqreanalysis produce --gri", "--grid"),
        ("aqreanalysis produce --grid north-china-0.0", "north-china-0.05"),
        ("aqreanalysis train --config for", "forecast"),
        ("aqreanalysis train --format laq", "laqn"),
        ("aqreanalysis train --set training.ep", "training.epochs="),
        ("aqreanalysis produce --frequency hourly,da", "hourly,daily"),
        ("aqreanalysis produce --species pm", "pm25"),
        ("aqreanalysis produce --species pm25,n", "pm25,no2"),
        ("aqreanalysis evaluate --protocol unseen-t", "unseen-time"),
        ("aqreanalysis config show for", "forecast"),
        ("aqreanalysis grids show north-china-0.0", "north-china-0.05"),
    ],
)
def test_what_can_stand_there_is_offered(line: str, wanted: str) -> None:
    assert wanted in completed(line)


def test_what_is_no_name_is_left_to_the_shell_as_a_file() -> None:
    environment = {VARIABLE: "bash_complete", "COMP_WORDS": "aqreanalysis train --config mine/", "COMP_CWORD": "3"}
    result = CliRunner().invoke(main, [], prog_name=PROGRAM, env=environment)
    assert result.stdout.strip() == "file,mine/"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the process a home of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize("shell", SHELLS)
def test_one_command_installs_it_twice_is_once_and_another_takes_it_away(shell: str, home: Path) -> None:
    startup = {"bash": home / ".bashrc", "zsh": home / ".zshrc"}.get(shell)
    if startup is not None:
        startup.write_text("export MINE=1")
    for _ in range(2):
        result = CliRunner().invoke(main, ["completion", "install", shell])
        assert result.exit_code == 0, result.output
    scripts = [path for path in home.rglob("*") if path.is_file() and path != startup]
    assert len(scripts) == 1 and VARIABLE in scripts[0].read_text()
    if startup is not None:
        assert startup.read_text().count(BEGIN) == 1 and str(scripts[0]) in startup.read_text()
    assert CliRunner().invoke(main, ["completion", "remove", shell]).exit_code == 0
    assert not scripts[0].exists() and (startup is None or startup.read_text() == "export MINE=1\n")


def test_the_shell_in_use_is_taken_and_another_kind_is_refused(home: Path) -> None:
    assert "compdef" in CliRunner().invoke(main, ["completion", "show"], env={"SHELL": "/bin/zsh"}).stdout
    result = CliRunner().invoke(main, ["completion", "install"], env={"SHELL": "/bin/tcsh"})
    assert result.exit_code == 2 and "none of bash, zsh, fish" in result.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_a_new_bash_completes_a_grid_and_a_key_whose_value_may_follow_at_once(home: Path) -> None:
    assert CliRunner().invoke(main, ["completion", "install", "bash"]).exit_code == 0
    (home / "bin").mkdir()
    program = home / "bin" / PROGRAM
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m aqreanalysis.cli "$@"\n')
    program.chmod(0o755)
    script = (
        f". ~/.bashrc; COMP_WORDS=({PROGRAM} grids show yangtze); COMP_CWORD=3; _{PROGRAM}_completion {PROGRAM}; "
        'echo "${COMPREPLY[@]}"; compopt() { echo "$@"; }; COMPREPLY=(); '
        f"COMP_WORDS=({PROGRAM} train --set training.epo); _{PROGRAM}_completion {PROGRAM}; "
        'echo "${COMPREPLY[@]}"'
    )
    environment = {**os.environ, "PATH": f"{home / 'bin'}:{os.environ['PATH']}", "HOME": str(home)}
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, env=environment, timeout=60, cwd=home
    )
    said = ["yangtze-delta-0.05", "-o nospace", "training.epochs="]
    assert done.stdout.splitlines() == said, done.stderr
