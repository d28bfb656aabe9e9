"""The running average of a network's weights: it generalises better than where the last step happened to end."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


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
