from __future__ import annotations

import numpy as np
import pytest

from aqreanalysis.geostatistics.variogram import FAMILIES, Empirical, Variogram, empirical_variogram, fit_variogram


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fit_finds_the_model_that_made_the_points(family: str) -> None:
    count = 1 if " " not in family else 2
    made = Variogram(family, 0.1, (0.4, 0.8)[:count], (20.0, 300.0)[:count])
    km = np.geomspace(2, 700, 20)
    fitted = fit_variogram(family, Empirical(km, made(km), np.full(20, 500.0)))
    assert fitted(km) == pytest.approx(made(km), rel=0.02)


def test_semivariance_is_zero_at_zero_and_the_nugget_just_above() -> None:
    model = Variogram("exponential", 0.2, (1.0,), (50.0,))
    assert model(np.array([0.0, 1e-9, 1e6])) == pytest.approx([0.0, 0.2, 1.2])


def test_the_empirical_variogram_of_a_simulated_field_is_that_of_its_covariance() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.uniform(0, 500, (2, 120))
    km = np.hypot(x[:, None] - x, y[:, None] - y)
    reach = 60.0
    field = rng.multivariate_normal(np.zeros(120), np.exp(-km / reach), size=300)
    data = empirical_variogram(field * 7.0, km)
    near = data.km < 200
    # Each hour is divided by its own variance over the region, a little less than the sill of one.
    assert data.gamma[near] == pytest.approx(1 - np.exp(-data.km[near] / reach), abs=0.12)


def test_missing_readings_and_flat_hours_do_not_count() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 300, 40)
    km = np.abs(x[:, None] - x)
    values = rng.normal(size=(30, 40))
    holed = values.copy()
    holed[:, ::4] = np.nan
    flat = np.vstack([holed, np.full((5, 40), 3.0)])
    some, with_flat = empirical_variogram(holed, km), empirical_variogram(flat, km)
    assert with_flat.gamma == pytest.approx(some.gamma)
    assert some.pairs.sum() < empirical_variogram(values, km).pairs.sum()
