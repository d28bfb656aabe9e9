from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from aqreanalysis.common.geodesy import distance_matrix_km
from aqreanalysis.errors import ObservationsError
from aqreanalysis.evaluation.baselines import OrdinaryKriging, StationField
from aqreanalysis.evaluation.baselines.kriging import project
from aqreanalysis.geostatistics.kriging import ordinary_kriging
from aqreanalysis.geostatistics.variogram import Variogram
from aqreanalysis.observations import Observations

pytest_plugins = ("evaluation_case",)

VARIOGRAM = Variogram("two exponentials", 0.05, (0.3, 0.9), (20.0, 200.0))


def _network(observations: Observations) -> StationField:
    groups = np.arange(len(observations.stations))
    return StationField(observations.lat, observations.lon, observations.values("pm25").astype(float), groups)


def _places(network: StationField) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y = project(network, network.lat, network.lon)
    return x, y, np.hypot(x[:, None] - x, y[:, None] - y)


def _kriged(
    places: tuple[np.ndarray, np.ndarray], z: np.ndarray, points: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `ordinary_kriging` says at points from stations at places, all in kilometres."""
    (x, y), (px, py) = places, points
    among = VARIOGRAM.covariance(np.hypot(x[:, None] - x, y[:, None] - y))
    to_places = VARIOGRAM.covariance(np.hypot(x[:, None] - px, y[:, None] - py))
    return ordinary_kriging(among, to_places, z, VARIOGRAM.sill)


def test_projected_distances_are_those_on_the_sphere(town_network: Observations) -> None:
    network = _network(town_network)
    _, _, km = _places(network)
    true = distance_matrix_km(network.lat, network.lon, network.lat, network.lon)
    apart = true > 1
    assert km[apart] == pytest.approx(true[apart], rel=0.005)


def test_a_network_across_the_date_line_stays_together() -> None:
    network = StationField(np.array([0.0, 0.0]), np.array([179.5, -179.5]), np.zeros((1, 2)), np.arange(2))
    _, _, km = _places(network)
    assert km[0, 1] == pytest.approx(111.3, rel=0.01)


def test_instruments_at_one_place_do_not_break_the_kriging() -> None:
    network = StationField(
        np.array([35.0, 35.0, 35.0, 35.3, 35.1, 35.2]),
        np.array([110.0, 110.0, 110.0, 110.1, 110.4, 110.2]),
        np.array([[10.0, 12.0, 14.0, 20.0, 30.0, 22.0]] * 20),
        np.arange(6),
    )
    x, y, _ = _places(network)
    estimate, variance = _kriged((x, y), network.values[0], (x[:1] + 0.5, y[:1]))
    assert 11 < estimate[0] < 14
    assert variance[0] > 0


@pytest.mark.parametrize("space", ["linear", "log"])
def test_kriging_estimates_hidden_stations_better_than_the_mean(
    town_network: Observations, space: Literal["linear", "log"]
) -> None:
    network = _network(town_network)
    hidden = np.arange(0, 36, 4)
    visible = np.setdiff1d(np.arange(36), hidden)
    seen = StationField(network.lat[visible], network.lon[visible], network.values[:60, visible], visible)
    baseline = OrdinaryKriging(space)
    tuned = baseline.tune(seen)
    answer = baseline.predict(seen, network.lat[hidden], network.lon[hidden])
    observed = network.values[:60, hidden]
    known = np.isfinite(observed)
    error = np.abs(answer.best - observed)[known].mean()
    plain = np.abs(np.nanmean(seen.values, axis=1, keepdims=True) - observed)[known].mean()
    assert error < 0.75 * plain
    assert tuned["left_out_mae"] < plain
    lower, upper = answer.interval(0.9)
    assert 0.75 < ((observed >= lower) & (observed <= upper))[known].mean() <= 0.99
    assert (lower >= 0).all() and (lower <= answer.best).all() and (answer.best <= upper).all()


def test_an_hour_with_few_readings_is_left_unanswered(town_network: Observations) -> None:
    network = _network(town_network)
    values = network.values[:30].copy()
    values[3, 2:] = np.nan
    seen = StationField(network.lat, network.lon, values, network.groups)
    baseline = OrdinaryKriging("linear")
    baseline.tune(seen)
    answer = baseline.predict(seen, np.array([36.0]), np.array([111.0]))
    assert np.isnan(answer.best[3, 0])
    assert np.isfinite(np.delete(answer.best[:, 0], 3)).all()


def test_one_group_alone_cannot_be_left_out(town_network: Observations) -> None:
    network = _network(town_network)
    alone = StationField(network.lat, network.lon, network.values, np.zeros(36, int))
    with pytest.raises(ObservationsError, match="no visible station can be left out"):
        OrdinaryKriging("linear").tune(alone)


def test_progress_counts_the_hours(town_network: Observations) -> None:
    network = _network(town_network)
    seen = StationField(network.lat, network.lon, network.values[:12], network.groups)
    baseline = OrdinaryKriging("linear")
    baseline.tune(seen)
    calls: list[tuple[int, int]] = []
    baseline.predict(seen, np.array([36.0]), np.array([111.0]), lambda done, total, _: calls.append((done, total)))
    assert calls == [(i + 1, 12) for i in range(12)]
