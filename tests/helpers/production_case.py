"""A small real case for the tests of production: a network of stations, an AQ-Net bundle, a grid; also a command.

``python production_case.py MODEL OBSERVATIONS OUT [KEY=VALUE ...]`` runs `produce` on it as a user's process would.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from aqreanalysis.configs import MetadataConfig, ProductionConfig, load_config
from aqreanalysis.grids import Grid, load_grid
from aqreanalysis.model.bundle import Bundle, write_bundle
from aqreanalysis.model.distribution.hourly import Calibration
from aqreanalysis.model.distribution.period_means import MEAN_DAYS, ErrorAutocovariance, MeansCalibration, MeanTable
from aqreanalysis.model.network.aqnet import AQNet
from aqreanalysis.model.network.scaling import Scaling
from aqreanalysis.observations import Observations, from_frame, window
from aqreanalysis.production import ProduceOptions
from aqreanalysis.production.layers import cube_layers
from aqreanalysis.production.plan import Block, Plan
from aqreanalysis.production.plan.prepare import prepare
from aqreanalysis.production.sweep import SweepInputs
from aqreanalysis.production.template import Provenance, Template, render_template
from aqreanalysis.species import SPECIES

FIRST, DAYS, STATIONS = "2019-01-01", 8, 30
START, END = "2019-01-03", "2019-01-07"
GRID = "116,39,118,40.5@0.25"
SMALL = {"neighbours": 8, "kernels": 2, "state_width": 8, "attention_heads": 2, "channels": 2, "head_width": 8}
TILES = ProductionConfig(block_days=1, tile_rows=3, tile_columns=4)
# A cube of each kind by its name; what each is made with says `options_by_kind`.
NAMES = {"nc": "x.nc", "zarr": "x.zarr", "zarr3": "x.zarr", "daily": "x.zarr"}


def options_by_kind(blocks: ProductionConfig) -> dict[str, ProduceOptions]:
    """Return how each kind of `NAMES` is produced."""
    return {
        "nc": ProduceOptions(production=blocks),
        "zarr": ProduceOptions(production=blocks),
        "zarr3": ProduceOptions(production=blocks, zarr_format=3, shards=True),
        "daily": ProduceOptions(production=blocks, frequencies=("daily",)),
    }


def make_frame(seed: int = 0) -> pd.DataFrame:
    """Return readings of a region with a daily cycle, gradients, noise and gaps, as a long table."""
    rng = np.random.default_rng(seed)
    times = pd.date_range(FIRST, periods=24 * DAYS, freq="h", inclusive="both") + pd.Timedelta(hours=1)
    lat, lon = rng.uniform(39, 40.5, STATIONS), rng.uniform(116, 118, STATIONS)
    hour = np.arange(len(times))[:, None]
    # Lowest, and ozone highest, in the early afternoon of 117 E.
    wave = 40 + 15 * np.sin(2 * np.pi * (hour - 12) / 24) + 20 * (lon - 117) + 12 * np.sin(hour / 17 + 2 * lat)
    pm25 = np.maximum(wave + rng.normal(0, 4, wave.shape), 1)
    o3 = np.maximum(110 - wave + rng.normal(0, 6, wave.shape), 1)
    pm25[rng.random(pm25.shape) < 0.1] = np.nan
    o3[rng.random(o3.shape) < 0.1] = np.nan
    pm25[90] = np.nan  # an hour at which the whole network was silent
    return pd.DataFrame(
        {
            "station_id": np.tile([f"s{i:02d}" for i in range(STATIONS)], len(times)),
            "time": np.repeat(times, STATIONS),
            "lat": np.tile(lat, len(times)),
            "lon": np.tile(lon, len(times)),
            "pm25": pm25.ravel().astype("float32"),
            "o3": o3.ravel().astype("float32"),
        }
    )


def make_observations(seed: int = 0) -> Observations:
    """Return the readings of `make_frame`."""
    return from_frame(make_frame(seed))


def make_calibration_means() -> MeansCalibration:
    """Return a calibration of means whose errors last some hours, some days and for ever."""
    autocovariance = ErrorAutocovariance(np.array([0.0, 3.0, 60.0, np.inf]), np.array([0.2, 0.4, 0.2, 0.2]))
    shape = np.linspace(-2.2, 2.2, 100)
    quantiles = np.stack([[shape, 1.3 * shape], [1.5 * shape, 2 * shape]])
    table = MeanTable(np.array([2.0, 40.0]), np.array([2.0, 4.0]), quantiles, 1, 700, 9)
    return MeansCalibration(2.0, autocovariance, dict.fromkeys(MEAN_DAYS, table))


def make_bundle(
    path: Path, species: tuple[str, ...] = ("pm25",), seed: int = 0, inputs: tuple[str, ...] = ("pm25", "o3")
) -> Path:
    """Write a small AQ-Net with drawn weights: every part of it works, none has been trained."""
    torch.manual_seed(seed)
    config = load_config({"species": list(species), "inputs": list(inputs), "model": SMALL})
    network = AQNet(len(inputs), [inputs.index(s) for s in species], config.model)
    for parameter in network.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    bundle = Bundle(
        config,
        [network.state_dict()],
        {key: Scaling(offset=2.0, mean=3.6, std=0.6, typical_error=10.0) for key in inputs},
        {key: Calibration.normal() for key in species},
        pd.DataFrame({"station": ["s00"], "lat": [39.5], "lon": [117.0], "city": [""], "role": ["train"]}),
        calibration_means={key: make_calibration_means() for key in species},
    )
    return write_bundle(bundle, path)


def small_grid(mask: bool = False) -> Grid:
    """Return 7 x 9 cells, with a mask that leaves out a corner and a whole tile if asked."""
    grid = load_grid(GRID)
    if not mask:
        return grid
    wanted = np.ones(grid.shape, dtype=bool)
    wanted[:3, :4] = False
    wanted[-1, -1] = False
    return Grid("masked", grid.lat, grid.lon, wanted)


def sweep_inputs(bundle: Path, observations: Observations, masked: bool = False) -> SweepInputs:
    """Return what a sweep over the small grid needs, with thresholds of ozone."""
    options = ProduceOptions(production=TILES, device="cpu", thresholds={"o3": (100.0, 120.0)})
    prepared = prepare(bundle, observations, small_grid(masked), (START, END), options)
    inputs = tuple(prepared.predictor.inputs)
    return prepared.sweep_inputs(lambda first, hours: window(observations, inputs, first, hours)[0])


def tiled(**more: Any) -> ProduceOptions:
    """Return options of a run in blocks of `TILES`."""
    return ProduceOptions(production=TILES, **more)


def make_template(mask: bool = False) -> Template:
    """Return the template of a cube of 30 hours on the small grid."""
    grid, species = small_grid(mask), [SPECIES["pm25"]]
    plan = Plan(1, 30, *grid.shape, (24, 3, 4), 19)
    provenance = Provenance("m", "o", 3, "2026-01-01T00:00:00Z", "1")
    return render_template(plan, grid, cube_layers(species, 0.9), species, MetadataConfig(), provenance)


def block_values(template: Template, block: Block) -> dict[str, np.ndarray]:
    """Return drawn values of every layer of a block."""
    rng = np.random.default_rng(block.number)
    shape = tuple(s.stop - s.start for s in block.region)
    return {x.name: (rng.random(shape[3 - len(x.dims) :]) * 50).astype(x.dtype) for x in template.layers}


if __name__ == "__main__":
    from aqreanalysis.errors import AqreanalysisError
    from aqreanalysis.production import produce_cubes

    model, observations, out, *rest = sys.argv[1:]
    given = dict(pair.split("=", 1) for pair in rest)
    blocks = ProductionConfig(
        block_days=1, tile_rows=int(given.get("rows", 3)), tile_columns=int(given.get("columns", 4))
    )
    pause = float(given.get("pause", 0))

    def progress(done: int, total: int, note: str) -> None:
        print(done, total, note, flush=True)
        time.sleep(pause)

    options = ProduceOptions(
        production=blocks,
        workers=int(given["workers"]) if "workers" in given else None,
        overwrite="overwrite" in given,
        append="append" in given,
        frequencies=given.get("frequencies", "hourly").split("+"),
        progress=progress,
    )
    try:
        timeline = (START, given.get("end", END))
        produce_cubes(model, observations, given.get("grid", GRID), timeline, out, options)
    except AqreanalysisError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
