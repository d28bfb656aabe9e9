"""The same model, observations and grid give the same bits, however the work is cut, by whom, and as part of what."""

from __future__ import annotations

from types import SimpleNamespace

import fields_case
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from production_case import GRID, make_bundle, make_observations, small_grid

from aqreanalysis.configs import ProductionConfig
from aqreanalysis.grids import Grid
from aqreanalysis.model.inference.lattice import choose_lattice
from aqreanalysis.model.protocol import load_predictor
from aqreanalysis.production import ProduceOptions, produce_cubes
from aqreanalysis.production.plan.inputs import stage_readings
from aqreanalysis.production.plan.prepare import prepare
from aqreanalysis.production.sweep import sweep

DAY = 24
THRESHOLDS = {"o3": (100.0,)}


class Case:
    """A model and observations, and the field of the whole timeline by the plainest plan."""

    def __init__(self, folder, grid: Grid) -> None:
        self.folder = folder
        self.bundle = make_bundle(folder / "model", ("pm25", "o3"))
        self.predictor = load_predictor(self.bundle, "cpu")
        self.observations = make_observations()
        self.grid = grid
        self.start = np.datetime64("2019-01-02T00")
        self.whole = self.field(self.grid, (0, 5 * DAY), ProductionConfig(), reverse=False)

    def field(self, grid: Grid, hours: tuple[int, int], production: ProductionConfig, reverse: bool):
        """Return the layers over `hours` (offsets from the start) assembled from the blocks of a plan."""
        first, last = (str(self.start + np.timedelta64(h, "h")) for h in hours)
        prepared = prepare(
            self.predictor,
            self.observations,
            grid,
            (first, last),
            ProduceOptions(production=production, thresholds=THRESHOLDS),
        )
        path = self.folder / f"{prepared.fingerprint['observations']}.npy"
        window = stage_readings(self.observations, self.predictor.inputs, prepared.span, path)
        plan = prepared.plan
        blocks = [plan.get_block(n) for n in range(plan.blocks)]
        out: dict[str, np.ndarray] = {}
        for block, layers in sweep(prepared.sweep_inputs(window), blocks[::-1] if reverse else blocks):
            for name, values in layers.items():
                if values.ndim == 3:
                    field = out.setdefault(name, np.full(plan.shape, -99, dtype=values.dtype))
                    field[block.region] = values
        return out


def dense_grid() -> Grid:
    """Return a grid of the same shape whose cells share their kriging systems, over several squares of the lattice."""
    return Grid("dense", np.round(39.41 + 0.03 * np.arange(7), 10), np.round(116.52 + 0.03 * np.arange(9), 10))


@pytest.fixture(scope="module", params=[small_grid, dense_grid])
def case(request, tmp_path_factory):
    return Case(tmp_path_factory.mktemp("independence"), request.param())


def test_one_of_the_grids_shares_its_systems_and_the_other_does_not(case):
    stations = case.observations.lat, case.observations.lon
    step = float(case.grid.lat[1] - case.grid.lat[0])
    lattice = choose_lattice(*stations, case.predictor.config.model.neighbours, (step, step))
    assert (lattice is not None) == (case.grid.name == "dense")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    drawn=st.builds(
        SimpleNamespace,
        begin=st.integers(0, 4 * DAY),
        length=st.integers(1, 3 * DAY),
        block_days=st.integers(1, 3),
        tile=st.tuples(st.integers(1, 9), st.integers(1, 9)),
        rows=st.tuples(st.integers(0, 4), st.integers(2, 3)),
        columns=st.tuples(st.integers(0, 6), st.integers(2, 3)),
        reverse=st.booleans(),
    )
)
def test_numbers_depend_on_no_block_no_start_no_region_and_no_order(case, drawn):
    begin, end, tile = drawn.begin, min(drawn.begin + drawn.length, 5 * DAY), drawn.tile
    (r0, nr), (c0, nc) = drawn.rows, drawn.columns
    region = Grid("part", case.grid.lat[r0 : r0 + nr], case.grid.lon[c0 : c0 + nc])
    production = ProductionConfig(block_days=drawn.block_days, tile_rows=tile[0], tile_columns=tile[1])
    part = case.field(region, (begin, end), production, drawn.reverse)
    assert set(part) == set(case.whole)
    for name, values in part.items():
        wanted = case.whole[name][begin:end, r0 : r0 + nr, c0 : c0 + nc]
        assert np.array_equal(values, wanted), name


