"""A cube that grows: it equals the cube of one run with the newer observations, and is whole at every moment."""

from __future__ import annotations

import os
import random
import resource
import shutil
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from append_case import Killed, dying, read, same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from production_case import GRID, START, make_bundle, make_frame
from production_processes import digest, kill, start

from aqreanalysis.configs import ProductionConfig
from aqreanalysis.errors import ConfigError, CubeError, Interrupted, OutputError
from aqreanalysis.model.protocol import load_predictor
from aqreanalysis.observations import from_frame
from aqreanalysis.production import ProduceOptions, open_cube, produce, produce_cubes
from aqreanalysis.production.plan.block_keys import READINGS, RUN
from aqreanalysis.production.resume.ledger import Lock

WIDE = ProductionConfig(block_days=1, tile_rows=4, tile_columns=9)
OPTIONS = ProduceOptions(production=WIDE)
APPEND = replace(OPTIONS, append=True)
OLD_END, NEW_END = "2019-01-06", "2019-01-08"


@pytest.fixture(scope="module")
def frame():
    return make_frame()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_predictor(make_bundle(tmp_path_factory.mktemp("model") / "bundle"), "cpu")


@pytest.fixture(scope="module")
def newer(frame):
    return read(frame, "2019-01-09")


@pytest.fixture(scope="module")
def old(model, frame, tmp_path_factory):
    """Return a folder with cubes of three days, of both formats, made when their last day had just ended."""
    folder = tmp_path_factory.mktemp("old")
    for suffix in (".nc", ".zarr"):
        produce(model, read(frame, OLD_END), GRID, START, OLD_END, folder / f"x{suffix}", OPTIONS).close()
    return folder


@pytest.fixture(scope="module")
def whole(model, newer, tmp_path_factory):
    with produce(model, newer, GRID, START, NEW_END, tmp_path_factory.mktemp("whole") / "x.zarr", OPTIONS) as cube:
        return cube.load()


@pytest.fixture
def place(old, tmp_path):
    """Return a folder with copies of the cubes that may grow."""
    return shutil.copytree(old, tmp_path / "cubes")


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_a_cube_grows_to_that_of_one_run_and_says_what_was_done(suffix, model, newer, whole, place, monkeypatch):
    out, said = place / f"x{suffix}", []
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    before = xr.open_dataset(out, engine="zarr" if suffix == ".zarr" else None).attrs
    with produce(model, newer, GRID, None, NEW_END, out, replace(APPEND, say=said.append)) as cube:
        # The last day's window reaches a day ahead, which had not been observed.
        done = (
            "48 hours (2019-01-06T00:00 to 2019-01-08T00:00) added, "
            "24 hours (2019-01-05T00:00 to 2019-01-06T00:00) computed anew"
        )
        assert said == [f"{out}: {done}"]
        second, first = cube.history.splitlines()
        assert first == before["history"] and second.startswith("2027-01-15T08:00:00Z aqreanalysis ")
        assert second.endswith(done)
        assert cube.date_created == before["date_created"] and cube.date_modified == "2027-01-15T08:00:00Z"
        same(cube.load(), whole.copy())
    assert sorted(p.name for p in place.iterdir()) == ["x.nc", "x.zarr"]


def test_blocks_that_stay_are_neither_computed_nor_stored_again(model, newer, place):
    out, told = place / "x.zarr", []
    kept = {p.relative_to(out): p.stat().st_ino for p in (out / "pm2p5").iterdir() if p.name[0] in "01"}
    progress = lambda done, total, note: told.append(note)  # noqa: E731
    produce(model, newer, GRID, START, NEW_END, out, replace(APPEND, progress=progress)).close()
    assert sum("cell-hours/s" in note for note in told) == 3 * 2 and len(kept) == 2 * 2
    assert {p: (out / p).stat().st_ino for p in kept} == kept


