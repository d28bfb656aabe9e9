"""Cubes that grow where nothing can be linked: files of months, and stores in buckets."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from append_case import Killed, dying, read, same
from production_case import GRID, make_bundle, make_frame
from s3_case import URL, fresh_bucket, running_server

from aqreanalysis.common.remote import open_objects
from aqreanalysis.configs import ProductionConfig
from aqreanalysis.errors import CubeError, Interrupted, OutputError
from aqreanalysis.model.protocol import load_predictor
from aqreanalysis.observations import from_frame
from aqreanalysis.production import ProduceOptions, open_cube, produce, produce_cubes
from aqreanalysis.production.stores import bucket

OPTIONS = ProduceOptions(production=ProductionConfig(block_days=2, tile_rows=4, tile_columns=9), threads=1)
# Eight days of readings, over the end of a month and of a year.
SHIFT = pd.Timedelta(days=-4)
START, OLD_END, NEW_END = "2018-12-29", "2019-01-01T06:00", "2019-01-03"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_predictor(make_bundle(tmp_path_factory.mktemp("model") / "bundle"), "cpu")


@pytest.fixture(scope="module")
def frame():
    frame = make_frame()
    return frame.assign(time=frame["time"] + SHIFT)


@pytest.fixture(scope="module")
def newer(frame):
    return read(frame, "2019-01-04")


def loaded(path) -> xr.Dataset:
    with open_cube(path) as cube:
        return cube.load()


class TestFilesOfMonths:
    split = replace(OPTIONS, split="month")

    def grow(self, model, observations, out, end=NEW_END, **more):
        options = replace(self.split, append=True, **more)
        for cube in produce_cubes(model, observations, GRID, (None, end), out, options).values():
            cube.close()

    @pytest.fixture
    def old(self, model, frame, tmp_path):
        """Return the name of a cube of two files, made when its last hour had just ended."""
        out = tmp_path / "x.nc"
        for cube in produce_cubes(model, read(frame, OLD_END), GRID, (START, OLD_END), out, self.split).values():
            cube.close()
        return out

    @pytest.fixture(scope="class")
    def whole(self, model, newer, tmp_path_factory):
        out = tmp_path_factory.mktemp("whole") / "x.nc"
        for cube in produce_cubes(model, newer, GRID, (START, "2019-01-03"), out, self.split).values():
            cube.close()
        return out.parent

    def test_the_last_file_grows_new_ones_follow_and_say_what_was_done(self, model, newer, whole, old):
        said: list[str] = []
        self.grow(model, newer, old, say=said.append)
        assert sorted(p.name for p in old.parent.iterdir()) == ["x_201812.nc", "x_201901.nc"]
        # The last day of the year reads a day ahead, which had not been observed.
        assert said[0].endswith("x_201812.nc: 24 hours (2018-12-31T00:00 to 2019-01-01T00:00) computed anew")
        assert "x_201901.nc: 42 hours (2019-01-01T06:00 to 2019-01-03T00:00) added, 6 hours" in said[1]
        for name in ("x_201812.nc", "x_201901.nc"):
            same(loaded(old.with_name(name)), loaded(whole / name))

    def test_files_that_nothing_changes_stay_as_they_are(self, model, frame, newer, whole, old):
        self.grow(model, read(frame, "2019-01-02T06:00"), old, "2019-01-02T06:00")
        december = old.with_name("x_201812.nc")
        before, state = loaded(december), december.stat()
        said: list[str] = []
        self.grow(model, newer, old, say=said.append)
        assert [line.split(":")[0] for line in said] == [str(old.with_name("x_201901.nc"))]
        assert december.stat().st_mtime_ns == state.st_mtime_ns
        for name in before.data_vars:
            np.testing.assert_array_equal(before[name], loaded(whole / "x_201812.nc")[name], err_msg=str(name))
        same(loaded(old.with_name("x_201901.nc")), loaded(whole / "x_201901.nc"))
        self.grow(model, newer, old, say=said.append)
        assert said[-1].endswith("nothing to add and nothing to compute anew")

    def test_late_readings_of_an_old_month_renew_its_file(self, model, frame, newer, whole, old):
        late = frame["time"].between(pd.Timestamp("2018-12-29T20:00"), pd.Timestamp("2018-12-29T22:00"))
        for path in old.parent.glob("*.nc"):
            path.unlink()
        first = from_frame(frame[~late & (frame["time"] <= pd.Timestamp(OLD_END))])
        for cube in produce_cubes(model, first, GRID, (START, OLD_END), old, self.split).values():
            cube.close()
        self.grow(model, newer, old)
        for name in ("x_201812.nc", "x_201901.nc"):
            same(loaded(old.with_name(name)), loaded(whole / name))

    def test_files_from_the_beginning_may_be_gone_but_none_between(self, model, frame, newer, whole, old):
        old.with_name("x_201812.nc").rename(old.with_name("kept.nc"))
        self.grow(model, newer, old)
        grown, wanted = loaded(old.with_name("x_201901.nc")), loaded(whole / "x_201901.nc")
        for name in wanted.data_vars:
            np.testing.assert_allclose(grown[name], wanted[name], rtol=1e-5, err_msg=str(name))
        shutil.copy(whole / "x_201901.nc", old.with_name("x_201902.nc"))
        with pytest.raises(OutputError, match=r"x_201901.nc ends 2019-01-03T00:00 and .*x_201902.nc begins .*missing"):
            self.grow(model, newer, old)
        for path in old.parent.glob("x_*.nc"):
            path.unlink()
        with pytest.raises(OutputError, match=r"there is no cube .*x_\*.nc with a file a month to append to"):
            self.grow(model, newer, old)

    @pytest.mark.parametrize("calls", [0, 1])
    def test_killed_between_its_renames_the_same_command_goes_on(self, calls, model, newer, whole, old, monkeypatch):
        from aqreanalysis.production.stores import netcdf

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(netcdf, "rename_file", dying(netcdf.rename_file, calls))
            self.grow(model, newer, old)
        self.grow(model, newer, old)
        assert sorted(p.name for p in old.parent.iterdir()) == ["x_201812.nc", "x_201901.nc"]
        for name in ("x_201812.nc", "x_201901.nc"):
            assert loaded(old.with_name(name)).history.count("appended") == 1
            same(loaded(old.with_name(name)), loaded(whole / name))

    def test_days_grow_with_the_hours(self, model, frame, newer, tmp_path):
        begin, old, end = "2018-12-29", "2019-01-01", "2019-01-03"
        both = replace(self.split, frequencies=("hourly", "daily"))
        for folder, observations, until in (("x", read(frame, old), old), ("whole", newer, end)):
            (tmp_path / folder).mkdir()
            out = tmp_path / folder / "x.nc"
            for cube in produce_cubes(model, observations, GRID, (begin, until), out, both).values():
                cube.close()
        grown = replace(both, append=True)
        for cube in produce_cubes(model, newer, GRID, (None, end), tmp_path / "x" / "x.nc", grown).values():
            cube.close()
        names = sorted(path.name for path in (tmp_path / "whole").iterdir())
        assert names == sorted(path.name for path in (tmp_path / "x").iterdir()) and len(names) == 4
        for name in names:
            same(loaded(tmp_path / "x" / name), loaded(tmp_path / "whole" / name))


class TestBuckets:
    @pytest.fixture(scope="class")
    def server(self):
        with running_server() as address:
            yield address

    @pytest.fixture
    def objects(self, server, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        return fresh_bucket(server, monkeypatch)

    @pytest.fixture
    def old(self, model, frame, objects):
        """Return the objects of a cube in a bucket, made when its last hour had just ended."""
        produce(model, read(frame, OLD_END), GRID, START, OLD_END, URL, OPTIONS).close()
        return objects()

    @pytest.fixture
    def whole(self, model, newer, tmp_path, objects):
        with produce(model, newer, GRID, START, NEW_END, tmp_path / "whole" / "x.zarr", OPTIONS) as cube:
            return cube.load()

    def test_a_cube_grows_to_that_of_one_run_and_what_stays_is_not_written_again(
        self, model, newer, old, whole, objects, tmp_path, monkeypatch
    ):
        import obstore

        moved, copy = [], obstore.copy
        monkeypatch.setattr(obstore, "copy", lambda *given: (moved.append(given[2]), copy(*given)))
        said: list[str] = []
        append = replace(OPTIONS, append=True, say=said.append)
        with produce(model, newer, GRID, None, NEW_END, URL, append) as cube:
            same(cube.load(), whole.copy())
            assert "42 hours" in cube.attrs.get("history", said[0]) and "computed anew" in said[0]
        now = objects()
        kept = [name for name in old if name.startswith("some/x.zarr/pm2p5/0.")]
        assert (
            kept
            and not {name.removeprefix("some/") for name in kept} & set(moved)
            and all(now[name] == old[name] for name in kept)
        )
        assert {name.split("/")[-1].split(".")[0] for name in moved if "/pm2p5/" in name} == {"2", "3", "4"}
        assert not [name for name in now if ".part" in name] and [p.name for p in tmp_path.iterdir()] == ["whole"]
        produce(model, newer, GRID, None, NEW_END, URL, append).close()
        assert said[-1] == f"{URL}: nothing to add and nothing to compute anew" and objects() == now

    @pytest.mark.parametrize("calls", [0, 3])
    def test_the_old_cube_is_whole_until_the_new_one_is_and_killed_on_the_way_the_same_command_goes_on(
        self, calls, model, newer, old, whole, objects, tmp_path, monkeypatch
    ):
        import obstore

        append = replace(OPTIONS, append=True)
        stop = replace(append, progress=lambda done, *_: done == 5 and os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Interrupted):
            produce(model, newer, GRID, None, NEW_END, URL, stop)
        assert {name: data for name, data in objects().items() if name.startswith("some/x.zarr/")} == old

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(obstore, "copy", dying(obstore.copy, calls))
            produce(model, newer, GRID, None, NEW_END, URL, append)
        assert not bucket.BucketUrl.of(URL).holds_cube(), "never a mixed one"
        with produce(model, newer, GRID, None, NEW_END, URL, append) as cube:
            assert cube.history.count("appended") == 1
            same(cube.load(), whole.copy())
        assert [p.name for p in tmp_path.iterdir()] == ["whole"]

    def test_a_second_run_from_elsewhere_and_what_does_not_continue_it_are_refused(
        self, model, newer, old, objects, tmp_path, monkeypatch
    ):
        import obstore

        append = replace(OPTIONS, append=True)
        with pytest.raises(OutputError, match="Zarr format of pm2p5 is 2 there and 3 here"):
            produce(model, newer, GRID, None, NEW_END, URL, replace(append, zarr_format=3))
        assert objects() == old and list(tmp_path.iterdir()) == []
        stop = replace(append, progress=lambda done, *_: done == 5 and os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Interrupted):
            produce(model, newer, GRID, None, NEW_END, URL, stop)
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        with pytest.raises(OutputError, match="is being written, or was left unfinished, by the run in"):
            produce(model, newer, GRID, None, NEW_END, URL, append)
        monkeypatch.chdir(tmp_path)
        produce(model, newer, GRID, None, NEW_END, URL, append).close()
        obstore.delete(open_objects(URL), "pm2p5/0.1.0")
        late = "2019-01-03T12:00"
        with pytest.raises(CubeError, match=r"s3://.* is damaged: the chunk of pm2p5 at step 0, row 4, column 0"):
            produce(model, newer, GRID, None, late, URL, append)
