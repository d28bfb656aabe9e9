"""A plain run walks a short road: what the plainest `produce` enters, counted under a profile hook."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import entered
import pytest
from production_case import make_observations

#: At most so many files and functions of the package, by what the observations are read from: the program's own NetCDF,
#: or a table, which walks through the reading of station files besides. The aim for the first is 60 and 400. A function
#: is what stands behind a ``def``: a comprehension, a generator expression or a lambda is none (see `entered`).
#: Checksums of all that a resumed run relies on, and the checks of a bundle that a stranger may have sent, are on every
#: run's road; and before a table is read, the format of each network, a file of its own, is asked whether it knows it.
LIMITS = {"nc": (63, 412), "parquet": (96, 563)}
#: What a plain run has no business with, by a part of a file's path.
STRANGERS = ("bucket", "forecast", "trial")


@pytest.fixture(scope="module", params=LIMITS)
def walked(
    request: pytest.FixtureRequest, production_files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, list[tuple[str, str]]]:
    """Return the input and each function that a run in a process of its own enters, 48 hours of 121 cells."""
    folder = tmp_path_factory.mktemp("plain")
    model, observations = production_files
    if request.param == "nc":
        observations = folder / "observations.nc"
        make_observations().to_netcdf(observations)
    command = [sys.executable, entered.__file__, str(model), str(observations), str(folder / "cube.zarr")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return request.param, [(file, name) for file, name in map(json.loads, done.stdout.splitlines())]


def as_list(walked: list[tuple[str, str]]) -> str:
    """Return what was entered, a line a file, for whoever has to find what should not be there."""
    functions = Counter(file for file, _ in walked)
    lines = [f"{n:4d} {file}: {' '.join(name for f, name in walked if f == file)}" for file, n in functions.items()]
    return "\n".join([f"{len(functions)} files, {len(walked)} functions", *lines])


def test_the_plainest_run_enters_few_files_and_functions(walked: tuple[str, list[tuple[str, str]]]) -> None:
    kind, functions = walked
    files = {file for file, _ in functions}
    assert {"aqreanalysis/production/sweep.py", "aqreanalysis/production/stores/zarr.py", "grids/grid.py"} <= files
    assert len(files) <= LIMITS[kind][0] and len(functions) <= LIMITS[kind][1], as_list(functions)


def test_a_plain_run_enters_nothing_that_nobody_asked_for(walked: tuple[str, list[tuple[str, str]]]) -> None:
    _, functions = walked
    strangers = [pair for pair in functions if any(word in pair[0] for word in STRANGERS)]
    assert strangers == [], as_list(functions)
