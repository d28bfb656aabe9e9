"""A network that learns: its optimiser, the running average of its weights, the best of them, and its checkpoints."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from aqreanalysis.errors import TrainingError
from aqreanalysis.training.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint

_LARGEST_GRADIENT = 1.0


class WeightAverage(AveragedModel):
    """An exponential average of a network's weights; call `follow` after each step.

    Parameters
    ----------
    network : Module
        As it is before the first step.
    decay : float
        Share of the average that a step leaves, at last. The first steps leave less, so that the untrained weights
        are soon forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__(network)
        self._decay = decay

    @torch.no_grad()
    def follow(self, network: nn.Module, steps: int) -> None:
        """Move after a step of `network`, with `steps` before it.

        In place of ``update_parameters``, which asks the device for the number of steps, and waits for it each time.
        """
        left = 0.0 if steps == 0 else min(self._decay, (1 + steps) / (10 + steps))
        torch._foreach_lerp_(list(self.module.parameters()), list(network.parameters()), 1 - left)
        for old, new in zip(self.module.buffers(), network.buffers(), strict=True):
            old.copy_(new)
        self.n_averaged += 1


class Learner:
    """A network, and all that an interrupted training of it goes on with.

    Parameters
    ----------
    network : Module
        On its device.
    optimiser : Optimizer
        Of its weights.
    decay : float
        Of the average of the weights, which generalises better than where the last step happened to end.
    unit : str
        By what the best weights are dated: ``epoch`` or ``step``.

    Attributes
    ----------
    best : dict
        The averaged weights that scored best so far.
    state : dict
        How the training went: `epoch`, `best_score` and when it was, `seconds`, `history`.
    updates : int
        Steps taken.
    """

    def __init__(self, network: nn.Module, optimiser: torch.optim.Optimizer, decay: float, unit: str) -> None:
        self.network, self.optimiser, self._best_at = network, optimiser, f"best_{unit}"
        self.average = WeightAverage(network, decay)
        self.best = self.averaged_weights()
        self.updates = 0
        self.state: dict[str, Any] = {"epoch": 0, "best_score": float("inf"), self._best_at: 0, "seconds": 0.0}
        self.state["history"] = []

    def averaged_weights(self) -> dict[str, Tensor]:
        """Return a copy of the average of the weights."""
        return {k: v.detach().clone() for k, v in self.average.module.state_dict().items()}

    def optimizer_step(self) -> None:
        """Take a step along the gradients, cut where they are large, and let the average follow.

        Raises
        ------
        TrainingError
            If a gradient is not finite: weights, optimiser and the last checkpoint stay as they were before the batch.
        """
        norm = float(nn.utils.clip_grad_norm_(self.network.parameters(), _LARGEST_GRADIENT))
        if not math.isfinite(norm):
            raise TrainingError(
                f"training diverged: a gradient of batch {self.updates + 1} is not finite; the last checkpoint stays: "
                "go on from it with the same command, or lower training.learning_rate and begin anew with --fresh"
            )
        self.optimiser.step()
        self.average.follow(self.network, self.updates)
        self.updates += 1

    def keep_best(self, score: float, at: int, weights: dict[str, Tensor] | None = None) -> None:
        """Keep `weights`, the averaged ones if none are given, where their score is the lowest so far."""
        if score < self.state["best_score"]:
            self.state |= {"best_score": score, self._best_at: at}
            self.best = self.averaged_weights() if weights is None else weights

    def save(self, folder: Path) -> None:
        """Write a checkpoint into `folder`."""
        save_checkpoint(folder, self._state_modules(), self.best, self.optimiser, self.state)

    def restore(self, folder: Path) -> bool:
        """Go on from the checkpoint in `folder`; return whether there was one."""
        if not has_checkpoint(folder):
            return False
        self.state, best = load_checkpoint(folder, self._state_modules(), self.optimiser)
        self.best = {k: v.to(self.best[k].device) for k, v in best.items()}
        self.updates = int(self.average.n_averaged)
        return True

    def _state_modules(self) -> nn.Module:
        return nn.ModuleDict({"network": self.network, "average": self.average})


def annealed(done: float) -> float:
    """Return the share of the learning rate after a share of the training: half a cosine wave from 1 down to 0.01."""
    return float(0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * min(done, 1.0))))
