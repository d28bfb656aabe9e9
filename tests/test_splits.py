from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest

from aqreanalysis.common.geodesy import distance_matrix_km
from aqreanalysis.configs import SplitConfig
from aqreanalysis.errors import ModelError, ObservationsError
from aqreanalysis.observations import Observations, StationPlaces
from aqreanalysis.splits import (
    CALIBRATION,
    HIDDEN_CITY,
    HIDDEN_TENTH,
    ROLES,
    TRAINING,
    Split,
    clusters,
    draw_split,
    first_unseen_hour,
)

pytest_plugins = ("evaluation_case",)

Maker = Callable[..., Observations]


def _in_other_order(observations: Observations) -> Observations:
    """The same network with its stations in another order, which `Observations` itself would sort."""
    order = np.random.default_rng(0).permutation(len(observations.stations))
    city = observations.city
    turned = SimpleNamespace(
        stations=[observations.stations[i] for i in order],
        lat=observations.lat[order],
        lon=observations.lon[order],
        city=None if city is None else [city[i] for i in order],
        times=observations.times,
    )
    return cast(Observations, turned)


def test_every_station_gets_one_role_and_shares_are_met(town_network: Observations) -> None:
    split = draw_split(town_network, SplitConfig())
    counts = split.counts()
    assert sum(counts.values()) == len(town_network.stations)
    assert set(split.role) == set(ROLES)
    assert counts[HIDDEN_TENTH] == 4
    assert counts[HIDDEN_CITY] == 4
    assert counts[CALIBRATION] == 4


def test_hidden_cities_are_hidden_whole(town_network: Observations) -> None:
    split = draw_split(town_network, SplitConfig())
    city = np.array(split.city)
    for name in set(city[split.where(HIDDEN_CITY)]):
        assert set(split.role[city == name]) == {HIDDEN_CITY}


def test_half_of_the_calibration_stations_are_whole_cities(town_networks: Maker) -> None:
    observations = town_networks(towns=20, per_town=3)
    split = draw_split(observations, SplitConfig(calibration_stations=0.2))
    city = np.array(split.city)
    whole = [c for c in set(city) if set(split.role[city == c]) == {CALIBRATION}]
    assert 3 <= sum((city == c).sum() for c in whole) <= 9
    assert split.counts()[CALIBRATION] == 12


def test_the_draw_repeats_and_another_seed_draws_others(town_network: Observations) -> None:
    first, again, other = (draw_split(town_network, SplitConfig(seed=s)) for s in (0, 0, 1))
    assert np.array_equal(first.role, again.role)
    assert not np.array_equal(first.role, other.role)


def test_the_order_of_stations_in_the_file_changes_nothing(town_network: Observations) -> None:
    split, turned = (draw_split(o, SplitConfig()) for o in (town_network, _in_other_order(town_network)))
    assert dict(zip(split.stations, split.role, strict=True)) == dict(zip(turned.stations, turned.role, strict=True))


def test_without_city_names_clusters_apart_by_the_distance_are_hidden(town_networks: Maker) -> None:
    observations = town_networks(with_city=False)
    split = draw_split(observations, SplitConfig(cluster_km=20))
    hidden = split.where(HIDDEN_CITY)
    km = distance_matrix_km(split.lat[hidden], split.lon[hidden], split.lat[~hidden], split.lon[~hidden])
    assert split.cluster_km == 20
    assert km.min() >= 20


def test_one_chain_of_stations_is_cut_at_a_shorter_distance() -> None:
    lat, lon = np.linspace(35, 36, 20), np.full(20, 110.0)  # 5.9 km from one to the next
    values = np.random.default_rng(0).uniform(5, 50, (240, 20)).astype(np.float32)
    observations = Observations.from_arrays(
        pd.date_range("2020-01-01 01:00", periods=240, freq="h"),
        StationPlaces([f"s{i:02d}" for i in range(20)], lat, lon),
        {"pm25": values},
    )
    split = draw_split(observations, SplitConfig(cluster_km=25))
    assert split.cluster_km < 5.9
    assert split.counts()[HIDDEN_CITY] > 0


