"""A network of fewer pollutants out of one of more: what it says where nobody measures the others, to the last digit.

A pollutant that no station measures is a constant to the network: a zero that is never observed. What it would add is
put into the weights of what stays, so the smaller network is as good and a sweep with it is faster.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from aqreanalysis.errors import ModelError

_OF_ONE_TARGET = re.compile(r"^(head_(?:dynamic|static|clock|inner|out))\.(\d+)\.(.+)$")


def keep_pollutants(
    weights: Mapping[str, Tensor], inputs: tuple[int, Sequence[int]], targets: tuple[int, Sequence[int]]
) -> dict[str, Tensor]:
    """Return the weights of a network without covariates that reads and estimates some of its pollutants alone.

    Parameters
    ----------
    weights : mapping
        Of an `AQNet`.
    inputs, targets : tuple
        How many it has, and the numbers of those that stay.

    Raises
    ------
    ModelError
        If the network has covariates, whose effects are those of all its pollutants together.
    """
    if any(name.startswith("surroundings.") for name in weights):
        raise ModelError(
            "the model has covariates and estimates pollutants that the observations lack: give observations of all of "
            "them, or train a model on these"
        )
    stays = {name: value for name, value in weights.items() if not _OF_ONE_TARGET.match(name)}
    stays |= _heads(weights, targets[1])
    stays["temporal.embed.weight"] = _columns(weights["temporal.embed.weight"], inputs[0], inputs[1], 2)
    rows = list(targets[1])
    stays["mixture"], stays["own.weight"], stays["own.bias"] = (
        weights[name][rows].clone() for name in ("mixture", "own.weight", "own.bias")
    )
    both = [*rows, *(targets[0] + row for row in rows)]
    stays["trust.weight"], stays["trust.bias"] = weights["trust.weight"][both], weights["trust.bias"][both]
    return stays | _exchange(weights, targets)


def _heads(weights: Mapping[str, Tensor], targets: Sequence[int]) -> dict[str, Tensor]:
    """Return the layers of the heads that stay, under their new numbers."""
    heads = {}
    for name, value in weights.items():
        match = _OF_ONE_TARGET.match(name)
        if match is not None and int(match[2]) in targets:
            heads[f"{match[1]}.{list(targets).index(int(match[2]))}.{match[3]}"] = value
    return heads


def _columns(weight: Tensor, count: int, stays: Sequence[int], groups: int) -> Tensor:
    """Return a weight whose first columns stand for `groups` times `count` pollutants without those that go."""
    some = [group * count + i for group in range(groups) for i in stays]
    return torch.cat((weight[:, some], weight[:, groups * count :]), dim=1)


def _exchange(weights: Mapping[str, Tensor], targets: tuple[int, Sequence[int]]) -> dict[str, Tensor]:
    """Return the layer in which stations hear each other, of the targets that stay.

    Of one that nobody measures it hears what each station makes of its own states, less the neighbours' zero: a linear
    function of the states, which the layer has already.
    """
    count, stays = targets
    weight, bias = weights["exchange.0.weight"], weights["exchange.0.bias"]
    width = weight.shape[1] - 4 * count
    gone = [i for i in range(count) if i not in stays]
    own = weight[:, [width + count + i for i in gone]]
    states = weight[:, :width] + own @ weights["own.weight"][gone]
    heard = weight[:, [width + group * count + i for group in range(4) for i in stays]]
    return {
        "exchange.0.weight": torch.cat((states, heard), dim=1),
        "exchange.0.bias": bias + own @ weights["own.bias"][gone],
    }
