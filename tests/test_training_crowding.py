"""The crowding of stations is used where towns are unlike the country between them, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from model_case import STATIONS, make_bundle, make_readings, small_config

from aqreanalysis.common.geodesy import distance_matrix_km
from aqreanalysis.model.distribution.crowding import Crowding, crowd
from aqreanalysis.model.predictor import AnalysisPredictor
from aqreanalysis.training.crowding import fit_crowding
from aqreanalysis.training.left_out import StationRecords, in_their_towns

HOURS = 120


def network(rise: float, seed: int = 0, towns: int = 14, rural: int = 10, a_town: int = 4):
    """Return (values, lat, lon): a smooth field, the lasting bias of each station, and `rise` times the crowd of all
    stations round each, as if it were the people's there."""
    rng = np.random.default_rng(seed)
    centre = np.column_stack((rng.uniform(48, 54, towns), rng.uniform(8, 18, towns)))
    lat, lon = np.repeat(centre, a_town, axis=0).T + rng.normal(0, 0.05, (2, towns * a_town))
    lat, lon = np.append(lat, rng.uniform(48, 54, rural)), np.append(lon, rng.uniform(8, 18, rural))
    km = distance_matrix_km(lat, lon, lat, lon)
    waves = rng.uniform(0, 2 * np.pi, (HOURS, 2))
    smooth = np.sin(lat + waves[:, :1]) + np.cos(lon / 2 + waves[:, 1:])
    values = smooth + rise * crowd(km) + rng.normal(0, 0.1, len(lat)) + rng.normal(0, 0.2, smooth.shape)
    values[rng.random(values.shape) < 0.1] = np.nan
    return values.astype(np.float32), lat, lon


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_towns_that_are_dirtier_than_the_country_are_found(seed):
    values, lat, lon = network(0.4, seed)
    crowding = fit_crowding({"pm25": values}, lat, lon)
    assert crowding is not None
    assert 0.15 < crowding.slopes["pm25"] < 0.45 and 0.15 < crowding.explained["pm25"] < 1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nothing_is_made_of_towns_that_are_like_the_country(seed):
    values, lat, lon = network(0.0, seed)
    assert fit_crowding({"pm25": values}, lat, lon) is None


def test_each_pollutant_has_its_own_or_none():
    values, lat, lon = network(-0.4)
    crowding = fit_crowding({"o3": values, "so2": network(0.0)[0], "co": np.full_like(values, np.nan)}, lat, lon)
    assert crowding is not None and list(crowding.slopes) == ["o3"] and crowding.slopes["o3"] < -0.15


def test_a_few_towns_tell_nothing():
    values, lat, lon = network(0.4, towns=5, rural=3)
    assert fit_crowding({"pm25": values}, lat, lon) is None


def test_a_site_that_never_reads_the_pollutant_is_one_of_the_crowd_and_no_witness():
    values, lat, lon = network(0.4)
    whole = fit_crowding({"pm25": values}, lat, lon)
    values[:, ::7] = np.nan
    fewer = fit_crowding({"pm25": values}, lat, lon)
    assert whole is not None and fewer is not None
    assert fewer.slopes["pm25"] == pytest.approx(whole.slopes["pm25"], abs=0.15)


def test_it_can_be_switched_off():
    assert small_config().model.crowding and not small_config("model.crowding=false").model.crowding


def test_a_town_left_out_whole_is_calibrated_as_the_town_that_it_is():
    readings = make_readings(padded=True)
    away = np.arange(STATIONS) < 7  # the first of three towns
    records = StationRecords(readings.values, readings.hours, readings.lat, readings.lon, ~away, away)
    predictor = AnalysisPredictor(replace(make_bundle(), crowding=Crowding({"pm25": 0.3}, {"pm25": 0.4})), "cpu")
    stations, there = (readings.lat[~away], readings.lon[~away]), (readings.lat[away], readings.lon[away])
    seen = predictor.geometry(*stations, *there)
    known = in_their_towns(predictor, records, seen)
    assert seen.drift is not None and known.drift is not None
    assert (known.drift[:, 0] >= seen.drift[:, 0]).all() and known.drift[:, 0].max() > seen.drift[:, 0].max() + 0.1
    np.testing.assert_array_equal(known.drift[:, 1], 0.0)
    plain = AnalysisPredictor(make_bundle(), "cpu").geometry(*stations, *there)
    assert in_their_towns(AnalysisPredictor(make_bundle(), "cpu"), records, plain) is plain