def test_too_few_stations_are_refused_with_the_number_needed(town_networks: Maker) -> None:
    with pytest.raises(ObservationsError, match=r"4 stations are too few.*at least 8 are needed"):
        draw_split(town_networks(towns=2, per_town=2), SplitConfig())
    split = draw_split(town_networks(towns=8, per_town=1), SplitConfig())
    assert split.counts() == {TRAINING: 5, CALIBRATION: 1, HIDDEN_TENTH: 1, HIDDEN_CITY: 1}


def test_one_city_for_all_stations_cannot_be_hidden(town_networks: Maker) -> None:
    with pytest.raises(ObservationsError, match="no city is small enough"):
        draw_split(town_networks(towns=1, per_town=20), SplitConfig())


def test_shares_that_leave_nothing_are_refused(town_network: Observations) -> None:
    with pytest.raises(ObservationsError, match="leaves no station to train on"):
        draw_split(town_network, SplitConfig(hidden_stations=0.5, hidden_cities=0.3, calibration_stations=0.2))


def test_unseen_hours_begin_with_a_utc_day(town_network: Observations) -> None:
    split = draw_split(town_network, SplitConfig(unseen_time=0.2))
    assert split.unseen_from == np.datetime64("2021-03-09T01")
    assert (town_network.times.values >= split.unseen_from).sum() == 48


def test_a_timeline_that_begins_within_a_day_is_cut_at_a_day_all_the_same() -> None:
    times = np.arange("2018-12-31T16", "2019-12-31T16", dtype="datetime64[h]")
    first = first_unseen_hour(times, 0.2)
    assert first == np.datetime64("2019-10-20T01")
    assert first_unseen_hour(times, 0.0) > times[-1]


def test_a_timeline_without_a_whole_unseen_day_is_refused() -> None:
    times = np.arange("2019-01-01T01", "2019-01-03T01", dtype="datetime64[h]")
    with pytest.raises(ObservationsError, match="2 days has no whole day"):
        first_unseen_hour(times, 0.2)


def test_a_split_survives_its_table(town_network: Observations) -> None:
    split = draw_split(town_network, SplitConfig())
    back = Split.from_frame(split.to_frame(), split.unseen_from, split.cluster_km)
    assert back.stations == split.stations and back.city == split.city
    assert np.array_equal(back.role, split.role) and np.array_equal(back.lat, split.lat)
    assert back.unseen_from == split.unseen_from


def test_a_table_without_roles_or_with_unknown_ones_is_refused(town_network: Observations) -> None:
    frame = draw_split(town_network, SplitConfig()).to_frame()
    with pytest.raises(ModelError, match="without role"):
        Split.from_frame(frame.drop(columns="role"), "2021-03-09T01", 25.0)
    with pytest.raises(ModelError, match="role 'secret'"):
        Split.from_frame(frame.assign(role="secret"), "2021-03-09T01", 25.0)


def test_roles_follow_stations_and_not_positions(town_network: Observations) -> None:
    split = draw_split(town_network, SplitConfig())
    asked = [*reversed(split.stations), "a new one"]
    assert split.roles_of(asked).tolist() == [*reversed(split.role.tolist()), TRAINING]


def test_a_cluster_is_named_after_its_first_station() -> None:
    lat, lon = np.array([35.0, 36.0, 35.01]), np.array([110.0, 110.0, 110.0])
    assert clusters(["c", "b", "a"], lat, lon, 10.0) == ["cluster-a", "cluster-b", "cluster-a"]


def test_a_split_knows_its_stations_by_their_place_and_not_by_their_name_alone(town_network: Observations) -> None:
    split = draw_split(town_network, SplitConfig())
    assert split.knows(town_network.select(stations=list(town_network.stations[:1])))
    elsewhere = StationPlaces(town_network.stations, town_network.lat - 60, town_network.lon)
    values = {key: town_network.values(key) for key in town_network.species}
    assert not split.knows(Observations.from_arrays(town_network.times, elsewhere, values))
    renamed = StationPlaces([f"x{s}" for s in town_network.stations], town_network.lat, town_network.lon)
    assert not split.knows(Observations.from_arrays(town_network.times, renamed, values))
