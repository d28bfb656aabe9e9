"""The loop: epochs of random days, early stopping at stations held out, resumable with the same result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqreanalysis.configs import Config
from aqreanalysis.errors import TrainingError
from aqreanalysis.model import AQNet, Scaling, find_neighbours
from aqreanalysis.model.aqnet import Neighbourhood, StationStates
from aqreanalysis.model.device import mixed_precision
from aqreanalysis.training.checkpoint import load_checkpoint, save_checkpoint
from aqreanalysis.training.loss import target_scores
from aqreanalysis.training.masking import StationMask, mask_readings
from aqreanalysis.training.windows import Timeline

Progress = Callable[[int, int, str], None]

_WARM_UP_STEPS = 50
_LARGEST_GRADIENT = 1.0
# Days on which the calibration stations are scored after each epoch.
_VALIDATION_DAYS = 16


@dataclass(frozen=True)
class Places:
    """Stations as the loop needs them: degrees, and the role of each as a mask."""

    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    training: NDArray[np.bool_]
    calibration: NDArray[np.bool_]


class Trainer:
    """One network, its data and its optimiser.

    Parameters
    ----------
    config : Config
        Resolved: `species` and `inputs` are lists.
    timeline : Timeline
        Of the hours that training may see, all stations.
    places : Places
        The stations.
    scalings : list of Scaling
        Of the targets.
    device : torch.device
        Where everything lies.
    """

    def __init__(
        self, config: Config, timeline: Timeline, places: Places, scalings: list[Scaling], device: torch.device
    ) -> None:
        self.config, self.places, self.scalings, self.device = config, places, scalings, device
        self.timeline = timeline.to(device)
        torch.manual_seed(config.training.seed)
        inputs = config.inputs or config.species
        self.targets = [inputs.index(s) for s in config.species]
        self.network = AQNet(len(inputs), self.targets, config.model).to(device)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config.training.learning_rate, weight_decay=config.training.weight_decay
        )
        self.mask = StationMask(places.lat[places.training], places.lon[places.training], config.training)
        batch = config.training.days_per_batch
        self.steps = config.training.steps_per_epoch or max(1, -(-timeline.days // batch))
        self.best = self._weights()
        self.state: dict[str, Any] = {"epoch": 0, "best_score": float("inf"), "best_epoch": 0, "seconds": 0.0}
        self.state["history"] = []

    def _weights(self) -> dict[str, Tensor]:
        return {k: v.detach().clone() for k, v in self.network.state_dict().items()}

    def run(self, checkpoints: Path, progress: Progress | None = None, resume: bool = True) -> dict[str, Tensor]:
        """Train to the end or to the early stop and return the best weights.

        A checkpoint is written after each epoch; with `resume`, one that is there is gone on from, and the result is
        that of an uninterrupted run, since each epoch draws from its own seed.
        """
        training = self.config.training
        if resume and (checkpoints / "state.json").is_file():
            self.state, best = load_checkpoint(checkpoints, self.network, self.optimiser)
            self.best = {k: v.to(self.device) for k, v in best.items()}
        while not self._finished():
            began = time.monotonic()
            epoch = self.state["epoch"]
            loss = self._epoch(epoch, progress)
            score = self.validate()
            self.state["epoch"] = epoch + 1
            self.state["seconds"] += time.monotonic() - began
            self.state["history"].append({"epoch": epoch + 1, "loss": loss, "validation": score})
            if score < self.state["best_score"]:
                self.state |= {"best_score": score, "best_epoch": epoch + 1}
                self.best = self._weights()
            save_checkpoint(checkpoints, self.network, self.best, self.optimiser, self.state)
            if progress:
                note = f"epoch {epoch + 1}: loss {loss:.4f}, at calibration stations {score:.4f}"
                progress((epoch + 1) * self.steps, training.epochs * self.steps, note)
        return self.best

    def _finished(self) -> bool:
        training, state = self.config.training, self.state
        stale = state["epoch"] - state["best_epoch"] >= training.patience
        late = training.max_minutes is not None and state["seconds"] >= 60 * training.max_minutes
        return state["epoch"] >= training.epochs or stale or late

    def _epoch(self, epoch: int, progress: Progress | None) -> float:
        training = self.config.training
        rng = np.random.default_rng((training.seed, epoch))
        generator = torch.Generator(self.device).manual_seed(int(rng.integers(2**62)))
        torch.manual_seed(int(rng.integers(2**62)))  # dropout
        self.network.train()
        total = 0.0
        for step in range(self.steps):
            done = epoch * self.steps + step
            for group in self.optimiser.param_groups:
                group["lr"] = training.learning_rate * self._rate(done)
            total += self._step(rng, generator)
            if progress:
                note = f"epoch {epoch + 1}, scored at its end"
                if self.state["history"]:
                    note = f"epoch {epoch + 1}, at calibration stations {self.state['history'][-1]['validation']:.4f}"
                progress(done + 1, training.epochs * self.steps, note)
        return total / self.steps

    def _rate(self, step: int) -> float:
        whole = self.config.training.epochs * self.steps
        warm = min(1.0, (step + 1) / _WARM_UP_STEPS)
        return warm * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * min(step / whole, 1.0))))

    def _step(self, rng: np.random.Generator, generator: torch.Generator) -> float:
        among = np.flatnonzero(self.places.training)
        hidden = self.mask.draw(rng)
        targets, visible = among[hidden], among[~hidden]
        days = torch.from_numpy(rng.integers(0, self.timeline.days, self.config.training.days_per_batch))
        with mixed_precision(self.device, self.config.training.mixed_precision):
            states, around, truth = self._forward(days.to(self.device), visible, targets, generator)
            loss, _ = target_scores(self.network, states, around, truth, self.scalings)
        if not loss.requires_grad:  # no target was observed on these days
            return 0.0
        if not torch.isfinite(loss):
            raise TrainingError(
                f"training diverged: the loss is {float(loss.detach())} in epoch {self.state['epoch'] + 1}; lower "
                f"training.learning_rate ({self.config.training.learning_rate}) and begin anew with --fresh"
            )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _LARGEST_GRADIENT)
        self.optimiser.step()
        return float(loss.detach())

    def _forward(
        self,
        days: Tensor,
        visible: NDArray[np.int64],
        targets: NDArray[np.int64],
        generator: torch.Generator | None = None,
    ) -> tuple[StationStates, Neighbourhood, Tensor]:
        """Return states of the visible stations, the neighbourhood of the targets, and their truths."""
        network, window = self.network, self.timeline.window
        windows, hours, truth = self.timeline.cut(days)
        windows = windows[:, :, torch.from_numpy(visible).to(self.device)]
        centre = window.history_hours
        if generator is not None:
            windows = mask_readings(windows, self.config.training, centre, generator)
        states = network.own_states(windows, hours, centre, centre + 24).flatten(0, 1)
        readings = windows[:, centre : centre + 24][..., self.targets].flatten(0, 1)
        clock = network.clock(hours[:, centre : centre + 24]).flatten(0, 1)
        lat, lon, k = self.places.lat, self.places.lon, self.config.model.neighbours
        own = find_neighbours(lat[visible], lon[visible], lat[visible], lon[visible], k, exclude_self=True)
        there = find_neighbours(lat[visible], lon[visible], lat[targets], lon[targets], k)
        with torch.autocast(self.device.type, enabled=False):  # the kriging systems need float32
            among = network.neighbourhood(own.to(self.device), len(visible))
            around = network.neighbourhood(there.to(self.device), len(visible))
        heard = network.exchange_stations(states, readings, clock, among)
        return heard, around, truth[:, torch.from_numpy(targets).to(self.device)]

    @torch.no_grad()
    def validate(self) -> float:
        """Return the mean scaled CRPS at the calibration stations, seen from the training stations."""
        self.network.eval()
        visible = np.flatnonzero(self.places.training)
        targets = np.flatnonzero(self.places.calibration)
        days = np.unique(np.linspace(0, self.timeline.days - 1, _VALIDATION_DAYS).astype(np.int64))
        total, counted = 0.0, 0
        for day in days:
            states, around, truth = self._forward(torch.tensor([day], device=self.device), visible, targets)
            seen = int(torch.isfinite(truth).sum())
            if seen:
                total += float(target_scores(self.network, states, around, truth, self.scalings)[1]) * seen
                counted += seen
        return total / max(counted, 1) / len(self.scalings)
