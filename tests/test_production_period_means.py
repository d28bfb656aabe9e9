"""Cubes of means: what they hold follows from the hourly numbers, whatever the blocks, the company and the kills."""

from __future__ import annotations

import time
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import production_case
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from production_case import (
    GRID,
    START,
    make_bundle,
    make_calibration_means,
    make_frame,
    make_observations,
    small_grid,
)
from production_processes import digest, kill, start, wait_for_blocks

from aqreanalysis.configs import ProductionConfig
from aqreanalysis.errors import ConfigError, ModelError, OutputError
from aqreanalysis.export import AggregateOptions, CubeSource, Limit, aggregate
from aqreanalysis.export.daily_maxima import RULES, mda8
from aqreanalysis.export.exceedance import DayCut, count_exceedances, layer_prefix
from aqreanalysis.export.means import period_mean
from aqreanalysis.export.periods import periods_of
from aqreanalysis.model.protocol import load_predictor
from aqreanalysis.production import ProduceOptions, describe_cube, open_cube, produce, produce_cubes
from aqreanalysis.validation import ValidateOptions, validate

END = "2019-01-07"
# All bits: means equal what they are made of before either is rounded.
TILES = production_case.TILES.model_copy(update={"keepbits": 0})
ALL = ("hourly", "daily")


def with_options(**more) -> ProduceOptions:
    return ProduceOptions(**{"production": TILES, "frequencies": ALL, **more})


pytestmark = pytest.mark.usefixtures("fixed_clock")


@pytest.fixture(scope="module")
def observations():
    return make_observations()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("model") / "bundle", ("pm25", "o3"))


@pytest.fixture(scope="module")
def pair(model, observations, tmp_path_factory):
    """Return the hourly and the daily cube of four days, of two pollutants with thresholds."""
    out = tmp_path_factory.mktemp("pair") / "x.nc"
    options = with_options(thresholds={"pm25": (35.0, 75.0)})
    cubes = produce_cubes(model, observations, small_grid(mask=True), (START, END), out, options)
    described = describe_cube(out.with_name("x_daily.nc"))
    assert (described["frequency"], described["steps"], described["hours"]) == ("daily", 4, 96)
    assert sorted(p.name for p in out.parent.iterdir()) == ["x_daily.nc", "x_hourly.nc"]
    return cubes["hourly"].load(), cubes["daily"].load()


def test_an_hourly_cube_is_the_same_whether_means_are_made_with_it_or_not(model, observations, pair, tmp_path):
    options = ProduceOptions(production=TILES, thresholds={"pm25": (35.0, 75.0)})
    with produce(model, observations, small_grid(mask=True), START, END, tmp_path / "x.nc", options) as alone:
        xr.testing.assert_identical(alone.load(), pair[0])


def test_the_best_estimate_is_the_mean_of_the_hourly_expectations(model, observations, pair):
    from aqreanalysis.observations import window

    predictor, grid = load_predictor(model, "cpu"), small_grid(mask=True)
    row, column = 4, 5
    places = predictor.geometry(observations.lat, observations.lon, grid.lat[[row]], grid.lon[[column]])
    first = int(np.datetime64("2019-01-04T01", "h").astype(int))
    before, after = predictor.history_hours, predictor.lookahead_hours
    values, hours = window(observations, predictor.inputs, first - before, before + 24 + after)
    hourly = predictor.predict(predictor.encode(values, hours, observations.lat, observations.lon), places)
    for key, layer in (("pm25", "pm2p5"), ("o3", "o3")):
        assert float(pair[1][layer][1, row, column]) == pytest.approx(float(hourly[key].mean.mean()), rel=1e-5)
        # The spread of a mean lies between that of independent and that of equal errors.
        errors, found = hourly[key].standard_error, float(pair[1][f"{layer}_standard_error"][1, row, column])
        assert np.sqrt((errors**2).sum()) / 24 < found < 2.2 * errors.mean()


