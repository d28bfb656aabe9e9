from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from aqreanalysis.grids import Grid, load_grid
from aqreanalysis.nature.region import Region, build_region
from aqreanalysis.nature.station_network import (
    INSTRUMENTS,
    SensorFaults,
    add_faults,
    at_stations,
    measure,
    place_stations,
)


@pytest.fixture(scope="module")
def grid() -> Grid:
    return load_grid("nature-0.1")


@pytest.fixture(scope="module")
def region(grid: Grid) -> Region:
    return build_region(0, grid)


def test_stations_stand_in_towns_as_real_ones_do(region: Region, grid: Grid) -> None:
    table = place_stations(0, region, grid, 80)
    assert table["station_id"].is_unique
    assert not table.duplicated(["lat", "lon"]).any()
    assert table["lat"].between(grid.lat[0], grid.lat[-1]).all()
    assert table["lon"].between(grid.lon[0], grid.lon[-1]).all()
    counts = table["city"].value_counts()
    in_towns = counts[counts.index.str.startswith("Town-")]
    assert in_towns.sum() > 0.8 * 80
    assert len(in_towns) == len(region.names) - 3
    assert (table["kind"] == "rural").sum() >= 3
    x, y = region.lattice.km(table["lat"].to_numpy(), table["lon"].to_numpy())
    apart = np.hypot(x[:, None] - x, y[:, None] - y) + 1e9 * np.eye(80)
    assert np.median(apart.min(axis=1)) < 10.0


def test_a_station_on_a_cell_centre_sees_the_cell(grid: Grid) -> None:
    truth = np.random.default_rng(0).random((3, *grid.shape))
    places = pd.DataFrame({"lat": [grid.lat[4], grid.lat[-1]], "lon": [grid.lon[7], grid.lon[-1]]})
    np.testing.assert_allclose(at_stations(truth, grid, places), truth[:, [4, -1], [7, -1]], rtol=1e-6)


def test_between_cells_a_plane_is_met_exactly(grid: Grid) -> None:
    truth = (grid.lat[:, None] * 2 + grid.lon * 3)[None]
    places = pd.DataFrame({"lat": [47.123], "lon": [12.345]})
    assert at_stations(truth, grid, places)[0, 0] == pytest.approx(2 * 47.123 + 3 * 12.345)


def test_the_lasting_bias_of_a_station_is_in_its_readings() -> None:
    bias = np.array([0.8, 1.0, 1.3])
    reading = measure(0, "pm25", np.full((3000, 3), 50.0), bias)
    np.testing.assert_allclose(reading.mean(axis=0) / 50.0, bias, rtol=0.03)
    assert 0.05 < (reading[:, 1] / 50).std() < 0.2


@pytest.mark.parametrize("key", list(INSTRUMENTS))
def test_readings_come_in_steps_and_end_at_the_detection_limit(key: str) -> None:
    step = INSTRUMENTS[key].resolution
    reading = measure(0, key, np.full((500, 4), 0.3 * step), np.ones(4)).astype(float)
    assert reading.min() == pytest.approx(step)
    np.testing.assert_allclose(reading / step, np.round(reading / step), atol=1e-4)


def test_every_kind_of_fault_is_there() -> None:
    clean = {"pm25": np.random.default_rng(0).uniform(10, 50, (1440, 80)).astype(np.float32)}
    readings = {"pm25": clean["pm25"].copy()}
    wrong = add_faults(0, readings, SensorFaults())["pm25"]
    values = readings["pm25"]
    gap = np.isnan(values)
    assert 0.03 < gap.mean() < 0.12
    assert gap.all(axis=1).any(), "no hour without the whole network"
    alone = gap[1:-1] & ~gap[:-2] & ~gap[2:]
    assert alone.sum() > 100
    assert (gap[:-10] & gap[10:] & gap[5:-5]).sum() > 100
    assert (values[wrong] > 3 * clean["pm25"][wrong]).sum() > 5, "no spike"
    stuck = wrong[1:] & (values[1:] == values[:-1])
    assert stuck.sum() > 50
    right = ~wrong & ~gap
    np.testing.assert_array_equal(values[right], clean["pm25"][right])


def test_without_faults_nothing_changes() -> None:
    readings = {"o3": np.ones((100, 5), np.float32)}
    none = SensorFaults(single_gap=0, gap_run=0, outage=0, network_gap=0, stuck=0, spike=0)
    wrong = add_faults(0, readings, none)
    assert not wrong["o3"].any()
    assert (readings["o3"] == 1).all()
