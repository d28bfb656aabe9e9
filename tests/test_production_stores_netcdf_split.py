"""Monthly and yearly files of one run: each a whole cube, together the cube of one file, resumed and refused as one."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from production_case import GRID, block_values, make_bundle, make_frame, make_template

from aqreanalysis.configs import ProductionConfig
from aqreanalysis.errors import ConfigError, OutputError
from aqreanalysis.model.protocol import load_predictor
from aqreanalysis.observations import from_frame
from aqreanalysis.production import ProduceOptions, describe_cube, produce, produce_cubes
from aqreanalysis.production.plan import Plan
from aqreanalysis.production.plan.blocks import make_mean_plan, part_plan, parts_of
from aqreanalysis.production.stores.netcdf import ChunkFolder, ChunkPart, create_chunks
from aqreanalysis.validation import ValidateOptions, validate

# A block of two days lies across the end of the month.
OPTIONS = ProduceOptions(production=ProductionConfig(block_days=2, tile_rows=4, tile_columns=9))
SPLIT = replace(OPTIONS, split="month")
START, END = "2019-01-30", "2019-02-03"


@pytest.fixture(scope="module")
def observations():
    frame = make_frame()
    return from_frame(frame.assign(time=frame["time"] + np.timedelta64(28, "D")))  # 29 January to 6 February


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_predictor(make_bundle(tmp_path_factory.mktemp("model") / "bundle"), "cpu")


@pytest.fixture(scope="module", autouse=True)
def clock():
    patch = pytest.MonkeyPatch()
    patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    yield
    patch.undo()


def test_files_of_months_hold_together_what_one_file_holds_and_say_their_own_span(model, observations, tmp_path):
    parts = produce_cubes(model, observations, GRID, (START, END), tmp_path / "x.nc", SPLIT)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x_201901.nc", "x_201902.nc"]
    with produce(model, observations, GRID, START, END, tmp_path / "whole.nc", OPTIONS) as whole:
        whole.load()
    for (name, part), hours, first in zip(parts.items(), (slice(0, 48), slice(48, 96)), (30, 1), strict=True):
        path = tmp_path / f"x_{name.rpartition('_')[2]}.nc"
        wanted = whole.isel(time=hours)
        assert part.time_coverage_start == f"2019-{path.stem[-2:]}-{first:02d}T00:00:00Z"
        assert part.time_coverage_duration == "PT48H" and f"-{path.stem[-2:]}-" in part.title
        xr.testing.assert_equal(part.load(), wanted)
        part.close()
        assert [f for f in validate(path, ValidateOptions(checker=False)).findings if f.severity == "error"] == []
    described = describe_cube(tmp_path / "x_201902.nc")
    assert (described["hours"], described["frequency"]) == (48, "hourly")


def test_files_of_months_are_joined_by_clients_and_average_to_whole_days(model, observations, tmp_path):
    for part in produce_cubes(model, observations, GRID, (START, END), tmp_path / "x.nc", SPLIT).values():
        part.close()
    files = [str(tmp_path / f"x_2019{month}.nc") for month in ("01", "02")]
    with xr.open_mfdataset(files) as joined:
        assert joined.sizes["time"] == 96
        assert not any("time" in joined[name].dims for name in ("crs", "lat_bnds", "lon_bnds", "quantization_info"))
        days = joined["pm2p5"].resample(time="1D")
        assert {len(day.time) for _, day in days} == {24} and len(days) == 4
        wanted = days.mean().values
        months = joined["pm2p5"].resample(time="MS").count().sizes["time"]
    assert months == 2
    for join, average in ((["ncrcat", *files], None), (["cdo", "-s", "mergetime", *files], "daymean")):
        if shutil.which(join[0]) is None:
            continue
        subprocess.run([*join, str(tmp_path / f"{join[0]}.nc")], check=True)
        with xr.open_dataset(tmp_path / f"{join[0]}.nc") as whole:
            assert whole.sizes["time"] == 96
        if average is not None:
            subprocess.run(["cdo", "-s", average, str(tmp_path / "cdo.nc"), str(tmp_path / "days.nc")], check=True)
            with xr.open_dataset(tmp_path / "days.nc") as found:
                np.testing.assert_allclose(found["pm2p5"].values, wanted, rtol=1e-5)


def test_files_that_exist_are_refused_before_anything_is_read_and_replaced_when_told(model, observations, tmp_path):
    (tmp_path / "x_201902.nc").write_text("another cube")
    with pytest.raises(OutputError, match=r"x_201902.nc exists"):
        produce_cubes(model, observations, GRID, (START, END), tmp_path / "x.nc", SPLIT)
    assert [p.name for p in tmp_path.iterdir()] == ["x_201902.nc"]
    told = replace(SPLIT, overwrite=True)
    produce_cubes(model, observations, GRID, (START, END), tmp_path / "x.nc", told)["hourly_201902"].close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x_201901.nc", "x_201902.nc"]


def test_killed_between_two_files_and_between_two_renames_the_same_command_completes_them(
    model, observations, tmp_path, monkeypatch
):
    from aqreanalysis.production.stores import netcdf

    class Killed(BaseException):
        pass

    def dies_after(function, calls):
        left = [calls]

        def wrapped(*args):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return function(*args)

        return wrapped

    def go(folder):
        folder.mkdir(exist_ok=True)
        cubes = produce_cubes(model, observations, GRID, (START, END), folder / "x.nc", SPLIT)
        for cube in cubes.values():
            cube.close()
        return {p.name: p.read_bytes() for p in folder.iterdir()}

    whole = go(tmp_path / "whole")
    for name in ("write_netcdf", "rename_file"):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(netcdf, name, dies_after(getattr(netcdf, name), 1))
            go(tmp_path / "killed")
    assert sorted(p.name for p in (tmp_path / "killed").iterdir()) == ["x.nc.part", "x_201901.nc"]
    assert go(tmp_path / "killed") == whole


def test_a_store_is_not_split_and_one_call_that_gives_one_cube_gives_no_files(model, observations, tmp_path):
    with pytest.raises(OutputError, match="only NetCDF is split"):
        produce_cubes(model, observations, GRID, (START, END), tmp_path / "x.zarr", SPLIT)
    with pytest.raises(ConfigError, match="not one a month: call produce_cubes"):
        produce(model, observations, GRID, START, END, tmp_path / "x.nc", SPLIT)
    with pytest.raises(ConfigError, match="split 'week': give none, month, year"):
        replace(OPTIONS, split="week")
    assert list(tmp_path.iterdir()) == []


def test_steps_belong_to_the_month_in_which_they_begin_by_the_clock_that_is_asked_for():
    first = int(np.datetime64("2018-12-30T01", "h").astype(int))
    plan = Plan(first, 24 * 40, 7, 9, (24, 7, 9), 4)
    assert list(parts_of(plan, "month")) == [("201812", (0, 48)), ("201901", (48, 792)), ("201902", (792, 960))]
    assert list(parts_of(plan, "year")) == [("2018", (0, 48)), ("2019", (48, 960))]
    assert next(parts_of(plan, "month", 8)) == ("201812", (0, 40))
    daily = make_mean_plan(plan, "daily", 4)
    assert list(parts_of(daily, "month")) == [("201812", (0, 2)), ("201901", (2, 33)), ("201902", (33, 40))]
    part = part_plan(daily, (2, 33))
    np.testing.assert_array_equal(part.bounds, daily.bounds[2:33])
    assert (part.hours, part.first_hour) == (31 * 24, first + 48)
    year = make_mean_plan(Plan(first + 48, 24 * 365, 7, 9, (24, 7, 9), 4), "annual", 4)
    with pytest.raises(ConfigError, match="longer than a month"):
        list(parts_of(year, "month"))


@settings(max_examples=10, deadline=None)
@given(start=st.integers(0, 29), length=st.integers(1, 30))
def test_any_run_of_steps_reads_back_from_the_chunks_of_the_whole(start, length, tmp_path_factory):
    template = make_template()
    folder = tmp_path_factory.mktemp("part")
    create_chunks(folder / "x.chunks", template, 1)
    whole = ChunkFolder(folder / "x.chunks")
    wanted = np.empty((30, 7, 9), np.float32)
    for number in range(template.plan.blocks):
        block = template.plan.get_block(number)
        values = block_values(template, block)
        whole.write(block, values)
        wanted[block.region] = values["pm2p5"]
    steps = start, min(start + length, 30)
    plan = part_plan(template.plan, steps)
    part = ChunkPart(whole, replace(template, plan=plan), steps[0])
    found = np.empty((plan.steps, 7, 9), np.float32)
    for number in range(plan.blocks):
        block = plan.get_block(number)
        values = part.forms["pm2p5"].decode(part.read("pm2p5", block))
        found[block.region] = values[tuple(slice(s.stop - s.start) for s in block.region)]
    np.testing.assert_array_equal(found, wanted[slice(*steps)])
