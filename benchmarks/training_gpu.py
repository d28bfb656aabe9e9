"""Training on a GPU: the default model to its early stop, how busy the GPU is, and what recording the step gives.

    python benchmarks/training_gpu.py [--data ../shared/data/china_north_2019.parquet] [--device cuda]

Rows of the table: `aqreanalysis train` with the default config, from the read records to the finished bundle; a step of
it launched kernel by kernel and one that is recorded and played (`training/cuda_graph.py`); a step of each of
one and of four members of the config `six`, which a GPU trains in turns. Busy is NVML's share of time with a kernel
running. Writes results/training_gpu.md.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from producing import machine, record, table

from aqreanalysis.configs import Config, load_config
from aqreanalysis.model import choose_device, read_bundle
from aqreanalysis.observations import Observations, read_observations
from aqreanalysis.training.cuda_graph import CudaGraphStep
from aqreanalysis.training.distributed import Processes
from aqreanalysis.training.ensemble import run_members
from aqreanalysis.training.trainer import Trainer

# The module, which its package hides behind the function of the same name.
training = importlib.import_module("aqreanalysis.training.train")
WARM_UP, PLAIN_STEPS, STEPS = 5, 20, 150


@contextmanager
def watched(device: torch.device) -> Iterator[list[int]]:
    """Yield a list that fills with the per cent of time that the GPU was busy, ten times a second."""
    busy: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            busy.append(torch.cuda.utilization(device))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield busy
    finally:
        done.set()
        watcher.join()


def whole(observations: Observations, device: torch.device) -> dict[str, float]:
    """Return seconds of the training to its early stop and of its loop, and how busy the GPU was in the loop."""
    busy: list[int] = []

    def noting(*given: Any) -> Any:
        with watched(device) as seen:
            measured = run_members(*given)
        busy.extend(seen)
        return measured

    training.run_members = noting
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        out = training.train(observations, load_config("aqnet", []), Path(folder) / "model", str(device))
        seconds = time.perf_counter() - began
        state = read_bundle(out).metrics["training"]
    training.run_members = run_members
    return {"seconds": seconds, "loop": state["seconds"], "busy": mean(busy), "epochs": state["epoch"]}


def trainers(observations: Observations, config: Config, device: torch.device) -> list[Trainer]:
    """Return the members of `config`, ready to take steps."""
    config = training.resolve(config, observations)
    measured = training._trainers(config, training._prepare(observations, config, None, None), Processes(device))
    for trainer in measured:
        trainer.network.train()
    return list(measured)


def step_seconds(take: Callable[[], Any], steps: int) -> float:
    """Return seconds a call, after some that warm up."""
    for _ in range(WARM_UP):
        take()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(steps):
        take()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / steps


def graph_step(members: list[Trainer]) -> Callable[[], None]:
    """Return a call that lets each member take a recorded step, on a stream of its own."""
    rng = np.random.default_rng(0)
    streams = [torch.cuda.Stream(trainer.device) for trainer in members]
    for trainer in members:
        trainer.graph_step = CudaGraphStep(trainer)

    def take() -> None:
        for trainer, stream in zip(members, streams, strict=True):
            with torch.cuda.stream(stream):
                trainer._graph_step(rng)

    return take


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/china_north_2019.parquet"))
    parser.add_argument("--device", default="cuda")
    asked = parser.parse_args()
    device, observations = choose_device(asked.device), read_observations(asked.data)
    measured = whole(observations, device)
    (alone,) = trainers(observations, load_config("aqnet", []), device)
    rng, generator = np.random.default_rng(0), torch.Generator(device)
    plain = 1000 * step_seconds(lambda: alone._step(rng, generator), PLAIN_STEPS)
    played = 1000 * step_seconds(graph_step([alone]), STEPS)
    four = trainers(observations, load_config("six", ["training.members=4"]), device)
    one, all_four = (1000 * step_seconds(graph_step(some), STEPS) for some in (four[:1], four))
    rows = [
        ("default model to its early stop, s", measured["seconds"], "at most 300"),
        ("... its loop, s", measured["loop"], ""),
        ("... GPU busy in the loop, %", measured["busy"], "at least 60"),
        ("a step launched kernel by kernel, ms", plain, ""),
        ("a recorded step, ms", played, ""),
        ("... times as fast", plain / played, ""),
        ("six pollutants: a step of one member, ms", one, ""),
        ("... a step of each of four members in turns, ms", all_four, ""),
        ("... members a time of one", 4 * one / all_four, ""),
    ]
    head = f"`benchmarks/training_gpu.py`, {asked.data.stem}, {measured['epochs']} epochs. "
    head += f"{torch.cuda.get_device_name(device)}; {machine()}."
    figures = measured | {"plain_ms": plain, "recorded_ms": played, "one_ms": one, "four_ms": all_four}
    record(
        "training_gpu", ["# Training on a GPU", "", head, "", *table(("what", "figure", "bar"), rows)], figures, False
    )


if __name__ == "__main__":
    main()
