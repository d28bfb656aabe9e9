from __future__ import annotations

import numpy as np
import pytest
from pyproj import CRS, Transformer

from aqreanalysis.covariates.curvilinear import CurvilinearGrid
from aqreanalysis.covariates.interpolation import stencil
from aqreanalysis.errors import CovariatesError

PROJECTIONS = {
    "lambert": {
        "grid_mapping_name": "lambert_conformal_conic",
        "standard_parallel": [30.0, 60.0],
        "longitude_of_central_meridian": 115.0,
        "latitude_of_projection_origin": 38.0,
    },
    "polar": {
        "grid_mapping_name": "polar_stereographic",
        "straight_vertical_longitude_from_pole": 0.0,
        "latitude_of_projection_origin": 90.0,
        "standard_parallel": 60.0,
    },
}
X, Y = np.arange(-60, 61) * 9000.0, np.arange(-50, 51) * 9000.0


def projected(name: str) -> tuple[CurvilinearGrid, Transformer]:
    """Return a grid of 9 km in a projection, about its origin, and what brings metres to degrees."""
    back = Transformer.from_crs(CRS.from_cf(PROJECTIONS[name]), "EPSG:4326", always_xy=True)
    lon, lat = back.transform(*np.meshgrid(X, Y))
    return CurvilinearGrid.checked(np.asarray(lat), np.asarray(lon), name), back


@pytest.mark.parametrize("name", PROJECTIONS)
def test_places_are_found_where_the_projection_has_them_across_pole_and_seam_too(name: str) -> None:
    grid, back = projected(name)
    rng = np.random.default_rng(0)
    x, y = rng.uniform(X[0] - 9000, X[-1] + 9000, 2000), rng.uniform(Y[0] - 9000, Y[-1] + 9000, 2000)
    lon, lat = back.transform(x, y)
    lies = grid.locate(np.asarray(lat), np.asarray(lon))
    row, column = (y - Y[0]) / 9000, (x - X[0]) / 9000
    beyond = np.maximum(np.abs(row - 50) - 50, np.abs(column - 60) - 60)
    assert lies.inside[beyond < 0.499].all() and not lies.inside[beyond > 0.501].any()
    within = beyond <= 0
    assert (lies.row + lies.down)[within] == pytest.approx(row[within], abs=2e-3)
    assert (lies.column + lies.across)[within] == pytest.approx(column[within], abs=2e-3)


def test_a_field_even_in_the_projection_is_interpolated_to_its_value() -> None:
    grid, back = projected("lambert")
    x, y = np.array([1234.0, -98765.0, 3.0e5]), np.array([-4321.0, 87654.0, 4.0e5])
    lon, lat = back.transform(x, y)
    weights = stencil(grid, np.asarray(lat), np.asarray(lon))
    rows, columns = weights.positions
    held = (X[columns] + 2 * Y[rows]).astype(np.float32)[None]
    assert weights.apply(held)[0] == pytest.approx(x + 2 * y, abs=60.0)


def test_a_place_has_the_same_bits_whoever_is_asked_with_it() -> None:
    grid, _ = projected("lambert")
    rng = np.random.default_rng(1)
    lat, lon = rng.uniform(35, 41, 301), rng.uniform(111, 119, 301)
    together = grid.locate(lat, lon)
    for i in (0, 7, 300):
        alone = grid.locate(lat[i : i + 1], lon[i : i + 1])
        assert all(a[0] == b[i] for a, b in zip(alone, together, strict=True))


def test_a_wind_along_the_grid_is_turned_by_the_angle_of_its_columns() -> None:
    grid, _ = projected("polar")
    cosine, sine = grid.turned()
    # Left of the pole on this map lies 90 W: there the columns run to the north.
    assert (cosine[50, 10], sine[50, 10]) == (pytest.approx(0.0, abs=1e-6), pytest.approx(1.0))
    # Below it lies 0 E, and they run to the east.
    assert (cosine[10, 60], sine[10, 60]) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-6))


def test_points_that_are_no_places_are_refused() -> None:
    lat, lon = np.meshgrid(np.arange(4.0), np.arange(5.0))
    with pytest.raises(CovariatesError, match=r"wrf.nc: latitudes or longitudes that are no degrees"):
        CurvilinearGrid.checked(np.where(lat == 2, 1e20, lat), lon, "wrf.nc")
    with pytest.raises(CovariatesError, match=r"points lie on one another"):
        CurvilinearGrid.checked(lat * 0, lon * 0, "wrf.nc")
