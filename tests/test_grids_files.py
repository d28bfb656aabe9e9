from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from aqreanalysis.errors import GridError
from aqreanalysis.grids import load_grid

# What ``cdo griddes`` prints of a file with latitude from north to south.
GRIDDES = """#
# gridID 1
#
gridtype  = lonlat
gridsize  = 20301
datatype  = float
xsize     = 201
ysize     = 101
xname     = lon
xlongname = "longitude"
xunits    = "degrees_east"
yname     = lat
yunits    = "degrees_north"
xfirst    = 105
xinc      = 0.1
yfirst    = 43
yinc      = -0.1
"""


def griddes(folder: Path, text: str) -> Path:
    path = folder / "grid.txt"
    path.write_text(text)
    return path


def netcdf(folder: Path, lat: np.ndarray, lon: np.ndarray, **variables: object) -> Path:
    path = folder / "file.nc"
    coordinates = {"lat": ("lat", lat, {"units": "degrees_north"}), "lon": ("lon", lon, {"units": "degrees_east"})}
    xr.Dataset(variables, coordinates).to_netcdf(path)
    return path


def test_a_cdo_grid_description_is_the_grid_it_describes(tmp_path: Path) -> None:
    grid = load_grid(griddes(tmp_path, GRIDDES))
    assert grid.digest() == load_grid("north-china-0.1").digest()


def test_a_description_with_values_and_a_mask_over_lines_is_read(tmp_path: Path) -> None:
    text = "gridtype=lonlat\nxsize=3\nysize=2\nxvals = 10 11\n   12\nyvals = 51 50\nmask = 1 0 0\n  1 1 1\n"
    grid = load_grid(griddes(tmp_path, text))
    assert grid.lon.tolist() == [10.0, 11.0, 12.0]
    assert grid.lat.tolist() == [50.0, 51.0]
    assert grid.mask is not None
    assert grid.mask.tolist() == [[True, True, True], [True, False, False]]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("lonlat", "gaussian", "gridtype gaussian"),
        ("gridtype  = lonlat\n", "", "gridtype missing"),
        ("xinc      = 0.1\n", "", "xinc is missing"),
        ("= 20301", "= 20300", "xsize x ysize = 20301"),
        ("xfirst    = 105", "xfirst    = hundred", "not all numbers"),
        ("xsize     = 201", "xsize     = 0", "at least one cell"),
        ("yinc      = -0.1", "yinc      = 0", "must not be 0"),
        ("yfirst    = 43", "yfirst    = 95", "outside -90..90"),
        ("degrees_east", "m", "only degrees"),
        ("xsize     = 201", "xsize     = 1e300", "at least one cell"),
    ],
)
def test_a_description_with_a_mistake_names_it(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in GRIDDES
    with pytest.raises(GridError, match=words) as caught:
        load_grid(griddes(tmp_path, GRIDDES.replace(old, new)))
    assert "\n" not in str(caught.value)


def test_a_text_that_is_no_description_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(GridError, match="line 1 is no 'key = value'"):
        load_grid(griddes(tmp_path, "station,lat,lon\n"))


def test_a_netcdf_in_single_precision_from_north_to_south_is_put_back_on_the_decimals(tmp_path: Path) -> None:
    path = netcdf(tmp_path, np.linspace(43, 33, 101).astype("f4"), np.linspace(105, 125, 201).astype("f4"))
    assert load_grid(path).digest() == load_grid("north-china-0.1").digest()


def test_a_variable_called_mask_is_taken_and_another_one_by_its_name(tmp_path: Path) -> None:
    land = np.array([[0.2, 0.9], [np.nan, 0.6], [1.0, 0.0]])
    path = netcdf(
        tmp_path,
        np.array([12.0, 11.0, 10.0]),
        np.array([20.0, 21.0]),
        mask=(("lon", "lat"), np.array([[1, 0, 0], [0, 0, 0]], "i1")),
        lsm=(("time", "lat", "lon"), land[None]),
    )
    by_default, by_name = load_grid(path), load_grid(f"{path}#lsm")
    assert by_default.mask is not None
    assert by_name.mask is not None
    assert by_default.mask.tolist() == [[False, False], [False, False], [True, False]]
    assert by_name.mask.tolist() == [[True, False], [False, True], [False, True]]


def test_a_file_without_attributes_is_read_by_the_usual_names(tmp_path: Path) -> None:
    path = tmp_path / "plain.nc"
    xr.Dataset(coords={"latitude": [1.0, 2.0], "longitude": [3.0, 4.0, 5.0]}).to_netcdf(path)
    assert load_grid(path).shape == (2, 3)


def test_a_zarr_store_is_read_like_a_netcdf(tmp_path: Path) -> None:
    path = tmp_path / "cube.zarr"
    xr.Dataset(coords={"lat": [1.0, 2.0], "lon": [3.0, 4.0, 5.0]}).to_zarr(path, zarr_format=2)
    assert load_grid(path).shape == (2, 3)


def test_a_curvilinear_file_a_mask_that_is_absent_and_a_broken_file_are_refused(tmp_path: Path) -> None:
    curved = tmp_path / "curved.nc"
    xr.Dataset(coords={"lat": (("y", "x"), np.ones((2, 2))), "lon": (("y", "x"), np.ones((2, 2)))}).to_netcdf(curved)
    with pytest.raises(GridError, match="one-dimensional coordinates"):
        load_grid(curved)
    path = netcdf(tmp_path, np.array([1.0, 2.0]), np.array([1.0, 2.0]), other=(("time",), [1.0]))
    with pytest.raises(GridError, match="no variable 'land'; it has other"):
        load_grid(f"{path}#land")
    with pytest.raises(GridError, match="dimensions"):
        load_grid(f"{path}#other")
    broken = tmp_path / "broken.nc"
    broken.write_bytes(path.read_bytes()[:600])
    with pytest.raises(GridError, match="cannot be read"):
        load_grid(broken)
    empty = tmp_path / "empty.nc"
    xr.Dataset({"x": 1.0}).to_netcdf(empty)
    with pytest.raises(GridError, match="no latitude"):
        load_grid(empty)
