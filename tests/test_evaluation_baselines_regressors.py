from __future__ import annotations

import numpy as np
import pytest
from fields_case import FIRST, MadeUp

from aqreanalysis.errors import ObservationsError
from aqreanalysis.evaluation.baselines.regressors import WIND_SPEED, ReadOnce, Regressors
from aqreanalysis.geography import describe

LAT, LON = np.array([38.5, 39.0, 40.2]), np.array([114.5, 116.0, 117.1])
HOURS = np.arange(FIRST, FIRST + 30, 5)
FIELDS = ("u10", "v10", "blh", "pm25_background", "people")


def _covariates() -> np.ndarray:
    """Return six hours at three stations: wind, boundary layer, a model's PM2.5 and a static field."""
    rng = np.random.default_rng(2)
    static = np.broadcast_to([5.0, 100.0, 900.0], (6, 3))
    wind = rng.normal(size=(2, 6, 3))
    return np.stack([*wind, rng.uniform(50, 900, (6, 3)), rng.gamma(2, 10, (6, 3)), static], axis=-1)


def test_what_was_read_once_is_what_the_source_says_at_any_of_its_places_and_hours() -> None:
    source = MadeUp()
    known = ReadOnce.of(source, np.append(LAT, LAT[0]), np.append(LON, LON[0]), HOURS)
    assert known.values.shape == (6, 3, 3)
    some = known.at(LAT[::-1], LON[::-1], HOURS[[4, 1]])
    assert np.array_equal(some, source.at(LAT[::-1], LON[::-1], HOURS[[4, 1]]))
    assert known.select(("blh", "u10")).fields == ("blh", "u10")
    assert np.array_equal(known.select(("blh", "u10")).at(LAT, LON, HOURS), source.at(LAT, LON, HOURS)[..., [2, 0]])
    assert known.hours("blh").tolist() == HOURS.tolist()


def test_height_and_population_stand_beside_the_covariates_where_the_model_knows_them() -> None:
    source = MadeUp()
    known = ReadOnce.of(source, LAT, LON, HOURS, ground=True)
    assert known.fields == (*source.fields, "altitude (built-in)", "population (built-in)")
    assert known.hourly == source.hourly and known.digest() != ReadOnce.of(source, LAT, LON, HOURS).digest()
    both = known.at(LAT, LON, HOURS)
    assert np.array_equal(both[..., :-2], source.at(LAT, LON, HOURS))
    assert both[3, :, -2:] == pytest.approx(describe(LAT, LON), rel=1e-6)


def test_what_was_not_read_is_refused() -> None:
    known = ReadOnce.of(MadeUp(), LAT, LON, HOURS)
    with pytest.raises(KeyError):
        known.at(LAT, LON, HOURS + 1)
    with pytest.raises(KeyError):
        known.at(LAT + 1, LON, HOURS)


def test_a_models_concentration_enters_as_logarithm_where_the_reading_does() -> None:
    covariates = _covariates()
    background = covariates[..., 3]
    for logarithm in (True, False):
        made = Regressors.fit(covariates, FIELDS, logarithm)
        expected = np.log(background + 0.1 * background.mean()) if logarithm else background
        result = made.of(covariates)[..., 3]
        assert result == pytest.approx((expected - expected.mean()) / expected.std())


def test_wind_enters_by_its_speed_too() -> None:
    covariates = _covariates()
    made = Regressors.fit(covariates, FIELDS, True)
    assert made.names == (*FIELDS, WIND_SPEED)
    speed = np.hypot(covariates[..., 0], covariates[..., 1])
    assert made.of(covariates)[..., -1] == pytest.approx((speed - speed.mean()) / speed.std())


def test_regressors_beyond_the_stations_are_held_at_theirs_and_missing_ones_count_as_usual() -> None:
    covariates = _covariates()
    made = Regressors.fit(covariates, FIELDS, True)
    far = np.full((1, 2, 5), 1e6)
    far[0, 1] = np.nan
    result = made.of(far)
    assert result[0, 0] == pytest.approx(made.of(covariates).max(axis=(0, 1)).clip(min=result[0, 0]))
    assert (result[0, 0] <= made.high).all() and (result[0, 1] == 0).all()


def test_a_field_without_values_says_nothing_and_none_with_values_is_refused() -> None:
    covariates = _covariates()
    covariates[..., 2] = np.nan
    assert (Regressors.fit(covariates, FIELDS, True).of(covariates)[..., 2] == 0).all()
    with pytest.raises(ObservationsError, match="none of the covariates"):
        Regressors.fit(np.full((6, 3, 5), np.nan), FIELDS, True)
