from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pyproj import CRS, Transformer

from aqreanalysis.configs import CovariatesConfig
from aqreanalysis.covariates import Covariates
from aqreanalysis.errors import CovariatesError

ROTATED = {
    "grid_mapping_name": "rotated_latitude_longitude",
    "grid_north_pole_latitude": 40.0,
    "grid_north_pole_longitude": -170.0,
}
RLON, RLAT = np.arange(-3.0, 3.01, 0.1), np.arange(-2.0, 2.01, 0.1)
TIMES = pd.date_range("2020-01-01T00:00", periods=2, freq="h")
LAT, LON = np.array([49.6, 50.4]), np.array([9.2, 11.1])
HOURS = np.array([int((TIMES[1] - pd.Timestamp(0)) / pd.Timedelta(hours=1))])


def places() -> tuple[np.ndarray, np.ndarray]:
    """Return latitudes and longitudes of the rotated grid (row, column)."""
    back = Transformer.from_crs(CRS.from_cf(ROTATED), "EPSG:4326", always_xy=True).transform
    lon, lat = back(*np.meshgrid(RLON, RLAT))
    return np.asarray(lat), np.asarray(lon)


def cosmo(path: Path, by: str, **wind: str) -> Path:
    """Write temperature (a slope) and a wind of 3 m/s along the rows, by the grid's projection or by its places."""
    lat, lon = places()
    held = np.stack([280.0 + (lat - 50.0) + 0.5 * (lon - 10.0)] * 2)
    dims = ("time", "rlat", "rlon")
    variables = {"T_2M": (dims, held, {"units": "K", "grid_mapping": "rotated_pole"})}
    for name, speed in (("U_10M", 3.0), ("V_10M", 0.0)):
        attrs = {"units": "m s-1", "grid_mapping": "rotated_pole"}
        variables[name] = (dims, np.full(held.shape, speed), attrs | ({"standard_name": wind[name]} if wind else {}))
    coords = {
        "time": TIMES,
        "rlat": ("rlat", RLAT, {"standard_name": "grid_latitude", "units": "degrees", "axis": "Y"}),
        "rlon": ("rlon", RLON, {"standard_name": "grid_longitude", "units": "degrees", "axis": "X"}),
    }
    dataset = xr.Dataset(variables, coords)
    dataset["rotated_pole"] = ((), 0, ROTATED)
    if by == "places":
        dataset["lat"] = (("rlat", "rlon"), lat, {"units": "degrees_north", "standard_name": "latitude"})
        dataset["lon"] = (("rlat", "rlon"), lon, {"units": "degrees_east", "standard_name": "longitude"})
    dataset.to_netcdf(path)
    return path


@pytest.mark.parametrize("by", ["places", "projection"])
def test_a_rotated_grid_is_read_through_its_places_or_its_projection(tmp_path: Path, by: str) -> None:
    path = cosmo(tmp_path / "cosmo.nc", by, U_10M="eastward_wind", V_10M="northward_wind")
    covariates = Covariates.open(path)
    u, v, t = covariates.at(LAT, LON, HOURS)[0].T
    assert t == pytest.approx(280.0 + (LAT - 50.0) + 0.5 * (LON - 10.0), abs=2e-3)
    assert u == pytest.approx(3.0) and v == pytest.approx(0.0)
    assert "41 x 61 on a grid of its own" in covariates.layers[0].title()


def test_winds_along_the_grid_are_turned_and_those_that_do_not_tell_are_asked_for(tmp_path: Path) -> None:
    path = cosmo(tmp_path / "cosmo.nc", "places", U_10M="grid_eastward_wind", V_10M="grid_northward_wind")
    u, v, _ = Covariates.open(path).at(LAT, LON, HOURS)[0].T
    there = Transformer.from_crs("EPSG:4326", CRS.from_cf(ROTATED), always_xy=True).transform
    ahead = np.array(there(LON + 1e-3, LAT)) - np.array(there(LON, LAT))
    x, y = ahead[0] * np.cos(np.radians(np.array(there(LON, LAT))[1])), ahead[1]
    angle = np.arctan2(y, x)  # of the east against the rows
    assert u == pytest.approx(3.0 * np.cos(angle), abs=2e-3) and v == pytest.approx(-3.0 * np.sin(angle), abs=2e-3)
    silent = cosmo(tmp_path / "silent.nc", "places")
    with pytest.raises(CovariatesError, match=r"silent.nc, U_10M: .* set covariates.wind_along_grid=true, or false"):
        Covariates.open(silent)
    turned = Covariates.open(silent, CovariatesConfig(wind_along_grid=True)).at(LAT, LON, HOURS)[0].T
    assert turned[0] == pytest.approx(u, abs=1e-6)