@pytest.fixture(scope="module")
def expected(model, observations, tmp_path_factory):
    """Return the paths of an hourly cube with its expectations and of the daily one, and of the hours without."""
    out = tmp_path_factory.mktemp("expected")
    options = with_options(layers=("mean",))
    for cube in produce_cubes(model, observations, small_grid(mask=True), (START, END), out / "x.nc", options).values():
        cube.close()
    produce(model, observations, small_grid(mask=True), START, END, out / "y.nc", ProduceOptions(production=TILES))
    return out / "x_hourly.nc", out / "x_daily.nc", out / "y.nc"


def test_the_average_of_an_hourly_cube_is_the_cube_of_that_frequency(expected, tmp_path):
    hourly, daily, medians = expected
    found = {}
    for path in (hourly, medians):
        with CubeSource(path) as source:
            aggregate(source, tmp_path / path.name, AggregateOptions(period="day"))
            found[path] = open_cube(tmp_path / path.name).load()
    wanted, inside = open_cube(daily), small_grid(mask=True).mask
    for layer in ("pm2p5", "o3"):
        assert found[hourly][layer].attrs["comment"].startswith("expectation")
        np.testing.assert_allclose(found[hourly][layer].values, wanted[layer].values, rtol=2e-6)
        # Medians alone give less, and say so.
        assert (found[medians][layer].values[:, inside] < wanted[layer].values[:, inside]).all()
        assert found[medians][layer].attrs["comment"].startswith("median of each hour, averaged")


def test_maxima_indices_counts_and_polygons_are_made_from_expectations(expected):
    with CubeSource(expected[0], ["o3"]) as source:
        (one,), day = source.species.values(), periods_of(source, "day")[2]
        assert (one.averaged, one.statistic, source.medians_averaged) == ("o3_mean", "median", "")
        largest = mda8(source, one, day, RULES["eu"])
        row, column = 4, 5
        hours = source.read("o3_mean", slice(41, 72))[:, row, column].astype(np.float64)
        wanted = np.convolve(hours, np.full(8, 1 / 8), "valid").max()
        assert float(largest["o3_mda8"][row, column]) == pytest.approx(wanted, rel=1e-5)
        mean = float(period_mean(source, day)["o3"][row, column])
        assert mean == pytest.approx(hours[7:].mean(), rel=1e-5)
        counted = count_exceedances(source, Limit("o3", mean - 1e-3, "day"), day, DayCut(RULES["eu"]))
        assert counted[layer_prefix(source, Limit("o3", mean - 1e-3, "day"))][row, column] == 1
    with CubeSource(expected[2]) as source:
        assert "averages of pm2p5, o3 are of hourly medians" in source.medians_averaged
    with CubeSource(expected[1]) as source:
        assert source.medians_averaged == "" and source.species["o3"].averaged == "o3"


def test_the_expectation_is_no_layer_of_a_cube_of_means_alone():
    with pytest.raises(ConfigError, match="the estimate of a daily cube is the expectation already"):
        ProduceOptions(frequencies=("daily",), layers=("mean",))
    with pytest.raises(ConfigError, match="layer 'mode' cannot be added: give mean"):
        ProduceOptions(layers=("mode",))


def test_a_cube_without_expectations_does_not_grow_some(model, observations, expected):
    options = ProduceOptions(production=TILES, layers=("mean",), append=True)
    with pytest.raises(OutputError, match="layers is null there"):
        produce(model, observations, small_grid(mask=True), START, "2019-01-08", expected[2], options)


def test_bounds_enclose_the_estimate_and_probabilities_fall_with_the_threshold(pair):
    cube, inside = pair[1], small_grid(mask=True).mask
    for layer in ("pm2p5", "o3"):
        lower, best, upper = (cube[f"{layer}{x}"].values[:, inside] for x in ("_lower", "", "_upper"))
        assert (lower <= best).all() and (best <= upper).all() and (lower >= 0).all() and (upper > lower).all()
    low, high = (cube[f"pm2p5_exceedance_{t}"].values[:, inside] for t in (35, 75))
    assert (low >= high).all() and (high >= 0).all() and (low <= 1).all() and low.std() > 0


