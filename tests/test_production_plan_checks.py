"""What is refused before a run."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from production_case import make_observations, small_grid

from aqreanalysis.common.geodesy import distance_km
from aqreanalysis.errors import ConfigError, ModelError, ObservationsError, OutputError
from aqreanalysis.grids import Grid, load_grid
from aqreanalysis.production.options import ProduceOptions
from aqreanalysis.production.plan.checks import check_grid_reach, check_reporting, choose_species


@pytest.fixture(scope="module")
def observations():
    return make_observations()


def predictor(*species: str) -> SimpleNamespace:
    return SimpleNamespace(species=species)


def test_species_come_in_the_order_of_the_pollutants_and_by_any_alias(observations):
    assert choose_species(predictor("o3", "pm25"), observations, ProduceOptions()) == ("pm25", "o3")
    assert choose_species(predictor("o3", "pm25"), observations, ProduceOptions(species=["PM2.5"])) == ("pm25",)


@pytest.mark.parametrize(
    ("able", "told", "error", "words"),
    [
        (("pm25",), {"species": ["o3"]}, ModelError, "does not estimate o3"),
        (("so2",), {}, ModelError, "no common pollutant"),
        (("pm25", "so2"), {}, ModelError, "have no so2.*ask for species pm25 only"),
        (("pm25",), {"species": []}, ModelError, "no pollutant is wanted"),
        (("pm25",), {"thresholds": {"o3": [1.0]}}, ConfigError, "not estimated here"),
    ],
)
def test_pollutants_that_do_not_meet_are_refused(able, told, error, words, observations):
    with pytest.raises(error, match=words):
        choose_species(predictor(*able), observations, ProduceOptions(**told))


def test_a_grid_near_one_station_passes_and_a_far_one_is_told_its_distance(observations):
    check_grid_reach(small_grid(), observations, 1000)
    with pytest.raises(OutputError, match=r"the nearest of its cells is (\d+) km away") as caught:
        check_grid_reach(load_grid("0,0,5,5@1"), observations, 500)
    told = float(str(caught.value).split("nearest of its cells is ")[1].split(" km")[0])
    rows, columns = np.meshgrid(np.arange(6.0), np.arange(6.0), indexing="ij")
    nearest = min(
        float(np.min(distance_km(np.full(36, a), np.full(36, b), rows.ravel(), columns.ravel())))
        for a, b in zip(observations.lat, observations.lon, strict=True)
    )
    assert told == pytest.approx(nearest, abs=1)


def test_only_wanted_cells_count(observations):
    grid = small_grid()
    wide = Grid.from_bounds("wide", (100.0, 39.0, 118.0, 40.5), (0.25, 0.25))
    mask = np.zeros(wide.shape, dtype=bool)
    mask[:, :4] = True
    check_grid_reach(wide, observations, 100)
    with pytest.raises(OutputError, match="far from every station"):
        check_grid_reach(Grid("west", wide.lat, wide.lon, mask), observations, 100)
    assert grid.size


def test_a_single_station_makes_no_map(observations):
    alone = SimpleNamespace(stations=["s1"])
    with pytest.raises(ObservationsError, match="1 station; a map needs at least 2 stations"):
        check_reporting(alone, ("pm25",), {"pm25"})
    check_reporting(observations, ("pm25",), {"pm25"})


def test_a_pollutant_that_no_station_measures_is_refused(observations):
    with pytest.raises(ObservationsError, match="no usable reading of pm25; ask for species o3 only"):
        check_reporting(observations, ("pm25", "o3"), {"o3": (0, 9)})
    with pytest.raises(ObservationsError, match="no usable reading of pm25; bring observations that measure it"):
        check_reporting(observations, ("pm25",), {"o3"})
