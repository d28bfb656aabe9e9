"""How every table of the model is read between its nodes, and every lattice between its lines: level at the nodes.

A straight line would have an edge there, which stands on a map as a ring round a lone city. A file of its own, so that
tables of hours, tables of means and lattices share it.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

T = TypeVar("T", Tensor, NDArray[np.float64])


def smoothstep(share: T) -> T:
    """Return ``s^2 (3 - 2 s)`` of shares ``s`` of the way from one node to the next, in [0, 1]."""
    return share * share * (3 - 2 * share)


def smoothstep_weights(x: Tensor, nodes: Tensor) -> Tensor:
    """Return weights (..., node), summing to one, of interpolation between increasing `nodes`, constant beyond them."""
    steps = smoothstep_passed(x, nodes, -1)
    ends = steps.new_ones((*x.shape, 1)), steps.new_zeros((*x.shape, 1))
    return torch.cat((ends[0], steps), dim=-1) - torch.cat((steps, ends[1]), dim=-1)


def smoothstep_passed(x: Tensor, nodes: Tensor, dim: int) -> Tensor:
    """Return how far `x` has passed from each of the increasing `nodes` to the next, smoothed, along a new axis `dim`.

    With values ``v`` at the nodes, ``v_0 + sum(passed * diff(v))`` is what `smoothstep_weights` gives.
    """
    way = x.unsqueeze(dim)
    along = [1] * way.dim()
    along[dim] = -1
    return smoothstep(((way - nodes[:-1].view(along)) / nodes.diff().view(along)).clamp_(0.0, 1.0))


def smoothstep_weights_f64(x: NDArray[Any], nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights (..., node) of `smoothstep_weights` for arrays in float64, to 4e-16."""
    return np.asarray(smoothstep(np.stack([np.interp(x, nodes, row) for row in np.eye(len(nodes))], axis=-1)))
