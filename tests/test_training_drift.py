"""The drift is found where there is one, not where there is none, and training learns in a world without it."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import static_case
from model_case import FIRST_HOUR, make_readings, small_config
from rasterio.transform import from_origin
from training_case import ALONE, CALIBRATION, TRAINING

from aqreanalysis.covariates import StaticFields
from aqreanalysis.errors import ModelError
from aqreanalysis.geography import FIELDS, describe
from aqreanalysis.model import Scaling
from aqreanalysis.model.distribution.external_drift import Drift
from aqreanalysis.training.drift import fit_drift, hour_stride, surely_gains
from aqreanalysis.training.station_masking import StationRoles
from aqreanalysis.training.trainer import Trainer
from aqreanalysis.training.windows import Timeline

TOWNS, A_TOWN, HOURS = 45, 3, 120


def region(slope: float, seed: int = 0, towns: int = TOWNS):
    """Return (values, lat, lon, scaling) of towns from the plain of Hebei to the Taihang and Shanxi, whose logarithm is
    a smooth field, noise, and `slope` times the height's field."""
    rng = np.random.default_rng(seed)
    centre = np.column_stack((rng.uniform(35, 41, towns), rng.uniform(110, 118, towns)))
    lat, lon = np.repeat(centre, A_TOWN, axis=0).T + rng.normal(0, 0.04, (2, towns * A_TOWN))
    height = describe(lat, lon)[:, 0]
    waves = rng.uniform(0, 2 * np.pi, (HOURS, 2))
    smooth = 0.5 * np.sin(lat / 2 + waves[:, :1]) + 0.5 * np.cos(lon / 3 + waves[:, 1:])
    logs = 3.5 + smooth + slope * height + rng.normal(0, 0.15, smooth.shape)
    values = np.exp(logs)[..., None].astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    return values, lat, lon, {"pm25": Scaling.fit(values)}


def test_a_drift_with_height_is_found_with_its_size():
    values, lat, lon, scaling = region(slope=-0.5)
    drift = fit_drift(values, scaling, lat, lon)
    assert drift is not None
    assert drift.slopes["pm25"][0] * scaling["pm25"].std == pytest.approx(-0.5, abs=0.15)
    assert abs(drift.slopes["pm25"][1]) * scaling["pm25"].std < 0.05
    found = describe(lat, lon)
    assert drift.low == tuple(found.min(axis=0)) and drift.high == tuple(found.max(axis=0))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_drift_is_made_of_a_field_that_knows_no_height(seed):
    values, lat, lon, scaling = region(slope=0.0, seed=seed)
    assert fit_drift(values, scaling, lat, lon) is None


def test_each_pollutant_has_its_own_or_none():
    values, lat, lon, scaling = region(slope=-0.5)
    other, *_ = region(slope=0.0)
    both = np.concatenate((other, values), axis=-1)
    drift = fit_drift(both, {"o3": Scaling.fit(other), **scaling}, lat, lon)
    assert drift is not None
    assert drift.slopes["o3"] == (0.0, 0.0) and drift.slopes["pm25"][0] < 0


def test_what_few_towns_gain_by_chance_is_not_enough_and_what_most_gain_is():
    before, towns = np.full(100, 0.01), np.arange(100)
    one = np.where(towns == 0, -0.1, 0.0)  # a tenth of all misses, all of it in one town
    assert not surely_gains(before, before + one)
    assert surely_gains(before, before - 0.001 + 0.002 * np.sin(towns))
    assert not surely_gains(before, before - 0.0001)  # sure, but not worth a file


@pytest.mark.parametrize("count", [10, 2000, 7008, 87_600, 876_000])
def test_a_long_record_is_thinned_and_every_hour_of_day_is_met(count):
    taken = np.arange(count)[:: hour_stride(count)]
    assert len(taken) <= 2 * 2000 and len(taken) >= min(count, 800)
    assert len(np.unique(taken % 24)) == min(count, 24)


def test_a_few_towns_tell_nothing():
    values, lat, lon, scaling = region(slope=-0.5, towns=12)
    assert fit_drift(values, scaling, lat, lon) is None


def test_a_pollutant_that_is_hardly_read_has_none():
    values, lat, lon, scaling = region(slope=-0.5)
    values[10:] = np.nan
    assert fit_drift(values, scaling, lat, lon) is None


def test_the_timeline_is_that_of_a_world_without_the_drift():
    readings, window = make_readings(), small_config().window
    scalings = [Scaling.fit(readings.values[..., i]) for i in range(2)]
    drift = Drift({"pm25": (-0.4, 0.1), "o3": (0.2, 0.0)}, (0.0, 0.0), (0.3, 5.0), (2.0, 8.0))
    station = drift.at(readings.lat, readings.lon, ["pm25", "o3"])
    plain = Timeline.build(readings.values, FIRST_HOUR, scalings, [1], window)
    there = Timeline.build(readings.values, FIRST_HOUR, scalings, [1], window, station)
    np.testing.assert_allclose(there.scaled, plain.scaled - station, atol=1e-6)
    # Truths stay what was measured: readings and drift together.
    np.testing.assert_array_equal(there.shifted, plain.shifted)
    assert plain.drift is None and there.drift is not None
    whole = slice(window.history_hours, window.history_hours + len(readings.values))
    logs = (np.log(there.shifted.numpy()[..., 0]) - scalings[1].mean) / scalings[1].std
    np.testing.assert_allclose(logs, (there.scaled[whole, :, 1:] + there.drift)[..., 0].numpy(), atol=1e-4)


