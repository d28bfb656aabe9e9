"""The members of a bundle at work: built from their weights, given scaled readings, mixed into one distribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aqreanalysis.errors import ModelError
from aqreanalysis.model.scaling import Scaling

N = TypeVar("N", bound=nn.Module)


def load_member(network: N, weights: Mapping[str, Tensor], device: torch.device) -> N:
    """Return `network` with `weights` in it, on `device` and ready to compute.

    Raises
    ------
    ModelError
        If the weights are those of another network.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"the weights do not fit the config of the model: {str(error).splitlines()[0]}") from None
    return network.to(device).eval()


def scale_inputs(
    values: NDArray[np.float32], inputs: Sequence[str], scaling: Mapping[str, Scaling]
) -> NDArray[np.float32]:
    """Return concentrations (..., input) in their units as the standardised logarithms that every member reads."""
    return np.stack([scaling[key].forward(values[..., i]) for i, key in enumerate(inputs)], axis=-1)


def mix_members(locations: Sequence[Tensor], scales: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return location and scale of the equal mixture of normal distributions, one a member, of any one shape.

    The variance is the mean of the members' own and the variance among their locations, which is its epistemic part.
    """
    if len(locations) == 1:
        return locations[0], scales[0]
    location = torch.stack(list(locations))
    variance = torch.stack(list(scales)).square().mean(dim=0) + location.var(dim=0, unbiased=False)
    return location.mean(dim=0), torch.sqrt(variance)
