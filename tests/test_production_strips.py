"""Strips of tiles: which they are, and that a block's bytes hold the layers that the sweep gives."""

from __future__ import annotations

import numpy as np
import production_case
import pytest

from aqreanalysis.observations import window
from aqreanalysis.production import ProduceOptions
from aqreanalysis.production.plan.prepare import prepare
from aqreanalysis.production.strips import cut_strips, sweep_strip
from aqreanalysis.production.sweep import GeometryCache, encode_time_block, sweep_block


@pytest.fixture(scope="module")
def observations():
    return production_case.make_observations()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return production_case.make_bundle(tmp_path_factory.mktemp("model") / "bundle", ("pm25", "o3"))


def inputs_of(bundle, observations, masked=False):
    options = ProduceOptions(production=production_case.TILES, device="cpu", thresholds={"o3": [100.0, 120.0]})
    timeline = production_case.START, production_case.END
    prepared = prepare(bundle, observations, production_case.small_grid(masked), timeline, options)
    inputs = tuple(prepared.predictor.inputs)
    return prepared.sweep_inputs(lambda first, hours: window(observations, inputs, first, hours)[0])


def test_strips_hold_whole_tiles_in_order_and_depend_on_the_plan_alone(bundle, observations):
    plan = inputs_of(bundle, observations).plan
    for size in (1, 24 * 12, 24 * 30, 10**9):
        strips = cut_strips(plan, size)
        assert [n for strip in strips for n in strip] == list(range(plan.tiles))
        cells = [sum(plan.get_block(n).cell_hours for n in strip) for strip in strips]
        assert all(c <= size or len(s) == 1 for c, s in zip(cells, strips, strict=True))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("time", [0, 2])
def test_the_bytes_of_a_block_hold_the_layers_of_the_sweep(bundle, observations, masked, time):
    inputs = inputs_of(bundle, observations, masked)
    states = encode_time_block(inputs, inputs.plan.time_block(time))
    blocks = list(inputs.plan.blocks_of(time))
    found = list(sweep_strip(inputs, states, blocks, GeometryCache()))
    assert [one.block for one in found] == blocks
    for one in found:
        expected = sweep_block(inputs, states, one.block, GeometryCache())
        layers = {layer.name: layer.view(one.packed.numpy()) for layer in one.form} | one.beside
        assert layers.keys() == expected.keys()
        for name, values in expected.items():
            assert layers[name].dtype == values.dtype and layers[name].shape == values.shape
            np.testing.assert_allclose(layers[name], values, rtol=1e-4, atol=1e-4)


def test_a_strip_without_a_wanted_cell_is_empty(bundle, observations):
    inputs = inputs_of(bundle, observations, True)
    states = encode_time_block(inputs, inputs.plan.time_block(0))
    (one,) = sweep_strip(inputs, states, [inputs.plan.get_block(0)], GeometryCache())
    layers = {layer.name: layer.view(one.packed.numpy()) for layer in one.form}
    for name, values in sweep_block(inputs, states, one.block, GeometryCache()).items():
        np.testing.assert_array_equal({**layers, **one.beside}[name], values)
