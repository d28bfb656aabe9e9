"""Killed, stopped, started twice, out of room: nothing is lost, nothing is wrong, and the message says how to go on."""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from pathlib import Path

import pytest
import xarray as xr
from production_case import END, GRID, START, make_bundle, make_observations
from production_processes import digest, kill, start, wait_for_blocks

from aqreanalysis.configs import ProductionConfig
from aqreanalysis.errors import Interrupted, OutputError
from aqreanalysis.model import AnalysisPredictor
from aqreanalysis.production import ProduceOptions, produce

# Many small blocks, so that a kill meets the run between and within them.
FINE = ProductionConfig(block_days=1, tile_rows=3, tile_columns=3)
FINE_OPTIONS = ProduceOptions(production=FINE)
BLOCKS = 4 * 3 * 3


pytestmark = pytest.mark.usefixtures("fixed_clock")


@pytest.fixture(scope="module")
def case(production_files):
    return production_files


@pytest.fixture(scope="module")
def whole(case, tmp_path_factory):
    """Digests of the cubes that uninterrupted runs write."""
    folder = tmp_path_factory.mktemp("whole")
    for suffix in (".nc", ".zarr"):
        produce(case[0], case[1], GRID, START, END, folder / f"x{suffix}", FINE_OPTIONS).close()
    return {suffix: digest(folder / f"x{suffix}") for suffix in (".nc", ".zarr")}


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_a_run_killed_at_random_moments_ends_with_the_same_bytes(suffix, case, whole, tmp_path):
    out = tmp_path / f"x{suffix}"
    moments = sorted(random.sample(range(1, BLOCKS - 8), 1 if suffix == ".nc" else 2))
    for moment in moments:
        process = start(case, out)
        wait_for_blocks(process, out, moment)
        time.sleep(random.random() * 0.02)
        kill(process)
        assert not out.exists()
    told: list[int] = []
    options = ProduceOptions(production=FINE, progress=lambda done, total, note: told.append(done))
    produce(case[0], case[1], GRID, START, END, out, options).close()
    # What was done before the last kill is not done again: the first block told of comes after it.
    assert told[0] > moments[-1], (moments, told[0])
    assert digest(out) == whole[suffix]
    assert [p.name for p in tmp_path.iterdir()] == [out.name]


def test_a_run_killed_while_the_netcdf_file_is_written_ends_with_the_same_bytes(case, whole, tmp_path):
    out = tmp_path / "x.nc"
    process = start(case, out)
    assert process.stdout is not None
    for line in process.stdout:
        if "NetCDF" in line:
            break
    kill(process)
    assert not out.exists()
    produce(case[0], case[1], GRID, START, END, out, FINE_OPTIONS).close()
    assert digest(out) == whole[".nc"]


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_a_run_killed_around_its_last_rename_ends_with_the_same_bytes(suffix, case, whole, tmp_path, monkeypatch):
    from aqreanalysis.production.stores import netcdf
    from aqreanalysis.production.stores import zarr as stores

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    out = tmp_path / f"x{suffix}"
    making, name = (netcdf, "rename_file") if suffix == ".nc" else (stores, "publish_folder")
    with monkeypatch.context() as before, pytest.raises(Killed):
        before.setattr(making, name, die)
        produce(case[0], case[1], GRID, START, END, out, FINE_OPTIONS)
    assert not out.exists()
    with monkeypatch.context() as after, pytest.raises(Killed):
        rename = getattr(making, name)
        after.setattr(making, name, lambda *a: (rename(*a), die()))
        produce(case[0], case[1], GRID, START, END, out, FINE_OPTIONS)
    assert out.exists()
    produce(case[0], case[1], GRID, START, END, out, FINE_OPTIONS).close()
    assert digest(out) == whole[suffix] and [p.name for p in tmp_path.iterdir()] == [out.name]


def stop_after(blocks: int, number: int, case, out: Path) -> Interrupted:
    """Run `produce` here and send this process a signal after some blocks; return what it raises."""

    def progress(done: int, total: int, note: str) -> None:
        if done == blocks:
            os.kill(os.getpid(), number)

    with pytest.raises(Interrupted) as caught:
        produce(case[0], case[1], GRID, START, END, out, ProduceOptions(production=FINE, threads=2, progress=progress))
    return caught.value


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_after_the_blocks_in_hand_and_says_how_to_go_on(number, code, case, whole, tmp_path):
    out = tmp_path / "x.zarr"
    before = signal.getsignal(number)
    error = stop_after(3, number, case, out)
    assert error.exit_code == code and signal.getsignal(number) is before
    done = (tmp_path / "x.zarr.part" / "ledger.jsonl").read_text().count('{"block":')
    # The block that was told of, and those in hand of two threads.
    assert 3 <= done <= 6
    assert f"{done} of {BLOCKS} blocks are done" in str(error) and "run the same command again" in str(error)
    produce(case[0], case[1], GRID, START, END, out, FINE_OPTIONS).close()
    assert digest(out) == whole[".zarr"]