def test_an_output_of_wrf_is_read_by_its_own_names_times_and_places(tmp_path: Path) -> None:
    crs = CRS.from_cf(
        {
            "grid_mapping_name": "lambert_conformal_conic",
            "standard_parallel": [30.0, 60.0],
            "longitude_of_central_meridian": 10.0,
            "latitude_of_projection_origin": 50.0,
        }
    )
    back = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform
    lon, lat = (np.asarray(part) for part in back(*np.meshgrid(np.arange(-30, 31) * 9e3, np.arange(-20, 21) * 9e3)))
    dims = ("Time", "south_north", "west_east")
    stamps = np.array([f"2020-01-01_0{h}:00:00" for h in range(2)], "S19")
    both = np.stack([lat, lat]), np.stack([lon, lon])
    dataset = xr.Dataset(
        {
            "Times": (("Time",), stamps),
            "XLAT": (dims, both[0].astype(np.float32), {"units": "degree_north"}),
            "XLONG": (dims, both[1].astype(np.float32), {"units": "degree_east"}),
            "T2": (dims, 280.0 + both[0] - 50.0, {"units": "K"}),
            "U10": (dims, np.full(both[0].shape, 4.0), {"units": "m s-1"}),
            "V10": (dims, np.full(both[0].shape, 0.0), {"units": "m s-1"}),
            "PSFC": (dims, np.full(both[0].shape, 98e3), {"units": "Pa"}),
            "PBLH": (dims, np.full(both[0].shape, 600.0), {"units": "m"}),
        },
        attrs={"TITLE": " OUTPUT FROM WRF V4.2 MODEL", "MAP_PROJ": 1},
    )
    dataset.to_netcdf(tmp_path / "wrfout_d01")
    covariates = Covariates.open(tmp_path / "wrfout_d01")
    assert covariates.fields == ("u10", "v10", "t2m", "sp", "blh")
    u, v, t = covariates.at(LAT, LON, HOURS)[0].T[:3]
    assert t == pytest.approx(280.0 + LAT - 50.0, abs=2e-3)
    # On the central meridian the columns run east; east of it they turn to the south.
    assert v[0] > 0 > v[1] and np.hypot(u, v) == pytest.approx(4.0, abs=1e-3)


def test_names_that_are_set_and_reasons_why_others_are_not_taken(tmp_path: Path) -> None:
    lat, lon = np.arange(48.0, 52.0), np.arange(5.0, 10.0)
    dims = ("time", "latitude", "longitude")
    dataset = xr.Dataset(
        {"temp": (dims, np.full((2, 4, 5), 281.0), {"units": "K"}), "t2m": (("time", "cell"), np.full((2, 9), 280.0))},
        {"time": TIMES, "latitude": lat, "longitude": lon},
    )
    dataset.to_netcdf(tmp_path / "t.nc")
    with pytest.raises(CovariatesError) as caught:
        Covariates.open(tmp_path / "t.nc")
    assert "variable temp is no known field" in str(caught.value)
    assert "variable t2m is on no grid of latitudes and longitudes (dimensions: time, cell)" in str(caught.value)
    assert "covariates.names.t2m=NAME" in str(caught.value)
    covariates = Covariates.open(tmp_path / "t.nc", CovariatesConfig(names={"t2m": "temp"}))
    assert covariates.at(LAT, np.array([6.0, 7.0]), HOURS)[0, :, 0].tolist() == [281.0, 281.0]
    with pytest.raises(CovariatesError, match=r"unknown field 't2n'"):
        Covariates.open(tmp_path / "t.nc", CovariatesConfig(names={"t2n": "temp"}))
