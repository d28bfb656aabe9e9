"""The same numbers on CUDA, and training in bfloat16; skipped where there is no CUDA device."""

from __future__ import annotations

import numpy as np
import production_case
import pytest
import torch
from model_case import DAYS, make_bundle, make_observations, make_readings, small_config, some_places
from training_case import make_trainer

from aqreanalysis.configs import ProductionConfig
from aqreanalysis.errors import ConfigError
from aqreanalysis.grids import Grid, load_grid
from aqreanalysis.model import AnalysisPredictor, choose_device, read_bundle
from aqreanalysis.model.device import mixed_precision
from aqreanalysis.production import ProduceOptions, produce
from aqreanalysis.training import train
from aqreanalysis.training.cuda_graph import CudaGraphStep, MaskedStations
from aqreanalysis.training.distributed import Processes

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


def predict(device):
    readings = make_readings(days=2, padded=True)
    predictor = AnalysisPredictor(make_bundle(members=2), device)
    encoded = predictor.encode(readings.values, readings.hours, readings.lat, readings.lon)
    return predictor.predict(encoded, predictor.geometry(readings.lat, readings.lon, *some_places(100)))


def test_estimates_on_cuda_are_those_of_the_cpu():
    there, here = predict("cuda"), predict("cpu")
    for key, one in here.items():
        np.testing.assert_allclose(there[key].best, one.best, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(there[key].standard_error, one.standard_error, rtol=1e-3)
        for a, b in zip(there[key].interval(0.9), one.interval(0.9), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3)
        assert np.array_equal(there[key].observations_used, one.observations_used)


def test_cells_of_a_dense_grid_on_cuda_are_those_of_the_cpu():
    readings = make_readings(days=2, padded=True)
    lat, lon = (axis.ravel() for axis in np.meshgrid(39.5 + 0.02 * np.arange(9), 116.4 + 0.03 * np.arange(7)))
    result = {}
    for device in ("cuda", "cpu"):
        predictor = AnalysisPredictor(make_bundle(members=2), device)
        encoded = predictor.encode(readings.values, readings.hours, readings.lat, readings.lon)
        places = predictor.geometry(readings.lat, readings.lon, lat, lon, (0.02, 0.03))
        assert (places.blocks is not None) == (device == "cpu")
        result[device] = predictor.predict(encoded, places)
    for key, one in result["cpu"].items():
        np.testing.assert_allclose(result["cuda"][key].best, one.best, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(result["cuda"][key].standard_error, one.standard_error, rtol=1e-3)


@pytest.mark.parametrize("workers", [None, max(1, torch.cuda.device_count())])
def test_a_cube_swept_on_cuda_is_that_of_the_cpu_by_threads_and_by_a_worker_a_gpu(workers, tmp_path):
    bundle = production_case.make_bundle(tmp_path / "bundle")
    given = (
        bundle,
        production_case.make_observations(),
        production_case.GRID,
        production_case.START,
        production_case.END,
    )
    tiles = production_case.TILES.model_copy(update={"keepbits": 0})  # rounding may turn a seventh digit into a fourth
    there = produce(*given, tmp_path / "gpu.nc", ProduceOptions(production=tiles, device="cuda", workers=workers))
    here = produce(*given, tmp_path / "cpu.nc", ProduceOptions(production=tiles, device="cpu"))
    for name in ("pm2p5", "pm2p5_standard_error", "pm2p5_lower", "pm2p5_upper"):
        np.testing.assert_allclose(there[name], here[name], rtol=1e-4, atol=1e-3)
    there.close(), here.close()


def near(there, here):
    """Compare two cubes: numbers within a ten thousandth, counts and flags exactly."""
    assert set(there.variables) == set(here.variables)
    for name, one in here.variables.items():
        if one.dtype.kind == "f":
            np.testing.assert_allclose(there[name], one, rtol=1e-4, atol=1e-3)
        elif one.dtype.kind in "iu":
            np.testing.assert_array_equal(there[name], one)


@pytest.mark.parametrize("frequency", ["hourly", "daily"])
@pytest.mark.parametrize("step", ["0.25", "0.05"], ids=["wide cells", "dense cells"])
def test_masks_thresholds_two_pollutants_and_means_are_on_cuda_those_of_the_cpu(step, frequency, tmp_path):
    bundle = production_case.make_bundle(tmp_path / "bundle", ("pm25", "o3"))
    grid = load_grid(f"116,39,118,40.5@{step}")
    wanted = np.ones(grid.shape, dtype=bool)
    wanted[:3, :4] = wanted[-1, -1] = False
    given = bundle, production_case.make_observations(), Grid("masked", grid.lat, grid.lon, wanted)
    blocks = ProductionConfig(block_days=2, tile_rows=16, tile_columns=16, keepbits=0)
    cubes = {}
    for device in ("cuda", "cpu"):
        thresholds = {"pm25": [35.0], "o3": [100.0, 120.0]} if frequency == "hourly" else {}
        options = ProduceOptions(production=blocks, device=device, frequencies=(frequency,), thresholds=thresholds)
        out = tmp_path / f"{device}.zarr"
        cubes[device] = produce(*given, production_case.START, production_case.END, out, options)
    near(cubes["cuda"], cubes["cpu"])


def test_a_sweep_on_cuda_that_was_stopped_ends_with_the_same_bytes(tmp_path):
    bundle = production_case.make_bundle(tmp_path / "bundle")
    given = bundle, production_case.make_observations(), production_case.small_grid()
    timeline, whole, parts = (production_case.START, production_case.END), tmp_path / "a.zarr", tmp_path / "b.zarr"

    def stop(done, total, note):
        if done == 5:
            raise KeyboardInterrupt

    options = {"production": production_case.TILES, "device": "cuda"}
    produce(*given, *timeline, whole, ProduceOptions(**options)).close()
    with pytest.raises(KeyboardInterrupt):
        produce(*given, *timeline, parts, ProduceOptions(**options, progress=stop))
    produce(*given, *timeline, parts, ProduceOptions(**options)).close()
    files = [f.relative_to(whole) for f in whole.glob("*/*") if not f.name.startswith(".")]
    assert files and all((whole / f).read_bytes() == (parts / f).read_bytes() for f in files)


def test_mixed_precision_on_cuda_is_bfloat16_where_wanted():
    cuda = choose_device("cuda")
    a = torch.randn(8, 8, device=cuda)
    for wanted, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        with mixed_precision(cuda, wanted):
            assert (a @ a).dtype == dtype


@pytest.mark.parametrize("mixed", ["true", "false"])
def test_a_step_on_cuda_runs_and_moves_the_weights(mixed):
    trainer = make_trainer(f"training.mixed_precision={mixed}", processes=Processes(choose_device("cuda")))
    assert trainer.timeline.days == DAYS and trainer.timeline.scaled.is_cuda
    dtypes = set()
    trainer.network.own.register_forward_hook(lambda module, given, result: dtypes.add(result.dtype))
    began = trainer.averaged_weights()
    loss = float(trainer._step(np.random.default_rng(0), torch.Generator("cuda").manual_seed(0)))
    assert np.isfinite(loss) and loss > 0
    assert dtypes == {torch.bfloat16 if mixed == "true" else torch.float32}
    assert any(not torch.equal(v, began[k]) for k, v in trainer.averaged_weights().items())
    assert all(torch.isfinite(v).all() for v in trainer.averaged_weights().values())


def test_a_recorded_step_has_the_loss_and_the_gradients_of_the_cpu():
    plain = (
        "model.neighbours=4",
        "model.dropout=0",
        *(f"training.{share}=0" for share in ("mask_readings", "mask_runs", "forecast_share")),
        "training.days_per_batch=2",
        "training.masks_per_batch=2",
        "training.mixed_precision=false",
    )
    there, here = make_trainer(*plain, processes=Processes(choose_device("cuda"))), make_trainer(*plain)
    here.network.load_state_dict({k: v.cpu() for k, v in there.network.state_dict().items()})
    there.network.train(), here.network.train()
    assert CudaGraphStep.serves(there)
    graph_step = CudaGraphStep(there)
    masks = [np.isin(np.arange(15), some) for some in ([3], [0, 1, 5, 6, 7])]
    for days in ([1, 4], [2, 3]):  # the second time it is played with other questions than it was recorded with
        loss = graph_step.replay(np.array(days), [MaskedStations.of(there.roles, mask, 4) for mask in masks])
        here.network.zero_grad(set_to_none=True)
        wanted = here.loss_of(torch.tensor(days), masks, torch.Generator())
        wanted.backward()
        torch.testing.assert_close(loss.cpu(), wanted.detach(), rtol=1e-5, atol=1e-6)
        result = dict(there.network.named_parameters())
        largest = max(float(p.grad.abs().max()) for p in here.network.parameters() if p.grad is not None)
        for name, p in here.network.named_parameters():
            if p.grad is not None:
                torch.testing.assert_close(result[name].grad.cpu(), p.grad, rtol=1e-3, atol=1e-4 * largest, msg=name)
        masks = masks[::-1]


def test_members_trained_in_turns_differ_and_learn(tmp_path):
    out = train(
        make_observations(make_readings()),
        small_config("training.members=2", "training.epochs=2", "model.neighbours=4"),
        tmp_path / "model",
        "cuda",
    )
    bundle = read_bundle(out)
    one, other = bundle.members
    assert any(not torch.equal(one[k], other[k]) for k in one)
    assert all(torch.isfinite(v).all() for member in bundle.members for v in member.values())
    states = [bundle.metrics["training"], *bundle.metrics["further_members"]]
    assert [state["epoch"] for state in states] == [2, 2]


def test_a_model_trained_on_cuda_works_on_the_cpu(tmp_path):
    out = train(make_observations(make_readings()), small_config(), tmp_path / "model", "cuda")
    bundle = read_bundle(out)
    assert bundle.provenance["device"] == "cuda"
    readings = make_readings(days=1, padded=True)
    predictor = AnalysisPredictor(bundle, "cpu")
    encoded = predictor.encode(readings.values, readings.hours, readings.lat, readings.lon)
    result = predictor.predict(encoded, predictor.geometry(readings.lat, readings.lon, *some_places()))["pm25"]
    assert np.isfinite(result.best).all() and (result.standard_error > 0).all()


def test_a_cuda_device_beyond_the_last_is_refused():
    count = torch.cuda.device_count()
    with pytest.raises(ConfigError, match=rf"torch sees {count} CUDA device\(s\), counted from cuda:0"):
        choose_device(f"cuda:{count}")
