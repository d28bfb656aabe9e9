"""How many windows a second are trained, against the same network fed a window at a time?

    python benchmarks/training_throughput.py [--stations 400] [--days 30] [--seconds 60] [--write]

A window is a day of a station that is hidden from the network and scored: its neighbours' readings go in, its own 24
hours are the truth. The other way of feeding is that of a torch Dataset: each item holds NumPy copies of the windows of
its nearest stations, and a DataLoader collates 16 of them. Network, optimiser, loss and readings are the same on both
sides; so is one thread, unless OMP_NUM_THREADS says otherwise. Prints a table; with --write also into
benchmarks/results/training_throughput.md.

The readings are drawn at random: how fast a step is does not depend on what was measured.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from aqreanalysis.configs import Config, load_config
from aqreanalysis.evaluation.tables import aligned
from aqreanalysis.model import Scaling, find_neighbours
from aqreanalysis.model.network.temporal_filters import around_day
from aqreanalysis.species import SPECIES
from aqreanalysis.training.distributed import Processes
from aqreanalysis.training.loss import target_scores
from aqreanalysis.training.station_masking import StationRoles
from aqreanalysis.training.trainer import Trainer
from aqreanalysis.training.windows import Timeline

RESULTS = Path(__file__).parent / "results" / "training_throughput.md"
BATCH = 16
FIRST_HOUR = 429_529  # 2019-01-01 01:00 UTC, in hours since 1970
BAR = 10


def main() -> None:
    """Measure both, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stations", type=int, default=400)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--inputs", type=int, default=6, help="pollutants read, of six")
    parser.add_argument("--seconds", type=float, default=60.0, help="so long each way of feeding is measured")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    inputs = list(SPECIES)[: given.inputs]
    config = load_config("aqnet", [f"inputs=[{', '.join(inputs)}]"])
    rates = {
        "resident timeline, all stations encoded once a day": ours(make_trainer(config, given), given.seconds),
        f"Dataset of NumPy copies, DataLoader, batch {BATCH}": theirs(make_trainer(config, given), given.seconds),
    }
    lines = report(rates, given)
    print("\n".join(lines))
    if given.write:
        RESULTS.write_text("\n".join(["# Windows trained a second", "", *lines, ""]), encoding="utf-8")


def make_trainer(config: Config, given: argparse.Namespace) -> Trainer:
    """Return a trainer on stations strewn over 8 by 8 degrees, a tenth of the readings missing."""
    rng = np.random.default_rng(0)
    count = given.stations
    values = np.exp(rng.normal(3.5, 0.6, (24 * given.days, count, given.inputs))).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    scalings = [Scaling.fit(values[..., i]) for i in range(given.inputs)]
    places = StationRoles(
        rng.uniform(34, 42, count), rng.uniform(110, 118, count), np.ones(count, bool), np.zeros(count, bool)
    )
    timeline = Timeline.build(values, FIRST_HOUR, scalings, [0], config.window)
    return Trainer(config, timeline, places, scalings[:1], Processes(torch.device("cpu")))


def ours(trainer: Trainer, seconds: float) -> float:
    """Return windows a second of the loop as it is."""
    rng, generator = np.random.default_rng(1), torch.Generator().manual_seed(1)
    trainer.network.train()
    scored, draw = [0], trainer.mask.draw

    def counted(rng: np.random.Generator) -> NDArray[np.bool_]:
        hidden = draw(rng)
        scored[0] += int(hidden.sum()) * trainer.config.training.days_per_batch
        return hidden

    trainer.mask.draw = counted  # type: ignore[method-assign]
    return rate(lambda: trainer._step(rng, generator), lambda: scored[0], seconds)


