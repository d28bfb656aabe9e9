"""What a GPU needs once in a process is done by a strip of made-up readings; the CPU needs none of it."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pandas as pd
import production_case

from aqreanalysis.model import load_predictor
from aqreanalysis.production import ProduceOptions
from aqreanalysis.production.execute import gpu_pipeline
from aqreanalysis.production.execute.executors import start_gpu_warmup
from aqreanalysis.production.plan.blocks import hours_between, make_plan


def test_a_strip_of_made_up_readings_is_computed_to_warm_up(tmp_path):
    predictor = load_predictor(production_case.make_bundle(tmp_path / "bundle"), "cpu")
    observations, grid = production_case.make_observations(), production_case.small_grid(True)
    hours = hours_between(production_case.START, production_case.END)
    plan = make_plan(hours, grid.shape, production_case.TILES, 0)
    stations = pd.DataFrame({"lat": observations.lat, "lon": observations.lon})
    predictor.bundle = replace(predictor.bundle, stations=stations)
    start_gpu_warmup(predictor, grid, plan, ProduceOptions())
    assert predictor not in gpu_pipeline._WARMUPS  # the CPU needs none
    gpu_pipeline.start_warmup(predictor, grid, plan)
    assert pickle.loads(pickle.dumps(predictor)).digest == predictor.digest  # as when the run is refused meanwhile
    gpu_pipeline.await_warmup(predictor)
    assert predictor not in gpu_pipeline._WARMUPS
    gpu_pipeline.warm_up(predictor, grid, plan)  # in this thread: what fails here is seen
