"""The forecast's baselines answer exactly where a constructed series says what is right."""

from __future__ import annotations

import numpy as np
import pytest

from aqreanalysis.forecast.baselines import (
    Array,
    DailyPersistence,
    ForecastBaseline,
    Persistence,
    PointForecast,
    Records,
    Ridge,
    SeasonalClimatology,
    idw_weights,
    last_known,
    with_daily,
)
from aqreanalysis.forecast.network_baselines import Lstm, PatchTst

HISTORY, LEAD, FIRST = 72, 48, 429_529


def records_of(series: Array, seen: int | None = None) -> Records:
    """Return records of one pollutant from (hour, station)."""
    values = series[..., None].astype(np.float32)
    return Records(values, FIRST, seen or len(values), HISTORY, LEAD)


def answer(method: ForecastBaseline, records: Records, origins: list[int]) -> PointForecast:
    method.fit(records)
    at = np.array(origins)
    return method.predict(records.histories(at), records.stamps(at))


def test_persistence_repeats_the_last_reading_there_is() -> None:
    series = np.arange(400, dtype=np.float32)[:, None] + np.array([[0.0, 1000.0]], np.float32)
    series[300, 0] = np.nan
    forecast = answer(Persistence(), records_of(series), [300])
    assert (forecast.median[0, 0] == 299).all()
    assert (forecast.mean[0, 1] == 1300).all()


def test_a_station_that_read_nothing_has_no_persistence() -> None:
    series = np.full((400, 2), np.nan, np.float32)
    series[:, 0] = 3.0
    forecast = answer(Persistence(), records_of(series), [300])
    assert np.isnan(forecast.median[0, 1]).all() and (forecast.median[0, 0] == 3).all()


def test_daily_persistence_is_exact_for_a_series_that_repeats_each_day() -> None:
    series = np.tile(np.arange(24, dtype=np.float32), 20)[:, None]
    records = records_of(series)
    forecast = answer(DailyPersistence(), records, [200, 211])
    np.testing.assert_allclose(forecast.median, records.truth(np.array([200, 211])))


def test_climatology_is_exact_for_a_series_of_the_hour_of_day() -> None:
    hours = FIRST + np.arange(24 * 400)
    series = (10.0 + hours % 24)[:, None].astype(np.float32)
    records = records_of(series)
    forecast = answer(SeasonalClimatology(), records, [3000, 5011])
    np.testing.assert_allclose(forecast.mean, records.truth(np.array([3000, 5011])), rtol=1e-5)
    np.testing.assert_allclose(forecast.median[..., :LEAD], forecast.mean[..., :LEAD])


def test_climatology_answers_errors_of_either_kind() -> None:
    rng = np.random.default_rng(0)
    series = rng.lognormal(3, 1, (24 * 730, 1)).astype(np.float32)
    forecast = answer(SeasonalClimatology(), records_of(series), [5000])
    assert forecast.median[0, 0, :LEAD].mean() == pytest.approx(np.exp(3), rel=0.1)
    assert forecast.mean[0, 0, :LEAD].mean() == pytest.approx(np.exp(3.5), rel=0.1)


def test_ridge_finds_a_linear_recursion() -> None:
    rng = np.random.default_rng(1)
    series = np.zeros((24 * 200, 3))
    for t in range(1, len(series)):
        series[t] = 0.99 * series[t - 1] + rng.normal(size=3)
    series = (series + 100).astype(np.float32)
    records = records_of(series)
    origins = list(range(3000, 4600, 40))
    forecast = answer(Ridge(), records, origins)
    now = series[np.array(origins)]
    expected = 100 + 0.99**6 * (now - 100)
    assert np.abs(forecast.mean[:, :, 5] - expected).mean() < 1.0  # six hours' noise has a mean absolute size of 1.9


def test_ridge_uses_nothing_after_the_hours_seen() -> None:
    rng = np.random.default_rng(2)
    series = rng.gamma(4, 10, (24 * 150, 2)).astype(np.float32)
    noisy = series.copy()
    noisy[3000:] = 1e4
    first, second = (answer(Ridge(), records_of(s, seen=3000), [2900]) for s in (series, noisy))
    np.testing.assert_array_equal(first.median, second.median)


def test_a_gap_takes_the_last_reading_and_nothing_from_later() -> None:
    readings = np.array([np.nan, 1.0, np.nan, np.nan, 5.0])[None, :, None]
    np.testing.assert_array_equal(last_known(readings)[0, :, 0], [np.nan, 1, 1, 1, 5])


def test_daily_means_follow_the_hours() -> None:
    hours = np.arange(48, dtype=np.float32)
    np.testing.assert_allclose(with_daily(hours)[48:], [11.5, 35.5])


def test_moved_forecasts_leave_out_stations_without_one() -> None:
    answers = np.array([[[1.0], [np.nan], [3.0]]], np.float32)
    weights = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]], np.float32)
    moved = PointForecast(answers, answers).interpolated(weights)
    assert moved.median[0, 0, 0] == pytest.approx((0.5 * 1 + 0.25 * 3) / 0.75)
    assert np.isnan(moved.mean[0, 1, 0])


def test_inverse_distance_weights_sum_to_one_and_favour_the_near() -> None:
    rng = np.random.default_rng(3)
    lat, lon = 39 + rng.random(7), 116 + rng.random(7)
    wave = np.cumsum(rng.normal(size=500))
    records = records_of((50 + wave[:, None] + 5 * lat + rng.normal(size=(500, 7))).astype(np.float32))
    weights, tuned = idw_weights(records, [lat, lon], [lat[:2] + 1e-4, lon[:2]])
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    assert weights[0].argmax() == 0 and weights[1].argmax() == 1
    assert set(tuned) == {"power", "count"}


@pytest.mark.parametrize("kind", [Lstm, pytest.param(PatchTst, marks=pytest.mark.slow)])
def test_a_network_learns_a_diurnal_course(kind: type[Lstm | PatchTst], monkeypatch: pytest.MonkeyPatch) -> None:
    if kind is PatchTst and PatchTst.missing():
        pytest.skip(str(PatchTst.missing()))
    monkeypatch.setattr(kind, "learning_rate", 5e-3)
    monkeypatch.setattr("aqreanalysis.forecast.network_baselines._STEPS", 100)
    monkeypatch.setattr("aqreanalysis.forecast.network_baselines._TUNING", 100)
    monkeypatch.setattr("aqreanalysis.forecast.network_baselines._BATCH", 32)
    hours = FIRST + np.arange(24 * 60)
    rng = np.random.default_rng(4)
    series = 50 + 30 * np.sin(2 * np.pi * hours / 24)[:, None] + rng.normal(0, 2, (len(hours), 2))
    records = records_of(series.astype(np.float32))
    forecast = answer(kind(), records, [1300, 1307])
    error = np.abs(forecast.median - records.truth(np.array([1300, 1307])))[..., :LEAD].mean()
    assert error < 12  # the course's own mean absolute deviation is 19


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "aqreanalysis[baselines]" in str(PatchTst.missing())
