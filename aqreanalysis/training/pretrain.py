"""One network learned from many: records of regions that have nothing in common, each with ranges and scaling its own.

What a network of stations says of itself is fitted to its record, as in every training: how its readings are scaled,
and the covariance models under which they are most likely. These are not learned here: departures from them that helped
at networks of the nature run were wrong elsewhere (a trial at twelve stations of one city: MAE 1.19 times the better
kriging's, 1.02 with the record's own). All other weights are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aqreanalysis.common.progress import Progress
from aqreanalysis.configs import Config
from aqreanalysis.errors import TrainingError
from aqreanalysis.model import Scaling
from aqreanalysis.model.network.aqnet import BandCovariances
from aqreanalysis.observations import Observations
from aqreanalysis.splits import CALIBRATION, TRAINING, Split
from aqreanalysis.training.covariance_start import covariance_weights
from aqreanalysis.training.distributed import Processes
from aqreanalysis.training.learner import Learner, annealed
from aqreanalysis.training.run_folder import fit_present_scalings
from aqreanalysis.training.seen_hours import SeenHours, seen_hours
from aqreanalysis.training.station_masking import StationRoles
from aqreanalysis.training.trainer import Trainer

# The weights of the last steps are averaged over as in every training, a little longer: each step is another network.
_AVERAGE_DECAY = 0.998
# Share of the training in which the learning rate rises.
_WARM_UP = 0.02


@dataclass(frozen=True)
class PracticeNetwork:
    """A record to learn from, or to score by, all of whose hours may be seen.

    Attributes
    ----------
    observations : Observations
    split : Split
        Roles of its stations: those that are learned from, or seen, and those that are scored.
    seen : SeenHours
    scaling : dict
        By input.
    """

    observations: Observations
    split: Split
    seen: SeenHours
    scaling: dict[str, Scaling]

    @classmethod
    def of(cls, observations: Observations, split: Split, config: Config) -> PracticeNetwork:
        """Return the network with its scaling, fitted to the stations that are seen."""
        seen = seen_hours(observations, config, split.unseen_from)
        inputs = config.inputs or config.species
        return cls(observations, split, seen, fit_present_scalings(seen.values[:, split.where(TRAINING)], inputs))

    def trainer(self, config: Config) -> Trainer:
        """Return a trainer of the network alone, on the CPU."""
        roles = StationRoles(self.split.lat, self.split.lon, self.split.where(TRAINING), self.split.where(CALIBRATION))
        scalings = [self.scaling[key] for key in config.species]
        timeline = self.seen.timeline(self.scaling, config)
        return Trainer(config, timeline, roles, scalings, Processes(torch.device("cpu")))


class ManyNetworks(Learner):
    """One set of weights, learned at some networks, and the best of them kept by others.

    Parameters
    ----------
    config : Config
        Resolved; `training.epochs` epochs of `training.steps_per_epoch` steps, each of a network drawn at random.
    learned, scored : sequence of PracticeNetwork
        Networks that are learned from, and those that say which weights are best.
    """

    def __init__(self, config: Config, learned: Sequence[PracticeNetwork], scored: Sequence[PracticeNetwork]) -> None:
        self.config = config
        self.learned, self.scored = ([one.trainer(config) for one in some] for some in (learned, scored))
        first = self.learned[0]
        first.network.start_from(BandCovariances.usual())
        for parameter in first.network.knn.parameters():
            parameter.requires_grad_(False)
        super().__init__(first.network, first.optimiser, _AVERAGE_DECAY, "epoch")
        for trainer in (*self.learned, *self.scored):
            trainer.network, trainer.average = first.network, self.average

    def run(self, progress: Progress | None = None) -> dict[str, Tensor]:
        """Learn to the end and return the best weights; their covariance models are the usual ones."""
        training = self.config.training
        self.keep_best(self.score(), 0)
        self.state["start_score"] = self.state["best_score"]
        for epoch in range(training.epochs):
            rng = np.random.default_rng((training.seed, epoch))
            loss = self._epoch(epoch, rng, progress)
            score = self.score()
            self.state["epoch"] = epoch + 1
            self.state["history"].append({"epoch": epoch + 1, "loss": loss, "validation": score})
            self.keep_best(score, epoch + 1)
        return self.best

    def score(self) -> float:
        """Return the mean score at the stations kept back of the networks that are not learned from."""
        total = 0.0
        for trainer in self.scored:
            with self._with_ranges_of(trainer):
                total += trainer.validate()
        return total / len(self.scored)

    def _epoch(self, epoch: int, rng: np.random.Generator, progress: Progress | None) -> float:
        steps = self.config.training.steps_per_epoch or len(self.learned)
        whole, total = self.config.training.epochs * steps, 0.0
        self.network.train()
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        torch.manual_seed(int(rng.integers(2**62)))  # dropout
        for step in range(steps):
            done = epoch * steps + step
            total += self._step(self.learned[int(rng.integers(len(self.learned)))], done / whole, rng, generator)
            if progress is not None:
                known = self.state["history"][-1]["validation"] if self.state["history"] else self.state["best_score"]
                progress(done + 1, whole, f"epoch {epoch + 1}, at networks kept back {known:.4f}")
        return total / steps

    def _step(self, trainer: Trainer, done: float, rng: np.random.Generator, generator: torch.Generator) -> float:
        """Take a step at one network and return its loss; `done` is the share of the training before it."""
        training = self.config.training
        for group in self.optimiser.param_groups:
            group["lr"] = group["pace"] * training.learning_rate * self._rate(done)
        self.optimiser.zero_grad(set_to_none=True)
        days = torch.from_numpy(rng.integers(0, trainer.timeline.days, training.days_per_batch))
        hidden = [trainer.mask.draw(rng) for _ in range(training.masks_per_batch)]
        with self._with_ranges_of(trainer):
            loss = trainer.loss_of(days, hidden, generator)
            if loss.requires_grad:
                loss.backward()
        if not loss.requires_grad:
            return 0.0
        value = float(loss.detach())
        if not np.isfinite(value):
            raise TrainingError(f"training diverged: the loss is {value}; lower training.learning_rate")
        self.optimizer_step()
        return value

    @staticmethod
    def _rate(done: float) -> float:
        return min(1.0, done / _WARM_UP + 0.01) * annealed(done)

    @contextmanager
    def _with_ranges_of(self, trainer: Trainer) -> Iterator[None]:
        """Put the covariance models of a network's record in the place of the usual ones for a while."""
        assert trainer.covariances is not None
        modules: list[nn.Module] = [self.network, self.average.module]
        kernels = self.config.model.kernels
        try:
            _put(modules, covariance_weights(trainer.covariances, kernels))
            yield
        finally:
            _put(modules, covariance_weights(BandCovariances.usual(), kernels))


@torch.no_grad()
def _put(modules: Sequence[nn.Module], weights: dict[str, Tensor]) -> None:
    for module in modules:
        parameters = dict(module.named_parameters())
        for name, values in weights.items():
            parameters[name].copy_(values)


def started_from_usual() -> dict[str, Any]:
    """Return what weights stand on that `ManyNetworks` learned, as the metrics of a bundle have it."""
    return {"starting_covariances": asdict(BandCovariances.usual())}
