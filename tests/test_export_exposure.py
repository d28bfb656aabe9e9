"""Probabilities of exceedance and means that people live in, from a cube at hand or its path."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.transform import from_bounds

import aqreanalysis as aq
from aqreanalysis.errors import CubeError, OutputError
from aqreanalysis.export import CubeSource
from aqreanalysis.export.exceedance import exceedance_probability
from aqreanalysis.export.population import people_in_cells


def test_the_probability_is_that_of_the_cubes_own_distribution_and_is_computed_when_asked(cubes):
    above = aq.exceedance(cubes.one, 40.0)
    with aq.open_cube(cubes.one) as cube:
        quantiles = tuple(cube[name].values for name in ("pm2p5_lower", "pm2p5", "pm2p5_upper"))
        same = aq.exceedance(cube, 40.0, "PM2.5")
        np.testing.assert_array_equal(same.values, above.values)
    assert above.chunks is not None and above.dtype == np.float32 and above.attrs["threshold_units"] == "ug m-3"
    np.testing.assert_array_equal(above.values, exceedance_probability(quantiles, 0.9, 40.0))
    assert 0 < float(above.mean()) < 1


def test_a_probability_that_the_cube_holds_is_taken_as_it_is(cubes):
    with aq.open_cube(cubes.two) as cube:
        xr.testing.assert_identical(aq.exceedance(cube, 60, "o3"), cube["o3_exceedance_60"])


def test_a_cube_at_hand_is_left_open_and_as_it_was(cubes):
    with aq.open_cube(cubes.one) as cube:
        before = cube.copy()
        aq.exceedance(cube.isel(time=slice(0, 2)), 40.0).compute()
        xr.testing.assert_identical(cube, before)


@pytest.mark.parametrize("limit", [0, -1.0, "35", None, True])
def test_a_limit_that_is_none_is_refused(cubes, limit):
    with pytest.raises(OutputError, match="give a concentration above 0"):
        aq.exceedance(cubes.one, limit)


def test_what_is_no_cube_or_has_no_interval_is_refused_in_one_line(cubes):
    with pytest.raises(CubeError, match="give the path or URL of a cube"):
        aq.exceedance(5, 40.0)
    with aq.open_cube(cubes.one) as cube:
        with pytest.raises(CubeError, match="has no bounds of pm2p5"):
            aq.exceedance(cube.drop_vars(["pm2p5_lower"]), 40.0)
        with pytest.raises(CubeError, match="has no o3; it holds pm25"):
            aq.exceedance(cube, 40.0, "o3")


def counts(cube, where):
    """Return a million people in one cell, and nobody elsewhere."""
    people = xr.zeros_like(cube["pm2p5"].isel(time=0, drop=True), dtype=np.float64)
    people[where] = 1e6
    return people


def test_where_all_live_in_one_cell_the_mean_is_that_cells(cubes):
    with aq.open_cube(cubes.one) as cube:
        mean = aq.population_weighted_mean(cube, counts(cube, (2, 3)))
        for name in ("pm2p5", "pm2p5_lower", "pm2p5_upper", "pm2p5_standard_error"):
            np.testing.assert_allclose(mean[name].values, cube[name].values[:, 2, 3], rtol=1e-6)
    assert (mean["population_share"] == 1).all() and mean.attrs["population"] == 1e6
    assert "exact if the errors of its cells go wholly together" in mean.attrs["comment"]


def test_cells_without_an_estimate_are_left_out_and_told(cubes):
    with aq.open_cube(cubes.two) as cube:
        people = counts(cube, (5, 5))
        people[0, 0] = 3e6  # masked
        mean = aq.population_weighted_mean(cube, people, "o3")
        np.testing.assert_allclose(mean["o3"].values, cube["o3"].values[:, 5, 5], rtol=1e-6)
        assert mean["population_share"].values == pytest.approx(0.25)


def test_a_raster_of_counts_is_summed_into_the_cells_and_keeps_its_total(cubes, tmp_path):
    path = tmp_path / "people.tif"
    values = np.random.default_rng(0).integers(0, 100, (28, 36)).astype(np.float32)  # quarters of the cells
    profile = {"driver": "GTiff", "height": 28, "width": 36, "count": 1, "dtype": "float32", "crs": "EPSG:4326"}
    with CubeSource(cubes.one) as source:
        west, east = source.edges("lon")[[0, -1], [0, 1]]
        south, north = source.edges("lat")[[0, -1], [0, 1]]
        with rasterio.open(path, "w", transform=from_bounds(west, south, east, north, 36, 28), **profile) as raster:
            raster.write(values, 1)
        people = people_in_cells(source, path)
    np.testing.assert_allclose(people, values.reshape(7, 4, 9, 4).sum(axis=(1, 3))[::-1], rtol=1e-5)
    mean = aq.population_weighted_mean(cubes.one, path)
    assert mean.attrs["population"] == pytest.approx(values.sum(), rel=1e-5)


@pytest.mark.parametrize("first", [177.5, -182.5, -2.5, 0.0])
@pytest.mark.parametrize(
    ("crs", "bounds"),
    [
        ("EPSG:4326", (-180, -90, 180, 90)),
        ("EPSG:4326", (0, -90, 360, 90)),
        ("EPSG:6933", (-17367530, -7314540, 17367530, 7314540)),
    ],
)
def test_everybody_is_counted_in_whatever_turn_cube_and_raster_give_longitudes(cubes, tmp_path, first, crs, bounds):
    profile = {"driver": "GTiff", "height": 180, "width": 360, "count": 1, "dtype": "float32", "crs": crs}
    with rasterio.open(tmp_path / "people.tif", "w", transform=from_bounds(*bounds, 360, 180), **profile) as world:
        world.write(np.ones((180, 360), np.float32), 1)
    with aq.open_cube(cubes.one) as cube, CubeSource(cube.drop_vars("lon_bnds")) as source:
        source.dataset = source.dataset.assign_coords(lon=first + np.arange(9.0))
        people = people_in_cells(source, tmp_path / "people.tif")
    assert people.min() > 0
    np.testing.assert_allclose(people, people[:, :1].repeat(9, axis=1), rtol=1e-3)


def test_a_population_that_is_elsewhere_or_none_is_refused(cubes):
    with aq.open_cube(cubes.one) as cube:
        people = counts(cube, (2, 3))
        with pytest.raises(OutputError, match="other cells than the cube"):
            aq.population_weighted_mean(cube, people.assign_coords(lat=people.lat + 30))
        with pytest.raises(OutputError, match="has nobody in the cube's cells"):
            aq.population_weighted_mean(cube, people * 0)
        with pytest.raises(OutputError, match="neither the path of a raster nor a DataArray"):
            aq.population_weighted_mean(cube, 5)
