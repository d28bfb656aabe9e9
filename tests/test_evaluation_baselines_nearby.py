from __future__ import annotations

import numpy as np
import pytest

from aqreanalysis.errors import ObservationsError
from aqreanalysis.evaluation.baselines import InverseDistance, StationField
from aqreanalysis.evaluation.baselines.base import fit_spread
from aqreanalysis.evaluation.baselines.nearby import interpolate
from aqreanalysis.evaluation.distributions import CensoredNormal
from aqreanalysis.observations import Observations

pytest_plugins = ("evaluation_case",)

NAN = np.nan


def _on_a_meridian(values: list[list[float]]) -> StationField:
    """Stations at 35.0, 35.1, 35.2 and 35.4 N on one meridian."""
    lat = np.array([35.0, 35.1, 35.2, 35.4])
    return StationField(lat, np.full(4, 110.0), np.array(values), np.arange(4))


def network_of(observations: Observations, key: str = "pm25") -> StationField:
    count = len(observations.stations)
    return StationField(observations.lat, observations.lon, observations.values(key).astype(float), np.arange(count))


def test_the_nearest_station_that_reports_answers() -> None:
    network = _on_a_meridian([[1, 2, 3, 4], [1, NAN, 3, 4], [NAN, NAN, NAN, 4], [NAN] * 4])
    mean, _ = interpolate(network, np.array([35.11]), np.array([110.0]), power=1, count=1)
    assert mean[:3, 0].tolist() == [2, 3, 4]
    assert np.isnan(mean[3, 0])


def test_inverse_distance_weighs_by_the_power_of_the_distance() -> None:
    network = _on_a_meridian([[10, 40, 100, 400]])
    # 35.05 is half way between the first two; a third of the way from 35.1 to 35.4 is one distance and two of them.
    half, _ = interpolate(network, np.array([35.05]), np.array([110.0]), power=2, count=2)
    assert half[0, 0] == pytest.approx(25.0)
    third, variance = interpolate(
        StationField(network.lat[[1, 3]], network.lon[[1, 3]], np.array([[40.0, 400.0]]), np.arange(2)),
        np.array([35.2]),
        np.array([110.0]),
        power=2,
        count=2,
    )
    expected = (4 * 40 + 1 * 400) / 5
    assert third[0, 0] == pytest.approx(expected, rel=1e-6)
    assert variance[0, 0] == pytest.approx((4 * (40 - expected) ** 2 + (400 - expected) ** 2) / 5, rel=1e-6)


def test_a_station_leaves_out_its_whole_group() -> None:
    network = _on_a_meridian([[10, 20, 30, 40]])
    groups = np.array([0, 0, 0, 1])
    grouped = StationField(network.lat, network.lon, network.values, groups)
    mean, _ = interpolate(grouped, grouped.lat, grouped.lon, power=1, count=1, own=groups)
    assert mean[0].tolist() == [40, 40, 40, 30]


def test_tuning_beats_the_untuned_weights_on_the_visible_stations(town_network: Observations) -> None:
    network = network_of(town_network)
    tuned = InverseDistance().tune(network)
    sample = network.tuning_sample()
    for power, count in ((2.0, 16), (0.5, 96), (4.0, 3)):
        mean, _ = interpolate(sample, sample.lat, sample.lon, power=power, count=count, own=sample.groups)
        assert tuned["left_out_mae"] <= np.nanmean(np.abs(mean - sample.values)) + 1e-9


def test_the_fitted_spread_finds_the_spread_that_made_the_errors() -> None:
    rng = np.random.default_rng(0)
    estimate = rng.uniform(20, 120, 20_000)
    made = np.sqrt(5.0**2 + (0.2 * estimate) ** 2)
    spread = fit_spread(estimate, np.zeros_like(estimate), estimate + made * rng.normal(size=estimate.size))
    assert spread.floor == pytest.approx(5.0, rel=0.25)
    assert spread.relative == pytest.approx(0.2, rel=0.1)


def test_the_tuned_interval_covers_left_out_stations(town_network: Observations) -> None:
    network = network_of(town_network)
    hidden = np.arange(0, 36, 9)
    visible = np.setdiff1d(np.arange(36), hidden)
    seen = StationField(network.lat[visible], network.lon[visible], network.values[:, visible], visible)
    baseline = InverseDistance()
    baseline.tune(seen)
    answer = baseline.predict(seen, network.lat[hidden], network.lon[hidden])
    assert isinstance(answer, CensoredNormal)
    lower, upper = answer.interval(0.9)
    observed = network.values[:, hidden]
    inside = ((observed >= lower) & (observed <= upper))[np.isfinite(observed)].mean()
    assert 0.75 < inside < 0.99


def test_a_silent_network_cannot_tune_anything() -> None:
    network = _on_a_meridian([[NAN] * 4, [1, 2, 3, 4]])
    with pytest.raises(ObservationsError, match="no hour has 5 readings"):
        InverseDistance().tune(network)
