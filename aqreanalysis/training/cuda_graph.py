"""A training step in shapes that never change, which a GPU records once and plays again: three thousand small kernels
started by one call. Started one by one they kept an H100 busy for a tenth of the time.

The stations that a step hides stay among its tensors here, without a reading and without influence; targets are padded
to as many as a step can hide. Loss and gradients are those of `Trainer.loss_of`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aqreanalysis.configs import Config
from aqreanalysis.model import AQNet, Scaling, find_neighbours
from aqreanalysis.model.device import mixed_precision
from aqreanalysis.model.network.neighbours import Geometry
from aqreanalysis.training.loss import EncodedBatch, target_scores
from aqreanalysis.training.station_masking import StationMask, StationRoles, most_hidden
from aqreanalysis.training.windows import Timeline

# Steps run before the recording, on a stream of their own: libraries set themselves up in the first ones.
_WARM_UP = 3


@dataclass(frozen=True)
class MaskedStations:
    """One way of hiding stations, in tensors of one shape whatever it hides.

    Attributes
    ----------
    hidden : Tensor
        Which of the training stations say nothing, bool (station,).
    own_index, own_position, own_reach_km : Tensor
        Of each training station its nearest visible others, as of `Geometry`; without meaning where it is hidden.
    targets : Tensor
        Which stations are asked for, indices of all, int64 (target,); the first again where there are no more.
    asked : Tensor
        False where a target only fills up, bool (target,).
    index, position, reach_km : Tensor
        Of each target its nearest visible training stations.
    """

    hidden: Tensor
    own_index: Tensor
    own_position: Tensor
    own_reach_km: Tensor
    targets: Tensor
    asked: Tensor
    index: Tensor
    position: Tensor
    reach_km: Tensor

    @classmethod
    def of(cls, roles: StationRoles, hidden: NDArray[np.bool_], neighbours: int) -> MaskedStations:
        """Return the question after the stations `hidden`, a mask over those of training, by the others."""
        among = np.flatnonzero(roles.training)
        visible = np.flatnonzero(~hidden)
        seen, asked = among[visible], among[hidden]
        lat, lon = roles.lat, roles.lon
        own = find_neighbours(lat[seen], lon[seen], lat[seen], lon[seen], neighbours, exclude_self=True)
        there = find_neighbours(lat[seen], lon[seen], lat[asked], lon[asked], neighbours)
        rows = np.zeros(len(among), dtype=np.int64)
        rows[visible] = np.arange(len(visible))
        fill = np.zeros(most_hidden(len(among)), dtype=np.int64)
        fill[: len(asked)] = np.arange(len(asked))
        back, at, to = (torch.from_numpy(i) for i in (visible, rows, fill))
        return cls(
            torch.from_numpy(hidden),
            *(back[own.index][at], own.position[at], own.reach_km[at]),
            torch.from_numpy(asked)[to],
            torch.from_numpy(np.arange(len(fill)) < len(asked)),
            *(back[there.index][to], there.position[to], there.reach_km[to]),
        )

    def to(self, device: torch.device) -> MaskedStations:
        """Return the same on `device`."""
        return MaskedStations(*(getattr(self, f.name).to(device) for f in fields(self)))

    def take(self, other: MaskedStations) -> None:
        """Take over the values of `other`, which lies in the processor's memory, without waiting for the device."""
        for f in fields(self):
            _send(getattr(other, f.name), getattr(self, f.name))