def test_a_day_is_stamped_in_its_middle_and_its_bounds_and_attributes_say_what_it_is(pair):
    cube = pair[1]
    assert [str(t)[:13] for t in cube.time.values] == [f"2019-01-0{d}T12" for d in (3, 4, 5, 6)]
    assert (cube.time_bnds.mean("bnds") == cube.time).all()
    assert (cube.time_bnds[:, 1] - cube.time_bnds[:, 0] == np.timedelta64(24, "h")).all()
    assert cube.pm2p5.attrs["cell_methods"] == "time: mean (interval: 1 hour)"
    assert cube.pm2p5.attrs["long_name"] == "daily mean of PM2.5 mass concentration"
    assert "700 daily means at 9 stations" in cube.pm2p5_lower.attrs["comment"]
    assert cube.attrs["time_coverage_resolution"] == "P1D" and cube.attrs["title"].startswith("Daily PM2.5")
    assert len({v.attrs["long_name"] for v in cube.data_vars.values()}) == len(cube.data_vars)
    assert set(cube.pm2p5.attrs["ancillary_variables"].split()) <= set(cube.variables)


def test_counts_and_flags_follow_from_the_hours(pair):
    hourly, daily = pair
    inside = small_grid(mask=True).mask
    used = hourly.pm2p5_observations_used.values.reshape(4, 24, *inside.shape)[..., inside]
    np.testing.assert_array_equal(daily.pm2p5_observations_used.values[:, inside], used.sum(axis=1))
    np.testing.assert_array_equal(daily.pm2p5_hours_observed.values[:, inside], (used > 0).sum(axis=1))
    # At one hour of the second day the whole network was silent.
    assert daily.pm2p5_hours_observed.values[:, inside].max(axis=1).tolist() == [24, 23, 24, 24]
    flag = daily.pm2p5_quality_flag.values[:, inside]
    few = used.sum(axis=1) < 24 * ProductionConfig().few_neighbours
    np.testing.assert_array_equal(flag & 8 != 0, few)
    km = hourly.pm2p5_nearest_station_distance.values.reshape(4, 24, *inside.shape)[..., inside].mean(axis=1)
    np.testing.assert_allclose(daily.pm2p5_nearest_station_distance.values[:, inside], km, rtol=1e-5)
    beyond = daily.pm2p5_quality_flag.attrs["extrapolation_km"]
    np.testing.assert_array_equal(flag & 4 != 0, km > beyond)
    assert (daily.pm2p5_quality_flag.values[:, ~inside] == 16).all()
    assert np.isnan(daily.pm2p5.values[:, ~inside]).all()
    assert np.isnan(daily.pm2p5_nearest_station_distance.values[:, ~inside]).all()


def test_a_day_is_the_mean_of_the_hours_that_are_not_left_blank_and_blank_where_all_are(model, observations, tmp_path):
    limit = TILES.model_copy(update={"blank_beyond_km": 22.0})
    options = with_options(production=limit, thresholds={"pm25": (35.0,)})
    cubes = produce_cubes(model, observations, small_grid(mask=True), (START, END), tmp_path / "x.zarr", options)
    inside, hourly, daily = small_grid(mask=True).mask, cubes["hourly"].load(), cubes["daily"].load()
    km = hourly.pm2p5_nearest_station_distance.values
    values = [name for name in hourly if "blank_beyond_km" in hourly[name].attrs and name.startswith("pm2p5")]
    assert len(values) == 5
    for name in values:
        np.testing.assert_array_equal(np.isnan(hourly[name].values), (km > 22.0) | ~inside)
    flag = hourly.pm2p5_quality_flag.values
    np.testing.assert_array_equal(flag[:, inside] & 32 != 0, km[:, inside] > 22.0)
    there = (km <= 22.0).reshape(4, 24, *inside.shape).sum(axis=1)
    assert {0, 24} < set(there[:, inside].ravel().tolist())
    for name in values:
        np.testing.assert_array_equal(np.isnan(daily[name].values), (there == 0) | ~inside)
    used = np.where(km <= 22.0, hourly.pm2p5_observations_used.values, 0).reshape(4, 24, *inside.shape)[..., inside]
    np.testing.assert_array_equal(daily.pm2p5_observations_used.values[:, inside], used.sum(axis=1))
    flag = daily.pm2p5_quality_flag.values[:, inside]
    np.testing.assert_array_equal(flag & 32 != 0, there[:, inside] == 0)
    np.testing.assert_array_equal(flag & 2 != 0, (used > 0).sum(axis=1) < 0.75 * there[:, inside])
    partly = (there > 0) & (there < 24) & inside
    # Means of expectations lie near those of medians, over the same hours.
    medians = np.nansum(hourly.pm2p5.values.reshape(4, 24, *inside.shape), axis=1) / np.maximum(there, 1)
    ratio = daily.pm2p5.values[partly] / medians[partly]
    assert ratio.min() > 0.95 and ratio.max() < 1.3
    for path in tmp_path.glob("*.zarr"):
        assert not [f for f in validate(path, ValidateOptions(checker=False)).findings if f.severity == "error"]


