from __future__ import annotations

import json

import numpy as np
import pytest

from aqreanalysis.errors import GridError
from aqreanalysis.grids import MAX_CELLS, Grid


def small(**changes: object) -> Grid:
    values: dict = {"name": "small", "lat": [10.0, 11.0, 12.0], "lon": [20.0, 21.0, 22.0, 23.0]}
    return Grid(**{**values, **changes})


def test_centres_are_the_decimals_that_were_asked_for() -> None:
    grid = Grid.from_bounds("g", (105, 33, 125, 43), (0.1, 0.1))
    assert grid.shape == (101, 201)
    assert grid.lon.dtype == grid.lat.dtype == np.float64
    assert grid.lon.tolist() == [round(105 + i * 0.1, 10) for i in range(201)]
    assert grid.step == (0.1, 0.1)


def test_bounds_enclose_centres_and_meet_each_other() -> None:
    grid = small()
    assert grid.lat_bounds.tolist() == [[9.5, 10.5], [10.5, 11.5], [11.5, 12.5]]
    assert grid.lon_bounds.shape == (4, 2)
    assert (grid.lon_bounds[1:, 0] == grid.lon_bounds[:-1, 1]).all()


def test_a_row_at_the_pole_ends_at_the_pole() -> None:
    grid = Grid.from_bounds("g", (0, 80, 10, 90), (1, 1))
    assert grid.lat_bounds[-1].tolist() == [89.5, 90.0]


def test_descending_axes_are_turned_and_the_mask_with_them() -> None:
    mask = np.zeros((3, 4), bool)
    mask[0, 1] = True
    grid = small(lat=[12.0, 11.0, 10.0], lon=[23.0, 22.0, 21.0, 20.0], mask=mask)
    assert grid.mask is not None
    assert grid.lat[np.argwhere(grid.mask)[0, 0]] == 12.0
    assert grid.lon[np.argwhere(grid.mask)[0, 1]] == 22.0
    assert grid.digest() == small(mask=mask[::-1, ::-1]).digest()


def test_longitudes_of_0_to_360_move_to_180_west_to_180_east_with_their_mask() -> None:
    mask = np.zeros((3, 36), bool)
    mask[:, 20] = True  # 200 E, which is 160 W
    grid = small(lon=np.arange(0.0, 360.0, 10.0), mask=mask)
    assert grid.lon[0] == -180.0
    assert grid.lon[-1] == 170.0
    assert grid.is_global
    assert grid.mask is not None
    assert grid.lon[np.flatnonzero(grid.mask[0])].tolist() == [-160.0]


def test_a_western_region_written_in_0_to_360_is_the_same_grid() -> None:
    assert small(lon=[250.0, 251.0]).digest() == small(lon=[-110.0, -109.0]).digest()


@pytest.mark.parametrize("lon", [[178.0, 179.0, 180.0, 181.0], [178.0, 179.0, -180.0, -179.0]])
def test_across_the_antimeridian_longitude_goes_on_past_180(lon: list[float]) -> None:
    grid = small(lon=lon)
    assert grid.lon.tolist() == [178.0, 179.0, 180.0, 181.0]
    assert grid.crosses_antimeridian
    assert not grid.is_global
    assert "antimeridian" in grid.describe()


def test_the_meridian_of_180_itself_is_no_crossing() -> None:
    assert not small(lon=[178.0, 179.0, 180.0]).crosses_antimeridian
    assert small(lon=[180.0, 181.0]).lon.tolist() == [-180.0, -179.0]


def test_a_grid_that_repeats_its_first_column_is_refused() -> None:
    with pytest.raises(GridError, match=r"more than once; end at 179"):
        Grid.from_bounds("g", (-180, -90, 180, 90), (1, 1))


def test_digest_follows_places_and_mask_and_no_names() -> None:
    assert small().digest() == small(name="other", title="t").digest()
    assert small().digest() != small(lon=[20.0, 21.0, 22.0]).digest()
    some = np.ones((3, 4), bool)
    some[0, 0] = False
    assert len({small().digest(), small(mask=np.ones((3, 4), bool)).digest(), small(mask=some).digest()}) == 3


def test_arrays_cannot_be_changed_behind_the_digest() -> None:
    with pytest.raises(ValueError, match="read-only"):
        small().lat[0] = 0.0


def test_to_dict_can_be_written_as_json_and_counts_wanted_cells() -> None:
    mask = np.ones((3, 4), bool)
    mask[1, 1] = False
    facts = json.loads(json.dumps(small(mask=mask).to_dict()))
    assert (facts["rows"], facts["columns"], facts["cells"], facts["cells_wanted"]) == (3, 4, 12, 11)
    assert facts["crs"] == "EPSG:4326"


def test_describe_tells_extent_step_and_cells() -> None:
    text = Grid.from_bounds("g", (105, 33, 125, 43), (0.1, 0.2), title="A title", reason="A reason").describe()
    for part in ("A title", "A reason", "105 .. 125, 201 columns of 0.1", "33 .. 43, 51 rows of 0.2", "10,251"):
        assert part in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lat": [89.0, 90.0, 91.0]}, "outside -90..90"),
        ({"mask": np.ones((4, 3), bool)}, r"mask of shape \(4, 3\)"),
        ({"mask": np.ones((3, 4), np.int8)}, "type int8"),
        ({"mask": np.zeros((3, 4), bool)}, "true at no cell"),
        ({"lat": [10.0]}, "one cell, whose size is not known"),
    ],
)
def test_what_is_no_grid_is_refused(changes: dict, words: str) -> None:
    with pytest.raises(GridError, match=words):
        small(**changes)


def test_too_many_cells_are_refused_before_they_are_built() -> None:
    with pytest.raises(GridError, match=f"more than {MAX_CELLS:,}"):
        Grid.from_bounds("g", (-180, -90, 179, 90), (0.001, 0.001))


@pytest.mark.parametrize(
    ("box", "shape"), [((11, 47, 11, 47), (1, 1)), ((11, 47, 12, 47), (1, 6)), ((11, 47, 11, 48), (6, 1))]
)
def test_one_cell_one_row_and_one_column_are_grids(box, shape):
    grid = Grid.from_bounds("small", box, (0.2, 0.2))
    assert grid.shape == shape and grid.step == (0.2, 0.2)
    assert grid.lat_bounds[0].tolist() == [46.9, 47.1] and grid.lon_bounds[0].tolist() == [10.9, 11.1]
    assert grid.digest() != Grid.from_bounds("larger", box, (0.1, 0.1)).digest()
    again = Grid("again", grid.lat, grid.lon, spacing=(0.2, 0.2))
    assert again.digest() == grid.digest()


def test_a_grid_around_places_holds_them_at_the_finest_round_step_that_is_few_enough() -> None:
    town = Grid.around("town", np.array([51.4, 51.6]), np.array([-0.3, 0.1]))
    assert town.step == (0.01, 0.01) and town.size <= 20_000
    assert town.lat[0] <= 51.3 and town.lat[-1] >= 51.7 and town.lon[0] <= -0.4 and town.lon[-1] >= 0.2
    country = Grid.around("country", np.array([35.0, 45.0]), np.array([110.0, 125.0]))
    assert country.step == (0.2, 0.2) and country.size <= 20_000
    with pytest.raises(GridError, match="no place"):
        Grid.around("none", np.array([]), np.array([]))
