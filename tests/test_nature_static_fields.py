from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rioxarray

from aqreanalysis.covariates import Covariates
from aqreanalysis.nature import Nature, nature_run
from aqreanalysis.nature.region import build_region
from aqreanalysis.nature.static_fields import NAMES, static_fields
from aqreanalysis.nature.transport import interior


@pytest.fixture(scope="module")
def nature() -> Nature:
    return nature_run(seed=4, days=1, stations=13, species=("pm25",))


@pytest.fixture(scope="module")
def paths(nature: Nature, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return nature.write(tmp_path_factory.mktemp("nature") / "run")


def test_they_are_what_the_emissions_of_the_truth_follow(nature: Nature) -> None:
    region = build_region(4, nature.grid)
    traffic, people, industry = interior(region.lattice, region.activity.T)[:3]
    for name, strength in (("population", people), ("works", industry), ("roads", 2 * (traffic - people))):
        field = nature.static[name].values
        assert field.shape == nature.grid.shape
        ratio = field[strength > 0.1] / strength[strength > 0.1]
        assert ratio == pytest.approx(np.full(ratio.size, ratio[0]), rel=1e-2)
    busiest = np.unravel_index(nature.static["population"].values.argmax(), nature.grid.shape)
    assert abs(nature.grid.lat[busiest[0]] - region.town_lat[0]) < 0.2


def test_written_as_geotiff_they_come_back_at_the_cells_at_both_steps(nature: Nature, paths: dict[str, Path]) -> None:
    lat, lon = (axis.ravel() for axis in np.meshgrid(nature.grid.lat, nature.grid.lon, indexing="ij"))
    for key, most in (("static", 0.03), ("static_coarse", 1e-4)):
        covariates = Covariates.open(paths[key])
        assert covariates.fields == NAMES
        read = covariates.static_at(lat, lon)
        assert np.isfinite(read).all()
        for index, name in enumerate(NAMES):
            wanted = nature.static[name].values.ravel()
            # The reader gives means over 2 km, which at the coarse step lie within one pixel.
            error = np.abs(read[:, index] - wanted).max() / wanted.max()
            assert error < most, (key, name)


def test_the_rasters_are_tagged_as_synthetic_and_reach_beyond_the_grid(nature: Nature, paths: dict[str, Path]) -> None:
    with rioxarray.open_rasterio(paths["static"] / "works.tif") as raster:
        assert raster.attrs["synthetic"] == "true"
        assert raster.attrs["units"] == "t km-2 year-1"
        assert raster.rio.resolution() == pytest.approx((0.02, -0.02))
        west, south, east, north = raster.rio.bounds()
    assert west < nature.grid.lon[0] - 0.5 < nature.grid.lon[-1] + 0.5 < east
    assert south < nature.grid.lat[0] - 0.5 < nature.grid.lat[-1] + 0.5 < north


def test_another_seed_has_other_towns(nature: Nature) -> None:
    other = static_fields(5, nature.grid, nature.grid.lat, nature.grid.lon)
    assert np.corrcoef(other["population"].ravel(), nature.static["population"].values.ravel())[0, 1] < 0.5
