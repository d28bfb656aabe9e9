"""What the covariance models start from: the record where it tells, the usual ones where it does not."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest
import torch
from training_case import CALIBRATION, TRAINING, make_trainer

from aqreanalysis.common.geodesy import distance_matrix_km
from aqreanalysis.model.network.aqnet import BandCovariances
from aqreanalysis.model.network.temporal_filters import REACH_HOURS, TemporalFilters
from aqreanalysis.training.covariance_start import bands_of, fit_covariances, starting_covariances

WIDTH = 1 + 2 * REACH_HOURS
AVERAGES = TemporalFilters().averages().detach().numpy().astype(np.float64)


def field_of(reach_km: float, stations: int, rows: int = 80, seed: int = 0):
    """Return (windows, averages, lat, lon) of an exponential field, each hour anew, with a tenth of noise."""
    rng = np.random.default_rng(seed)
    lat, lon = rng.uniform(38, 44, stations), rng.uniform(108, 116, stations)
    covariance = np.exp(-distance_matrix_km(lat, lon, lat, lon) / reach_km) + 0.1 * np.eye(stations)
    lasting = rng.normal(size=(rows, 1, stations)) @ np.linalg.cholesky(covariance).T
    windows = np.repeat(lasting, WIDTH, axis=1)
    windows[rng.random(windows.shape) < 0.05] = np.nan
    return windows[..., None].astype(np.float32), AVERAGES, lat, lon


@pytest.mark.parametrize("reach_km", [60.0, 400.0])
def test_many_stations_say_how_far_the_field_correlates(reach_km: float) -> None:
    found = fit_covariances(*field_of(reach_km, 160)).lasting
    km = np.array([20.0, 60.0, 150.0, 300.0])
    near, far, share, nugget = astuple(found)
    curve = nugget + (1 - share) * -np.expm1(-km / near) + share * -np.expm1(-km / far)
    truth = 0.1 + -np.expm1(-km / reach_km)
    # Up to a factor: only the shape decides the weights of kriging.
    np.testing.assert_allclose(curve / curve.mean(), truth / truth.mean(), rtol=0.12)


def test_stations_that_never_report_together_leave_the_usual_models() -> None:
    windows, averages, lat, lon = field_of(60.0, 30)
    alone = np.full_like(windows, np.nan)
    for row in range(len(windows)):
        alone[row, :, row % 30] = windows[row, :, row % 30]
    assert fit_covariances(alone, averages, lat, lon) == BandCovariances.usual()


@pytest.mark.parametrize("sharper", [1.0, 3.0])
def test_the_bands_are_those_of_the_network(sharper: float) -> None:
    rng = np.random.default_rng(1)
    series = rng.normal(size=(24 + 2 * REACH_HOURS, 5)).astype(np.float32)
    filled = torch.from_numpy(series)[None, :, :, None]
    known = torch.ones(1, len(series), 1)
    filters = TemporalFilters()
    with torch.no_grad():
        filters.smooth *= sharper
    wanted, _ = filters(filled, known, filled[:, REACH_HOURS : REACH_HOURS + 24])
    windows = np.stack([series[hour : hour + WIDTH] for hour in range(24)])
    found = bands_of(windows, filters.averages().detach().numpy().astype(np.float64))
    for number, name in enumerate(("lasting", "hours", "hour")):
        np.testing.assert_allclose(found[name], wanted[0, :, :, 0, number].detach(), atol=1e-5)
    np.testing.assert_array_equal(found["whole"], series[REACH_HOURS : REACH_HOURS + 24])


def test_an_hour_that_a_station_missed_is_no_part_of_any_band() -> None:
    windows = np.ones((3, WIDTH, 4), np.float32)
    windows[1, REACH_HOURS, 2] = np.nan
    for part in bands_of(windows, AVERAGES).values():
        assert np.isnan(part).sum() == 1 and np.isnan(part[1, 2])


def test_only_training_stations_are_looked_at_and_the_network_starts_from_what_was_found() -> None:
    trainer = make_trainer()
    timeline, roles, network = trainer.timeline, trainer.roles, trainer.network
    hidden = timeline.scaled.clone()
    hidden[:, torch.from_numpy(~TRAINING)] = 99.0
    assert starting_covariances(replace(timeline, scaled=hidden), roles, network) == trainer.covariances
    assert starting_covariances(timeline, replace(roles, training=CALIBRATION), network) != trainer.covariances
    assert float(network.knn.log_short[1].detach().exp()) == pytest.approx(trainer.covariances.whole.short_km, rel=1e-5)


def test_ranges_that_the_config_sets_are_not_fitted() -> None:
    trainer = make_trainer("model.short_range_km=20", "model.long_range_km=120")
    assert trainer.covariances is None
    assert BandCovariances.usual(20, 120).whole.short_km == pytest.approx(25)
    assert float(trainer.network.knn.log_short[1].detach().exp()) == pytest.approx(25)
    assert float(trainer.network.knn.log_long[1].detach().exp()) == pytest.approx(90)


def test_what_covariates_explain_is_no_part_of_the_covariance() -> None:
    trainer = make_trainer()
    network = trainer.network
    network.remove_drift = lambda values, fields, hours: values - shift
    shift = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 1, int(TRAINING.sum()), 2)).astype(np.float32))
    moved = starting_covariances(trainer.timeline, trainer.roles, network)
    assert moved.lasting.nugget > trainer.covariances.lasting.nugget  # a constant of each station is noise to kriging