class Windows(Dataset[dict[str, Any]]):
    """One window an item, copied out of NumPy arrays as it is asked for."""

    def __init__(self, trainer: Trainer) -> None:
        self.timeline, self.roles = trainer.timeline, trainer.roles
        self.scaled, self.shifted = self.timeline.scaled.numpy(), self.timeline.shifted.numpy()
        self.hours = self.timeline.hours.numpy()
        lat, lon = self.roles.lat, self.roles.lon
        self.near = find_neighbours(
            lat, lon, lat, lon, trainer.config.model.neighbours, exclude_self=True
        ).index.numpy()

    def __len__(self) -> int:
        return self.timeline.days * len(self.near)

    def __getitem__(self, item: int) -> dict[str, Any]:
        day, station = divmod(item, len(self.near))
        window, near = self.timeline.window, self.near[station]
        length = window.history_hours + 24 + window.lookahead_hours
        return {
            "readings": self.scaled[24 * day : 24 * day + length, near].copy(),
            "hours": self.hours[24 * day : 24 * day + length].copy(),
            "truth": self.shifted[24 * day : 24 * day + 24, station].copy(),
            "station": station,
            "near": near.copy(),
        }


def theirs(trainer: Trainer, seconds: float) -> float:
    """Return windows a second of the same network fed by a DataLoader."""
    trainer.network.train()
    windows = Windows(trainer)
    loader = DataLoader(windows, BATCH, shuffle=True, generator=torch.Generator().manual_seed(1))
    batches, scored = iter(loader), [0]

    def step() -> None:
        nonlocal batches
        batch = next(batches, None)
        if batch is None:
            batches = iter(loader)
            batch = next(batches)
        scored[0] += len(batch["station"])
        loss = window_loss(trainer, batch)
        trainer.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainer.network.parameters(), 1.0)
        trainer.optimiser.step()
        trainer.average.follow(trainer.network, 0)

    return rate(step, lambda: scored[0], seconds)


def window_loss(trainer: Trainer, batch: dict[str, Tensor]) -> Tensor:
    """Return the mean loss of a batch: encoded together, and each window interpolated from its own stations."""
    network, before = trainer.network, trainer.timeline.window.history_hours
    states = network.encode_own_history(batch["readings"], batch["hours"], before, before + 24)
    clock = network.clock(batch["hours"][:, before : before + 24])
    readings = around_day(batch["readings"][..., trainer.targets], before)
    lat, lon, k = trainer.roles.lat, trainer.roles.lon, trainer.config.model.neighbours
    total = torch.zeros(())
    for i, station in enumerate(batch["station"].tolist()):
        near = batch["near"][i].numpy()
        own = find_neighbours(lat[near], lon[near], lat[near], lon[near], k, exclude_self=True)
        there = find_neighbours(lat[near], lon[near], lat[[station]], lon[[station]], k)
        among, around = network.station_weights(own, len(near)), network.neighbourhood(there, len(near))
        heard = network.exchange_between_stations(states[i], readings[i : i + 1], clock[i], among)
        truth = batch["truth"][i][:, None]
        total = total + target_scores(network, heard, around, truth, trainer.scalings)[0]
    return total / len(batch["station"])


def rate(step: Callable[[], Any], scored: Callable[[], int], seconds: float) -> float:
    """Return windows a second over at least `seconds` and two steps, after one that warms up."""
    step()
    before, began, steps = scored(), time.perf_counter(), 0
    while steps < 2 or time.perf_counter() - began < seconds:
        step()
        steps += 1
    return (scored() - before) / (time.perf_counter() - began)


def report(rates: dict[str, float], given: argparse.Namespace) -> list[str]:
    """Return the table and what it was measured on."""
    (_, fast), (_, slow) = rates.items()
    rows = [[name, f"{value:.0f}", f"{value / slow:.1f}"] for name, value in rates.items()]
    verdict = "met" if fast >= BAR * slow else "missed"
    return [
        *aligned(["feeding", "windows a second", "times"], rows, left=1),
        "",
        f"Bar: {BAR} times; {verdict}. {given.stations} stations, {given.days} days, {given.inputs} pollutants read, "
        f"one estimated; {torch.get_num_threads()} thread(s), {platform.machine()}, torch {torch.__version__}.",
    ]


if __name__ == "__main__":
    main()
