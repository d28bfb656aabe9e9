"""Streets, works and cheap sensors of the nature run, and that the plain run knows nothing of them."""

from __future__ import annotations

import numpy as np
import pytest

from aqreanalysis.errors import ObservationsError
from aqreanalysis.nature import nature_run
from aqreanalysis.nature.local_sources import SENSOR_BIAS, Sites, plume, street
from aqreanalysis.nature.run import Nature


@pytest.fixture(scope="module")
def run() -> Nature:
    """Return a day of a network with streets, works and sensors."""
    return nature_run(3, 1, 40, ["pm25", "o3"], sites=Sites(0.3, 0.15, 25))


@pytest.fixture(scope="module")
def plain() -> Nature:
    """Return the same seed as it is without them."""
    return nature_run(3, 1, 40, ["pm25", "o3"])


def test_the_plain_run_tells_no_kind_and_has_the_same_truth(run: Nature, plain: Nature) -> None:
    assert plain.observations.kinds is None and "network" not in plain.stations
    assert np.array_equal(plain.truth["pm2p5"].values, run.truth["pm2p5"].values)
    rural = (plain.stations["kind"] == "rural").to_numpy()
    here = [plain.observations.stations.index(s) for s in plain.stations["station_id"][rural]]
    there = [run.observations.stations.index(s) for s in plain.stations["station_id"][rural]]
    both = plain.observations.values("pm25")[:, here], run.observations.values("pm25")[:, there]
    assert np.array_equal(*both, equal_nan=True)


def test_streets_and_works_add_particles_and_streets_take_ozone(run: Nature, plain: Nature) -> None:
    kinds = dict(zip(run.stations["station_id"], run.stations["kind"], strict=True))
    added = {kind: [] for kind in ("kerb", "industrial")}
    for station in plain.observations.stations:
        at = plain.observations.stations.index(station), run.observations.stations.index(station)
        if kinds[station] in added:
            levels = [
                np.nanmean(one.observations.values(key)[:, place])
                for key in ("pm25", "o3")
                for one, place in zip((plain, run), at, strict=True)
            ]
            added[kinds[station]].append((levels[1] - levels[0], levels[3] - levels[2]))
    street_pm, street_o3 = np.mean(added["kerb"], axis=0)
    assert street_pm > 0 > street_o3
    assert np.mean(added["industrial"], axis=0)[0] > 0
    assert set(run.observations.kinds or ()) == {"background", "traffic", "industrial"}


def test_sensors_read_too_much_and_stand_behind_the_network(run: Nature) -> None:
    cheap = np.array(run.observations.networks) == "low-cost"
    assert cheap.sum() == 25 and not run.faulty["pm25"][:, 40:].any()
    values = run.observations.values("pm25")
    assert np.nanmean(values[:, cheap]) > 0.5 * (1 + SENSOR_BIAS) * np.nanmean(run.truth["pm2p5"].values)


def test_courses_are_about_one_and_streets_rest_at_weekends() -> None:
    hours = 24 * 28
    weather = {"u10": np.full((hours, 3), 2.0), "v10": np.full((hours, 3), 1.0), "blh": np.full((hours, 3), 500.0)}
    course = street(0, weather)
    weekend = ((3 + (np.arange(hours) + 1) // 24) % 7) >= 5
    assert course.mean() == pytest.approx(1.0) and plume(0, weather).mean() == pytest.approx(1.0)
    assert course[weekend].mean() < 0.8 * course[~weekend].mean()


def test_shares_that_leave_no_background_are_refused() -> None:
    with pytest.raises(ObservationsError, match="a fifth of the stations at least is background"):
        Sites(0.6, 0.3)
