"""A model at work: what its estimates depend on, and what they must not depend on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from model_case import DAYS, HISTORY, LOOKAHEAD, make_bundle, make_readings, some_places

from aqreanalysis.errors import ModelError
from aqreanalysis.model import AnalysisPredictor, load_predictor, write_bundle


@pytest.fixture(scope="module")
def predictor() -> AnalysisPredictor:
    return AnalysisPredictor(make_bundle(), "cpu")


@pytest.fixture(scope="module")
def readings():
    return make_readings(days=1, padded=True)


def predict(predictor, readings, lat=None, lon=None):
    if lat is None:
        lat, lon = some_places()
    encoded = predictor.encode(readings.values, readings.hours, readings.lat, readings.lon)
    return predictor.predict(encoded, predictor.geometry(readings.lat, readings.lon, lat, lon))


def best(*args, key="pm25"):
    return predict(*args)[key].best


def changed(readings, **fields):
    return dataclasses.replace(readings, **fields)


def without(readings, *hours):
    values = readings.values.copy()
    values[list(hours)] = np.nan
    return changed(readings, values=values)


def test_every_pollutant_gets_a_distribution_at_every_hour_and_place(predictor, readings):
    predictives = predict(predictor, readings)
    assert tuple(predictives) == predictor.species == ("pm25", "o3")
    for one in predictives.values():
        lower, upper = one.interval(0.9)
        assert one.best.shape == (24, 15) and one.best.dtype == np.float32
        assert np.isfinite(one.standard_error).all()
        assert (lower >= 0).all() and (lower <= one.best).all() and (one.best <= upper).all()
        assert one.observations_used.shape == (24, 15)


def test_the_pollutants_own_history_reaches_the_estimate(predictor, readings):
    values = readings.values.copy()
    values[:HISTORY, 3, 0] = np.random.default_rng(0).permutation(values[:HISTORY, 3, 0])
    there = readings.lat[3:4] + 0.02, readings.lon[3:4]
    effect = best(predictor, changed(readings, values=values), *there) - best(predictor, readings, *there)
    assert np.abs(effect).max() > 1e-3  # the day's own readings are the same: it is the hours before that speak


def test_the_other_pollutant_reaches_the_estimate(predictor, readings):
    values = readings.values.copy()
    values[..., 1] *= 1.3
    assert np.abs(best(predictor, changed(readings, values=values)) - best(predictor, readings)).max() > 1e-2


@pytest.mark.parametrize("silent", [(), (HISTORY + 4,), (2, 3), tuple(range(HISTORY + 1, HISTORY + 7))])
def test_silent_hours_do_not_shift_those_after_them(predictor, readings, silent):
    whole = without(readings, *silent)
    values = whole.values.copy()
    values[HISTORY + 12] *= 2  # a reading tells most about its own hour
    effect = np.abs(best(predictor, changed(readings, values=values)) - best(predictor, whole))
    assert effect.shape == (24, 15)
    assert effect.mean(axis=1).argmax() == 12


def test_the_order_of_the_stations_changes_nothing(predictor, readings):
    order = np.random.default_rng(3).permutation(len(readings.lat))
    shuffled = changed(readings, values=readings.values[:, order], lat=readings.lat[order], lon=readings.lon[order])
    np.testing.assert_allclose(best(predictor, shuffled), best(predictor, readings), rtol=1e-5)


@pytest.mark.parametrize("shift", [-0.5, 63.5, -250.0])
def test_moving_everything_along_a_parallel_changes_next_to_nothing(predictor, readings, shift):
    # By 63.5 degrees the network lies on the antimeridian, and the estimates must not see it.
    lat, lon = some_places()

    def moved(x):
        return (x + shift + 180) % 360 - 180

    there = best(predictor, changed(readings, lon=moved(readings.lon)), lat, moved(lon))
    np.testing.assert_allclose(there, best(predictor, readings), rtol=1e-3)


def test_a_block_of_three_days_is_three_blocks_of_one(predictor):
    long = make_readings(days=3, padded=True)
    together = best(predictor, long)
    for day in range(3):
        part = slice(24 * day, 24 * day + HISTORY + 24 + LOOKAHEAD)
        alone = best(predictor, changed(long, values=long.values[part], hours=long.hours[part]))
        np.testing.assert_allclose(alone, together[24 * day : 24 * day + 24], rtol=1e-5)


def test_tiles_and_single_cells_give_the_whole(predictor, readings):
    lat, lon = some_places(24)
    whole = predict(predictor, readings, lat, lon)["o3"]
    for tile in (slice(0, 5), slice(5, 23), slice(23, 24)):
        part = predict(predictor, readings, lat[tile], lon[tile])["o3"]
        np.testing.assert_allclose(part.best, whole.best[:, tile], rtol=1e-5)
        np.testing.assert_allclose(part.standard_error, whole.standard_error[:, tile], rtol=1e-5)
        assert np.array_equal(part.observations_used, whole.observations_used[:, tile])


def test_a_station_out_of_sight_has_no_say(predictor, readings):
    """Hidden stations are not handed in; far ones are no neighbours, but the mean of all fills a silent hour."""
    far = changed(
        readings,
        values=np.concatenate((readings.values, np.full_like(readings.values[:, :1], np.nan)), axis=1),
        lat=np.append(readings.lat, 10.0),
        lon=np.append(readings.lon, 60.0),
    )
    np.testing.assert_allclose(best(predictor, far), best(predictor, readings), rtol=1e-5)


def test_a_pollutant_that_is_asked_for_alone_has_the_same_numbers(predictor, readings):
    encoded = predictor.encode(readings.values, readings.hours, readings.lat, readings.lon)
    places = predictor.geometry(readings.lat, readings.lon, *some_places())
    alone = predictor.predict(encoded, places, ["o3"])
    assert list(alone) == ["o3"]
    np.testing.assert_array_equal(alone["o3"].best, predictor.predict(encoded, places)["o3"].best)


def test_the_distance_to_the_nearest_station_comes_with_the_places(predictor, readings):
    lat, lon = readings.lat[:1] + 0.01, readings.lon[:1]
    near = predictor.geometry(readings.lat, readings.lon, lat, lon)
    far = predictor.geometry(readings.lat, readings.lon, lat - 3, lon)
    assert near.nearest_km[0] < 5 < 200 < far.nearest_km[0]
    assert near.nearest_km.dtype == np.float32


def test_a_network_of_three_stations_still_gives_a_field(predictor, readings):
    few = changed(readings, values=readings.values[:, :3], lat=readings.lat[:3], lon=readings.lon[:3])
    assert np.isfinite(best(predictor, few)).all()


def test_a_day_without_any_reading_still_gives_a_field(predictor, readings):
    silent = predict(predictor, without(readings, *range(HISTORY, HISTORY + 24)))["pm25"]
    assert np.isfinite(silent.best).all() and (silent.observations_used == 0).all()


def test_the_members_disagreement_is_part_of_the_spread(readings):
    several = make_bundle(members=3)
    predictives = predict(AnalysisPredictor(several, "cpu"), readings)["pm25"]
    alone = [
        predict(AnalysisPredictor(dataclasses.replace(several, members=[m]), "cpu"), readings)["pm25"]
        for m in several.members
    ]
    logs = [np.log(one.best + one.scaling.offset) for one in alone]
    np.testing.assert_allclose(np.log(predictives.best + predictives.scaling.offset), np.mean(logs, axis=0), rtol=1e-4)
    # Where the members say the same the spread is theirs, where they disagree it is more than theirs.
    calm = predict(AnalysisPredictor(dataclasses.replace(several, members=several.members[:1] * 3), "cpu"), readings)[
        "pm25"
    ]
    np.testing.assert_allclose(calm.standard_error, alone[0].standard_error, rtol=1e-4)
    disagree = np.std(logs, axis=0) > 0.1
    assert disagree.sum() > 20
    bounds = [np.log(one.quantile(0.9) + one.scaling.offset) - log for one, log in zip(alone, logs, strict=True)]
    width = np.log(predictives.quantile(0.9) + predictives.scaling.offset) - np.log(
        predictives.best + predictives.scaling.offset
    )
    assert (width > np.mean(bounds, axis=0))[disagree].mean() > 0.95


@pytest.mark.parametrize(("days", "shift"), [(0, 0), (1, 5), (1, 1)])
def test_a_block_that_is_no_whole_day_is_refused(predictor, days, shift):
    readings = make_readings(days=DAYS, padded=True)
    steps = HISTORY + 24 * days + LOOKAHEAD
    part = slice(shift, shift + steps)
    with pytest.raises(ValueError, match="whole UTC days from 01:00 on"):
        predictor.encode(readings.values[part], readings.hours[part], readings.lat, readings.lon)


def test_a_model_read_from_disk_gives_the_numbers_it_was_written_with(predictor, readings, tmp_path):
    write_bundle(make_bundle(), tmp_path / "model")
    loaded = load_predictor(tmp_path / "model", "cpu")
    np.testing.assert_allclose(best(loaded, readings), best(predictor, readings), rtol=1e-5)
    assert (loaded.history_hours, loaded.lookahead_hours) == (HISTORY, LOOKAHEAD)


def test_weights_that_do_not_fit_the_config_are_refused(tmp_path):
    bundle = make_bundle()
    bundle.config = bundle.config.model_copy(
        update={"model": bundle.config.model.model_copy(update={"state_width": 16})}
    )
    with pytest.raises(ModelError, match="the weights do not fit the config"):
        AnalysisPredictor(bundle, "cpu")


@pytest.mark.parametrize("lanes", [2, 3, 9])
def test_days_that_threads_encode_apart_have_the_bits_of_a_block(predictor, monkeypatch, lanes):
    readings = make_readings(days=5, padded=True)
    block = readings.values, readings.hours, readings.lat, readings.lon
    monkeypatch.setattr("aqreanalysis.model.predictor._STATIONS_AT_ONCE", 8)
    first = int(readings.hours[HISTORY])
    parts = predictor.split_hours(range(first, first + 5 * 24), lanes)
    assert len(parts) == min(lanes, 5)
    assert [hour for part in parts for hour in part] == list(range(first, first + 5 * 24))
    apart = []
    for part in parts:
        hours = slice(part.start - first, part.stop - first + HISTORY + LOOKAHEAD)
        apart.append(predictor.encode(block[0][hours], block[1][hours], *block[2:]))
    joined, whole = predictor.join(apart), predictor.encode(*block)
    assert np.array_equal(joined.hours, whole.hours)
    for predictives, expected in zip(joined.members, whole.members, strict=True):
        for name in ("bands", "trends", "channels", "observed", "clock"):
            assert torch.equal(getattr(predictives, name), getattr(expected, name)), name


def test_a_single_thread_shares_nothing(predictor):
    assert predictor.split_hours(range(1, 1 + 7 * 24), 1) == [range(1, 1 + 7 * 24)]
