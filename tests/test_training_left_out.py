"""Who is left out of sight, silent or in a gap, and what the network says of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from model_case import STATIONS, make_bundle, make_readings

from aqreanalysis.model import AnalysisPredictor
from aqreanalysis.training.left_out import StationRecords, draw_gap, measure, points_around


def records(values=None):
    readings = make_readings(padded=True)
    station = np.arange(STATIONS)
    values = readings.values if values is None else values
    return StationRecords(
        values, readings.hours, readings.lat, readings.lon, station < 15, (station >= 15) & (station < 18)
    )


def test_views_leave_out_an_eighth_alone_and_by_neighbourhoods_and_never_the_calibration_stations():
    readings = make_readings(padded=True)
    rng = np.random.default_rng(0)
    lat, lon = rng.uniform(30, 40, 200), rng.uniform(105, 120, 200)
    station_records = StationRecords(
        readings.values, readings.hours, lat, lon, np.arange(200) < 160, np.arange(200) >= 180
    )
    hidden = np.array(
        [station_records.training & ~station_records.sample_visible_stations(300.0, rng) for _ in range(60)]
    )
    assert not hidden[:, 160:].any()
    assert (hidden.sum(axis=1) >= 20).all() and (hidden.sum(axis=1) <= 40).all()
    assert (hidden.any(axis=0)[:160]).mean() > 0.95  # every station has its turn
    nearest = [station_records._between(np.flatnonzero(h))[:, station_records.training & ~h].min() for h in hidden]
    alone = [
        station_records._between(np.flatnonzero(h))[:, station_records.training & ~h].min(axis=1).max() for h in hidden
    ]
    assert np.median(alone) > 150 > np.median(nearest)  # the middle of a neighbourhood sees nobody near


def test_a_network_in_one_spot_still_leaves_somebody_in_sight():
    readings = make_readings(padded=True)
    spot = np.full(STATIONS, 40.0)
    station_records = StationRecords(
        readings.values, readings.hours, spot, spot, np.arange(STATIONS) < 15, np.arange(STATIONS) >= 17
    )
    rng = np.random.default_rng(0)
    assert all(11 <= station_records.sample_visible_stations(120.0, rng).sum() <= 14 for _ in range(20))


def test_stations_that_stand_together_count_as_one_place():
    readings = make_readings(padded=True)
    station_records = dataclasses.replace(records(), lat=readings.lat // 10 * 10, lon=readings.lon // 10 * 10)
    assert len(np.unique(station_records.places())) < len(np.unique(records().places())) <= STATIONS


@pytest.fixture(scope="module")
def residuals():
    return measure(AnalysisPredictor(make_bundle(species=("pm25",)), "cpu"), records())["pm25"]


def test_stations_are_asked_out_of_sight_silent_and_in_gaps(residuals):
    rows = residuals.residuals
    silent = (rows.gap_hours == 0) & (rows.nearest_km == 0)
    assert silent.any() and (rows.reporting_km[silent] > 0).all()  # there, and not a reading of its own
    assert (rows.gap_hours > 0).any() and np.isfinite(rows.standard).all()
    assert (rows.station < 18).all()


def test_the_scale_is_read_at_points_near_and_far(residuals):
    km, log_scale = np.concatenate(residuals.points, axis=1)
    assert km.min() < 5 < 50 < km.max() and np.isfinite(log_scale).all()


def test_points_lie_as_far_from_a_station_as_was_drawn():
    lat, lon = points_around(np.array([60.0]), np.array([179.9]), 400, np.random.default_rng(0))
    assert (np.abs(lon) <= 180).all() and np.abs(lat - 60).max() > 1 > np.abs(lat - 60).min()


def test_a_gap_takes_hours_of_the_day_itself():
    rng = np.random.default_rng(0)
    whole = 0
    for _ in range(300):
        hidden = np.zeros(72, bool)
        hidden[draw_gap(24, 72, rng)] = True
        assert hidden[24:48].any()
        whole += hidden.all()
    assert 60 < whole < 150
