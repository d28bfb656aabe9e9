"""Cubes in object storage, against a server that speaks S3: whole or not there, resumed, and errors of one line."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import xarray as xr
from outage_case import TROUBLES, Outage, in_front_of
from production_case import GRID, START, make_bundle, make_observations
from s3_case import URL, fresh_bucket, post, running_server
from web_case import answering

from aqreanalysis.common import remote
from aqreanalysis.configs import ProductionConfig
from aqreanalysis.errors import CubeError, Interrupted, OutputError
from aqreanalysis.model.protocol import load_predictor
from aqreanalysis.production import ProduceOptions, describe_cube, open_cube, produce
from aqreanalysis.production.stores import bucket

obstore = pytest.importorskip("obstore", reason="pip install 'aqreanalysis[s3]'")

OPTIONS = ProduceOptions(production=ProductionConfig(block_days=1, tile_rows=4, tile_columns=9), threads=1)
END = "2019-01-05"
BLOCKS = 2 * 2


@pytest.fixture(scope="module")
def server():
    with running_server() as address:
        yield address


@pytest.fixture(autouse=True)
def cubes(server, monkeypatch, tmp_path):
    """Return a look-up of the objects in a fresh bucket; the working directory is fresh too."""
    monkeypatch.chdir(tmp_path)
    return fresh_bucket(server, monkeypatch)


@pytest.fixture(scope="module")
def observations():
    return make_observations()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_predictor(make_bundle(tmp_path_factory.mktemp("model") / "bundle"), "cpu")


@pytest.fixture(scope="module")
def local(model, observations, tmp_path_factory):
    """Return the store that a run on a disk leaves."""
    clock = pytest.MonkeyPatch()
    clock.setenv("SOURCE_DATE_EPOCH", "1700000000")
    path = tmp_path_factory.mktemp("local") / "x.zarr"
    produce(model, observations, GRID, START, END, path, OPTIONS).close()
    clock.undo()
    return path


def files(path):
    return {f"some/x.zarr/{f.relative_to(path)}": f.read_bytes() for f in path.rglob("*") if f.is_file()}


def refused(run) -> str:
    with pytest.raises(OutputError) as caught:
        run()
    line = str(caught.value)
    assert "\n" not in line and caught.value.exit_code == 2 and "obstore" not in line
    return line


def stop_after(blocks: int, run) -> Interrupted:
    progress = lambda done, *_: done == blocks and os.kill(os.getpid(), signal.SIGTERM)  # noqa: E731
    with pytest.raises(Interrupted) as caught:
        run(replace(OPTIONS, progress=progress))
    return caught.value


def test_a_bucket_holds_the_same_bytes_as_a_disk_and_nothing_else(model, observations, local, cubes, tmp_path):
    with produce(model, observations, GRID, START, END, URL, OPTIONS) as cube, open_cube(local) as other:
        xr.testing.assert_identical(cube.load(), other.load())
    assert cubes() == files(local)
    assert list(tmp_path.iterdir()) == []
    told = describe_cube(URL)
    assert told["format"] == "Zarr" and told["bytes"] == sum(map(len, cubes().values()))


def test_until_it_is_whole_no_reader_takes_it_for_a_cube_and_the_same_command_goes_on(
    model, observations, local, cubes, tmp_path
):
    run = lambda options: produce(model, observations, GRID, START, END, URL, options)  # noqa: E731
    error = stop_after(2, run)
    assert "2 of 4 blocks are done" in str(error)
    names = set(cubes())
    assert sum(n.startswith("some/x.zarr/pm2p5/") for n in names) == 2 and "some/x.zarr.part/owner.json" in names
    assert not [n for n in names if n.rpartition("/")[2].startswith(".z")]
    with pytest.raises(CubeError, match="unfinished"):
        open_cube(URL)
    told: list[int] = []
    run(replace(OPTIONS, progress=lambda done, *_: told.append(done))).close()
    assert told == [3, 4]
    assert cubes() == files(local) and list(tmp_path.iterdir()) == []


def test_another_work_folder_is_refused_while_a_cube_is_unfinished_and_takes_it_over_when_told(
    model, observations, local, cubes, tmp_path, monkeypatch
):
    run = lambda options: produce(model, observations, GRID, START, END, URL, options)  # noqa: E731
    stop_after(2, run)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match=r"exists; choose another --out"):
        run(OPTIONS)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    run(replace(OPTIONS, overwrite=True)).close()
    assert cubes() == files(local)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match=r"another run has finished or dropped s3://cubes/some/x.zarr since"):
        run(OPTIONS)  # its work is not mixed into the other's
    assert cubes() == files(local)


@pytest.mark.parametrize("calls", [0, 3])
def test_a_cube_is_replaced_when_the_new_one_is_whole_and_killed_on_the_way_the_same_command_completes_it(
    calls, model, observations, local, cubes, tmp_path, monkeypatch
):
    produce(model, observations, GRID, START, "2019-01-04", URL, OPTIONS).close()
    before = cubes()
    run = lambda options: produce(model, observations, GRID, START, END, URL, options)  # noqa: E731
    with pytest.raises(OutputError, match="exists"):
        run(OPTIONS)
    again = replace(OPTIONS, overwrite=True)
    stop_after(2, lambda options: run(replace(options, overwrite=True)))
    now = cubes()
    assert {k: v for k, v in now.items() if k.startswith("some/x.zarr/")} == before
    with open_cube(URL) as cube:
        assert cube.sizes["time"] == 24

    class Killed(BaseException):
        pass

    left = [calls]
    copy = obstore.copy

    def dies(*args):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return copy(*args)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(obstore, "copy", dies)
        run(again)
    assert not bucket.BucketUrl.of(URL).holds_cube()
    run(again).close()
    assert cubes() == files(local) and list(tmp_path.iterdir()) == []


def test_what_is_wrong_with_the_storage_is_one_line_each(model, observations, server, monkeypatch, tmp_path):
    def run(out: str = URL, options: ProduceOptions = OPTIONS) -> str:
        return refused(lambda: produce(model, observations, GRID, START, END, out, options))

    assert "there is no such bucket" in run("s3://nowhere/x.zarr")
    assert "must be s3://BUCKET/PATH.zarr" in run("s3://cubes/x.nc")
    assert "only s3://BUCKET/PATH.zarr is known" in run("ftp://cubes/x.zarr")
    assert "there is no cube s3://cubes/some/x.zarr to append to" in run(options=replace(OPTIONS, append=True))
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        assert "http://127.0.0.1:9 does not answer; check AWS_ENDPOINT_URL" in run()
    assert "the URL of a cube ends with its name" in run("s3://cubes/x.zarr?a=b")
    assert "hidden" not in run("s3://key:hidden@cubes/x.zarr")
    with monkeypatch.context() as patch, answering(501, lists=True) as address:
        patch.setenv("AWS_ENDPOINT_URL", address)
        assert "cannot make an object only where there is none, which a run needs as its lock" in run()
    post(f"{server}/moto-api/reset-auth", b"0")  # from here on the server looks at keys, and knows none
    try:
        assert "access is denied; check AWS_ACCESS_KEY_ID" in run()
    finally:
        post(f"{server}/moto-api/reset-auth", b"inf")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_worker_processes_upload_their_chunks_themselves_and_leave_the_same_bytes(observations, local, cubes, tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    produce(bundle, observations, GRID, START, END, URL, replace(OPTIONS, threads=None, workers=2)).close()
    assert cubes() == files(local)


def test_an_owner_left_by_a_run_that_is_dead_on_this_machine_does_not_stand_in_the_way(
    model, observations, cubes, monkeypatch
):
    def die(self):
        raise Killed

    class Killed(BaseException):
        pass

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(bucket.RemoteLock, "release", die)
        produce(model, observations, GRID, START, END, URL, OPTIONS)
    assert "some/x.zarr.part/owner.json" in cubes()
    # The same command again gives the right back and is content with the cube.
    produce(model, observations, GRID, START, END, URL, OPTIONS).close()
    assert "some/x.zarr.part/owner.json" not in cubes()


def test_killed_while_the_metadata_of_a_published_cube_are_taken_from_the_disk_the_same_command_ends_well(
    model, observations, local, cubes, tmp_path, monkeypatch
):
    class Killed(BaseException):
        pass

    remove = shutil.rmtree

    def dies(path, *more, **named):
        if (Path(path) / bucket.POINTER).exists():
            (Path(path) / bucket.POINTER).unlink()
            raise Killed
        remove(path, *more, **named)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(shutil, "rmtree", dies)
        produce(model, observations, GRID, START, END, URL, OPTIONS)
    produce(model, observations, GRID, START, END, URL, OPTIONS).close()
    assert cubes() == files(local) and list(tmp_path.iterdir()) == []


@pytest.fixture
def to_bucket(model, observations):
    """Return the run that writes the cube into the bucket, by given options."""
    return lambda options=OPTIONS: produce(model, observations, GRID, START, END, URL, options)


@pytest.fixture
def through(server, monkeypatch):
    """Return a context in which the bucket is reached through an outage, asked again for `patience` s."""

    @contextmanager
    def reached(outage, patience=None):
        with in_front_of(server, outage) as address, monkeypatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", address)
            if patience is not None:
                brief = {"init_backoff": timedelta(seconds=0.02), "max_backoff": timedelta(seconds=0.2), "base": 4}
                retry = {"retry_timeout": timedelta(seconds=patience), "backoff": brief}
                patch.setattr(remote, "_LATER", {**remote._LATER, **retry})
            yield address

    return reached


@pytest.mark.parametrize("trouble", TROUBLES)
def test_an_outage_in_the_middle_of_a_run_is_bridged(trouble, to_bucket, through, local, cubes):
    outage = Outage(trouble, seconds=0.5, after=3)
    with through(outage, patience=20):
        to_bucket().close()
    assert outage.met > 0 and cubes() == files(local)


@pytest.mark.slow
@pytest.mark.parametrize("trouble", TROUBLES)
def test_an_outage_of_two_minutes_is_bridged(trouble, to_bucket, through, local, cubes):
    outage = Outage(trouble, seconds=120, after=3)
    with through(outage):
        to_bucket().close()
    # Some questions a minute, not thousands: who is in trouble is left in peace.
    assert 3 <= outage.met < 100 and cubes() == files(local)


@pytest.mark.parametrize(("trouble", "says"), [("503", "answers 503 Service Unavailable"), ("cut", "does not answer")])
def test_a_longer_outage_ends_in_one_line_and_the_same_command_goes_on_from_the_blocks_that_are_there(
    trouble, says, to_bucket, through, local, cubes
):
    outage = Outage(trouble, seconds=1e6, after=15)
    first: list[int] = []
    with through(outage, patience=0.5) as address:
        line = refused(lambda: to_bucket(replace(OPTIONS, progress=lambda done, *_: first.append(done))))
        assert f"{address} {says}" in line and line.endswith("mend it and run the same command again")
        assert "finished blocks are kept in " in line and 0 < first[-1] < BLOCKS
        with pytest.raises(CubeError):
            open_cube(URL)
        outage.end()
        again: list[int] = []
        to_bucket(replace(OPTIONS, progress=lambda done, *_: again.append(done))).close()
    assert again == list(range(first[-1] + 1, BLOCKS + 1))
    assert cubes() == files(local) and list(Path().iterdir()) == []