def test_a_day_beyond_the_last_reading_is_flagged(model, observations, tmp_path):
    options = with_options(frequencies=["daily"])
    with produce(model, observations, GRID, "2019-01-08", "2019-01-10", tmp_path / "f.nc", options) as cube:
        flag = cube.pm2p5_quality_flag.values
        assert (flag[0] & 1 == 0).all() and (flag[1] & 1 != 0).all() and (flag[1] & 2 != 0).all()
        assert (cube.pm2p5_hours_observed.values[1] == 0).all()


@pytest.fixture(scope="module")
def whole(model, observations, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    options = ProduceOptions(frequencies=["daily"], species=["pm25"])
    with produce(model, observations, GRID, "2019-01-02", END, folder / "x.zarr", options) as cube:
        return cube.load()


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    drawn=st.builds(
        SimpleNamespace,
        first=st.integers(0, 3),
        days=st.integers(1, 2),
        block_days=st.integers(1, 3),
        tile=st.tuples(st.integers(2, 9), st.integers(2, 9)),
        rows=st.tuples(st.integers(0, 4), st.integers(2, 3)),
        threads=st.integers(1, 3),
        several=st.booleans(),
    )
)
def test_means_depend_on_no_block_no_start_no_region_and_no_company(
    drawn, model, observations, whole, tmp_path_factory
):
    from aqreanalysis.grids import Grid

    grid, (r0, nr), tile = small_grid(), drawn.rows, drawn.tile
    region = Grid("part", grid.lat[r0 : r0 + nr], grid.lon)
    options = ProduceOptions(
        production=ProductionConfig(block_days=drawn.block_days, tile_rows=tile[0], tile_columns=tile[1]),
        frequencies=ALL if drawn.several else ["daily"],
        species=["pm25"],
        threads=drawn.threads,
    )
    first, days = drawn.first, drawn.days
    begin = np.datetime64("2019-01-02") + first
    out = tmp_path_factory.mktemp("part") / "x.zarr"
    cube = produce_cubes(model, observations, region, (str(begin), str(begin + days)), out, options)["daily"]
    for name in whole.data_vars:
        wanted = whole[name].values[..., r0 : r0 + nr, :]
        wanted = wanted[first : first + days] if "time" in whole[name].dims else wanted
        np.testing.assert_allclose(cube[name].values, wanted, rtol=1e-5, atol=1e-6, err_msg=str(name))


@pytest.mark.parametrize("suffix", [pytest.param(".nc", marks=pytest.mark.slow), ".zarr"])
def test_a_killed_run_of_several_frequencies_ends_with_the_same_bytes(suffix, tmp_path):
    make_frame().to_parquet(tmp_path / "obs.parquet")
    case = make_bundle(tmp_path / "model"), tmp_path / "obs.parquet"
    fine = ProductionConfig(block_days=1, tile_rows=3, tile_columns=3)
    undisturbed = tmp_path / "whole" / f"x{suffix}"
    options = ProduceOptions(production=fine, frequencies=ALL)
    produce_cubes(*case, GRID, (START, END), undisturbed, options)
    out = tmp_path / "killed" / f"x{suffix}"
    # Of 36 blocks of hours and 9 of days: once in the sweep, once while the days are joined.
    for moment in (11, 38):
        process = start(case, out, "frequencies=hourly+daily")
        wait_for_blocks(process, out, moment)
        time.sleep(0.005)
        kill(process)
        assert not list(out.parent.glob("x_*"))
    produce_cubes(*case, GRID, (START, END), out, options)
    names = [f"x_daily{suffix}", f"x_hourly{suffix}"]
    assert sorted(p.name for p in out.parent.iterdir()) == names
    for name in names:
        assert digest(out.parent / name) == digest(undisturbed.parent / name)


