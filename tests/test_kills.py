"""SIGKILL at a random moment leaves nothing that looks whole and is not; the command given again makes the same bytes.

``benchmarks/trust.py`` kills every command fifty times; here some are killed a few.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from attack_case import Assets
from fault_case import FAULTS, meet
from flip_case import TARGETS, Target, flip_once
from kill_case import JOBS, Job, kill_once, make_whole

pytestmark = pytest.mark.usefixtures("fixed_clock")
#: Killed every day; the others, with trainings and processes of their own, now and then.
_DAILY = ("produce zarr", "produce --append netcdf")


@pytest.fixture(scope="module")
def assets(production_files: tuple[Path, Path], fixed_clock: None, tmp_path_factory: pytest.TempPathFactory) -> Assets:
    """Return what a user has."""
    from production_case import END, GRID, START, TILES, make_frame

    from aqreanalysis.production import ProduceOptions, produce

    folder = tmp_path_factory.mktemp("assets")
    model, observations = production_files
    make_frame().to_csv(folder / "obs.csv", index=False)
    for name, form in {"x.nc": 2, "x2.zarr": 2, "x3.zarr": 3}.items():
        options = ProduceOptions(production=TILES, zarr_format=form)
        produce(model, observations, GRID, START, END, folder / name, options).close()
    return Assets(model, observations, folder / "obs.csv", *(folder / name for name in ("x.nc", "x2.zarr", "x3.zarr")))


@pytest.mark.parametrize(
    "job", [pytest.param(job, id=job.name, marks=[] if job.name in _DAILY else [pytest.mark.slow]) for job in JOBS]
)
def test_what_was_killed_goes_on_to_the_same_bytes(job: Job, assets: Assets, tmp_path: Path) -> None:
    whole = make_whole(job, assets, tmp_path)
    draw = random.Random(job.name)
    assert [kill_once(job, assets, whole, draw) for _ in range(2)] == ["", ""]


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_bit_that_is_turned_is_found_or_changes_nothing(target: Target, assets: Assets, tmp_path: Path) -> None:
    draw = random.Random(target.name)
    assert [flip_once(target, assets, tmp_path, draw) for _ in range(4)] == [""] * 4


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_no_room_no_right_and_no_memory_end_in_one_line(job: Job, fault: str, assets: Assets, tmp_path: Path) -> None:
    assert meet(job, assets, tmp_path, fault) == ""
