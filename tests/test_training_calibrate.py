"""Calibration: the shape of the residual, by distance and by level."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from model_case import STATIONS, make_bundle, make_readings
from scipy.stats import gamma

from aqreanalysis.model import PROBABILITIES, AnalysisPredictor, AQNet, Calibration, Predictive, Scaling
from aqreanalysis.training.calibrate import Residuals, calibrate, fit_table
from aqreanalysis.training.left_out import StationRecords, measure

SCALING = Scaling(offset=0.0, mean=3.5, std=0.7, typical_error=12.0)
NORMAL = Calibration.normal().quantiles[0, 0]


def draw(count, seed=0):
    """Draw skewed residuals round a median of zero, whose spread grows with distance and with level."""
    rng = np.random.default_rng(seed)
    distance, level = rng.exponential(25, count), rng.normal(0, 1, count)
    noise = rng.gamma(4, 0.5, count) - gamma(4, scale=0.5).median()
    standard = np.exp(0.15 * level) * (0.6 + 0.5 * np.log1p(distance / 10)) * noise
    place, trained = rng.integers(0, 200, count), np.zeros(count, dtype=bool)
    return Residuals(distance, level, standard, place, trained, np.ones(count))


def probability_of(residuals, calibration):
    """Return the probability that the calibrated distribution gives to each value drawn."""
    location = torch.from_numpy(residuals.level)[:, None]
    predictive = Predictive(
        location,
        torch.ones_like(location),
        torch.ones_like(location),
        torch.from_numpy(residuals.distance_km),
        SCALING,
        calibration,
    )
    value = np.exp(SCALING.mean + SCALING.std * (residuals.level + residuals.standard))
    return predictive.cdf(value[None])[0]


@pytest.fixture(scope="module")
def table():
    return fit_table(draw(30_000))


def test_a_known_distribution_is_covered_in_every_class(table):
    fresh = draw(30_000, seed=1)
    share = probability_of(fresh, table)
    for sorted_by in (fresh.distance_km, fresh.level):
        for low, high in ((0, 25), (25, 50), (50, 75), (75, 100)):
            bounds = np.percentile(sorted_by, (low, high))
            chosen = share[(sorted_by >= bounds[0]) & (sorted_by <= bounds[1])]
            for coverage in (0.5, 0.9):
                inside = np.abs(chosen - 0.5) <= coverage / 2
                assert abs(inside.mean() - coverage) < 0.035, (low, coverage)


def test_probabilities_are_uniform_over_all(table):
    share = probability_of(draw(30_000, seed=1), table)
    counts = np.histogram(share, bins=10, range=(0, 1))[0] / len(share)
    assert np.abs(counts - 0.1).max() < 0.01


def test_without_calibration_the_same_check_fails():
    share = probability_of(draw(30_000, seed=1), Calibration.normal())
    assert np.abs(np.histogram(share, bins=10, range=(0, 1))[0] / len(share) - 0.1).max() > 0.02


def medians(table):
    return np.stack([[np.interp(0.5, PROBABILITIES, q) for q in row] for row in table.quantiles])


def test_what_all_places_agree_on_becomes_spread_and_moves_no_median():
    residuals = draw(30_000)
    table = fit_table(dataclasses.replace(residuals, standard=residuals.standard + 0.5 * (residuals.distance_km > 20)))
    np.testing.assert_allclose(medians(table), 0.0, atol=1e-9)
    plain = fit_table(residuals)
    wider = np.square(table.quantiles).mean(axis=-1) - np.square(plain.quantiles).mean(axis=-1)
    assert wider[-1].min() > 0.2 and np.abs(wider[0]).max() < 0.05


def test_the_interval_covers_what_places_differ_by():
    rng = np.random.default_rng(3)
    residuals = draw(10_000)
    # What a dozen places are off by happens to have a median of 0.4; other places are off by as much to either side.
    bias = rng.normal(0.4, 1.5, 12)
    place = rng.integers(0, 12, 10_000)
    table = fit_table(dataclasses.replace(residuals, place=place, standard=residuals.standard + bias[place]))
    fresh = draw(10_000, seed=1)
    other = rng.normal(0, 1.5, 400)[rng.integers(0, 400, 10_000)]
    share = probability_of(dataclasses.replace(fresh, standard=fresh.standard + other), table)
    assert 0.8 < (np.abs(share - 0.5) <= 0.45).mean() < 0.97


def test_training_stations_that_were_learned_by_heart_do_not_narrow_the_intervals():
    residuals = draw(20_000)
    trained = np.arange(20_000) % 2 == 0
    by_heart = dataclasses.replace(
        residuals, trained=trained, standard=np.where(trained, 0.3, 1.0) * residuals.standard
    )
    believed = dataclasses.replace(by_heart, trained=np.zeros(20_000, dtype=bool))
    fresh = draw(20_000, seed=1)
    covered = [(np.abs(probability_of(fresh, fit_table(r)) - 0.5) <= 0.45).mean() for r in (by_heart, believed)]
    assert covered[0] > 0.87 and covered[1] < 0.84
    # Where they err as the others do, nothing is widened.
    alike = dataclasses.replace(residuals, trained=trained)
    np.testing.assert_allclose(fit_table(alike).quantiles, fit_table(residuals).quantiles, atol=1e-9)


def test_a_table_has_increasing_nodes_and_quantiles(table):
    assert table.quantiles.shape == (5, 3, 100)
    assert (np.diff(table.distance_km) > 0).all() and (np.diff(table.level) > 0).all()
    assert (np.diff(table.quantiles, axis=-1) >= 0).all()
    spread = table.quantiles[..., 94] - table.quantiles[..., 5]
    assert (np.diff(spread, axis=0) > 0).all()


@pytest.mark.parametrize("count", [400, 900, 3000])
def test_fewer_residuals_make_fewer_nodes(count):
    table = fit_table(draw(count))
    assert table.quantiles.shape[0] <= max(1, count // 400) and np.isfinite(table.quantiles).all()
    share = probability_of(draw(5000, seed=1), table)
    assert abs((np.abs(share - 0.5) <= 0.45).mean() - 0.9) < 0.05


def test_few_residuals_stretch_the_normal():
    residuals = draw(200).standard
    np.testing.assert_allclose(fit_table(draw(200)).quantiles[0, 0], np.sqrt(np.mean(residuals**2)) * NORMAL)


@pytest.mark.parametrize("count", [0, 9])
def test_with_next_to_none_the_table_stays_log_normal(count):
    np.testing.assert_array_equal(fit_table(draw(count)).quantiles[0, 0], NORMAL)


def test_stations_that_all_stand_at_one_distance_make_one_node():
    residuals = draw(5000)
    table = fit_table(dataclasses.replace(residuals, distance_km=np.full(5000, 3.0)))
    assert len(table.distance_km) == 1 and table.quantiles.shape[-1] == len(PROBABILITIES)


def test_a_distance_at_which_few_places_stand_gets_no_node_of_its_own():
    residuals = draw(20_000)
    far = residuals.distance_km > 60
    lone = dataclasses.replace(residuals, place=np.where(far, 0, residuals.place))
    assert fit_table(residuals).distance_km[-1] > 60 > fit_table(lone).distance_km[-1]


def records(values=None):
    readings = make_readings(padded=True)
    station = np.arange(STATIONS)
    values = readings.values if values is None else values
    return StationRecords(
        values, readings.hours, readings.lat, readings.lon, station < 15, (station >= 15) & (station < 18)
    )


def test_calibration_makes_intervals_cover_the_stations_left_out():
    bundle, station_records = make_bundle(species=("pm25",)), records()
    torch.manual_seed(0)
    bundle.members = [AQNet(2, [0], bundle.config.model).state_dict()]  # kriging, before any training
    table = calibrate(bundle, station_records, "cpu")["pm25"]
    assert table.quantiles.shape == (1, 1, 100)  # three towns cannot tell how the shape changes with distance
    residuals = measure(AnalysisPredictor(bundle, "cpu"), station_records)["pm25"].residuals
    standard = residuals.standard[(residuals.reporting_km == residuals.nearest_km) & (residuals.gap_hours == 0)]

    for coverage in (0.5, 0.8, 0.9, 0.95):
        low, high = np.interp((0.5 - coverage / 2, 0.5 + coverage / 2), PROBABILITIES, table.quantiles[0, 0])
        assert abs(np.mean((standard >= low) & (standard <= high)) - coverage) < 0.04, coverage
    assert len(standard) > 400 and not np.allclose(table.quantiles, Calibration.normal().quantiles, atol=0.1)


def test_stations_of_other_roles_never_reach_the_calibration():
    noise = records().values.copy()
    noise[:, 18:] = 777.0
    bundle = make_bundle(species=("pm25",))
    one, other = (calibrate(bundle, station_records, "cpu")["pm25"] for station_records in (records(), records(noise)))
    assert np.array_equal(one.quantiles, other.quantiles)


def test_a_table_of_several_distances_reaches_as_far_as_the_last_of_them(table):
    assert len(table.distance_km) > 1 and table.reach_km == table.distance_km[-1]


def test_a_table_of_one_distance_reaches_as_far_as_half_of_its_places_were_seen_from():
    rng, place = np.random.default_rng(0), np.repeat(np.arange(5), 400)
    farthest = np.array([2.0, 4.0, 9.0, 20.0, 300.0])
    km = farthest[place] * rng.uniform(0, 1, len(place))
    standard = rng.normal(0, 1, len(place))
    few = Residuals(km, np.zeros(len(place)), standard, place, np.zeros(len(place), bool), np.ones(len(place)))
    assert len(fit_table(few).distance_km) == 1
    assert fit_table(few).reach_km == pytest.approx(9.0, rel=0.1)


def test_what_was_measured_at_no_distance_or_too_little_reaches_nowhere():
    nowhere = dataclasses.replace(draw(2000), distance_km=np.zeros(2000))
    assert fit_table(nowhere).reach_km is None
    assert fit_table(draw(100)).reach_km is None and Calibration.normal().reach_km is None


def test_a_calibration_keeps_its_reach_and_an_older_one_takes_the_last_of_its_distances(table):
    raw = table.to_dict()
    assert Calibration.from_dict(raw).reach_km == pytest.approx(table.reach_km, abs=1e-3)
    del raw["reach_km"]
    assert Calibration.from_dict(raw).reach_km == pytest.approx(table.reach_km, abs=1e-3)
    assert Calibration.from_dict(Calibration.normal().to_dict()).reach_km is None
