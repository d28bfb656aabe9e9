from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from smoke_case import Smoke, smoky_network, truth

from aqreanalysis.errors import ObservationsError
from aqreanalysis.evaluation.baselines import ExternalDriftKriging, OrdinaryKriging


def test_the_field_that_tells_becomes_the_drift_and_lessens_the_error() -> None:
    field = smoky_network()
    rng = np.random.default_rng(5)
    lat, lon = rng.uniform(38, 40, 60), rng.uniform(114, 116, 60)
    observed = truth(lat, lon, field.hours)
    errors = []
    for baseline in (OrdinaryKriging("log"), ExternalDriftKriging()):
        tuned = baseline.tune(field)
        answer = baseline.predict(field, lat, lon)
        errors.append(np.abs(answer.best - observed).mean())
    assert errors[1] < 0.6 * errors[0]
    assert tuned["drift"][0] == "pm25_background"
    lower, upper = answer.interval(0.9)
    assert 0.75 < ((observed >= lower) & (observed <= upper)).mean() <= 1.0


def test_rain_where_no_station_has_rain_moves_nothing() -> None:
    """Slopes are those of the hour: a point beyond what its stations have is held at the outermost of theirs."""

    class Rain(Smoke):
        def at(self, lat: np.ndarray, lon: np.ndarray, hours: np.ndarray) -> np.ndarray:
            values = super().at(lat, lon, hours)
            values[lon[None].repeat(len(hours), 0) > 117, 1] = 1e6
            return values

    field = smoky_network()
    baseline = ExternalDriftKriging()
    baseline.tune(field)
    lat, lon = np.array([39.0]), np.array([117.5])
    plain = baseline.predict(field, lat, lon).best
    wild = baseline.predict(replace(field, covariates=Rain()), lat, lon).best
    assert np.isfinite(wild).all() and wild.max() < 10 * field.values[np.isfinite(field.values)].max()
    assert (np.abs(wild - plain) < 3 * plain.max()).all()


def test_an_hour_with_too_few_readings_for_slopes_is_kriged_without() -> None:
    field = smoky_network()
    values = field.values.copy()
    values[3, 7:] = np.nan
    values[4, 3:] = np.nan
    field = replace(field, values=values)
    baseline = ExternalDriftKriging()
    assert baseline.tune(field)["drift"]
    rng = np.random.default_rng(5)
    answer = baseline.predict(field, rng.uniform(38, 40, 20), rng.uniform(114, 116, 20))
    assert np.isfinite(answer.best[3]).all() and answer.best[3].max() <= 2 * np.nanmax(values[3])
    assert np.isnan(answer.best[4]).all()


def test_one_group_alone_cannot_be_left_out() -> None:
    field = smoky_network()
    with pytest.raises(ObservationsError, match="no visible station can be left out"):
        ExternalDriftKriging().tune(replace(field, groups=np.zeros(30, int)))


def test_a_network_of_twelve_is_given_no_more_slopes_than_its_readings_tell() -> None:
    tuned = ExternalDriftKriging().tune(smoky_network(stations=12))
    assert len(tuned["drift"]) <= 1
