from __future__ import annotations

from pathlib import Path

import pytest

from aqreanalysis.errors import GridError
from aqreanalysis.grids import Grid, list_grids, load_grid


@pytest.mark.parametrize("name", list_grids())
def test_every_named_grid_loads_and_says_what_it_is_for(name: str) -> None:
    grid = load_grid(name)
    assert grid.name == name
    assert grid.title
    assert grid.reason
    assert grid.step[0] == float(name.rpartition("-")[2])


def test_the_benchmark_grid_has_the_cells_of_the_issue() -> None:
    grid = load_grid("north-china-0.1")
    assert grid.shape == (101, 201)
    assert (grid.lon[0], grid.lon[-1], grid.lat[0], grid.lat[-1]) == (105.0, 125.0, 33.0, 43.0)


def test_named_grids_are_found_wherever_the_user_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "global-0.25" in list_grids()
    assert load_grid("global-0.25").is_global


def test_a_box_is_the_same_grid_as_its_name() -> None:
    assert load_grid("105,33,125,43@0.1").digest() == load_grid("north-china-0.1").digest()


def test_a_box_takes_two_steps_in_the_order_of_x_and_y() -> None:
    assert load_grid("0,0,10,10@1,0.5").step == (0.5, 1.0)


def test_a_grid_passes_through() -> None:
    grid = load_grid("0,0,10,10@1")
    assert load_grid(grid) is grid


def test_a_yaml_of_the_user_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("title: Mine\nwest: 0\nsouth: 0\neast: 2\nnorth: 1\nstep_lon: 0.5\nstep_lat: 0.25\n")
    for spec in (path, str(path)):
        grid = load_grid(spec)
        assert (grid.name, grid.title, grid.shape) == ("mine", "Mine", (5, 5))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("west: 0\nsouth: 0\neast: 2\nnroth: 1\nstep: 1\n", "unknown key 'nroth'; did you mean 'north'"),
        ("west: 0\nsouth: 0\neast: 2\nstep: 1\n", "key 'north' is missing"),
        ("west: a\nsouth: 0\neast: 2\nnorth: 1\nstep: 1\n", "west = 'a' is not a number"),
        ("west: 0\nsouth: 0\neast: 2\nnorth: 1\nstep: 1\nstep_lat: 1\n", "not both"),
        ("- 1\n", "found list"),
        ("west: [\n", "not YAML"),
    ],
)
def test_a_yaml_with_a_mistake_names_it(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(GridError, match=words) as caught:
        load_grid(path)
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("north-chna-0.1", "did you mean 'north-china-0.1'"),
        ("", "empty grid"),
        ("missing.nc", "no grid file 'missing.nc'"),
        ("missing.nc#lsm", "no grid file 'missing.nc'"),
        ("105,33,125,43", "the step is missing"),
        ("105,33,125@0.1", "3 ends"),
        ("105,33,x,43@0.1", "not all numbers"),
        ("125,33,105,43@0.1", r"W\.\.E 125\.\.105: the second must be larger than the first$"),
        ("170,-10,-170,10@1", "across the antimeridian is written with E past 180, here 190"),
        ("105,43,125,33@0.1", r"S\.\.N 43\.\.33"),
        ("33,105,43,125@0.1", "latitude 105 is outside -90..90; the order is W,S,E,N"),
        ("600,0,610,10@1", "longitude 600 is out of range"),
        ("105,33,125,43@0.3", "105..124.8 or 105..125.1"),
        ("0,0,10,10@0", "step 0 must be a positive number"),
        ("0,0,10,nan@1", "finite"),
        ("0,0,1,1@2", "one cell only"),
    ],
)
def test_a_wrong_spec_is_one_line_with_the_way_out(spec: str, words: str) -> None:
    with pytest.raises(GridError, match=words) as caught:
        load_grid(spec)
    assert "\n" not in str(caught.value)


def test_a_folder_and_a_binary_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GridError, match="folder and no Zarr store"):
        load_grid(tmp_path)
    binary = tmp_path / "photo.jpg"
    binary.write_bytes(b"\xff\xd8\xff\xe0" * 100)
    with pytest.raises(GridError, match="neither NetCDF nor text"):
        load_grid(binary)


def test_every_form_is_the_same_class() -> None:
    assert all(isinstance(load_grid(spec), Grid) for spec in ("nature-0.1", "0,0,1,1@0.5"))


def test_the_names_that_cdo_gives_global_grids_are_taken() -> None:
    grid = load_grid("r360x180")
    assert grid.shape == (180, 360) and grid.is_global and 0.0 in grid.lon
    assert (grid.lat[0], grid.lat[-1]) == (-89.5, 89.5)
    with pytest.raises(GridError, match="at least 2 columns and 2 rows"):
        load_grid("r1x180")