@pytest.mark.parametrize("suffix", [".nc", pytest.param(".zarr", marks=pytest.mark.slow)])
def test_a_run_killed_between_its_renames_ends_with_both_cubes(suffix, model, observations, tmp_path, monkeypatch):
    from aqreanalysis.production.stores import netcdf, zarr

    class Killed(BaseException):
        pass

    out, kind = tmp_path / f"x{suffix}", netcdf.NetcdfStore if suffix == ".nc" else zarr.ZarrStore
    real = kind.finalise

    def die_after(store: object, output: object) -> None:
        real(store, output)
        raise Killed

    timeline = (START, "2019-01-05")
    for left in (1, 2):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(kind, "finalise", die_after)
            produce_cubes(model, observations, GRID, timeline, out, with_options())
        assert len(list(tmp_path.glob("x_*"))) == left
    cubes = produce_cubes(model, observations, GRID, timeline, out, with_options())
    assert [c.sizes["time"] for c in cubes.values()] == [48, 2]
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"x_daily{suffix}", f"x_hourly{suffix}"]


@pytest.mark.slow
def test_worker_processes_write_the_same_bytes(observations, tmp_path):
    model = make_bundle(tmp_path / "model")
    make_frame().to_parquet(tmp_path / "obs.parquet")
    for name, more in (("a", {}), ("b", {"workers": 2})):
        produce_cubes(
            model,
            tmp_path / "obs.parquet",
            GRID,
            (START, "2019-01-05"),
            tmp_path / f"{name}.zarr",
            with_options(**more),
        )
    for frequency in ALL:
        assert digest(tmp_path / f"a_{frequency}.zarr") == digest(tmp_path / f"b_{frequency}.zarr")


def test_months_and_years_are_joined_from_their_days_in_flat_memory(model, observations, whole):
    """Join the sums of a made-up year and compare with one sum over all of its hours."""
    from aqreanalysis.model.distribution.period_means import MeanPredictive, accumulate_hours
    from aqreanalysis.production.day_sums import MeanInputs, day_sums
    from aqreanalysis.production.period_means import mean_block
    from aqreanalysis.production.plan.blocks import hours_between, make_mean_plan, make_plan
    from aqreanalysis.production.plan.prepare import prepare

    prepared = prepare(model, observations, GRID, (START, END), with_options(frequencies=["daily"], species=["pm25"]))
    calibration = make_calibration_means()
    sweep = make_plan(hours_between("2019-01-01", "2020-01-01"), (1, 2), ProductionConfig(), 0)
    rng = np.random.default_rng(0)
    drawn = {"mean": rng.gamma(2, 20, (8760, 2)), "standard_error": rng.gamma(4, 3, (8760, 2))}
    asked: list[int] = []

    class Hours:
        """The hourly distributions of the whole year."""

        mean, standard_error = (drawn[n].astype(np.float32) for n in ("mean", "standard_error"))
        observations_used = rng.integers(0, 5, (8760, 2)).astype(np.int16)
        reporting_km = np.tile(np.array([5.0, 60.0], dtype=np.float32), (8760, 1))

    Hours.reporting_km[48:72] = np.inf  # a day on which nobody reports counts no distance
    nearest = np.array([5.0, 60.0])
    sums = day_sums(Hours, slice(0, 8760), np.zeros(8760, dtype=bool), calibration.autocovariance)

    def read(key, block):
        asked.append(block.time[1] - block.time[0])
        return sums[slice(*block.time), None]

    for frequency, lengths in (("monthly", [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]), ("annual", [365])):
        plan = make_mean_plan(sweep, frequency, 24)
        inputs = prepared.sweep_inputs(lambda *_: None)
        inputs = type(inputs)(**{**vars(inputs), "means": MeanInputs({"pm25": calibration}, {frequency: plan})})
        layers = mean_block(inputs, frequency, plan.get_block(0), read)
        edges = np.cumsum([0, *lengths]) * 24
        for place, (begin, end) in enumerate(pairwise(edges)):
            hours = slice(begin, end)
            together = accumulate_hours(Hours.mean[hours], Hours.standard_error[hours], calibration.autocovariance)
            wanted = MeanPredictive(together, nearest, calibration, frequency)
            np.testing.assert_allclose(layers["pm2p5"][place, 0], wanted.best, rtol=1e-5)
            np.testing.assert_allclose(layers["pm2p5_standard_error"][place, 0], wanted.standard_error, rtol=1e-4)
            np.testing.assert_allclose(layers["pm2p5_upper"][place, 0], wanted.interval(0.9)[1], rtol=1e-4)
            np.testing.assert_allclose(layers["nearest_station_distance"][place, 0], nearest)
            used = Hours.observations_used[hours]
            np.testing.assert_array_equal(layers["observations_used"][place, 0], used.sum(axis=0, dtype=int))
            np.testing.assert_array_equal(layers["hours_observed"][place, 0], (used > 0).sum(axis=0))
        assert len(layers["pm2p5"]) == len(lengths) and max(asked) <= 31


