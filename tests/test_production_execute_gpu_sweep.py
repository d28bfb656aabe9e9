"""Strips of tiles: which they are, and that a block's bytes hold the layers that the sweep gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import production_case
import pytest
import torch

from aqreanalysis.production.execute.gpu_sweep import _round_bits, cut_strips, strip_cache, sweep_strip
from aqreanalysis.production.layers import Extrapolation
from aqreanalysis.production.sweep import (
    GEOMETRY_BYTES,
    FlagThresholds,
    GeometryCache,
    encode_time_block,
    round_bits,
    sweep_block,
)


def test_strips_hold_whole_tiles_in_order_and_depend_on_the_plan_alone(two_pollutants):
    plan = production_case.sweep_inputs(*two_pollutants).plan
    for size in (1, 24 * 12, 24 * 30, 10**9):
        strips = cut_strips(plan, size)
        assert [n for strip in strips for n in strip] == list(range(plan.tiles))
        cells = [sum(plan.get_block(n).cell_hours for n in strip) for strip in strips]
        assert all(c <= size or len(s) == 1 for c, s in zip(cells, strips, strict=True))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("time", "added"), [(0, ()), (2, ("mean",))])
def test_the_bytes_of_a_block_hold_the_layers_of_the_sweep(two_pollutants, masked, time, added):
    inputs = replace(production_case.sweep_inputs(*two_pollutants, masked), added=added, keepbits=0)
    states = encode_time_block(inputs, inputs.plan.time_block(time))
    blocks = list(inputs.plan.blocks_of(time))
    found = list(sweep_strip(inputs, states, blocks, strip_cache(torch.device("cpu"))))
    assert [one.block for one in found] == blocks
    for one in found:
        expected = sweep_block(inputs, states, one.block, GeometryCache(GEOMETRY_BYTES))
        layers = {layer.name: layer.view(one.packed.numpy()) for layer in one.form}
        assert layers.keys() == expected.keys()
        for name, values in expected.items():
            assert layers[name].dtype == values.dtype and layers[name].shape == values.shape
            np.testing.assert_allclose(layers[name], values, rtol=1e-4, atol=1e-4)


def test_what_is_left_blank_is_so_in_the_bytes_of_a_block(two_pollutants):
    inputs = production_case.sweep_inputs(*two_pollutants, True)
    beyond = {key: Extrapolation(15.0, "a test", 25.0) for key in inputs.species}
    inputs = replace(inputs, flag_thresholds=FlagThresholds(beyond, 4), keepbits=0)
    states, blocks = encode_time_block(inputs, inputs.plan.time_block(0)), list(inputs.plan.blocks_of(0))
    blank = 0
    for one in sweep_strip(inputs, states, blocks, strip_cache(torch.device("cpu"))):
        expected = sweep_block(inputs, states, one.block, GeometryCache(GEOMETRY_BYTES))
        for layer in one.form:
            values = layer.view(one.packed.numpy())
            np.testing.assert_allclose(values, expected[layer.name], rtol=1e-4, atol=1e-4)
        for names in map(inputs.names, inputs.species):
            left = expected[names.flag] & 32 != 0
            np.testing.assert_array_equal(left, expected[names.distance] > 25.0)
            assert np.isnan(expected[names.best][left]).all() and (expected[names.used][left] >= 0).all()
            blank += int(left.sum())
    assert blank > 0


def test_a_strip_without_a_wanted_cell_is_empty(two_pollutants):
    inputs = production_case.sweep_inputs(*two_pollutants, True)
    states = encode_time_block(inputs, inputs.plan.time_block(0))
    (one,) = sweep_strip(inputs, states, [inputs.plan.get_block(0)], strip_cache(torch.device("cpu")))
    layers = {layer.name: layer.view(one.packed.numpy()) for layer in one.form}
    for name, values in sweep_block(inputs, states, one.block, GeometryCache(GEOMETRY_BYTES)).items():
        np.testing.assert_array_equal(layers[name], values)


def test_rounding_on_a_device_is_that_of_the_sweep():
    values = np.random.default_rng(2).lognormal(3, 1, (3, 40)).astype(np.float32)
    values[0, :3] = np.nan, 0.0, np.inf
    rounded = _round_bits(torch.from_numpy(values), 9).numpy()
    np.testing.assert_array_equal(rounded, round_bits(values, 9))
