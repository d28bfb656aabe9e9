"""The running average of a network's weights: it generalises better than where the last step happened to end."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

_Weights = tuple[Tensor, ...] | list[Tensor]


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """Return an exponential average of `network`'s weights; call its ``update_parameters`` after each step.

    Parameters
    ----------
    network : Module
        As it is before the first step.
    decay : float
        Share of the average that a step leaves, at last. The first steps leave less, so that the untrained weights
        are soon forgotten.
    """

    @torch.no_grad()
    def move(average: _Weights, now: _Weights, updates: Tensor | int) -> None:
        torch._foreach_lerp_(list(average), list(now), 1 - min(decay, (1 + int(updates)) / (10 + int(updates))))

    return AveragedModel(network, multi_avg_fn=move)
