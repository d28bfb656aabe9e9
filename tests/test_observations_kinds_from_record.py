"""The kind of a station by its record alone: days, weekends and hours of streets and works."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aqreanalysis.errors import ObservationsError
from aqreanalysis.nature import nature_run
from aqreanalysis.nature.local_sources import Sites, local_air
from aqreanalysis.observations import Observations, StationPlaces, read_observations
from aqreanalysis.observations.inspect import check_observations
from aqreanalysis.observations.kinds_from_record import Behaviour, keep_kinds, kinds_from_record

DAYS, BACKGROUND, KERBS, WORKS = 56, 16, 5, 4
KINDS = ["background"] * BACKGROUND + ["traffic"] * KERBS + ["industrial"] * WORKS


def made(seed: int = 0, kinds: list[str] = KINDS) -> Observations:
    """Return a network under one weather, whose towns breathe by day, with streets and works in it."""
    rng = np.random.default_rng(seed)
    hours, stations = np.arange(24 * DAYS), len(kinds)
    day = 0.3 * np.cos(2 * np.pi * (hours - 8) / 24)[:, None] * rng.uniform(0.6, 1.4, stations)
    slow = np.cumsum(rng.normal(0, 0.06, (len(hours), 1)), axis=0)
    slow -= np.linspace(0, 1, len(hours))[:, None] * slow[-1]
    noise = 0.06 * rng.standard_normal((len(hours), stations))
    air = {key: mean * np.exp(day + 0.5 * slow + noise) for key, mean in (("no2", 30.0), ("pm10", 40.0))}
    wind = 3.0 + rng.standard_normal((len(hours), 1)).cumsum(axis=0) * 0.1
    turning = rng.standard_normal((len(hours), 1)).cumsum(axis=0) * 0.3
    blh = np.repeat(400.0 + 600.0 * np.clip(np.sin(2 * np.pi * (hours - 7) / 24), 0, 1)[:, None], stations, axis=1)
    weather = {"u10": wind * np.sin(turning) + 0 * blh, "v10": wind * np.cos(turning) + 0 * blh, "blh": blh}
    added = local_air(seed, ["kerb" if kind == "traffic" else kind for kind in kinds], air, weather)
    places = StationPlaces(
        [f"s{i:02d}" for i in range(stations)], 50 + rng.random(stations), 15 + rng.random(stations) * 0.1
    )
    times = pd.date_range("2001-03-01 01:00", periods=len(hours), freq="h")
    return Observations.from_arrays(times, places, {key: (air[key] + added[key]).astype(np.float32) for key in air})


def test_streets_and_works_are_told_from_background() -> None:
    right = [np.mean(np.array(kinds_from_record(made(seed))) == KINDS) for seed in range(3)]
    assert np.mean(right) >= 0.8


def test_an_ozone_that_rises_at_weekends_is_a_street_s() -> None:
    hours = np.arange(24 * 28) + 24 * 4 + 1  # from a Monday on
    weekend = ((hours - 1) // 24 + 3) % 7 >= 5
    ozone = np.stack([np.full(len(hours), 50.0), np.where(weekend, 60.0, 50.0)], axis=1) + hours[:, None] % 24
    quiet, street = Behaviour.of("o3", ozone, hours, np.zeros(2)).weekend
    assert street > quiet + 0.1
    assert Behaviour.of("no2", ozone, hours, np.zeros(2)).weekend[1] < -0.1


def test_a_short_record_and_a_small_network_are_not_judged() -> None:
    short = made().select(end="2001-03-20")
    assert set(kinds_from_record(short)) == {""}
    with pytest.raises(ObservationsError, match="7 stations are too few"):
        kinds_from_record(made().select(stations=made().stations[:7]))


def test_a_file_keeps_them_beside_those_that_were_told(tmp_path: Path) -> None:
    observations = made()
    path = observations.to_netcdf(tmp_path / "obs.nc")
    assert check_observations(path)["kinds_by_record"]["background"] > 10
    keep_kinds(path)
    again = read_observations(path)
    assert again.kinds == kinds_from_record(observations) and again.digest() == observations.digest()
    one = np.array(["traffic"] + [""] * (len(KINDS) - 1), dtype=object)
    labelled = Observations(observations.dataset.assign_coords(kind=("station", one)))
    labelled.to_netcdf(tmp_path / "labelled.nc")
    keep_kinds(tmp_path / "labelled.nc")
    assert (read_observations(tmp_path / "labelled.nc").kinds or [])[0] == "traffic"
    assert "kinds_by_record" not in check_observations(tmp_path / "labelled.nc")


@pytest.mark.slow
def test_kinds_by_the_record_are_those_of_the_nature_run() -> None:
    shares = []
    for seed in (11, 12, 13):
        observations = nature_run(seed, 60, 90, sites=Sites()).observations
        shares.append(np.mean(np.array(kinds_from_record(observations)) == np.array(observations.kinds)))
    assert np.mean(shares) >= 0.8
