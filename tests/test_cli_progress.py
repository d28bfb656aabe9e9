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
        "training: 60/200 loss 0.5, about 2 min 20 s left",
        "training: 120/200 loss 0.5, about 1 min 20 s left",
        "training: 130/200 loss 0.5 after 130 s",
    ]


def test_the_time_left_is_that_of_the_stage_at_hand_and_of_what_was_done_here(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    lines = LogLines("producing", clock)
    lines(60, 100, "")  # a run that goes on: sixty blocks were there
    clock.now = 60.0
    lines(80, 100, "")
    clock.now = 120.0
    lines(0, 10, "reading")  # another stage
    clock.now = 180.0
    lines(5, 10, "reading")
    assert capsys.readouterr().err.splitlines() == [
        "producing: 80/100, about 1 min 0 s left",
        "producing: 0/10 reading",
        "producing: 5/10 reading, about 1 min 0 s left",
    ]


def test_a_long_log_gets_the_end_of_each_stage(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = LogLines("demo", clock)
    for stage, total in (("reading", 2), ("training", 3), ("evaluation", 2)):
        for done in range(total + 1):
            lines(done, total, stage)
            clock.now += 10.0
    lines.close()
    assert capsys.readouterr().err.splitlines() == [
        "demo: 3/3 training",
        "demo: 2/2 evaluation after 100 s",
    ]


def test_work_of_less_than_a_minute_leaves_no_line_and_stdout_alone() -> None:
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True, check=True)
    assert done.stdout == "result\n"
    assert done.stderr == ""


def test_long_work_without_a_terminal_tells_its_end_even_when_it_fails() -> None:
    long = f"import aqreanalysis.cli.progress as p; p.SECONDS_BETWEEN_LINES = 0.0\n{WORK}\n"
    long += "with progress_shown('producing') as progress:\n    progress(1, 2, 'half')\n    raise SystemExit(3)\n"
    done = subprocess.run([sys.executable, "-c", long], capture_output=True, text=True, check=False)
    assert done.returncode == 3 and done.stdout == "result\n"
    lines = done.stderr.splitlines()
    assert [line.partition(", about")[0] for line in lines[:5]] == [f"training: {n + 1}/5 epoch {n}" for n in range(5)]
    assert lines[5] == "training: 5/5 epoch 4 after 0 s" and lines[-1] == "producing: 1/2 half after 0 s"


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
