"""A plain run walks a short road: what the plainest `produce` enters, counted under a profile hook."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import entered
import pytest

#: At most so many files and functions of the package; on the way to 60 and 400.
FILES, FUNCTIONS = 92, 680
#: What a plain run has no business with, by a part of a file's path.
STRANGERS = ("bucket", "forecast", "trial")


@pytest.fixture(scope="module")
def walked(production_files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """Return file and name of each function that a run in a process of its own enters, 48 hours of 121 cells."""
    out = tmp_path_factory.mktemp("plain") / "cube.zarr"
    command = [sys.executable, entered.__file__, *map(str, production_files), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [(file, name) for file, name in map(json.loads, done.stdout.splitlines())]


def as_list(walked: list[tuple[str, str]]) -> str:
    """Return what was entered, a line a file, for whoever has to find what should not be there."""
    functions = Counter(file for file, _ in walked)
    lines = [f"{n:4d} {file}: {' '.join(name for f, name in walked if f == file)}" for file, n in functions.items()]
    return "\n".join([f"{len(functions)} files, {len(walked)} functions", *lines])


def test_the_plainest_run_enters_few_files_and_functions(walked: list[tuple[str, str]]) -> None:
    files = {file for file, _ in walked}
    assert {"aqreanalysis/production/sweep.py", "aqreanalysis/production/stores/zarr.py", "grids/grid.py"} <= files
    assert len(files) <= FILES and len(walked) <= FUNCTIONS, as_list(walked)


def test_a_plain_run_enters_nothing_that_nobody_asked_for(walked: list[tuple[str, str]]) -> None:
    strangers = [pair for pair in walked if any(word in pair[0] for word in STRANGERS)]
    assert strangers == [], as_list(walked)
