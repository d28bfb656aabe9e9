"""The sweep: layers of a block from states and geometry, and a cache that keeps what fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from production_case import START, TILES, make_bundle, make_observations, small_grid

from aqreanalysis.model.protocol import load_predictor
from aqreanalysis.production.layers import DISTANCE, FLAGS, Extrapolation
from aqreanalysis.production.options import ProduceOptions
from aqreanalysis.production.plan.inputs import stage_readings
from aqreanalysis.production.plan.prepare import prepare
from aqreanalysis.production.sweep import (
    GEOMETRY_BYTES,
    FlagThresholds,
    GeometryCache,
    encode_time_block,
    round_bits,
    sweep,
    sweep_block,
)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    predictor = load_predictor(make_bundle(folder / "model"), "cpu")
    observations = make_observations()
    told = ProduceOptions(production=TILES)
    prepared = prepare(predictor, observations, small_grid(mask=True), (START, "2019-01-05"), told)
    window = stage_readings(observations, predictor.inputs, prepared.span, folder / "readings.npy")
    return prepared.sweep_inputs(window)


def test_a_block_has_every_layer_in_its_shape_and_type(inputs):
    plan = inputs.plan
    for block, layers in sweep(inputs, [plan.get_block(n) for n in range(plan.blocks)]):
        shape = tuple(s.stop - s.start for s in block.region)
        types = {name: (v.shape, str(v.dtype)) for name, v in layers.items()}
        assert types == {
            **{f"pm2p5{x}": (shape, "float32") for x in ("", "_standard_error", "_lower", "_upper")},
            DISTANCE: (shape, "float32"),
            "quality_flag": (shape, "int8"),
            "observations_used": (shape, "int16"),
        }


def test_masked_cells_are_empty_and_a_block_of_them_asks_nothing_of_the_model(inputs):
    class Silent:
        def __getattr__(self, name: str) -> None:
            raise AssertionError(f"{name} was asked for")

    first = inputs.plan.get_block(0)  # its three rows and four columns are all outside the mask
    layers = sweep_block(replace(inputs, predictor=Silent()), None, first, GeometryCache(GEOMETRY_BYTES))
    assert np.isnan(layers["pm2p5"]).all() and (layers["observations_used"] == -1).all()
    assert (layers["quality_flag"] == FLAGS["masked"]).all() and np.isnan(layers[DISTANCE]).all()


def test_the_model_is_asked_for_geometry_once_a_tile_and_for_states_once_a_time_block(inputs):
    asked: list[str] = []

    class Counting:
        def __init__(self, real):
            self.real = real

        def __getattr__(self, name):
            found = getattr(self.real, name)
            if name in ("encode", "geometry", "predict"):
                asked.append(name)
            return found

    plan = inputs.plan
    counted = replace(inputs, predictor=Counting(inputs.predictor))
    list(sweep(counted, [plan.get_block(n) for n in range(plan.blocks)]))
    tiles = plan.tiles - 2  # the first, and the last with its one cell, are masked
    assert asked.count("encode") == plan.counts[0] == 2
    assert asked.count("geometry") == tiles and asked.count("predict") == 2 * tiles


def test_the_cache_keeps_what_fits_and_makes_the_rest_again():
    made: list[int] = []

    def make(key: int):
        made.append(key)
        return np.zeros(100, dtype=np.float64)

    cache = GeometryCache(limit_bytes=1700)
    for _ in range(3):
        for key in range(4):
            assert cache.get(key, lambda key=key: make(key)).shape == (100,)
    assert made.count(0) == made.count(1) == 1 and made.count(2) == made.count(3) == 3


@pytest.mark.parametrize("keepbits", [1, 9, 22])
def test_rounding_leaves_no_bit_beyond_those_kept_and_keeps_the_order(keepbits):
    values = np.concatenate([np.random.default_rng(1).lognormal(3, 2, 5000), [0.0, 1.0, np.nan, np.inf]])
    values = values.astype(np.float32).reshape(4, -1)
    rounded = round_bits(values, keepbits)
    assert not (rounded.view(np.uint32) & np.uint32((1 << (23 - keepbits)) - 1)).any()
    ordered = np.sort(values.ravel())
    assert (np.diff(round_bits(ordered, keepbits)[:-2]) >= 0).all()
    known = np.isfinite(values)
    assert (np.abs(rounded - values)[known] <= values[known] * 2.0 ** -(keepbits + 1)).all()
    assert round_bits(values, 0) is values


def test_layers_are_rounded_and_flags_follow_from_what_is_written(inputs):
    plan, beyond = inputs.plan, FlagThresholds({"pm25": Extrapolation(20.0, "here")}, 4)
    states, block = encode_time_block(inputs, plan.time_block(1)), plan.get_block(plan.tiles + 4)
    exact, rounded = (
        sweep_block(replace(inputs, keepbits=k, flag_thresholds=beyond), states, block, GeometryCache(GEOMETRY_BYTES))
        for k in (0, 9)
    )
    for name, values in exact.items():
        if values.dtype == np.float32:
            assert (rounded[name].view(np.uint32) & 0x3FFF == 0).all()  # 14 of 23 bits are gone
            np.testing.assert_allclose(rounded[name], values, rtol=2.0**-10)
        elif "flag" not in name:
            np.testing.assert_array_equal(rounded[name], values)
    lower, best, upper, error = (rounded[f"pm2p5{x}"] for x in ("_lower", "", "_upper", "_standard_error"))
    assert ((lower <= best) & (best <= upper))[np.isfinite(best)].all()
    # What rounding takes is far less than what the estimate does not know.
    off = np.abs(rounded["pm2p5"] - exact["pm2p5"])
    assert np.nanmax(off / error) < 0.01
    beyond_reach = rounded["quality_flag"] & FLAGS["extrapolated_beyond_network"] != 0
    np.testing.assert_array_equal(beyond_reach, rounded[DISTANCE] > 20.0)
