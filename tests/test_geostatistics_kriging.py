from __future__ import annotations

import numpy as np
import pytest
from pykrige.ok import OrdinaryKriging as PyKrige

from aqreanalysis.geostatistics.kriging import leave_out, ordinary_kriging
from aqreanalysis.geostatistics.variogram import Variogram

VARIOGRAM = Variogram("two exponentials", 0.05, (0.3, 0.9), (20.0, 200.0))


def _kriged(
    places: tuple[np.ndarray, np.ndarray], z: np.ndarray, points: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `ordinary_kriging` says at points from stations at places, all in kilometres."""
    (x, y), (px, py) = places, points
    among = VARIOGRAM.covariance(np.hypot(x[:, None] - x, y[:, None] - y))
    towards = VARIOGRAM.covariance(np.hypot(x[:, None] - px, y[:, None] - py))
    return ordinary_kriging(among, towards, z, VARIOGRAM.sill)


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
    found = leave_out(hour, km, VARIOGRAM, groups)
    known = np.isfinite(hour[0])
    for group in (0, 3, 8):
        members = known & (groups == group)
        others = known & (groups != group)
        estimate, variance = _kriged((x[others], y[others]), hour[0, others], (x[members], y[members]))
        assert found.estimate[0, members] == pytest.approx(estimate, rel=1e-6)
        assert found.variance[0, members] == pytest.approx(variance, rel=1e-6)