def test_a_part_made_alone_in_two_processes_has_the_bits_of_a_longer_and_larger_cube_made_in_threads(case, tmp_path):
    frequencies = ("hourly", "daily")
    whole = produce_cubes(
        case.bundle,
        case.observations,
        case.grid,
        ("2019-01-02", "2019-01-07"),
        tmp_path / "whole.zarr",
        ProduceOptions(threads=3, frequencies=frequencies, thresholds=THRESHOLDS, device="cpu"),
    )
    some = slice(2, 6), slice(3, 8)
    region = Grid("part", *(axis[part] for axis, part in zip((case.grid.lat, case.grid.lon), some, strict=True)))
    small = ProductionConfig(block_days=1, tile_rows=3, tile_columns=2)
    part = produce_cubes(
        case.bundle,
        case.observations,
        region,
        ("2019-01-04", "2019-01-06"),
        tmp_path / "part.zarr",
        ProduceOptions(workers=2, production=small, frequencies=frequencies, thresholds=THRESHOLDS, device="cpu"),
    )
    for frequency in frequencies:
        same = whole[frequency].sel(time=part[frequency].time).isel(lat=some[0], lon=some[1])
        compared = [name for name, layer in part[frequency].data_vars.items() if {"lat", "lon"} <= set(layer.dims)]
        assert len(compared) > 10
        for name in compared:
            assert np.array_equal(part[frequency][name], same[name], equal_nan=True), (frequency, name)


def test_a_part_has_the_bits_of_a_larger_cube_with_covariates_too(tmp_path):
    weather = fields_case.MadeUp(missing=(fields_case.FIRST + 60,))
    bundle = fields_case.trained(tmp_path / "windy", weather, "species=[pm25]", "training.learning_rate=0.1")
    lat, lon = np.round(39.4 + 0.03 * np.arange(30), 10), np.round(116.1 + 0.03 * np.arange(28), 10)
    days = [str(np.datetime64(fields_case.FIRST - 1 + 24 * day, "h"))[:10] for day in range(fields_case.DAYS)]

    def produced(name: str, grid: Grid, span: tuple[str, str], production: ProductionConfig, threads: int):
        options = ProduceOptions(threads=threads, production=production, device="cpu", covariates=weather)
        return produce_cubes(bundle, fields_case.network(), grid, span, tmp_path / name, options)["hourly"]

    whole = produced("whole.zarr", Grid("whole", lat, lon), (days[2], days[6]), ProductionConfig(), threads=2)
    some, small = (slice(5, 19), slice(7, 28)), ProductionConfig(block_days=1, tile_rows=6, tile_columns=9)
    part = produced("part.zarr", Grid("part", lat[some[0]], lon[some[1]]), (days[3], days[5]), small, threads=1)
    same = whole.sel(time=part.time).isel(lat=some[0], lon=some[1])
    for name in ("pm2p5", "pm2p5_standard_error", "pm2p5_lower", "pm2p5_upper"):
        assert np.isfinite(part[name]).all() and np.array_equal(part[name], same[name]), name


def test_the_field_has_something_to_get_wrong(case):
    best, exceeded = case.whole["pm2p5"], case.whole["o3_exceedance_100"]
    assert 0 < exceeded.min() < exceeded.max() < 1
    assert best.std(axis=0).min() > 0.1 and best.std(axis=(1, 2)).min() > 0.05
    assert GRID and best.shape == (5 * DAY, 7, 9)
