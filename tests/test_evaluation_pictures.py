from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.image import imread

from aqreanalysis.errors import CubeError, OutputError
from aqreanalysis.evaluation import picture_field, picture_truth
from aqreanalysis.evaluation.pictures.fields import picture_methods
from aqreanalysis.observations import Observations
from aqreanalysis.species import SPECIES

pytest_plugins = ("evaluation_case",)


@pytest.fixture(scope="module")
def cube(town_network: Observations) -> xr.Dataset:
    lat, lon = np.arange(35.0, 37.6, 0.1), np.arange(110.0, 113.1, 0.1)
    times = town_network.times[:3]
    best = (20 + 10 * np.sin(lat)[:, None] + 5 * np.cos(2 * lon)[None, :] + np.zeros((3, 1, 1))).astype(np.float32)
    dims = ("time", "lat", "lon")
    return xr.Dataset(
        {"pm2p5": (dims, best), "pm2p5_standard_error": (dims, best / 5)}, {"time": times, "lat": lat, "lon": lon}
    )


def _image(path: Path) -> np.ndarray:
    return np.asarray(imread(path))[..., :3]


def test_the_field_is_drawn_with_visible_and_hidden_stations(
    cube: xr.Dataset, town_network: Observations, tmp_path: Path
) -> None:
    time = cube["time"].values[1]
    hidden = town_network.stations[:6]
    with_hidden = _image(picture_field(cube, town_network, hidden, time, tmp_path / "a.png"))
    without = _image(picture_field(cube, town_network, [], time, tmp_path / "b.png"))
    assert with_hidden.shape == without.shape and with_hidden.shape[1] > 1200
    assert with_hidden.std() > 0.05
    assert not np.array_equal(with_hidden, without)


def test_another_hour_with_other_readings_is_another_picture(
    cube: xr.Dataset, town_network: Observations, tmp_path: Path
) -> None:
    first, second = (
        _image(picture_field(cube, town_network, [], t, tmp_path / f"{i}.png"))
        for i, t in enumerate(cube["time"].values[:2])
    )
    assert not np.array_equal(first, second)


def test_an_hour_or_pollutant_that_the_cube_has_not_is_refused(
    cube: xr.Dataset, town_network: Observations, tmp_path: Path
) -> None:
    with pytest.raises(
        CubeError, match="has no hour that ends 2030-01-01 00:00:00: its hours end 2021-03-01 01:00:00 to"
    ):
        picture_field(cube, town_network, [], "2030-01-01", tmp_path / "x.png")
    with pytest.raises(CubeError, match="has no o3: it holds pm25"):
        picture_field(cube, town_network, [], cube["time"].values[0], tmp_path / "x.png", key="o3")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_told(cube: xr.Dataset, town_network: Observations, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        picture_field(cube, town_network, [], cube["time"].values[0], tmp_path / "no" / "x.png")


def test_truth_estimate_and_difference_stand_side_by_side(cube: xr.Dataset, tmp_path: Path) -> None:
    time = cube["time"].values[0]
    truth = (cube["pm2p5"] + 5).rename("pm25")
    near = _image(picture_truth(cube, truth, time, tmp_path / "near.png"))
    same = _image(picture_truth(cube, cube["pm2p5"].rename("pm25"), time, tmp_path / "same.png"))
    assert near.shape == same.shape and near.shape[1] > 2.5 * near.shape[0]
    assert not np.array_equal(near, same)


def test_methods_side_by_side_have_a_panel_each_in_the_colours_of_the_first(
    cube: xr.Dataset, town_network: Observations, tmp_path: Path
) -> None:
    hour = cube["pm2p5"].isel(time=0)
    species = SPECIES["pm25"]
    two = {"truth": hour, "half": hour * 0.5}
    five = two | {"more": hour * 1.5, "same": hour, "coarse": hour.coarsen(lat=5, lon=5, boundary="trim").mean()}
    images = [
        _image(picture_methods(fields, town_network, species, "an hour", tmp_path / f"{len(fields)}.png"))
        for fields in (two, five)
    ]
    assert images[1].shape[0] > 1.5 * images[0].shape[0]
    doubled = _image(picture_methods(two | {"half": hour}, town_network, species, "an hour", tmp_path / "d.png"))
    assert not np.array_equal(doubled, images[0])