def test_a_network_is_scored_at_what_was_measured_and_not_in_the_world_without_the_drift():
    readings, config = make_readings(), small_config("training.epochs=1")
    scalings = [Scaling.fit(readings.values[..., i]) for i in range(2)]
    drift = Drift({"pm25": (-0.4, 0.1), "o3": (0.2, 0.0)}, (0.0, 0.0), (0.3, 5.0), (2.0, 8.0))
    station = drift.at(readings.lat, readings.lon, ["pm25", "o3"])
    moved = readings.values.copy()
    for i, scaling in enumerate(scalings):  # readings that carry the drift, which the timeline then takes off again
        moved[..., i] = (moved[..., i] + scaling.offset) * np.exp(station[:, i] * scaling.std) - scaling.offset
    assert np.nanmin(moved) > 0
    places = StationRoles(readings.lat, readings.lon, TRAINING, CALIBRATION)

    def score(values, off):
        timeline = Timeline.build(values, FIRST_HOUR, scalings, [0], config.window, off)
        return Trainer(config, timeline, places, scalings[:1], ALONE).validate()

    with_drift, without = score(moved, station), score(readings.values, None)
    # The estimate is the same in standard deviations, and errors in units grow with exp(drift).
    factor = np.exp(station[CALIBRATION, 0] * scalings[0].std)
    assert factor.min() < with_drift / without < factor.max()
    assert abs(with_drift / without - 1) > 0.01


def fit_with(folder, slope: float, *specs: str):
    """Return the drift of the towns of `static_case`, offered static fields, and the fields."""
    values, lat, lon = static_case.readings(slope)
    scaling = {"no2": Scaling.fit(values[..., None])}
    static = StaticFields.open(specs)
    return fit_drift(values[..., None], scaling, lat, lon, static), static


def test_lights_are_found_where_readings_follow_them_and_a_table_that_tells_nothing_is_not_used(tmp_path):
    lights, plants = static_case.write_lights(tmp_path / "l.tif"), static_case.write_plants(tmp_path / "p.csv")
    drift, _ = fit_with(tmp_path, 0.5, f"lights={lights}", f"plants={plants}:mw")
    assert drift is not None and [one.name for one in drift.static] == ["lights"]
    assert len(drift.slopes["no2"]) == len(drift.low) == len(FIELDS) + drift.static[0].width
    shares = drift.explained["no2"]
    assert shares["all"] > 0.7 and shares["built-in"] < 0.2 and shares["lights"] > 0.5 and "plants" not in shares
    lat, lon, bright = static_case.towns()
    at = drift.at(lat, lon, ["no2"])[:, 0]
    assert np.corrcoef(at, np.log(bright))[0, 1] > 0.9


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_the_lights_of_another_world_are_not_used(tmp_path, seed):
    lights = static_case.write_lights(tmp_path / "l.tif", seed=seed)
    drift, _ = fit_with(tmp_path, 0.5, f"lights={lights}")
    assert drift is None or not drift.static


def test_readings_that_follow_no_lights_get_none(tmp_path):
    drift, _ = fit_with(tmp_path, 0.0, f"lights={static_case.write_lights(tmp_path / 'l.tif')}")
    assert drift is None or not drift.static


def test_a_raster_that_covers_no_station_is_refused(tmp_path):
    path = tmp_path / "far.tif"
    with rasterio.open(static_case.write_lights(path)) as file:
        values, profile = file.read(), file.profile
    with rasterio.open(path, "w", **(profile | {"transform": from_origin(0, 10, 0.02, 0.02)})) as file:
        file.write(values)
    with pytest.raises(ModelError, match=r"static field far \(far.tif\) has no value at any station"):
        fit_with(tmp_path, 0.5, str(path))


def test_where_a_raster_has_no_value_the_drift_is_that_of_its_lowest(tmp_path):
    lights = static_case.write_lights(tmp_path / "l.tif")
    with rasterio.open(lights) as file:
        values, profile = file.read(1), file.profile
    values[values < 1e-4] = -1.0  # nobody lives there, says a map of people
    with rasterio.open(lights, "w", **(profile | {"nodata": -1.0})) as file:
        file.write(values, 1)
    drift, static = fit_with(tmp_path, 0.5, f"lights={lights}")
    assert drift is not None and drift.static
    lat, lon = static_case.towns()[:2]
    dark = np.array([static_case.NORTH + 1.0]), np.array([static_case.WEST + 5.0])
    assert np.isnan(static.means("lights", *dark, [1.0])).all()
    assert drift.at(*dark, ["no2"])[0, 0] < np.median(drift.at(lat, lon, ["no2"]))