class StepTrainer(Protocol):
    """What a step asks of the trainer whose network learns."""

    config: Config
    device: torch.device
    network: AQNet
    timeline: Timeline
    roles: StationRoles
    mask: StationMask
    scalings: list[Scaling]
    training_stations: NDArray[np.int64]

    def read(self, days: Tensor, stations: NDArray[np.int64], generator: torch.Generator | None = None) -> EncodedBatch:
        """Return what `stations` say alone on `days`, masked where a generator is given."""

    def drift_and_weights(self, there: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return the drift and the weights of stations, where there are any."""


class FixedShapeStep:
    """Forward and backward of one step.

    Parameters
    ----------
    trainer : StepTrainer
        Whose network is to learn; of a model without covariates.
    """

    def __init__(self, trainer: StepTrainer) -> None:
        training, self.trainer, device = trainer.config.training, trainer, trainer.device
        rng = np.random.default_rng(0)
        self.days = torch.zeros(training.days_per_batch, dtype=torch.int64, device=device)
        self.masks = [self.draw(rng).to(device) for _ in range(training.masks_per_batch)]
        self.generator = torch.Generator(device)
        self.loss = torch.zeros((), device=device)

    @staticmethod
    def serves(trainer: StepTrainer) -> bool:
        """Return whether a step can be recorded: on CUDA, without covariates, with stations enough for any mask."""
        stations = int(trainer.roles.training.sum())
        enough = stations - most_hidden(stations) > trainer.config.model.neighbours + 1
        return trainer.device.type == "cuda" and trainer.timeline.fields is None and enough

    def draw(self, rng: np.random.Generator) -> MaskedStations:
        """Return a question drawn at random, in the processor's memory."""
        return MaskedStations.of(self.trainer.roles, self.trainer.mask.draw(rng), self.trainer.config.model.neighbours)

    def compute(self) -> None:
        """Set the loss of `days` and `masks` and the gradients of the network, which must have none yet."""
        trainer, training = self.trainer, self.trainer.config.training
        with mixed_precision(trainer.device, training.mixed_precision):
            read = trainer.read(self.days, trainer.training_stations, self.generator)
            loss = torch.stack([self._forward_masked(read, mask) for mask in self.masks]).mean()
        loss.backward()
        self.loss = loss.detach()

    def _forward_masked(self, read: EncodedBatch, mask: MaskedStations) -> Tensor:
        trainer, network = self.trainer, read.network
        stations = len(mask.hidden)
        own = Geometry(mask.own_index, mask.own_position, mask.own_reach_km)
        there = Geometry(mask.index, mask.position, mask.reach_km)
        with torch.autocast(trainer.device.type, enabled=False):  # the kriging systems need float32
            station_weights = network.station_weights(own, stations)
            neighbourhood = network.neighbourhood(there, stations)
        readings = read.readings.masked_fill(mask.hidden[:, None], torch.nan)
        states = network.exchange_between_stations(read.states, readings, read.clock, station_weights)
        truth = read.truth[:, mask.targets].masked_fill(~mask.asked[:, None], torch.nan)
        extras = trainer.drift_and_weights(mask.targets)
        return target_scores(network, states, neighbourhood, truth, trainer.scalings, *extras)[0]


class CudaGraphStep(FixedShapeStep):
    """The same on CUDA, recorded at its first use."""

    def __init__(self, trainer: StepTrainer) -> None:
        super().__init__(trainer)
        network = trainer.network
        aside = torch.cuda.Stream(trainer.device)
        aside.wait_stream(torch.cuda.current_stream(trainer.device))
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UP):
                network.zero_grad(set_to_none=True)
                self.compute()
        torch.cuda.current_stream(trainer.device).wait_stream(aside)
        network.zero_grad(set_to_none=True)
        self._graph = torch.cuda.CUDAGraph()
        self._graph.register_generator_state(self.generator)
        with torch.cuda.graph(self._graph):
            self.compute()
        self._before: torch.cuda.Event | None = None

    def replay(self, days: NDArray[np.int64], masks: list[MaskedStations]) -> Tensor:
        """Set the gradients of the network and return the loss, which the next call overwrites.

        Not waited for, but the step before is: so the processor makes the next question while the device computes, and
        no more than one lies ahead.
        """
        if self._before is not None:
            self._before.synchronize()
        _send(torch.from_numpy(days), self.days)
        for mine, given in zip(self.masks, masks, strict=True):
            mine.take(given)
        self._graph.replay()
        self._before = torch.cuda.Event()
        self._before.record()
        return self.loss


def _send(values: Tensor, to: Tensor) -> None:
    # Pinned anew each time: the allocator of pinned memory keeps it from reuse until the copy is done.
    to.copy_(values.pin_memory() if to.is_cuda else values, non_blocking=True)