def test_a_second_time_there_is_nothing_to_do_and_nothing_is_touched(model, newer, place):
    out, said = place / "x.zarr", []
    produce(model, newer, GRID, None, NEW_END, out, APPEND).close()
    state = {p: p.stat().st_mtime_ns for p in place.rglob("*")}
    produce(model, newer, GRID, None, NEW_END, out, replace(APPEND, say=said.append)).close()
    assert said == [f"{out}: nothing to add and nothing to compute anew"]
    assert {p: p.stat().st_mtime_ns for p in place.rglob("*") if p != place} == {
        p: t for p, t in state.items() if p != place
    }


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    drawn=st.builds(
        SimpleNamespace,
        offset=st.integers(0, 30),
        hours=st.integers(20, 70),
        more=st.integers(0, 50),
        days=st.integers(1, 2),
        late=st.lists(st.integers(0, 180), max_size=2),
        suffix=st.sampled_from([".nc", ".zarr"]),
    )
)
def test_append_equals_the_whole_run_whatever_the_hours_and_the_readings_that_changed(
    drawn, model, frame, newer, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("any")
    options = ProduceOptions(production=ProductionConfig(block_days=drawn.days, tile_rows=4, tile_columns=9))
    begin = pd.Timestamp(START) + pd.Timedelta(hours=drawn.offset)
    end = begin + pd.Timedelta(hours=drawn.hours)
    # What was known then: nothing after the end, and at some hours not the readings that came in later.
    first = frame["time"].min()
    known = frame[(frame["time"] <= end) & ~frame["time"].isin([first + pd.Timedelta(hours=h) for h in drawn.late])]
    out = folder / f"x{drawn.suffix}"
    produce(model, from_frame(known), GRID, begin, end, out, options).close()
    goal = min(end + pd.Timedelta(hours=drawn.more), pd.Timestamp("2019-01-09"))
    grown = produce(model, newer, GRID, begin, goal, out, replace(options, append=True)).load()
    with produce(model, newer, GRID, begin, goal, folder / "whole.zarr", options) as one:
        same(grown, one.load())
    shutil.rmtree(folder)


def test_observations_that_begin_later_than_the_cube_are_enough_if_they_reach_back_a_window(
    model, frame, newer, whole, place
):
    recent = from_frame(frame[frame["time"] > pd.Timestamp("2019-01-04")])
    short = from_frame(frame[frame["time"] > pd.Timestamp("2019-01-05")])
    with pytest.raises(OutputError, match=r"begin 2019-01-05T00:00, .* reach back to there") as caught:
        produce(model, short, GRID, None, NEW_END, place / "x.zarr", APPEND)
    assert "computed and read from 2019-01-04T00:00 on" in str(caught.value)
    with produce(model, recent, GRID, None, NEW_END, place / "x.zarr", APPEND) as grown:
        for name in whole.data_vars:
            np.testing.assert_array_equal(grown[name].values, whole[name].values, err_msg=str(name))
        # What was read is on record as if the observations had reached back: a later append goes on from there.
        assert grown.attrs[READINGS] == whole.attrs[READINGS] and grown.attrs[RUN] == whole.attrs[RUN]


def test_daily_means_grow_with_the_hours_they_are_made_of(model, frame, newer, tmp_path):
    options = replace(OPTIONS, frequencies=("hourly", "daily"))
    cubes = {}
    for name, observations, end in (("x", read(frame, OLD_END), OLD_END), ("whole", newer, NEW_END)):
        cubes = produce_cubes(model, observations, GRID, (START, end), tmp_path / f"{name}.nc", options)
        for cube in cubes.values():
            cube.load(), cube.close()
    said: list[str] = []
    told = replace(options, append=True, say=said.append)
    grown = produce_cubes(model, newer, GRID, (START, NEW_END), tmp_path / "x.nc", told)
    for name, cube in grown.items():
        same(cube.load(), cubes[name])
    assert ": 48 hours " in said[0] and "x_daily.nc: 2 days (2019-01-06T00:00 to 2019-01-08T00:00) added" in said[1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"end": "2019-01-05"}, "end 2019-01-05T00:00 is before the end of .*x.zarr, 2019-01-06T00:00"),
        ({"start": "2019-01-07"}, "start 2019-01-07T00:00 is after the end of .*, 2019-01-06T00:00, .* no gap"),
        ({"start": "2019-01-02"}, "start 2019-01-02T00:00 is before the beginning of .*, 2019-01-03T00:00"),
        ({"grid": "116,39,118,40.5@0.5"}, r"grid is [0-9a-f]{16} there and [0-9a-f]{16} here"),
        (
            {"production": ProductionConfig(block_days=1, tile_rows=3, tile_columns=9)},
            '"tile_rows": 4.* there and .*"tile_rows": 3',
        ),
        ({"thresholds": {"pm25": (35.0,)}}, r"thresholds is \{\} there and .*35"),
        ({"zarr_format": 3}, "Zarr format of pm2p5 is 2 there and 3 here"),
        ({"out": "none.zarr"}, "there is no cube .*none.zarr to append to"),
    ],
)
def test_what_does_not_continue_the_cube_is_refused_with_both_values(change, words, model, newer, place):
    given = {"start": None, "end": NEW_END, "grid": GRID, "out": "x.zarr"} | change
    options = replace(APPEND, **{k: v for k, v in change.items() if k in ("production", "thresholds", "zarr_format")})
    state = {p: p.stat().st_mtime_ns for p in place.rglob("*") if p.is_file()}
    with pytest.raises(OutputError, match=words) as caught:
        produce(model, newer, given["grid"], given["start"], given["end"], place / given["out"], options)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2
    assert {p: p.stat().st_mtime_ns for p in place.rglob("*") if p.is_file() and "part" not in str(p)} == state


