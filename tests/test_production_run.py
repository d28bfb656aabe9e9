"""`produce` as a whole: what it writes, what it refuses, and that both formats hold the same numbers."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr
import zarr
from production_case import END, GRID, START, TILES, make_bundle, make_frame, make_observations, small_grid, tiled

from aqreanalysis.configs import MetadataConfig, ProductionConfig
from aqreanalysis.errors import ConfigError, GridError, ModelError, OutputError
from aqreanalysis.model.bundle import read_bundle, write_bundle
from aqreanalysis.observations import read_observations
from aqreanalysis.production import ProduceOptions, describe_cube, open_cube, produce
from aqreanalysis.production.dry_run.trial import measure_rates
from aqreanalysis.production.plan.prepare import prepare
from aqreanalysis.production.stores.outputs import Outputs
from aqreanalysis.validation import validate

OPTIONS = ProduceOptions(production=TILES)


@pytest.fixture(scope="module")
def observations():
    return make_observations()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture(scope="module")
def pair(model, observations, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    clock = pytest.MonkeyPatch()
    clock.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for name in ("a.nc", "a.zarr"):
        produce(model, observations, GRID, START, END, folder / name, OPTIONS).close()
    clock.undo()
    return folder / "a.nc", folder / "a.zarr"


def test_clients_that_average_by_the_stamp_find_whole_days(pair, tmp_path):
    with xr.open_dataset(pair[0]) as cube:
        days = cube["pm2p5"].resample(time="1D")
        assert {len(day.time) for _, day in days} == {24} and len(days) == 4
        assert cube.sel(time="2019-01-04").sizes["time"] == 24
        mean = cube["pm2p5"].sel(time="2019-01-04").mean("time").values
    if shutil.which("cdo"):
        subprocess.run(["cdo", "-s", "daymean", str(pair[0]), str(tmp_path / "d.nc")], check=True)
        with xr.open_dataset(tmp_path / "d.nc") as days:
            assert days.sizes["time"] == 4
            np.testing.assert_allclose(days["pm2p5"].values[1], mean, rtol=1e-5)
    if shutil.which("ncra"):
        command = ["ncra", "-v", "pm2p5", "-d", "time,24,47", str(pair[0]), str(tmp_path / "r.nc")]
        subprocess.run(command, check=True)
        with xr.open_dataset(tmp_path / "r.nc") as record:
            np.testing.assert_allclose(record["pm2p5"].values[0], mean, rtol=1e-5)


@pytest.mark.parametrize(("stamp", "first"), [("start", "2019-01-03T00:00"), ("end", "2019-01-03T01:00")])
def test_a_step_can_be_stamped_at_either_end_of_its_bounds(stamp, first, production_files, tmp_path):
    out = tmp_path / "x.nc"
    with produce(*production_files, GRID, START, "2019-01-04", out, tiled(stamp=stamp)) as cube:
        assert (
            str(cube.time.values[0])[:16] == first and cube.time.attrs["long_name"] == f"{stamp} of the averaging hour"
        )
        assert str(cube.time_bnds.values[0, 0])[:16] == "2019-01-03T00:00"
    told = describe_cube(out)
    assert (told["stamp"], told["conventions"]) == (stamp, "2")
    with pytest.raises(OutputError, match=f"stamp is {stamp} there and middle here"):
        produce(*production_files, GRID, None, "2019-01-05", out, tiled(append=True))


def test_what_was_opened_can_be_saved_in_either_form(pair, tmp_path):
    for path in pair:
        saved = [tmp_path / f"{path.suffix[1:]}_again{suffix}" for suffix in (".zarr", ".nc")]
        with open_cube(path) as cube:
            cube.to_zarr(saved[0])
            cube.to_netcdf(saved[1])
        for where in saved:
            with open_cube(where) as again, open_cube(path) as cube:
                np.testing.assert_array_equal(again["pm2p5"].values, cube["pm2p5"].values)
                np.testing.assert_array_equal(again["time_bnds"].values, cube["time_bnds"].values)


def test_the_hours_are_those_between_start_and_end_stamped_in_their_middle(pair):
    with xr.open_dataset(pair[0]) as cube:
        assert cube.sizes["time"] == 96
        assert str(cube.time.values[0])[:16] == "2019-01-03T00:30"
        assert str(cube.time.values[-1])[:16] == "2019-01-06T23:30"
        np.testing.assert_array_equal(cube.time_bnds.mean("bnds"), cube.time)
        assert (cube.time_bnds[:, 1] - cube.time_bnds[:, 0] == np.timedelta64(1, "h")).all()


def test_a_record_that_stays_in_its_file_makes_the_same_cube_and_plan_and_is_never_read_whole(
    model, observations, pair, tmp_path, monkeypatch
):
    path = observations.to_netcdf(tmp_path / "obs.nc")
    monkeypatch.setattr("aqreanalysis.observations.backing.READINGS_IN_MEMORY", 0)
    kept = read_observations(path)
    assert not kept.in_memory
    for name in ("dataset", "values", "to_array", "flags"):
        monkeypatch.setattr(type(kept), name, property(lambda self: pytest.fail("all readings at once")))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    produce(model, kept, GRID, START, END, tmp_path / "a.zarr", OPTIONS).close()
    with xr.open_zarr(tmp_path / "a.zarr") as one, xr.open_zarr(pair[1]) as other:
        xr.testing.assert_identical(one.load(), other.load())
    prepared = prepare(model, kept, GRID, (START, END), OPTIONS)
    stores = Outputs.of("x.zarr", ("hourly",)).open(OPTIONS, 1)
    assert measure_rates(prepared, stores, tmp_path, 1).observations_bytes == 0


def test_netcdf_and_zarr_hold_the_same_numbers(pair):
    with xr.open_dataset(pair[0]) as one, xr.open_dataset(pair[1], engine="zarr") as other:
        one = one.drop_vars("chunk_digests")  # a group of its own in the store
        assert set(one.variables) == set(other.variables)
        for name in one.variables:
            np.testing.assert_array_equal(one[name].values, other[name].values, err_msg=str(name))
            assert one[name].dims == other[name].dims
        assert dict(one.attrs) == dict(other.attrs)
        assert one.date_created == "2023-11-14T22:13:20Z"


def test_missing_is_minus_9999_in_netcdf_and_nan_in_zarr(model, observations, tmp_path):
    grid = small_grid(mask=True)
    produce(model, observations, grid, START, "2019-01-04", tmp_path / "m.nc", OPTIONS).close()
    produce(model, observations, grid, START, "2019-01-04", tmp_path / "m.zarr", OPTIONS).close()
    with netCDF4.Dataset(tmp_path / "m.nc") as file:
        file.set_auto_maskandscale(False)
        raw = {name: file[name][:] for name in ("pm2p5", "pm2p5_upper", "observations_used", "quality_flag")}
    out = ~grid.mask
    assert (raw["pm2p5"][:, out] == -9999).all() and (raw["pm2p5_upper"][:, out] == -9999).all()
    assert (raw["observations_used"][:, out] == -1).all() and (raw["quality_flag"][:, out] == 16).all()
    assert (raw["pm2p5"][:, grid.mask] >= 0).all() and (raw["quality_flag"][:, grid.mask] & 16 == 0).all()
    stored = zarr.open_group(tmp_path / "m.zarr", mode="r")["pm2p5"][:]
    assert np.isnan(stored[:, out]).all() and np.isfinite(stored[:, grid.mask]).all()


def test_bounds_enclose_the_estimate_and_nothing_is_negative(pair):
    with xr.open_dataset(pair[0]) as cube:
        assert (cube.pm2p5_lower <= cube.pm2p5).all() and (cube.pm2p5 <= cube.pm2p5_upper).all()
        assert (cube.pm2p5_lower >= 0).all() and (cube.pm2p5_standard_error > 0).all()
        assert float(cube.pm2p5.std()) > 0.1


def test_flags_name_the_hour_without_observation_and_the_forecast_hours(model, observations, tmp_path):
    with produce(model, observations, GRID, "2019-01-04", "2019-01-09T12:00", tmp_path / "f.nc", OPTIONS) as cube:
        flag = cube.quality_flag.transpose("time", ...).values.reshape(cube.sizes["time"], -1)
        hours = np.arange(cube.sizes["time"]) + 72
        assert ((flag & 2 != 0).all(axis=1) == (hours == 90)).all()
        assert ((flag & 1 != 0).all(axis=1) == (hours >= 192)).all()
        np.testing.assert_array_equal(cube.forecast_lead_time, np.maximum(hours - 191, 0))
        assert ((flag & 8 != 0) == (cube.observations_used.values.reshape(flag.shape) < 4)).all()
        assert np.isfinite(cube.pm2p5).all()
    found = validate(tmp_path / "f.nc").findings
    assert [f.rule for f in found] == ["acdd"], "the layer of the hours after the last reading is one of the program's"


def test_cells_far_from_the_network_are_flagged_by_the_distance_layer(model, observations, tmp_path):
    limit = ProductionConfig(extrapolation_km=15.0)
    with produce(
        model, observations, GRID, START, "2019-01-04", tmp_path / "d.zarr", ProduceOptions(production=limit)
    ) as cube:
        far = cube.nearest_station_distance.values > 15
        assert 0 < far.sum() < far.size
        assert ((cube.quality_flag.values & 4 != 0) == far).all()


def test_cells_beyond_the_reach_of_calibration_are_flagged_by_default(observations, tmp_path):
    bundle = read_bundle(make_bundle(tmp_path / "model", ("pm25", "o3")))
    bundle.calibration["pm25"] = dataclasses.replace(bundle.calibration["pm25"], reach_km=15.0)
    model = write_bundle(bundle, tmp_path / "reached")
    with produce(model, observations, GRID, START, "2019-01-04", tmp_path / "d.zarr", OPTIONS) as cube:
        for name, km, source in (("pm2p5", 15.0, "were calibrated"), ("o3", 50.0, "the model does not say how far")):
            flag = cube[f"{name}_quality_flag"]
            assert flag.attrs["extrapolation_km"] == km and source in flag.attrs["comment"]
            far = cube[f"{name}_nearest_station_distance"].values > km
            assert ((flag.values & 4 != 0) == far).all() and far.any() and not far.all()
        assert "blank" not in str(cube.attrs.get("comment", "")) and np.isfinite(cube.pm2p5).all()


def test_a_cube_says_beyond_which_distance_it_is_left_blank(model, observations, tmp_path):
    limit = ProductionConfig(blank_beyond_km=20.0)
    options = ProduceOptions(production=limit)
    with produce(model, observations, GRID, START, "2019-01-04", tmp_path / "d.nc", options) as cube:
        assert "Cells farther than 20 km from every station that reports are left blank." in cube.attrs["comment"]
        far = cube.nearest_station_distance.values > 20
        assert 0 < far.sum() < far.size
        for name in ("pm2p5", "pm2p5_standard_error", "pm2p5_lower", "pm2p5_upper"):
            assert cube[name].attrs["blank_beyond_km"] == 20.0
            np.testing.assert_array_equal(np.isnan(cube[name].values), far)
    with netCDF4.Dataset(tmp_path / "d.nc") as file:
        file.set_auto_maskandscale(False)
        assert (file["pm2p5"][:][far] == -9999).all()


def test_several_species_have_a_flag_and_a_count_each_and_thresholds_a_probability(observations, tmp_path):
    model = make_bundle(tmp_path / "two", ("pm25", "o3"))
    options = ProduceOptions(production=TILES, thresholds={"pm25": (35.0, 75.5)})
    with produce(model, observations, GRID, START, "2019-01-04", tmp_path / "two.nc", options) as cube:
        for layer in ("pm2p5", "o3"):
            names = cube[layer].attrs["ancillary_variables"].split()
            assert f"{layer}_quality_flag" in names and set(names) <= set(cube.variables)
        low, high = cube.pm2p5_exceedance_35.values, cube.pm2p5_exceedance_75p5.values
        assert ((low >= high) & (high >= 0) & (low <= 1)).all()
        # The median is above a threshold exactly where exceeding it is more likely than not.
        sure = np.abs(low - 0.5) > 0.01
        assert ((low > 0.5) == (cube.pm2p5.values > 35))[sure].all()
        assert len({v.attrs["long_name"] for v in cube.data_vars.values()}) == len(cube.data_vars)


def test_a_species_alone_has_the_numbers_it_has_among_others(observations, tmp_path):
    model = make_bundle(tmp_path / "two", ("pm25", "o3"))
    both = produce(model, observations, GRID, START, "2019-01-04", tmp_path / "both.zarr", OPTIONS)
    alone = produce(
        model,
        observations,
        GRID,
        START,
        "2019-01-04",
        tmp_path / "o3.zarr",
        ProduceOptions(production=TILES, species=["o3"]),
    )
    assert "pm2p5" not in alone and "quality_flag" in alone
    np.testing.assert_array_equal(both.o3_upper.values, alone.o3_upper.values)


def test_a_path_and_the_objects_behind_it_give_the_same_cube(model, pair, tmp_path):
    from aqreanalysis.model.protocol import load_predictor

    table = tmp_path / "obs.parquet"
    make_frame().to_parquet(table)
    with (
        produce(load_predictor(model), table, small_grid(), START, END, tmp_path / "b.zarr", OPTIONS) as cube,
        xr.open_dataset(pair[1], engine="zarr") as other,
    ):
        np.testing.assert_array_equal(cube.pm2p5.values, other.pm2p5.values)


def test_progress_counts_every_block_and_ends_at_the_total(model, observations, tmp_path):
    told: list[tuple[int, int, str]] = []
    options = ProduceOptions(production=TILES, progress=lambda *a: told.append(a))
    produce(model, observations, GRID, START, END, tmp_path / "p.zarr", options).close()
    assert [t[0] for t in told] == list(range(1, 37)) and {t[1] for t in told} == {36}
    assert "cell-hours/s" in told[-1][2]


def test_the_returned_dataset_can_be_saved_again_from_either_format(pair, tmp_path):
    from aqreanalysis.production import open_cube

    for path in pair:
        with open_cube(path) as cube:
            cube.isel(time=slice(0, 2)).to_netcdf(tmp_path / f"{path.suffix[1:]}.nc")
        with xr.open_dataset(tmp_path / f"{path.suffix[1:]}.nc") as again:
            assert again.sizes["time"] == 2


def test_a_fresh_process_that_opens_a_cube_with_no_engine_named_ends_well(pair):
    # eccodeslib 2.48 and later crashes such a process at its exit (139 or 134), after the right output.
    code = f"import xarray; print(float(xarray.open_dataset({str(pair[0])!r}).pm2p5.mean()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"out": "a.tif"}, OutputError, "must end in .nc or .zarr"),
        ({"start": "2019-01-07", "end": "2019-01-03"}, OutputError, "not before end"),
        ({"start": "monday"}, OutputError, "no date"),
        ({"start": "2021-01-01", "end": "2021-01-02"}, OutputError, "span 2019-01-01T00:00 to 2019-01-09T00:00"),
        ({"start": "2018-12-31"}, OutputError, "begins before"),
        ({"end": "2019-02-01"}, OutputError, "at most 24 h beyond"),
        ({"grid": "-10,50,-8,52@0.5"}, OutputError, "far from every station"),
        ({"grid": "116,39,118,40.5@0.4"}, GridError, "0.4"),
        ({"species": ["so2"]}, ModelError, "does not estimate so2"),
        ({"thresholds": {"o3": (100.0,)}}, ConfigError, "not estimated here"),
        ({"metadata": MetadataConfig(institution="Universit\u00e4t")}, ConfigError, "not ASCII"),
        ({"model": "nowhere"}, ModelError, "nowhere"),
    ],
)
def test_wrong_input_is_one_clear_line_and_leaves_nothing_behind(
    change, error, words, model, observations, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    given = {"model": model, "grid": GRID, "start": START, "end": END, "out": "a.nc"} | {
        k: v for k, v in change.items() if k in ("model", "grid", "start", "end", "out")
    }
    options = ProduceOptions(
        production=TILES, **{k: v for k, v in change.items() if k in ("species", "thresholds", "metadata")}
    )
    with pytest.raises(error, match=words) as caught:
        produce(given["model"], observations, given["grid"], given["start"], given["end"], given["out"], options)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_a_common_pollutant_is_refused(observations, tmp_path):
    from aqreanalysis.observations import from_frame

    model = make_bundle(tmp_path / "o3", ("o3",))
    only = from_frame(make_frame().drop(columns="o3"))
    with pytest.raises(ModelError, match="no common pollutant"):
        produce(model, only, GRID, START, END, tmp_path / "x.nc", OPTIONS)


def test_an_output_that_exists_is_refused_and_kept_and_replaced_when_told(model, observations, pair, tmp_path):
    for path in (tmp_path / "x.nc", tmp_path / "x.zarr"):
        produce(model, observations, GRID, START, "2019-01-04", path, OPTIONS).close()
        with pytest.raises(OutputError, match="exists"):
            produce(model, observations, GRID, START, "2019-01-05", path, OPTIONS)
        with xr.open_dataset(path) as kept:
            assert kept.sizes["time"] == 24
        again = ProduceOptions(production=TILES, overwrite=True)
        with produce(model, observations, GRID, START, "2019-01-05", path, again) as cube:
            assert cube.sizes["time"] == 48
        assert sorted(p.name for p in tmp_path.iterdir() if "part" in p.name) == []


def test_metadata_of_the_user_reaches_the_cube_and_nothing_personal_is_made_up(model, observations, pair, tmp_path):
    told = MetadataConfig(title="My field", institution="Institute", creator_name="A. Person", comment="A note.")
    options = ProduceOptions(production=TILES, metadata=told)
    with produce(model, observations, GRID, START, "2019-01-04", tmp_path / "m.nc", options) as cube:
        assert (cube.title, cube.institution, cube.creator_name) == ("My field", "Institute", "A. Person")
        assert cube.comment == "A note."
    with xr.open_dataset(pair[0]) as plain:
        personal = [k for k in plain.attrs if k.startswith(("creator", "publisher", "institution", "license"))]
        assert personal == []


def test_a_synthetic_origin_is_said_in_title_and_comment(model, tmp_path):
    from aqreanalysis.observations import Observations

    made = make_observations()
    labelled = Observations(made.dataset.assign_attrs(synthetic="a nature run, seed 1"))
    with produce(model, labelled, GRID, START, "2019-01-04", tmp_path / "s.zarr", OPTIONS) as cube:
        assert cube.title.startswith("SYNTHETIC: ") and cube.summary.startswith("SYNTHETIC: ")
        assert "a nature run, seed 1" in cube.comment


def test_a_model_trained_on_synthetic_records_is_said_too(model, observations, tmp_path):
    from aqreanalysis.model.protocol import load_predictor

    predictor = load_predictor(model, "cpu")
    predictor.trained_on_synthetic = "a nature run, seed 2"
    with produce(predictor, observations, GRID, START, "2019-01-04", tmp_path / "t.zarr", OPTIONS) as cube:
        assert cube.title.startswith("SYNTHETIC: ")
        assert cube.comment == "The model was trained on synthetic observations: a nature run, seed 2."


def test_an_unwritable_place_is_one_clear_line(model, observations, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    with pytest.raises(OutputError, match="cannot write the output"):
        produce(model, observations, GRID, START, END, Path(blocker) / "x.nc", OPTIONS)
