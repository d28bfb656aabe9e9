"""Calibration of means: how long errors last, what observed means were off by, and how little few of them may say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from model_case import STATIONS, make_bundle, make_readings

from aqreanalysis.model.distribution.period_means import (
    MEAN_DAYS,
    ErrorAutocovariance,
    MeanPredictive,
    accumulate_hours,
)
from aqreanalysis.training.calibrate_means import (
    HourlyErrors,
    _hourly_errors,
    calibrate_means,
    fit_autocovariance,
    fit_means,
    view_days,
    widen_training_errors,
)
from aqreanalysis.training.left_out import StationRecords

# Mean square of the own lasting bias of a station, and of the part that decays with three hours.
BIAS, DECAYING, HOURS = 0.2, 0.8, 3.0
OFFSET = 2.0


def simulate(days: int, stations: int, seed: int = 0) -> HourlyErrors:
    """Return hourly estimates whose errors, in units of the standard error, have a bias and a part that decays."""
    rng = np.random.default_rng(seed)
    hours = np.arange(24 * days)[:, None]
    mean = 45 + 15 * np.sin(2 * np.pi * hours / 24) + 10 * rng.normal(size=stations)
    spread = 0.2 * mean
    decay, error = np.exp(-1 / HOURS), np.empty(mean.shape)
    error[0] = rng.normal(size=stations)
    for hour in range(1, len(error)):
        error[hour] = decay * error[hour - 1] + np.sqrt(1 - decay**2) * rng.normal(size=stations)
    standard = np.sqrt(BIAS) * rng.normal(size=stations) + np.sqrt(DECAYING) * error
    arrays = (mean, spread, mean + spread * standard, rng.uniform(1, 60, stations))
    return HourlyErrors(*(a.astype(np.float32) for a in arrays), np.arange(stations), np.zeros(stations, dtype=bool))


def covered(learned, fresh: HourlyErrors, frequency: str, days: int, coverage: float) -> float:
    """Return the share of the means of other stations that lie inside the interval."""
    inside = []
    for begin in range(0, len(fresh.mean), 24 * days):
        part = slice(begin, begin + 24 * days)
        sums = accumulate_hours(fresh.mean[part], fresh.standard_error[part], learned.autocovariance)
        lower, upper = MeanPredictive(sums, fresh.nearest_km, learned, frequency).interval(coverage)
        observed = fresh.observed[part].mean(axis=0)
        inside.append((lower <= observed) & (observed <= upper))
    return float(np.mean(inside))


@pytest.fixture(scope="module")
def learned():
    return fit_means([simulate(120, 150)], OFFSET)


def test_the_memory_of_the_errors_is_found(learned):
    lags = np.array([0, 1, 3, 6, 24, 200])
    wanted = BIAS + DECAYING * np.exp(-lags / HOURS)
    np.testing.assert_allclose(learned.autocovariance.covariance(lags), wanted, atol=0.12)
    assert (learned.autocovariance.weights > 0).all()


@pytest.mark.parametrize(("frequency", "days"), [("daily", 1), ("monthly", 30)])
def test_means_at_other_stations_are_covered(learned, frequency, days):
    fresh = simulate(120, 300, seed=1)
    for coverage in (0.5, 0.9, 0.95):
        assert covered(learned, fresh, frequency, days, coverage) == pytest.approx(coverage, abs=0.05)


def test_hours_that_are_believed_to_be_independent_or_equal_would_not_cover(learned):
    fresh = simulate(120, 150, seed=1)
    width = {}
    for name, autocovariance in {
        "learned": learned.autocovariance,
        "independent": ErrorAutocovariance(np.array([0.0]), np.ones(1)),
        "equal": ErrorAutocovariance(np.array([np.inf]), np.ones(1)),
    }.items():
        sums = accumulate_hours(fresh.mean[:24], fresh.standard_error[:24], autocovariance)
        width[name] = float(np.sqrt(sums.variance).mean()) / 24
    error = (fresh.observed - fresh.mean).reshape(120, 24, 150).mean(axis=1).std()
    assert width["learned"] == pytest.approx(error, rel=0.15)
    assert width["independent"] < 0.6 * error and width["equal"] > 1.3 * error


def test_a_table_says_what_it_rests_on(learned):
    assert (learned.tables["daily"].means, learned.tables["daily"].stations) == (120 * 150, 150)
    assert (learned.tables["monthly"].means, learned.tables["monthly"].days) == (4 * 150, 30)
    # A third of a year is not enough for an annual mean: the covariance alone must do.
    assert learned.tables["annual"].means == 0
    assert "no mean that is long" in learned.tables["annual"].describe("annual")
    assert "18000 daily means at 150 stations" in learned.tables["daily"].describe("daily")


def test_most_of_a_year_stands_in_for_an_annual_mean():
    table = fit_means([simulate(280, 12)], OFFSET).tables["annual"]
    assert (table.days, table.means) == (280, 12) and table.quantiles.shape[:2] == (1, 1)


def test_days_with_many_gaps_do_not_count_and_a_gap_is_no_error():
    one = simulate(40, 10)
    observed = one.observed.copy()
    observed[:, 0] = np.where(np.arange(len(observed)) % 24 < 8, np.nan, observed[:, 0])  # 16 of 24 hours
    observed[:, 1] = np.where(np.arange(len(observed)) % 24 < 5, np.nan, observed[:, 1])  # 19 of 24, never at night
    result = fit_means([replace(one, observed=observed)], OFFSET)
    assert result.tables["daily"].means == 40 * 9 and result.tables["daily"].stations == 9


def test_a_handful_of_stations_does_not_make_the_interval_too_sure_of_itself():
    fresh = simulate(60, 200, seed=99)
    result = []
    for seed in range(8):
        few = fit_means([simulate(60, 5, seed)], OFFSET)
        assert few.tables["monthly"].quantiles.shape[:2] == (1, 1)
        result.append(covered(few, fresh, "monthly", 30, 0.9))
    assert 0.8 < np.mean(result) < 0.97


def test_without_a_reading_errors_are_taken_to_last():
    one = simulate(3, 2)
    silent = replace(one, observed=np.full_like(one.observed, np.nan))
    autocovariance = fit_autocovariance([silent])
    assert autocovariance.hours.tolist() == [np.inf] and autocovariance.weights.tolist() == [1.0]
    assert fit_means([silent], OFFSET).tables["daily"].means == 0


def records() -> StationRecords:
    readings = make_readings(padded=True)
    station = np.arange(STATIONS)
    return StationRecords(
        readings.values, readings.hours, readings.lat, readings.lon, station < 15, (station >= 15) & (station < 18)
    )


def test_a_bundle_gets_a_calibration_for_every_pollutant_and_frequency():
    result = calibrate_means(make_bundle(), records(), "cpu")
    assert set(result) == {"pm25", "o3"}
    for one in result.values():
        assert set(one.tables) == set(MEAN_DAYS)
        # Of the training stations two in each of the draws.
        assert one.tables["daily"].means > 0 and 3 < one.tables["daily"].stations <= 18


def test_stations_of_other_roles_never_reach_the_calibration_of_means():
    told, noise = records(), records()
    noise.values[:, 18:] = 777.0
    bundle = make_bundle(species=("pm25",))
    one, other = (calibrate_means(bundle, r, "cpu")["pm25"].to_dict() for r in (told, noise))
    assert one == other


def test_the_days_are_summed_in_the_order_of_the_clock_whatever_is_encoded_together(monkeypatch):
    from aqreanalysis.model import AnalysisPredictor
    from aqreanalysis.training import calibrate_means as module

    predictor, told = AnalysisPredictor(make_bundle(species=("pm25",)), "cpu"), records()
    visible = told.training & (np.arange(STATIONS) != 4)
    whole = dict(_hourly_errors(predictor, told, visible, range(1, 4)))["pm25"]
    monkeypatch.setattr(module, "_DAYS_AT_ONCE", 1)
    single = dict(_hourly_errors(predictor, told, visible, range(1, 4)))["pm25"]
    np.testing.assert_allclose(whole.mean, single.mean, rtol=1e-4)
    np.testing.assert_array_equal(whole.observed, single.observed)
    assert whole.station.tolist() == [4, 15, 16, 17] and whole.trained.tolist() == [True, False, False, False]


def test_every_day_of_a_pass_belongs_to_one_draw():
    from aqreanalysis.model import AnalysisPredictor

    predictor, told = AnalysisPredictor(make_bundle(species=("pm25",)), "cpu"), records()
    days = view_days(predictor, told)
    read = predictor.history_hours + predictor.lookahead_hours
    assert [day for some in days for day in some] == list(range((len(told.hours) - read) // 24))
    assert len(days) >= 4


def test_stations_that_are_always_left_out_are_seen_in_a_row_and_others_where_they_were(monkeypatch):
    from aqreanalysis.training import calibrate_means as module

    given = []
    monkeypatch.setattr(module, "fit_means", lambda errors, offset: given.append(errors))
    calibrate_means(make_bundle(species=("pm25",)), records(), "cpu")
    (errors,) = given
    always = [one for one in errors if not one.trained.any()]
    assert [one.station.tolist() for one in always] == [[15, 16, 17]] * 2
    assert len({len(one.mean) for one in always}) == 1
    assert sum(len(one.mean) for one in errors if one.trained.all()) == 2 * len(always[0].mean)


def test_a_network_that_knows_its_stations_by_heart_is_not_believed_there():
    strange, known = simulate(60, 60), simulate(60, 200, seed=1)
    error = 0.6 * (known.observed - known.mean)
    learnt = replace(known, observed=known.mean + error, station=known.station + 60, trained=np.ones(200, dtype=bool))
    wide, narrow = widen_training_errors([strange, learnt])
    np.testing.assert_array_equal(wide.observed, strange.observed)
    wider = np.nanstd(narrow.standardised) / np.nanstd(learnt.standardised)
    assert 1.2 < wider < 1.7
    fresh = simulate(60, 300, seed=2)
    assert covered(fit_means([strange, learnt], OFFSET), fresh, "daily", 1, 0.9) > 0.85
    believed = fit_means([strange, replace(learnt, trained=np.zeros(200, dtype=bool))], OFFSET)
    assert covered(believed, fresh, "daily", 1, 0.9) < 0.85


def test_a_few_readings_that_cannot_be_do_not_decide_how_long_errors_last():
    one, plain = simulate(60, 50), fit_autocovariance([simulate(60, 50)])
    spoilt = one.observed.copy()
    spoilt[::500, ::5] = 1000.0
    found = fit_autocovariance([replace(one, observed=spoilt)])
    lags = np.arange(0, 100)
    np.testing.assert_allclose(found.covariance(lags), plain.covariance(lags), atol=0.05)
