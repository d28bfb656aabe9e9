"""How the calibration of silence is fitted."""

from __future__ import annotations

import numpy as np
import pytest

from aqreanalysis.model import Calibration
from aqreanalysis.model.distribution.silence import climate_terms
from aqreanalysis.training.calibrate_silence import fit_climatology, fit_exponent, fit_gaps, fit_scale, fit_silence
from aqreanalysis.training.left_out import NetworkResiduals

NOTHING = np.zeros(7)


def draw(count, seed=0, **columns):
    """Draw residuals of a perfect network: normal, in stations and hours that are many."""
    rng = np.random.default_rng(seed)
    plain = {
        "station": rng.integers(0, 60, count),
        "hour": rng.integers(0, 24 * 400, count),
        "reporting_km": np.full(count, 40.0),
        "nearest_km": np.zeros(count),
        "since_hours": np.zeros(count),
        "until_hours": np.zeros(count),
        "level": rng.normal(size=count),
        "location": rng.normal(size=count),
        "scale": np.full(count, 0.2),
        "standard": rng.normal(size=count),
    }
    return NetworkResiduals(**{**plain, **columns})


def test_the_scale_is_read_by_distance_and_never_falls():
    km = np.random.default_rng(0).uniform(0, 200, 3000)
    nodes, log_scale = fit_scale(np.stack((km, np.log(0.1 + 0.002 * km))))
    assert (np.diff(log_scale) >= 0).all()
    assert np.interp(40.0, nodes, log_scale) == pytest.approx(np.log(0.18), abs=0.08)
    assert (np.diff(fit_scale(np.stack((km, -km)))[1]) == 0).all()


@pytest.mark.parametrize("power", [0.0, 0.6, 1.3])
def test_errors_beside_silent_stations_follow_the_scale_as_far_as_they_do(power):
    nodes, log_scale = np.array([0.0, 40.0]), np.log(np.array([0.2, 0.5]))
    noise = np.random.default_rng(1).normal(size=40_000)
    silent = draw(40_000, standard=noise * 2.5**power)
    assert fit_exponent(silent, Calibration.normal(), nodes, log_scale) == pytest.approx(power, abs=0.03)


def test_few_silent_stations_are_believed_to_err_as_if_they_were_not_there():
    silent = draw(20)
    assert fit_exponent(silent, Calibration.normal(), np.array([0.0, 40.0]), np.array([-1.6, -0.7])) == 1.0


def test_an_estimate_that_no_reading_reached_goes_to_the_climatology():
    rng = np.random.default_rng(2)
    gap = rng.choice([1.0, np.inf], 40_000)
    weather = rng.normal(size=40_000)
    near = gap == 1
    # After an hour the network knows the weather; after days it says what it likes.
    location = np.where(near, weather, rng.normal(size=40_000))
    gaps = draw(40_000, since_hours=gap, until_hours=np.full(40_000, np.inf), location=location,
                standard=(weather - location) / 0.2)  # fmt: skip
    hours, climate, quantiles = fit_gaps(gaps, NOTHING, 47)
    assert hours[-1] == 48 and climate[0] == pytest.approx(0, abs=0.02) and climate[-1] == pytest.approx(1, abs=0.02)
    assert np.interp(0.95, np.linspace(0.005, 0.995, 100), quantiles[-1]) == pytest.approx(1.645, abs=0.1)


def test_what_was_read_at_another_hour_is_moved_by_the_clock_before_it_is_believed():
    rng = np.random.default_rng(4)
    clock = np.array([0, 0.8, 0, 0, 0, 0, 0])
    hour, weather = rng.integers(0, 24 * 400, 40_000), rng.normal(size=40_000)
    since = rng.integers(1, 30, 40_000)
    known = weather + climate_terms(hour - since) @ clock
    truth = 0.6 * weather + 0.3 * rng.normal(size=40_000) + climate_terms(hour) @ clock
    away = {"since_hours": since.astype(float), "until_hours": np.full(40_000, np.inf)}
    gaps = draw(40_000, **away, hour=hour, location=known, standard=(truth - known) / 0.2)
    assert fit_gaps(gaps, clock, 47)[1] == pytest.approx(0.4, abs=0.03)


def test_the_weather_of_few_days_says_less_of_the_next_than_that_of_many():
    rng = np.random.default_rng(3)
    widths = []
    for days in (6, 300):
        day = rng.integers(0, days, 20_000)
        weather = rng.normal(size=days)[day]
        never = {"since_hours": np.full(20_000, np.inf), "until_hours": np.full(20_000, np.inf)}
        gaps = draw(20_000, **never, hour=24 * day, location=np.zeros(20_000), scale=np.ones(20_000), standard=weather)
        quantiles = fit_gaps(gaps, NOTHING, 47)[2][-1]
        widths.append((quantiles[94] - quantiles[4]) / (2 * weather.std()))
    assert widths[0] > 1.1 * widths[1]


def test_a_record_of_a_season_knows_hours_of_the_day_and_no_year():
    hours = np.arange(24 * 60)
    truth = climate_terms(hours) @ np.array([0.2, 0.5, 0, 0, 0.1, 0, 0])
    np.testing.assert_allclose(fit_climatology(hours, truth), [0.2, 0.5, 0, 0, 0.1, 0, 0], atol=1e-9)
    year = np.arange(24 * 365)
    truth = climate_terms(year) @ np.array([0.2, 0.5, 0, 0, 0.1, 0.4, -0.3])
    truth[100:200] = np.nan
    np.testing.assert_allclose(fit_climatology(year, truth), [0.2, 0.5, 0, 0, 0.1, 0.4, -0.3], atol=1e-9)


def test_beyond_all_distances_the_scale_is_that_of_the_climatology():
    km = np.random.default_rng(0).uniform(0, 60, 3000)
    points = np.stack((km, np.log(0.2 + 0.005 * km)))
    silence = fit_silence(points, draw(10), draw(0), Calibration.normal(), (NOTHING, 47))
    at_station = np.log(0.2)
    assert silence.log_scale[-1] - silence.log_scale[0] == pytest.approx(-at_station, abs=0.1)
    assert silence.climate.tolist() == [1.0] and silence.gap_hours.tolist() == [48.0]
