"""The loop: what training sees, early stopping, and going on after an interruption."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from model_case import DAYS, make_bundle, make_readings
from training_case import make_trainer

from aqreanalysis.errors import TrainingError


class Stop(Exception):
    """Raised in the middle of an epoch, as an interruption is."""


def stop_in_epoch(epoch):
    def progress(done, total, note):
        if note.startswith(f"epoch {epoch},") and done % 3 == 2:
            raise Stop

    return progress


def begin_with(trainer, weights):
    for network in (trainer.network, trainer.average.module):
        network.load_state_dict(weights)


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    trainer = make_trainer()
    return trainer.run(tmp_path_factory.mktemp("whole")), trainer


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_an_interrupted_training_ends_with_the_very_same_weights(uninterrupted, tmp_path, epoch):
    with pytest.raises(Stop):
        make_trainer().run(tmp_path, stop_in_epoch(epoch))
    assert (tmp_path / "state.json").is_file() == (epoch > 1)
    again = make_trainer()
    assert same(again.run(tmp_path), uninterrupted[0])
    assert same(again.network.state_dict(), uninterrupted[1].network.state_dict())
    assert again.state["history"] == uninterrupted[1].state["history"] and len(again.state["history"]) == 3


def test_without_resume_a_checkpoint_is_not_looked_at(uninterrupted, tmp_path):
    with pytest.raises(Stop):
        make_trainer("training.seed=5").run(tmp_path, stop_in_epoch(2))
    assert same(make_trainer().run(tmp_path, resume=False), uninterrupted[0])


def test_a_finished_training_that_is_run_again_takes_no_step(uninterrupted, tmp_path):
    make_trainer().run(tmp_path)
    calls = []
    assert same(make_trainer().run(tmp_path, lambda *a: calls.append(a)), uninterrupted[0])
    assert calls == []


def test_training_moves_every_part_and_lowers_the_score(tmp_path):
    trainer = make_trainer("training.epochs=3", "training.steps_per_epoch=20", "training.learning_rate=0.02")
    far_off = make_bundle(species=("pm25",)).members[0]
    far_off["head_out.0.bias"][-2] += 3.0  # three standard deviations too high everywhere
    begin_with(trainer, far_off)
    before, began = trainer.validate(), trainer.averaged_weights()
    trainer.run(tmp_path)
    assert trainer.state["best_score"] < before
    still = [k for k, v in trainer.best.items() if torch.equal(v, began[k])]
    assert still == []


def test_the_best_weights_and_not_the_last_are_returned(tmp_path):
    trainer = make_trainer("training.epochs=6", "training.learning_rate=0.1", "training.patience=6")
    trainer._hold_back = lambda: None
    best = trainer.run(tmp_path)
    scores = [h["validation"] for h in trainer.state["history"]]
    assert trainer.state["best_score"] == min(scores)
    assert trainer.state["best_epoch"] == 1 + int(np.argmin(scores))
    begin_with(trainer, best)
    assert trainer.validate() == pytest.approx(min(scores), rel=1e-6)


def test_training_stops_when_patience_is_at_its_end(tmp_path):
    trainer = make_trainer("training.epochs=30", "training.learning_rate=0.5", "training.patience=2")
    trainer.run(tmp_path)
    assert trainer.state["epoch"] == trainer.state["best_epoch"] + 2 < 30


def test_training_stops_when_its_time_is_up(tmp_path):
    trainer = make_trainer("training.epochs=30", "training.max_minutes=0.0001", "training.patience=30")
    trainer.run(tmp_path)
    assert trainer.state["epoch"] == 1


def test_progress_counts_up_to_all_steps(tmp_path):
    calls = []
    make_trainer().run(tmp_path, lambda *a: calls.append(a))
    done = [c[0] for c in calls]
    assert done == sorted(done) and done[-1] == 9 and {c[1] for c in calls} == {9}
    assert "at calibration stations" in calls[-1][2]


@torch.no_grad()
def heard(trainer, visible, targets):
    read = trainer.read(torch.tensor([2]), visible)
    states, neighbourhood = trainer._forward_masked(read, np.arange(len(visible)), targets)
    return (states.bands, states.channels, *read.network.estimate_at(states, neighbourhood, 0)), read.truth[:, targets]


def test_what_targets_measured_never_reaches_the_estimate_at_them():
    visible, targets = np.arange(12), np.arange(12, 15)
    fixed = "model.short_range_km=50"  # the targets train: what the network starts from is fitted to them too
    heard_of, truth = heard(make_trainer(fixed), visible, targets)
    noise = make_readings().values
    noise[:, 12:] = np.random.default_rng(9).uniform(1, 500, noise[:, 12:].shape)
    scrambled, other_truth = heard(make_trainer(fixed, values=noise), visible, targets)
    assert all(torch.equal(a, b) for a, b in zip(heard_of, scrambled, strict=True))
    assert not torch.equal(truth, other_truth)


def test_stations_hidden_from_training_never_reach_the_weights(uninterrupted, tmp_path):
    noise = make_readings().values
    noise[:, 18:] = np.random.default_rng(9).uniform(1, 500, noise[:, 18:].shape)
    assert same(make_trainer(values=noise).run(tmp_path), uninterrupted[0])


def test_the_seed_decides_the_weights(uninterrupted, tmp_path):
    assert not same(make_trainer("training.seed=1").run(tmp_path), uninterrupted[0])


def test_mixed_precision_has_no_effect_on_the_cpu(uninterrupted, tmp_path):
    assert same(make_trainer("training.mixed_precision=false").run(tmp_path), uninterrupted[0])


def test_days_on_which_no_target_reported_cost_nothing():
    silent = np.full_like(make_readings().values, np.nan)
    trainer = make_trainer(values=silent)
    began = trainer.averaged_weights()
    assert trainer._step(np.random.default_rng(0), torch.Generator().manual_seed(0)) is None
    assert same(trainer.averaged_weights(), began)


def test_an_epoch_has_each_day_once_unless_told_otherwise():
    assert make_trainer("training.steps_per_epoch=null").steps_per_epoch == DAYS
    assert make_trainer("training.steps_per_epoch=null", "training.days_per_batch=4").steps_per_epoch == 2
    assert make_trainer().steps_per_epoch == 3


def test_an_epoch_of_a_long_record_has_a_hundred_steps():
    year = np.full((24 * 365, *make_readings().values.shape[1:]), 10.0, np.float32)
    assert make_trainer("training.steps_per_epoch=null", values=year).steps_per_epoch == 100


def test_a_training_that_diverges_says_so_and_what_to_lower(tmp_path):
    trainer = make_trainer()
    with torch.no_grad():
        trainer.network.head_out[0].bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"training\.learning_rate"):
        trainer.run(tmp_path)
