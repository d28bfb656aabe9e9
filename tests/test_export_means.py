"""Means over periods, and error bars that hold whatever the correlation in time."""

from __future__ import annotations

import numpy as np
import pytest

from aqreanalysis.export import CubeSource, source
from aqreanalysis.export.means import mean_layers, period_mean
from aqreanalysis.export.periods import periods_of
from aqreanalysis.production import open_cube


def test_a_days_mean_is_that_of_its_hours_and_its_error_bar_is_not_divided(cubes, monkeypatch):
    monkeypatch.setattr(source, "SLAB_VALUES", 63 * 7 * 4)  # several slabs a day
    with CubeSource(cubes.two) as two:
        day = periods_of(two, "day")[1]
        mean = period_mean(two, day)
        for name in ("pm2p5", "pm2p5_standard_error", "o3_lower", "o3_upper"):
            np.testing.assert_allclose(mean[name], two.read(name, slice(24, 48)).mean(axis=0), rtol=1e-5)
        flags = two.read("o3_quality_flag", slice(24, 48))
        assert (mean["o3_quality_flag"] == np.bitwise_or.reduce(flags, axis=0)).all()
        np.testing.assert_array_equal(
            mean["o3_observations_used"], np.nanmin(two.read("o3_observations_used", slice(24, 48)), axis=0)
        )
        assert set(mean) == {layer.name for layer in mean_layers(two, "day")}


def test_the_standard_error_bounds_that_of_errors_of_any_correlation(cubes):
    with CubeSource(cubes.one) as one:
        day = periods_of(one, "day")[0]
        hourly = one.read("pm2p5_standard_error", slice(0, 24))[:, 2, 2].astype(np.float64)
        bound = period_mean(one, day)["pm2p5_standard_error"][2, 2]
    for memory in (0.0, 0.5, 0.9, 1.0):
        correlation = memory ** np.abs(np.subtract.outer(np.arange(24), np.arange(24)))
        true = np.sqrt(hourly @ correlation @ hourly) / 24
        assert true <= bound * (1 + 1e-5)
    assert np.sqrt((hourly**2).sum()) / 24 < 0.5 * bound  # what independence would have claimed


def test_a_cell_with_too_few_hours_gets_no_mean_and_says_its_share(cubes):
    with CubeSource(cubes.two) as two:
        last = periods_of(two, "day", 12)[-1]  # half a day
        mean = period_mean(two, last)
        lenient = period_mean(two, last, min_share=0.5)
    assert last.share == 0.5 and np.isnan(mean["o3"]).all()
    assert np.isfinite(lenient["o3"][5, 5]) and np.isnan(lenient["o3"][0, 0])
    assert mean["o3_valid_share"][5, 5] == 0.5 and mean["o3_valid_share"][0, 0] == 0


def test_one_pollutant_can_be_asked_for_alone(cubes):
    with CubeSource(cubes.two) as two:
        mean = period_mean(two, periods_of(two, "day")[0], species="o3")
    assert "o3" in mean and not any(name.startswith("pm2p5") for name in mean)
    assert pytest.approx(mean["o3_valid_share"][5, 5]) == 1


def test_the_distance_of_a_day_is_that_of_the_hours_at_which_a_station_reports(cubes):
    cube = open_cube(cubes.two).load()
    cube["o3_nearest_station_distance"][24:30] = np.nan  # no station says anything for some hours
    with CubeSource(cube) as two:
        mean = period_mean(two, periods_of(two, "day")[1])["o3_nearest_station_distance"]
        hourly = two.read("o3_nearest_station_distance", slice(30, 48))
    np.testing.assert_allclose(mean, hourly.mean(axis=0), rtol=1e-5)
    assert np.isfinite(mean[5, 5])