def test_another_model_another_network_and_another_numerics_are_refused(model, frame, newer, place, tmp_path):
    out = place / "x.zarr"
    other = load_predictor(make_bundle(tmp_path / "other", seed=1), "cpu")
    with pytest.raises(OutputError, match=r"model is [0-9a-f]{16} there and [0-9a-f]{16} here"):
        produce(other, newer, GRID, None, NEW_END, out, APPEND)
    fewer = from_frame(frame[frame["station_id"] != "s07"])
    with pytest.raises(OutputError, match=r"stations is 30 \(.*\) there and 29 \(.*\) here"):
        produce(model, fewer, GRID, None, NEW_END, out, APPEND)
    blank = replace(APPEND, production=APPEND.production.model_copy(update={"blank_beyond_km": 20.0}))
    with pytest.raises(OutputError, match=r'production config is .*"blank_beyond_km": null.* and .*: 20.0'):
        produce(model, newer, GRID, None, NEW_END, out, blank)
    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(OutputError, match=r"numerics is .* there and later"),
    ):
        patch.setattr("aqreanalysis.production.plan.prepare.NUMERICS", "later")
        produce(model, newer, GRID, None, NEW_END, out, APPEND)


def test_a_cube_that_was_cut_or_says_nothing_of_its_making_is_refused(model, newer, place):
    with xr.open_dataset(place / "x.nc") as cube:
        cube.isel(time=slice(0, None, 2)).to_netcdf(place / "cut.nc")
        del cube.attrs[READINGS]
        cube.to_netcdf(place / "mute.nc")
    with pytest.raises(OutputError, match=r"the steps of .*cut.nc are not those of this run"):
        produce(model, newer, GRID, None, NEW_END, place / "cut.nc", APPEND)
    with pytest.raises(OutputError, match=r"mute.nc does not say from which readings"):
        produce(model, newer, GRID, None, NEW_END, place / "mute.nc", APPEND)


def test_a_cube_that_lacks_a_chunk_is_found_damaged(model, newer, place):
    (place / "x.zarr" / "pm2p5_upper" / "0.1.0").unlink()
    with pytest.raises(CubeError, match="is damaged: the chunk of pm2p5_upper at step 0, row 4, column 0"):
        produce(model, newer, GRID, None, NEW_END, place / "x.zarr", APPEND)


def test_a_start_is_needed_where_there_is_no_cube_to_take_it_from(model, newer, tmp_path):
    with pytest.raises(ConfigError, match="start is missing"):
        produce(model, newer, GRID, None, NEW_END, tmp_path / "x.nc", OPTIONS)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_killed_in_any_phase_the_old_cube_is_whole_and_the_same_command_goes_on(
    suffix, model, newer, whole, place, monkeypatch
):
    from aqreanalysis.production.resume import work as making
    from aqreanalysis.production.stores import netcdf
    from aqreanalysis.production.stores import zarr as stores

    out = place / f"x{suffix}"
    with open_cube(out) as cube:
        old = cube.load()

    def die(*_: object, **__: object) -> None:
        raise Killed

    from aqreanalysis.production.resume.ledger import Ledger

    last = (netcdf, "rename_file", 0) if suffix == ".nc" else (stores, "publish_folder", 0)
    phases = [
        (making, "stage_readings", 0),
        (netcdf.StoredChunks if suffix == ".nc" else stores.LinkedBlocks, "adopt", 1),
        (Ledger, "record", 3),
        (Ledger, "record", 3),
        (netcdf, "_write_structure", 0) if suffix == ".nc" else (Ledger, "note_ready", 0),
        last,
    ]
    for owner, name, calls in phases:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, dying(getattr(owner, name), calls))
            with pytest.raises(Killed):
                produce(model, newer, GRID, None, NEW_END, out, APPEND)
        with open_cube(out) as cube:
            xr.testing.assert_identical(cube.load(), old)
    # After the new name was given and before the work was cleared away.
    home, name, _ = last
    with monkeypatch.context() as patch:
        give = getattr(home, name)
        patch.setattr(home, name, lambda *a: (give(*a), die()))
        with pytest.raises(Killed):
            produce(model, newer, GRID, None, NEW_END, out, APPEND)
    with produce(model, newer, GRID, None, NEW_END, out, APPEND) as grown:
        assert grown.history.count("appended") == 1
        same(grown.load(), whole.copy())
    assert sorted(p.name for p in place.iterdir()) == ["x.nc", "x.zarr"]