def test_days_of_another_clock_are_means_of_its_hours(model, observations, pair, tmp_path):
    options = with_options(frequencies=["daily"], utc_offset_hours=8)
    timeline = ("2019-01-03T16:00", "2019-01-05T16:00")
    grid = small_grid(mask=True)
    with produce(model, observations, grid, *timeline, tmp_path / "local.nc", options) as cube:
        assert [str(t)[:13] for t in cube.time.values] == ["2019-01-04T04", "2019-01-05T04"]
        used = pair[0].pm2p5_observations_used.values[16:40][:, grid.mask]
        np.testing.assert_array_equal(cube.pm2p5_observations_used.values[0][grid.mask], used.sum(axis=0))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"frequencies": ["daily"], "end": "2019-01-05T12:00"}, OutputError, "end 2019-01-05T12:00 cuts a day"),
        ({"frequencies": ["monthly"]}, OutputError, "cuts a month"),
        ({"frequencies": ["weekly"]}, ConfigError, "no frequency 'weekly'"),
        ({"frequencies": ["daily", "hourly"]}, ConfigError, "call produce_cubes"),
        ({"frequencies": ["daily"], "utc_offset_hours": 20}, ConfigError, "-12 to 14"),
    ],
)
def test_what_cannot_be_made_is_one_clear_line_and_leaves_nothing_behind(
    change, error, words, model, observations, tmp_path
):
    end = change.pop("end", END)
    with pytest.raises(error, match=words):
        produce(model, observations, GRID, START, end, tmp_path / "x.nc", with_options(**change))
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_a_calibration_of_means_is_refused_for_means_only(model, observations, tmp_path):
    predictor = load_predictor(model, "cpu")
    predictor.calibration_means = {}
    with pytest.raises(ModelError, match="no calibration of daily, monthly and annual means for pm25"):
        produce(predictor, observations, GRID, START, END, tmp_path / "x.nc", with_options(frequencies=["daily"]))
    produce(
        predictor, observations, GRID, START, "2019-01-04", tmp_path / "x.nc", with_options(frequencies=["hourly"])
    ).close()


def test_a_sibling_that_exists_is_refused_and_replaced_when_told(model, observations, tmp_path):
    timeline, taken = (START, "2019-01-04"), tmp_path / "x_daily.nc"
    taken.write_text("of somebody else")
    with pytest.raises(OutputError, match=r"x_daily\.nc exists"):
        produce_cubes(model, observations, GRID, timeline, tmp_path / "x.nc", with_options())
    assert taken.read_text() == "of somebody else"
    produce_cubes(model, observations, GRID, timeline, tmp_path / "x.nc", with_options(overwrite=True))
    with open_cube(taken) as cube:
        assert cube.sizes["time"] == 1