def test_a_run_that_goes_on_encodes_no_hours_and_makes_no_geometry_again(case, whole, tmp_path, monkeypatch):
    out = tmp_path / "x.zarr"
    stop_after(BLOCKS // 4 + 2, signal.SIGTERM, case, out)  # in its second day, whose tiles are those of the first
    made: list[str] = []
    for name in ("geometry", "encode"):
        method = getattr(AnalysisPredictor, name)

        def noted(*given, name=name, method=method):
            made.append(name)
            return method(*given)

        monkeypatch.setattr(AnalysisPredictor, name, noted)
    produce(case[0], case[1], GRID, START, END, out, FINE_OPTIONS).close()
    assert "geometry" not in made and made.count("encode") <= 2
    assert digest(out) == whole[".zarr"] and [p.name for p in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_scores_measured_while_a_run_waits_do_not_mix_into_its_cube(suffix, case, tmp_path):
    out = tmp_path / f"x{suffix}"
    stop_after(3, signal.SIGTERM, case, out)
    with pytest.MonkeyPatch.context() as later:
        measured = {"coverage_measured": "measured later"}
        later.setattr("aqreanalysis.model.predictor.AnalysisPredictor.measured", lambda self: measured)
        later.setenv("SOURCE_DATE_EPOCH", "1800000000")
        produce(case[0], case[1], GRID, START, END, out, FINE_OPTIONS).close()
        with produce(case[0], case[1], GRID, START, END, tmp_path / "new.zarr", FINE_OPTIONS) as new:
            assert new.coverage_measured == "measured later"
    with xr.open_dataset(out) as cube:
        assert "coverage_measured" not in cube.attrs
        assert cube.date_created == "2023-11-14T22:13:20Z"


def test_two_processes_on_one_output_the_second_is_refused_and_the_first_ends_well(case, whole, tmp_path):
    out = tmp_path / "x.zarr"
    first = start(case, out)
    wait_for_blocks(first, out, 0)
    os.killpg(first.pid, signal.SIGSTOP)  # held, so that the second surely meets it
    try:
        with pytest.raises(OutputError, match=f"is being written by process {first.pid} on"):
            produce(case[0], case[1], GRID, START, END, out, FINE_OPTIONS)
    finally:
        os.killpg(first.pid, signal.SIGCONT)
    _, said = first.communicate(timeout=120)
    assert first.returncode == 0, said
    assert digest(out) == whole[".zarr"]


def test_another_run_on_an_unfinished_output_is_refused_with_both_values_and_dropped_when_told(case, tmp_path):
    out = tmp_path / "x.zarr"
    stop_after(2, signal.SIGTERM, case, out)
    ledger = (tmp_path / "x.zarr.part" / "ledger.jsonl").read_bytes()
    other = make_bundle(tmp_path / "other", seed=1)
    with pytest.raises(OutputError, match=r"model is [0-9a-f]{16} there and [0-9a-f]{16} here"):
        produce(other, case[1], GRID, START, END, out, FINE_OPTIONS)
    with pytest.raises(OutputError, match=r"observations is [0-9a-f]{16} there and"):
        produce(case[0], make_observations(seed=1), GRID, START, END, out, FINE_OPTIONS)
    with pytest.raises(OutputError, match=r"timeline and blocks is .* there and .* here"):
        produce(case[0], case[1], GRID, START, "2019-01-06", out, FINE_OPTIONS)
    assert (tmp_path / "x.zarr.part" / "ledger.jsonl").read_bytes() == ledger
    drop = ProduceOptions(production=FINE, overwrite=True)
    with produce(other, case[1], GRID, START, "2019-01-04", out, drop) as cube:
        assert cube.sizes["time"] == 24


def test_a_full_disk_is_one_clear_line_and_the_run_goes_on_when_there_is_room(case, whole, tmp_path):
    # The kernel itself refuses to let files grow: no chunk fits below the limit, and no line of the ledger.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def progress(done: int, total: int, note: str) -> None:
        if done == 5:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))

    out = tmp_path / "x.zarr"
    try:
        with pytest.raises(OutputError) as caught:
            produce(case[0], case[1], GRID, START, END, out, ProduceOptions(production=FINE, progress=progress))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    line = str(caught.value)
    assert line.startswith("no space left for the output") and "run the same command again" in line
    assert "\n" not in line and not out.exists()
    produce(case[0], case[1], GRID, START, END, out, FINE_OPTIONS).close()
    assert digest(out) == whole[".zarr"]


# Between the last block and the cube under its name: the call before or after which the kill comes.
FINALISING = [
    (".nc", "before", "netcdf:write_netcdf"),
    pytest.param(".nc", "after", "netcdf:write_netcdf", marks=pytest.mark.slow),
    pytest.param(".nc", "after", "ledger:Ledger.note_ready", marks=pytest.mark.slow),
    (".nc", "after", "netcdf:rename_file"),
    (".zarr", "before", "ledger:Ledger.note_ready"),
    pytest.param(".zarr", "after", "ledger:Ledger.note_ready", marks=pytest.mark.slow),
    pytest.param(".zarr", "after", "zarr:publish_folder", marks=pytest.mark.slow),
]
MURDER = """
import os, runpy, signal, sys
from aqreanalysis.production.resume import ledger
from aqreanalysis.production.stores import netcdf, zarr
when = sys.argv.pop(1)
module, _, name = sys.argv.pop(1).partition(":")
home = {"ledger": ledger, "netcdf": netcdf, "zarr": zarr}[module]
if "." in name:
    outer, _, name = name.partition(".")
    home = getattr(home, outer)
real = getattr(home, name)
def fatal(*given, **more):
    if when == "after":
        real(*given, **more)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(home, name, fatal)
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(("suffix", "when", "step"), FINALISING)
def test_a_run_killed_while_it_is_finalised_goes_on_and_ends_with_the_same_bytes(
    suffix, when, step, case, whole, tmp_path
):
    out = tmp_path / f"x{suffix}"
    process = start(case, out, before=("-c", MURDER, when, step))
    assert process.communicate(timeout=120)[1] == "" and process.returncode == -signal.SIGKILL
    assert out.exists() == (step in ("netcdf:rename_file", "zarr:publish_folder"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aqreanalysis.production.execute.threads.ThreadExecutor.run", None)  # no block is computed again
        produce(case[0], case[1], GRID, START, END, out, FINE_OPTIONS).close()
    assert digest(out) == whole[suffix] and [p.name for p in tmp_path.iterdir()] == [out.name]
