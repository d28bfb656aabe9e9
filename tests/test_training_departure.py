"""How far a network may leave its start: as far as the towns left out agree that it gains."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from training_case import make_trainer

from aqreanalysis.training.departure import SHARES, choose_share
from aqreanalysis.training.trainer import Trainer


def scores_of(gain: list[float]) -> np.ndarray:
    """Return scores (share, station) that fall by `gain` times the share."""
    return 1.0 - np.array(SHARES)[:, None] * np.array(gain)[None, :]


def towns(count: int, of: int = 1) -> np.ndarray:
    return np.repeat(np.arange(count), of).astype(str)


def test_what_gains_in_every_town_stays_whole() -> None:
    assert choose_share(scores_of([0.1, 0.11, 0.09, 0.1, 0.1]), towns(5)) == 1.0


def test_what_gains_in_one_town_and_loses_in_others_goes() -> None:
    assert choose_share(scores_of([0.5, -0.1, -0.1, -0.1, 0.0]), towns(5)) == 0.0


def test_a_share_between_is_taken_where_it_is_the_best() -> None:
    share = np.array(SHARES)[:, None]
    scores = 1.0 - 0.2 * share + 0.2 * share**2 + np.zeros((1, 6))
    assert choose_share(scores, towns(6)) == 0.5


def test_the_stations_of_a_town_count_once() -> None:
    gain = [0.2] * 30 + [-0.2, -0.2, -0.2, -0.2]
    assert choose_share(scores_of(gain), np.append(np.repeat("a", 30), towns(4))) == 0.0


@pytest.mark.parametrize("count", [1, 3])
def test_too_few_towns_say_nothing_and_a_silent_station_is_none(count: int) -> None:
    scores = scores_of([0.1] * 5)
    assert choose_share(scores[:, :count], towns(5)[:count]) == 0.0
    scores[:, 3:] = np.nan
    assert choose_share(scores, towns(5)) == 0.0


def test_a_trained_network_is_held_back_to_its_interpolation_where_nothing_bears_it_out(tmp_path) -> None:
    trainer: Trainer = make_trainer("training.learning_rate=0.01")  # three calibration stations: too few
    best = trainer.run(tmp_path)
    assert trainer.state["departure"] == {"pm25": 0.0}
    assert not best["head_out.0.weight"][:-1].any() and not best["head_out.0.bias"][:-1].any()
    assert best["head_out.0.weight"][-1].any()  # the scale stays as it was learned


def test_the_location_moves_with_the_share_and_the_scale_does_not() -> None:
    trainer = make_trainer()
    network = trainer.network.eval()
    with torch.no_grad():
        network.head_out[0].weight.normal_(0.0, 0.1)
        network.head_out[0].bias.normal_(0.0, 0.1)
    learned = {k: v.clone() for k, v in network.state_dict().items()}
    trainer.average.module.load_state_dict(learned)
    _, states, neighbourhood = next(trainer._left_out())
    estimates = {}
    for share in (0.0, 0.5, 1.0):
        trainer.average.module.load_state_dict(learned)
        trainer.average.module.hold_back(0, share)
        with torch.no_grad():
            estimates[share] = trainer.average.module.estimate_at(states, neighbourhood, 0)[:2]
    kriged = torch.stack(
        [
            (w @ b).view(2, -1, 24).mean(dim=0)
            for w, b in zip(neighbourhood.kriging[0], states.bands[:, :, 0].permute(2, 1, 0), strict=True)
        ]
    ).sum(dim=0)
    torch.testing.assert_close(estimates[0.0][0], kriged, atol=1e-5, rtol=1e-5)
    away = [float((estimates[share][0] - kriged).detach().abs().mean()) for share in (0.5, 1.0)]
    assert 0 < away[0] < away[1]
    assert torch.equal(estimates[0.0][1], estimates[1.0][1])
