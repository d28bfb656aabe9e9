"""The running average of weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from aqreanalysis.errors import TrainingError
from aqreanalysis.training.learner import Learner, WeightAverage


def follow(values: list[float], decay: float) -> float:
    network = nn.Linear(1, 1)
    average = WeightAverage(network, decay)
    for step, value in enumerate(values):
        nn.init.constant_(network.weight, value)
        average.follow(network, step)
    return float(average.module.weight.detach())


def test_the_untrained_weights_are_forgotten_at_the_first_step() -> None:
    assert follow([3.0], 0.9) == 3.0


def test_early_steps_count_more_and_late_ones_by_the_decay() -> None:
    assert follow([1.0, 2.0], 0.9) == pytest.approx(1 * 2 / 11 + 2 * 9 / 11)
    before = follow([1.0] * 200, 0.5)
    assert before == pytest.approx(1.0)
    assert follow([1.0] * 200 + [5.0], 0.5) == pytest.approx(3.0)


def test_an_average_is_no_part_of_the_network_that_learns() -> None:
    network = nn.Linear(1, 1)
    average = WeightAverage(network, 0.9)
    with torch.no_grad():
        network.weight += 1
    assert not torch.equal(average.module.weight, network.weight)


class Small(Learner):
    """Two weights, learned by nobody."""


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_no_number_stops_the_training_at_its_batch_and_changes_nothing(value: float) -> None:
    network = nn.Linear(1, 1)
    learner = Small(network, torch.optim.AdamW(network.parameters()), 0.9, "epoch")
    for loss in (network(torch.ones(1)).sum(), network(torch.ones(1)).sum()):
        learner.optimiser.zero_grad()
        loss.backward()
        learner.optimizer_step()
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    averaged = learner.averaged_weights()
    network.weight.grad = torch.full_like(network.weight, value)
    with pytest.raises(TrainingError, match="a gradient of batch 3 is not finite; the last checkpoint stays"):
        learner.optimizer_step()
    assert all(torch.equal(before[name], weight) for name, weight in network.state_dict().items())
    assert all(torch.equal(averaged[name], weight) for name, weight in learner.averaged_weights().items())
    assert learner.updates == 2
