"""Progress: lines where there is no terminal, a bar where there is one."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from aqreanalysis.cli.progress import LogLines

WORK = """
from aqreanalysis.cli.progress import progress_shown
with progress_shown("training") as progress:
    for done in range(5):
        progress(done + 1, 5, f"epoch {done}")
print("result")
"""


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_one_line_a_minute_and_a_last_one(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = LogLines("training", clock)
    for second in range(1, 131):
        clock.now = second
        lines(second, 200, "loss 0.5")
    lines.close()
    assert capsys.readouterr().err.splitlines() == [
        "training: 60/200 loss 0.5",
        "training: 120/200 loss 0.5",
        "training: 130/200 loss 0.5 after 130 s",
    ]


def test_a_log_gets_the_end_of_each_stage(capsys: pytest.CaptureFixture[str]) -> None:
    lines = LogLines("demo", Clock())
    for stage, total in (("training", 3), ("evaluation", 2)):
        for done in range(total + 1):
            lines(done, total, stage)
    lines.close()
    assert capsys.readouterr().err.splitlines() == ["demo: 3/3 training", "demo: 2/2 evaluation after 0 s"]


def test_without_a_terminal_only_the_last_line_is_printed_and_stdout_is_left_alone() -> None:
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True, check=True)
    assert done.stdout == "result\n"
    assert done.stderr == "training: 5/5 epoch 4 after 0 s\n"


def test_on_a_terminal_a_bar_with_count_and_note_is_drawn() -> None:
    ours, theirs = pty.openpty()
    done = subprocess.Popen([sys.executable, "-c", WORK], stdout=subprocess.PIPE, stderr=theirs, text=True)
    out, _ = done.communicate()
    os.close(theirs)
    drawn = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.returncode == 0
    assert out == "result\n"
    assert "training" in drawn and "5/5" in drawn and "epoch 4" in drawn
