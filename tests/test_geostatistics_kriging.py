from __future__ import annotations

import numpy as np
import pytest
from pykrige.ok import OrdinaryKriging as PyKrige
from pykrige.uk import UniversalKriging

from aqreanalysis.geostatistics.kriging import leave_out, ordinary_kriging, universal_kriging
from aqreanalysis.geostatistics.variogram import Variogram

VARIOGRAM = Variogram("two exponentials", 0.05, (0.3, 0.9), (20.0, 200.0))


def _kriged(
    places: tuple[np.ndarray, np.ndarray], z: np.ndarray, points: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `ordinary_kriging` says at points from stations at places, all in kilometres."""
    (x, y), (px, py) = places, points
    among = VARIOGRAM.covariance(np.hypot(x[:, None] - x, y[:, None] - y))
    to_places = VARIOGRAM.covariance(np.hypot(x[:, None] - px, y[:, None] - py))
    return ordinary_kriging(among, to_places, z, VARIOGRAM.sill)


def test_estimate_and_variance_are_those_of_pykrige() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.uniform(0, 300, (2, 40))
    px, py = rng.uniform(-50, 350, (2, 25))
    z = rng.gamma(2, 20, 40)
    theirs = PyKrige(
        x, y, z, variogram_model="custom", variogram_parameters=[], variogram_function=lambda _, km: VARIOGRAM(km)
    )
    estimate, variance = theirs.execute("points", px, py, backend="vectorized")
    own = _kriged((x, y), z, (px, py))
    assert own[0] == pytest.approx(np.asarray(estimate), rel=1e-8)
    assert own[1] == pytest.approx(np.asarray(variance), rel=1e-8)


def test_kriging_at_a_station_gives_its_reading() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.uniform(0, 300, (2, 12))
    z = rng.gamma(2, 20, 12)
    estimate, variance = _kriged((x, y), z, (x, y))
    assert estimate == pytest.approx(z) and variance == pytest.approx(0, abs=1e-9)


def test_the_short_cut_of_leaving_out_equals_kriging_without_the_group() -> None:
    rng = np.random.default_rng(6)
    x, y = rng.uniform(0, 300, (2, 36))
    km = np.hypot(x[:, None] - x, y[:, None] - y)
    groups = np.repeat(np.arange(9), 4)
    hour = rng.gamma(2, 20, (1, 36))
    hour[0, [4, 13, 35]] = np.nan
    result = leave_out(hour, km, VARIOGRAM, groups)
    known = np.isfinite(hour[0])
    for group in (0, 3, 8):
        members = known & (groups == group)
        others = known & (groups != group)
        estimate, variance = _kriged((x[others], y[others]), hour[0, others], (x[members], y[members]))
        assert result.estimate[0, members] == pytest.approx(estimate, rel=1e-6)
        assert result.variance[0, members] == pytest.approx(variance, rel=1e-6)


def _drifting(seed: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return places and readings of forty stations, and two fields there and at twenty-five points."""
    rng = np.random.default_rng(seed)
    places, points = rng.uniform(0, 300, (2, 40)), rng.uniform(0, 300, (2, 25))
    here, there = rng.normal(size=(40, 2)), rng.normal(size=(25, 2))
    z = 20 + 5 * here[:, 0] - 3 * here[:, 1] + rng.normal(size=40)
    return np.concatenate([places, points], axis=1), z, here, there


def _kriged_with_drift(
    places: np.ndarray, z: np.ndarray, drift: tuple[np.ndarray, np.ndarray], count: int
) -> tuple[np.ndarray, np.ndarray]:
    km = np.hypot(places[0][:, None] - places[0], places[1][:, None] - places[1])
    covariance = VARIOGRAM.covariance(km)
    return universal_kriging(covariance[:count, :count], covariance[:count, count:], z, drift, VARIOGRAM.sill)


def test_kriging_with_a_drift_is_the_universal_kriging_of_pykrige() -> None:
    places, z, here, there = _drifting()
    theirs = UniversalKriging(
        *places[:, :40],
        z,
        variogram_model="custom",
        variogram_parameters=[],
        variogram_function=lambda _, km: VARIOGRAM(km),
        drift_terms=["specified"],
        specified_drift=list(here.T),
    )
    estimate, variance = theirs.execute("points", *places[:, 40:], specified_drift_arrays=list(there.T))
    own = _kriged_with_drift(places, z, (here, there), 40)
    assert own[0] == pytest.approx(np.asarray(estimate), rel=1e-7)
    assert own[1] == pytest.approx(np.asarray(variance), rel=1e-7)


def test_a_field_that_is_constant_at_the_stations_takes_no_part() -> None:
    places, z, here, there = _drifting()
    flat = np.full((40, 1), 0.1) + 1e-17, np.full((25, 1), 7.0)
    without = _kriged_with_drift(places, z, (here, there), 40)
    result = _kriged_with_drift(places, z, (np.hstack([here, flat[0]]), np.hstack([there, flat[1]])), 40)
    assert result[0] == pytest.approx(without[0]) and result[1] == pytest.approx(without[1])


def test_leaving_out_with_a_drift_equals_kriging_without_the_group() -> None:
    places, z, here, _ = _drifting()
    km = np.hypot(places[0, :40, None] - places[0, :40], places[1, :40, None] - places[1, :40])
    groups = np.concatenate([np.repeat(np.arange(5), 4), np.arange(5, 25)])
    result = leave_out(z[None], km, VARIOGRAM, groups, here[None])
    for group in (0, 3, 8):
        members, others = np.flatnonzero(groups == group), np.flatnonzero(groups != group)
        order = np.concatenate([others, members])
        parts = here[others], here[members]
        estimate, variance = _kriged_with_drift(places[:, :40][:, order], z[others], parts, len(others))
        assert result.estimate[0, members] == pytest.approx(estimate, rel=1e-6)
        assert result.variance[0, members] == pytest.approx(variance, rel=1e-6)


def test_a_station_that_alone_has_a_field_is_told_by_nobody() -> None:
    places, z, here, _ = _drifting()
    km = np.hypot(places[0, :40, None] - places[0, :40], places[1, :40, None] - places[1, :40])
    here[:, 1] = 0.0
    here[7, 1] = 1.0
    result = leave_out(z[None], km, VARIOGRAM, np.arange(40), here[None])
    assert np.isnan(result.estimate[0, 7]) and np.isnan(result.variance[0, 7])
    assert np.isfinite(np.delete(result.estimate[0], 7)).all()


def test_several_series_are_left_out_each_by_itself() -> None:
    places, z, here, _ = _drifting()
    km = np.hypot(places[0, :40, None] - places[0, :40], places[1, :40, None] - places[1, :40])
    groups = np.repeat(np.arange(20), 2)
    z[3] = np.nan
    series = np.column_stack([z, np.where(np.isfinite(z), here[:, 0], np.nan)])
    both = leave_out(series[None], km, VARIOGRAM, groups)
    for i in range(2):
        alone = leave_out(series[None, :, i], km, VARIOGRAM, groups)
        assert both.estimate[..., i] == pytest.approx(alone.estimate, rel=1e-9, nan_ok=True)
        assert both.variance == pytest.approx(alone.variance, rel=1e-9, nan_ok=True)
