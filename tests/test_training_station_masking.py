"""What is hidden while the network learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from model_case import HISTORY, make_readings, small_config

from aqreanalysis.training.station_masking import StationMask, mask_readings, place_weights

CENTRE = HISTORY
KEPT = ("training.mask_readings=0", "training.mask_runs=0", "training.forecast_share=0")


def draws(*overrides, count=300):
    readings = make_readings()
    mask = StationMask(readings.lat, readings.lon, small_config(*overrides).training)
    rng = np.random.default_rng(0)
    return np.stack([mask.draw(rng) for _ in range(count)])


def masked(*overrides, windows=200, stations=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = torch.zeros(windows, 48, stations, 2)
    return torch.isnan(mask_readings(values, small_config(*KEPT, *overrides).training, CENTRE, generator))


@pytest.mark.parametrize("km", [1.0, 120.0, 2000.0])
def test_some_stations_are_always_hidden_and_most_are_never(km):
    hidden = draws(f"training.neighbourhood_km={km}").sum(axis=1)
    assert hidden.min() >= 1 and hidden.max() <= 12
    assert len(np.unique(hidden)) > 3


def test_every_station_is_hidden_at_times():
    share = draws().mean(axis=0)
    assert share.min() > 0.05 and share.max() < 0.6


def test_whole_neighbourhoods_leave_targets_far_from_what_is_seen():
    readings = make_readings()
    distance = StationMask(readings.lat, readings.lon, small_config().training)._distance

    def far(share):
        rows = draws(f"training.neighbourhood_share={share}")
        return np.mean([distance[row][:, ~row].min(axis=1).mean() for row in rows])

    assert far(0.9) > 2 * far(0.0)


def test_with_nothing_asked_nothing_is_masked():
    assert not masked().any()


def test_single_readings_are_masked_at_their_share():
    assert abs(masked("training.mask_readings=0.2").float().mean() - 0.2) < 0.01


def test_runs_are_unbroken_and_take_all_pollutants_of_a_station():
    runs = masked("training.mask_runs=0.5")
    assert torch.equal(runs[..., 0], runs[..., 1])
    edges = runs[..., 0].int().diff(dim=1).abs().sum(dim=1)
    touched = runs[..., 0].any(dim=1)
    assert edges.max() <= 2 and 0.4 < touched.float().mean() < 0.6
    assert runs[..., 0].sum(dim=1)[touched].float().max() <= 48


def test_a_forecast_masks_the_end_of_the_window_at_every_station():
    future = masked("training.forecast_share=0.5")
    assert torch.equal(future, future[:, :, :1, :1].expand_as(future))
    one = future[:, :, 0, 0]
    assert not (one[:, :-1] & ~one[:, 1:]).any()  # once masked, masked to the end
    assert 0.4 < one[:, -1].float().mean() < 0.6
    begins = one[one[:, -1]].int().argmax(dim=1)
    assert begins.min() < CENTRE and begins.max() > CENTRE + 12


def test_the_same_seed_masks_the_same_and_another_does_not():
    share = "training.mask_readings=0.3"
    assert torch.equal(masked(share), masked(share))
    assert not torch.equal(masked(share), masked(share, seed=1))


def test_what_is_kept_keeps_its_value():
    values = torch.randn(4, 48, 3, 2)
    visible = mask_readings(values, small_config().training, CENTRE, torch.Generator().manual_seed(0))
    left = torch.isfinite(visible)
    assert left.any() and not left.all()
    assert torch.equal(visible[left], values[left])


def test_stations_of_a_town_share_their_vote():
    lat, lon = np.array([40.0, 40.02, 40.04, 43.0]), np.array([116.0, 116.0, 116.02, 116.0])
    np.testing.assert_allclose(place_weights(lat, lon, 25.0, 1.0), [1 / 3, 1 / 3, 1 / 3, 1.0], rtol=1e-6)
    np.testing.assert_allclose(place_weights(lat, lon, 25.0, 0.5)[:2], [3**-0.5] * 2, rtol=1e-6)
    assert (place_weights(lat, lon, 25.0, 0.0) == 1).all()
