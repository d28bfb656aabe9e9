"""The step of fixed shapes: the loss and the gradients of the plain step, whatever is hidden."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from training_case import make_trainer

from aqreanalysis.training.cuda_graph import FixedShapeStep, MaskedStations
from aqreanalysis.training.trainer import Trainer

# Six of fifteen stations are always left, enough for four neighbours, and nothing is drawn but what is hidden.
PLAIN = (
    "model.neighbours=4",
    "model.dropout=0",
    "training.mask_readings=0",
    "training.mask_runs=0",
    "training.forecast_share=0",
    "training.days_per_batch=2",
)


def gradients(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {k: p.grad.clone() for k, p in trainer.network.named_parameters() if p.grad is not None}


def both(hidden: list[np.ndarray], *overrides: str) -> tuple[torch.Tensor, torch.Tensor, dict, dict]:
    """Return loss and gradients of the plain and of the fixed step, from the same weights."""
    trainer = make_trainer(*PLAIN, f"training.masks_per_batch={len(hidden)}", *overrides)
    trainer.network.train()
    days = torch.tensor([1, 4])
    plain = trainer.loss_of(days, hidden, torch.Generator().manual_seed(0))
    plain.backward()
    wanted = gradients(trainer)
    trainer.network.zero_grad(set_to_none=True)
    step = FixedShapeStep(trainer)
    step.days.copy_(days)
    for mine, mask in zip(step.masks, hidden, strict=True):
        mine.take(MaskedStations.of(trainer.roles, mask, trainer.config.model.neighbours))
    step.compute()
    return plain.detach(), step.loss, wanted, gradients(trainer)


@pytest.mark.parametrize("overrides", [(), ("training.place_weights=1",)])
def test_loss_and_gradients_are_those_of_the_plain_step(overrides):
    one, many = np.zeros(15, bool), np.zeros(15, bool)
    one[3] = True
    many[[0, 1, 5, 6, 7, 11, 12, 13, 14]] = True
    plain, fixed, wanted, result = both([one, many], *overrides)
    torch.testing.assert_close(fixed, plain, rtol=1e-5, atol=1e-6)
    assert wanted.keys() == result.keys() and len(result) > 30
    largest = max(float(g.abs().max()) for g in wanted.values())
    for name, gradient in wanted.items():
        torch.testing.assert_close(result[name], gradient, rtol=2e-4, atol=2e-5 * largest, msg=name)


def test_the_loss_depends_on_what_is_hidden():
    masks = np.zeros((2, 15), bool)
    masks[0, 3], masks[1, 9] = True, True
    first, second = (both([mask])[1] for mask in masks)
    assert abs(float(first) - float(second)) > 1e-3


def test_a_question_has_the_same_shapes_whatever_it_hides():
    trainer = make_trainer(*PLAIN)
    rng = np.random.default_rng(0)
    shapes = [
        {k: tuple(v.shape) for k, v in vars(MaskedStations.of(trainer.roles, trainer.mask.draw(rng), 4)).items()}
        for _ in range(20)
    ]
    assert all(s == shapes[0] for s in shapes)
    assert shapes[0]["targets"] == (9,) and shapes[0]["own_index"] == (15, 4)


def test_a_processor_is_not_recorded():
    assert not FixedShapeStep.serves(make_trainer(*PLAIN))
