from __future__ import annotations

import numpy as np
import pytest

from aqreanalysis.grids import load_grid
from aqreanalysis.nature.random_fields import RandomField, stream
from aqreanalysis.nature.region import Region, build_region
from aqreanalysis.nature.synthetic_weather import HIGHEST, LOWEST, Weather, WeatherGenerator


@pytest.fixture(scope="module")
def region() -> Region:
    return build_region(0, load_grid("nature-0.1"))


@pytest.fixture(scope="module")
def weather(region: Region) -> Weather:
    return WeatherGenerator(0, region, 60.0).at(np.arange(24 * 15) + 0.5)


def test_a_random_field_has_the_spread_and_the_lengths_it_was_asked_for() -> None:
    line = np.arange(0.0, 400.0, 10.0)
    fields = [RandomField(stream(seed, "weather"), (line, 0 * line), 50.0, 10.0) for seed in range(100)]
    values = np.stack([field.at(np.array([0.0, 3.0, 40.0])) for field in fields])
    assert np.std(values) == pytest.approx(1.0, abs=0.1)
    near, far = (np.corrcoef(values[:, 0, :-lag].ravel(), values[:, 0, lag:].ravel())[0, 1] for lag in (1, 20))
    assert near > 0.9
    assert abs(far) < 0.2
    soon, late = (np.corrcoef(values[:, 0].ravel(), values[:, index].ravel())[0, 1] for index in (1, 2))
    assert 0.5 < soon < 0.95
    assert abs(late) < 0.25


def test_the_gradient_of_a_random_field_is_its_slope() -> None:
    x, y = np.array([0.0, 0.1, 0.0]), np.array([0.0, 0.0, 0.1])
    field = RandomField(stream(3, "weather"), (x, y), 20.0, 10.0)
    values = field.at(np.array([5.0]))[0].astype(float)
    east, north = field.gradient(np.array([5.0]))
    assert (values[1] - values[0]) / 0.1 == pytest.approx(float(east[0, 0]), rel=0.02, abs=1e-3)
    assert (values[2] - values[0]) / 0.1 == pytest.approx(float(north[0, 0]), rel=0.02, abs=1e-3)


def test_the_wind_turns_and_is_weaker_near_the_ground(weather: Weather) -> None:
    angle = np.unwrap(np.arctan2(weather.v.mean(axis=1), weather.u.mean(axis=1)))
    assert np.ptp(angle) > np.pi / 2
    assert (np.hypot(weather.u10, weather.v10) < np.hypot(weather.u, weather.v)).all()
    assert 2.0 < np.hypot(weather.u, weather.v).mean() < 7.0


def test_the_boundary_layer_breathes_with_the_sun(weather: Weather) -> None:
    by_hour = weather.blh.mean(axis=1).reshape(-1, 24).mean(axis=0)
    assert by_hour[12:15].mean() > 3 * by_hour[0:4].mean()
    assert weather.blh.min() >= LOWEST
    assert weather.blh.max() <= HIGHEST


def test_nights_are_dark_and_rain_falls_sometimes(weather: Weather) -> None:
    sun = weather.sun.reshape(-1, 24, weather.sun.shape[1])
    assert (sun[:, :4] == 0).all()
    assert (sun[:, 11] > 0).all()
    assert 0.03 < (weather.rain > 0.05).mean() < 0.25
    assert (weather.rain >= 0).all()


def test_towns_keep_apart_and_the_largest_emits_most(region: Region) -> None:
    x, y = region.lattice.km(region.town_lat, region.town_lon)
    apart = np.hypot(x[:, None] - x, y[:, None] - y)
    assert apart[np.triu_indices(len(x), 1)].min() > 20
    strongest = int(region.activity[:, 1].argmax())
    assert abs(region.lattice.flat_lat[strongest] - region.town_lat[0]) < 0.15
    assert (region.town_share.sum(axis=1) <= 1).all()
