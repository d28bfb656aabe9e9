"""What several test files share: a short synthetic region on disk, and a small model that the real command trained."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from export_case import Cubes

    from aqreanalysis.observations import Observations

# A network small enough to learn something in seconds; every part of it is there.
SMALL = (
    "--species=pm25",
    "--set=inputs=[pm25, no2]",
    "--set=model.neighbours=8",
    "--set=model.state_width=8",
    "--set=model.head_width=16",
    "--set=training.epochs=2",
    "--set=training.steps_per_epoch=6",
)


def aqreanalysis(*arguments: str | Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Return a finished run of the real command line in a process of its own."""
    # One thread: the suite may run beside others, and two torch processes would fight over the processors.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "aqreanalysis.cli", *(str(a) for a in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment)


@dataclass(frozen=True)
class Way:
    """A walked way: records and truth of 12 days of a synthetic region, and the bundle trained on them."""

    records: Path
    truth: Path
    model: Path
    trained: subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def way(tmp_path_factory: pytest.TempPathFactory) -> Way:
    """Make a synthetic region of 40 stations and train a small model on it by ``aqreanalysis train``."""
    from aqreanalysis.nature import nature_run

    folder = tmp_path_factory.mktemp("way")
    paths = nature_run(seed=1, days=12, stations=40, species=("pm25", "no2")).write(folder / "nature")
    trained = aqreanalysis("train", "--observations", paths["observations"], "--out", folder / "model", *SMALL)
    assert trained.returncode == 0, trained.stderr
    return Way(paths["observations"], paths["truth"], folder / "model", trained)


@pytest.fixture(scope="module")
def fixed_clock() -> Iterator[None]:
    """Give every cube of a module the same time of creation, and its processes one thread each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def production_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Write the small case of production: its model bundle and its observations."""
    from production_case import make_bundle, make_frame

    folder = tmp_path_factory.mktemp("case")
    make_frame().to_parquet(folder / "obs.parquet")
    return make_bundle(folder / "model"), folder / "obs.parquet"


@pytest.fixture(scope="module")
def swept(
    production_files: tuple[Path, Path], fixed_clock: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, str]:
    """Return the model and the observations of the small case, and the digest of the cube that threads make of them."""
    from production_case import END, GRID, START, tiled
    from production_processes import digest

    from aqreanalysis.production import produce

    out = tmp_path_factory.mktemp("threads") / "threads.zarr"
    produce(*production_files, GRID, START, END, out, tiled()).close()
    return *production_files, digest(out)


@pytest.fixture(scope="module")
def two_pollutants(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Observations]:
    """Return a bundle of PM2.5 and ozone, and the readings of the small case of production."""
    from production_case import make_bundle, make_observations

    return make_bundle(tmp_path_factory.mktemp("model") / "bundle", ("pm25", "o3")), make_observations()


@pytest.fixture(scope="module")
def quick_looks() -> Iterator[None]:
    """Make what a training of the long forecast does besides its steps short."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aqreanalysis.forecast.trainer._VALIDATION_SEQUENCES", 200)
        patch.setattr("aqreanalysis.forecast.trainer._RIDGE_SEQUENCES", 1_000)
        patch.setattr("aqreanalysis.forecast.linear_paths._MIX_STEPS", 20)
        patch.setattr("aqreanalysis.forecast.linear_paths._MIX_ROWS", 300)
        yield


@pytest.fixture(scope="session")
def cubes(tmp_path_factory: pytest.TempPathFactory) -> Cubes:
    """Produce the small cubes that the tests of exports and validation share."""
    from export_case import make_cubes

    return make_cubes(tmp_path_factory.mktemp("cubes"))