@pytest.mark.parametrize("phase", ["taking over", "cell-hours/s", "NetCDF"])
def test_a_full_disk_in_any_phase_is_one_line_and_the_old_cube_is_kept(phase, model, newer, whole, place):
    out = place / "x.nc"
    before = out.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def progress(done: int, total: int, note: str) -> None:
        if phase in note:  # the kernel itself refuses to let files grow
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))

    try:
        with pytest.raises(OutputError, match="no space left for the output") as caught:
            produce(model, newer, GRID, None, NEW_END, out, replace(APPEND, progress=progress))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2 and out.read_bytes() == before
    with produce(model, newer, GRID, None, NEW_END, out, APPEND) as grown:
        same(grown.load(), whole.copy())


def test_two_processes_on_one_cube_that_grows_the_second_is_refused(model, newer, place):
    out = place / "x.zarr"
    held = Lock(out.with_name("x.zarr.part"), out)
    try:
        with pytest.raises(OutputError, match="is being written by process"):
            produce(model, newer, GRID, None, NEW_END, out, APPEND)
    finally:
        held.release()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_killed_again_and_again_at_random_moments_an_append_ends_with_the_same_bytes(suffix, frame, tmp_path):
    model = make_bundle(tmp_path / "model")
    for name, end in (("old", OLD_END), ("new", "2019-01-09")):
        frame[frame["time"] <= pd.Timestamp(end)].to_parquet(tmp_path / f"{name}.parquet")
    patch = pytest.MonkeyPatch()
    patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    case = model, tmp_path / "new.parquet"
    more = "append=yes", f"end={NEW_END}"
    fine = ProduceOptions(production=ProductionConfig(block_days=1, tile_rows=3, tile_columns=3))
    for folder in ("once", "often"):
        (tmp_path / folder).mkdir()
        out = tmp_path / folder / f"x{suffix}"
        produce(model, tmp_path / "old.parquet", GRID, START, OLD_END, out, fine).close()
    begun = time.monotonic()
    process = start(case, tmp_path / "once" / f"x{suffix}", *more)
    _, said = process.communicate()
    assert process.returncode == 0, said
    lasts = time.monotonic() - begun
    for _ in range(5):
        process = start(case, tmp_path / "often" / f"x{suffix}", *more)
        time.sleep(random.uniform(0.3, 1) * lasts)
        kill(process)
        with open_cube(tmp_path / "often" / f"x{suffix}") as cube:
            assert cube.sizes["time"] in (72, 120) and np.isfinite(cube.pm2p5.values).all()
    process = start(case, tmp_path / "often" / f"x{suffix}", *more)
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert digest(tmp_path / "often" / f"x{suffix}") == digest(tmp_path / "once" / f"x{suffix}")
    patch.undo()


def test_newer_observations_do_not_take_up_an_append_of_others(model, frame, newer, place, monkeypatch):
    out = place / "x.zarr"
    options = replace(APPEND, progress=lambda done, *_: done == 2 and os.kill(os.getpid(), 15))
    with pytest.raises(Interrupted, match="run the same command again"):
        produce(model, read(frame, "2019-01-07"), GRID, None, NEW_END, out, options)
    with pytest.raises(OutputError, match=r"unfinished run of another kind: observations is"):
        produce(model, newer, GRID, None, NEW_END, out, APPEND)
    with pytest.raises(OutputError, match="unfinished run of another kind"):
        produce(model, newer, GRID, START, NEW_END, out, OPTIONS)
    with produce(model, newer, GRID, None, NEW_END, out, replace(APPEND, overwrite=True)) as grown:
        assert grown.sizes["time"] == 120
