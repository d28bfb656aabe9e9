from __future__ import annotations

import numpy as np
import pytest

from aqreanalysis.evaluation.baselines import OrdinaryKriging, SpaceTimeKriging, StationField, StationHistory
from aqreanalysis.evaluation.baselines.spacetime import _Around, krige_local
from aqreanalysis.geostatistics.kriging import ordinary_kriging
from aqreanalysis.geostatistics.space_time import SpaceTimeCovariance, fit_space_time_covariance, space_time_variogram

COVARIANCE = SpaceTimeCovariance((0.2, 0.8), (20.0, 200.0), (4.0, 30.0), 0.05, 12.0, 0.1)


def _network(hours: int = 12, stations: int = 15, seed: int = 0) -> StationField:
    rng = np.random.default_rng(seed)
    lat, lon = 36 + rng.uniform(0, 2, stations), 112 + rng.uniform(0, 2, stations)
    values = rng.lognormal(3, 0.5, (hours, stations)).astype(np.float32)
    stamps = np.arange(hours) + 430_000
    return StationField(lat, lon, values.astype(float), np.arange(stations), stamps, StationHistory(430_000, values))


def _simulated(hours: int, noise: float, reach: float, seed: int = 3) -> tuple[StationField, np.ndarray]:
    """Return a field that drifts slowly, read with noise, and what it is without the noise."""
    rng, stations = np.random.default_rng(seed), 40
    lat, lon = 36 + rng.uniform(0, 2, stations), 112 + rng.uniform(0, 2, stations)
    km = np.hypot((lat[:, None] - lat) * 111, (lon[:, None] - lon) * 89)
    root = np.linalg.cholesky(0.3 * np.exp(-km / reach) + 1e-9 * np.eye(stations))
    z = np.empty((hours, stations))
    z[0] = root @ rng.normal(size=stations)
    keep = np.exp(-1 / 30)
    for t in range(1, hours):
        z[t] = keep * z[t - 1] + np.sqrt(1 - keep**2) * (root @ rng.normal(size=stations))
    truth = np.exp(3.5 + z)
    readings = np.exp(3.5 + z + noise * rng.normal(size=z.shape)).astype(np.float32)
    stamps = np.arange(hours) + 430_000
    groups = np.arange(stations)
    return StationField(lat, lon, readings.astype(float), groups, stamps, StationHistory(430_000, readings)), truth


def test_without_lags_it_is_ordinary_kriging_of_the_neighbours() -> None:
    network = _network()
    z = np.log(network.values)
    km = np.random.default_rng(1).uniform(5, 200, (1, 15))
    around = _Around.nearest(network, km, 15)
    estimate, variance = krige_local(z, np.arange(12), around, COVARIANCE, (0,))
    among = COVARIANCE(around.mutual[0], np.zeros(()))
    to_point = COVARIANCE(around.km[0], np.zeros(()))[:, None]
    for t in (0, 7):
        own = ordinary_kriging(among, to_point, z[t, around.index[0]], COVARIANCE.sill)
        assert estimate[t, 0] == pytest.approx(own[0][0]) and variance[t, 0] == pytest.approx(own[1][0])


def test_a_missing_reading_takes_no_part() -> None:
    network = _network()
    z = np.log(network.values)
    z[4, 3] = np.nan
    km = np.random.default_rng(1).uniform(5, 200, (1, 15))
    around = _Around.nearest(network, km, 15)
    estimate, variance = krige_local(z, np.array([4, 5]), around, COVARIANCE, (0,))
    left = np.delete(np.arange(15), np.flatnonzero(around.index[0] == 3))
    mutual = around.mutual[0][np.ix_(left, left)]
    to_point = COVARIANCE(around.km[0][left], np.zeros(()))[:, None]
    own = ordinary_kriging(COVARIANCE(mutual, np.zeros(())), to_point, z[4, around.index[0][left]], COVARIANCE.sill)
    assert estimate[0, 0] == pytest.approx(own[0][0]) and variance[0, 0] == pytest.approx(own[1][0])
    assert variance[0, 0] > variance[1, 0]


def test_the_ends_of_the_record_have_no_hours_beyond_them() -> None:
    network = _network(hours=6)
    z = np.log(network.values)
    around = _Around.nearest(network, np.random.default_rng(1).uniform(5, 200, (2, 15)), 8)
    whole, _ = krige_local(z, np.arange(6), around, COVARIANCE, (-2, 0, 2))
    padded = np.vstack([np.full((2, 15), np.nan), z, np.full((2, 15), np.nan)])
    again, _ = krige_local(padded, np.arange(2, 8), around, COVARIANCE, (-2, 0, 2))
    assert whole == pytest.approx(again)


def test_the_fitted_covariance_is_that_of_the_field() -> None:
    network, _ = _simulated(hours=1200, noise=0.25, reach=80.0)
    z = np.log(network.values)
    km = np.hypot((network.lat[:, None] - network.lat) * 111, (network.lon[:, None] - network.lon) * 89)
    found = fit_space_time_covariance(space_time_variogram(z, km, np.arange(0, 1190, 5)))
    true = SpaceTimeCovariance((0.3, 0.0), (80.0, 1.0), (30.0, 1.0), 0.0, 1.0, 0.25**2)
    places, lags = np.array([20.0, 50.0, 100.0]), np.array([0.0, 3.0, 6.0])
    gamma = {name: (c.sill - c(places[:, None], lags[None, :])) for name, c in (("found", found), ("true", true))}
    share = gamma["found"] / gamma["found"].max() / (gamma["true"] / gamma["true"].max())
    assert share == pytest.approx(np.ones((3, 3)), abs=0.2)


def test_noise_is_averaged_over_hours_where_kriging_of_the_hour_keeps_it() -> None:
    network, truth = _simulated(hours=400, noise=0.5, reach=300.0)
    hidden = np.arange(0, 40, 5)
    visible = np.setdiff1d(np.arange(40), hidden)
    assert network.history is not None and network.hours is not None
    rows = np.arange(0, 400, 7)
    seen = StationField(
        network.lat[visible],
        network.lon[visible],
        network.values[rows][:, visible],
        visible,
        network.hours[rows],
        StationHistory(network.history.first_hour, network.history.values[:, visible]),
    )
    errors = {}
    for baseline in (SpaceTimeKriging(), OrdinaryKriging("log")):
        tuned = baseline.tune(seen)
        answer = baseline.predict(seen, network.lat[hidden], network.lon[hidden])
        errors[baseline.name] = np.abs(answer.best - truth[rows][:, hidden]).mean()
        if baseline.name == "space-time-kriging":
            assert len(tuned["lags_hours"]) > 1
            lower, upper = answer.interval(0.9)
            readings = network.values[rows][:, hidden]
            assert 0.83 < ((readings >= lower) & (readings <= upper)).mean() < 0.96
    assert errors["space-time-kriging"] < 0.9 * errors["log-kriging"]
