"""Kerbs, works and cheap sensors as background air: what is learned of them, and that they never do harm."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from aqreanalysis.background_air.groups import background_only, choose_kinds, group_of
from aqreanalysis.background_air.kriging import (
    air_covariance,
    distances,
    left_out_errors,
    noise_covariance,
    smooth,
)
from aqreanalysis.background_air.learning import learn_groups
from aqreanalysis.background_air.record import Informing, as_background, knows_all
from aqreanalysis.errors import ConfigError, ObservationsError
from aqreanalysis.geostatistics.kriging import ordinary_kriging
from aqreanalysis.model import Scaling
from aqreanalysis.model.distribution.station_groups import AirCovariance, GroupErrors, StationGroups
from aqreanalysis.observations import Observations, StationPlaces

HOURS = 240
STREET, SENSOR, NOISE = 1.6, 1.3, 0.3
AIR = AirCovariance(variance=1.0, nugget=0.05, sill=0.95, range_km=60.0, lasting=0.1)


def network(seed: int = 0, sensors: int = 40) -> tuple[Observations, np.ndarray]:
    """Return 24 background stations, 6 kerbs and some sensors under smooth fields, and the air at all of them."""
    rng = np.random.default_rng(seed)
    stations = 30 + sensors
    lat, lon = 50 + rng.random(stations) * 1.2, 10 + rng.random(stations) * 1.8
    field = np.linalg.cholesky(np.exp(-distances(lat, lon) / 60.0) + 1e-9 * np.eye(stations))
    keep = np.exp(-1 / 12)
    logs = np.empty((HOURS, stations))
    logs[0] = field @ rng.standard_normal(stations)
    for hour in range(1, HOURS):
        logs[hour] = keep * logs[hour - 1] + np.sqrt(1 - keep**2) * (field @ rng.standard_normal(stations))
    air = 20.0 * np.exp(0.5 * logs)
    values = air * np.exp(0.04 * rng.standard_normal(air.shape))
    values[:, 24:30] *= STREET * np.exp(0.1 * rng.standard_normal(6))
    damp = np.repeat(0.15 * rng.standard_normal(HOURS // 6), 6)[:, None]
    values[:, 30:] *= SENSOR * np.exp(damp + NOISE * rng.standard_normal((HOURS, sensors)))
    values[rng.random(values.shape) < 0.05] = np.nan
    places = StationPlaces(
        [f"s{i:03d}" for i in range(stations)],
        lat,
        lon,
        kind=["background"] * 24 + ["traffic"] * 6 + ["background"] * sensors,
        network=["state"] * 30 + ["low-cost"] * sensors,
    )
    times = pd.date_range("2019-01-01 01:00", periods=HOURS, freq="h")
    return Observations.from_arrays(times, places, {"pm25": values.astype(np.float32)}), air


@pytest.fixture(scope="module")
def made() -> tuple[Observations, np.ndarray]:
    return network()


@pytest.fixture(scope="module")
def scaling(made: tuple[Observations, np.ndarray]) -> dict[str, Scaling]:
    return {"pm25": Scaling.fit(background_only(made[0]).values("pm25"))}


@pytest.fixture(scope="module")
def known(made: tuple[Observations, np.ndarray], scaling: dict[str, Scaling]) -> StationGroups:
    return learn_groups(made[0], scaling)


def test_a_record_without_kinds_passes_as_it_is(made: tuple[Observations, np.ndarray]) -> None:
    plain = choose_kinds(made[0], ["alike"])
    assert not plain.tells_kinds and plain.digest() == made[0].digest()
    assert background_only(plain) is plain and as_background(plain, None, {}) is plain
    assert choose_kinds(plain, []) is plain


def test_only_kinds_and_cheap_networks_make_a_group() -> None:
    assert group_of("background", "AURN") == "" and group_of("industrial", "AURN") == "industrial"
    assert group_of("traffic", "PurpleAir") == "PurpleAir, traffic"


def test_stations_enter_as_they_are_chosen(made: tuple[Observations, np.ndarray]) -> None:
    record = made[0]
    assert len(background_only(record).stations) == 24
    assert len(choose_kinds(record, ["background", "traffic"]).stations) == 30
    assert len(choose_kinds(record, ["background", "low-cost"]).stations) == 64
    kerbs = choose_kinds(record, ["traffic"])
    assert len(kerbs.stations) == 6 and not kerbs.tells_kinds
    assert choose_kinds(record, ["kerb"]).stations == kerbs.stations
    with pytest.raises(ConfigError, match="no kind of station 'towers'"):
        choose_kinds(record, ["towers"])
    with pytest.raises(ObservationsError, match="no station of kind industrial"):
        choose_kinds(record, ["industrial"])
    with pytest.raises(ObservationsError, match="none of the 6 stations is of background air"):
        background_only(record.select(stations=record.stations[24:30]))


def test_factors_of_kerbs_and_sensors_are_learned(known: StationGroups, scaling: dict[str, Scaling]) -> None:
    std = scaling["pm25"].std
    street, sensor = known.groups["pm25"]["traffic"], known.groups["pm25"]["low-cost"]
    # The scale adds a tenth of the median before its logarithm, which takes a little off a factor.
    assert np.exp(street.mean * std) == pytest.approx(STREET, rel=0.12)
    assert np.exp(sensor.mean * std) == pytest.approx(SENSOR, rel=0.12)
    assert sensor.noise > street.noise and sensor.shared > 0
    assert street.helps and sensor.helps
    assert StationGroups.from_dict(known.to_dict()) == known


def test_equivalents_are_nearer_to_the_air_than_readings(
    made: tuple[Observations, np.ndarray], known: StationGroups, scaling: dict[str, Scaling]
) -> None:
    record, air = made
    equal = as_background(record, known, scaling)
    assert not equal.tells_kinds and equal.stations == record.stations
    before, after = (np.abs(one.values("pm25") - air) for one in (record, equal))
    assert np.array_equal(before[:, :24], after[:, :24], equal_nan=True)
    for some in (slice(24, 30), slice(30, None)):
        assert np.nanmean(after[:, some]) < 0.5 * np.nanmean(before[:, some])
    assert np.array_equal(np.isnan(equal.values("pm25")), np.isnan(record.values("pm25")))


def test_hidden_stations_are_told_better_with_a_poor_network_than_without_and_far_better_than_with_it_as_equal(
    made: tuple[Observations, np.ndarray], scaling: dict[str, Scaling]
) -> None:
    record, air = made
    hidden, scale = np.arange(0, 24, 4), scaling["pm25"]
    visible = record.select(stations=[s for i, s in enumerate(record.stations) if i not in hidden])
    known = learn_groups(visible, scaling)
    assert known.air["pm25"].range_km == pytest.approx(60.0, rel=0.6)

    def error(one: Observations) -> float:
        km = distances(np.append(one.lat, record.lat[hidden]), np.append(one.lon, record.lon[hidden]))
        covariance, count = air_covariance(known.air["pm25"], km), len(one.stations)
        z = scale.forward(one.values("pm25")).astype(float)
        errors = []
        for hour in range(0, HOURS, 7):
            at = np.flatnonzero(np.isfinite(z[hour]))
            estimate, _ = ordinary_kriging(covariance[np.ix_(at, at)], covariance[at, count:], z[hour, at], 1.0)
            errors.append(np.abs(np.exp(estimate * scale.std + scale.mean) - scale.offset - air[hour, hidden]))
        return float(np.mean(errors))

    alone, equal, ours = (
        error(one) for one in (background_only(visible), visible, as_background(visible, known, scaling))
    )
    assert ours < alone < equal


def test_an_hour_s_equivalents_are_of_that_hour_alone(
    made: tuple[Observations, np.ndarray], known: StationGroups, scaling: dict[str, Scaling]
) -> None:
    whole = as_background(made[0], known, scaling).values("pm25")
    part = made[0].select(start="2019-01-03", end="2019-01-05")
    assert np.array_equal(as_background(part, known, scaling).values("pm25"), whole[48:96], equal_nan=True)


def test_equivalents_beside_hidden_stations_are_made_without_them(
    made: tuple[Observations, np.ndarray], known: StationGroups, scaling: dict[str, Scaling]
) -> None:
    record = made[0]
    background = background_only(record)
    network = SimpleNamespace(lat=background.lat, lon=background.lon)
    others = Informing.of(record, network, known, scaling, range(record.first_hour, record.first_hour + HOURS))
    values, steps = background.to_array(["pm25"])[48:96].copy(), slice(48, 96)
    values[-3:] = np.nan  # hours at which nobody reads anything
    whole = as_background(record, known, scaling).values("pm25")[48:96, 24:]
    all_seen = others.readings(values, steps)[..., 0]
    assert np.isnan(all_seen[-3:]).all()
    np.testing.assert_allclose(all_seen[:-3], whole[:-3], rtol=1e-5)
    values[:, :6] = np.nan
    fewer = record.select(stations=record.stations[6:])
    np.testing.assert_allclose(
        others.readings(values, steps)[:-3, :, 0],
        as_background(fewer, known, scaling).values("pm25")[48:93, 18:],
        rtol=1e-5,
    )


def test_a_new_station_is_told_from_the_record_at_hand(
    made: tuple[Observations, np.ndarray], scaling: dict[str, Scaling]
) -> None:
    record, air = made
    few = record.select(stations=[s for s in record.stations if s != "s024"])
    known = learn_groups(few, scaling)
    assert knows_all(few, known) and not knows_all(record, known)
    there = as_background(record, known, scaling).values("pm25")[:, 24]
    assert np.nanmean(np.abs(there - air[:, 24])) < 0.5 * np.nanmean(np.abs(record.values("pm25")[:, 24] - air[:, 24]))


def test_a_network_that_misleads_does_not_enter(
    made: tuple[Observations, np.ndarray], known: StationGroups, scaling: dict[str, Scaling]
) -> None:
    useless = replace(known.groups["pm25"]["low-cost"], helps=False)
    groups = {"pm25": known.groups["pm25"] | {"low-cost": useless}}
    values = as_background(made[0], replace(known, groups=groups), scaling).values("pm25")
    assert np.isnan(values[:, 30:]).all() and np.isfinite(values[:, 24:30]).any()
    assert as_background(made[0], None, scaling).stations == background_only(made[0]).stations


def test_kriging_from_smoothed_readings_is_kriging_with_their_noise() -> None:
    rng = np.random.default_rng(1)
    lat, lon = 50 + rng.random(12), 10 + rng.random(12)
    group = np.array([""] * 5 + ["low-cost"] * 6 + [""])
    km = distances(lat, lon)
    errors = GroupErrors(0.0, 0.1, 0.6, 0.3, 100.0, 6, True)
    air, noise = air_covariance(AIR, km), noise_covariance(group, {"low-cost": errors}, km)
    z, point = rng.standard_normal(11), 11
    with_noise, _ = ordinary_kriging((air + noise)[:11, :11], air[:11, [point]], z, 1.0)
    smoothed = z.copy()
    smoothed[5:] = smooth(z[None], air[:11, :11], noise[:11, :11], np.arange(5, 11))[0]
    without, _ = ordinary_kriging(air[:11, :11], air[:11, [point]], smoothed, 1.0)
    assert without == pytest.approx(with_noise, abs=1e-9)


def test_errors_left_out_are_those_of_kriging_from_the_others() -> None:
    rng = np.random.default_rng(2)
    km = distances(50 + rng.random(6), 10 + rng.random(6))
    covariance, z = air_covariance(AIR, km), rng.standard_normal((2, 6))
    z[1, 3] = np.nan
    errors = left_out_errors(z, covariance, np.array([0, 3]))
    others = np.arange(1, 6)
    estimate, _ = ordinary_kriging(covariance[np.ix_(others, others)], covariance[np.ix_(others, [0])], z[0, 1:], 1.0)
    assert errors[0, 0] == pytest.approx(z[0, 0] - estimate[0]) and np.isnan(errors[1, 1])
