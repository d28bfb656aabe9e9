"""The nature run as CF datasets, each of which says that it is synthetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import xarray as xr

from aqreanalysis.common.files import replacing
from aqreanalysis.common.hours import TIME_UNITS
from aqreanalysis.grids import Grid
from aqreanalysis.nature.random_fields import FloatArray
from aqreanalysis.nature.static_fields import describe
from aqreanalysis.species import SPECIES

TITLE = "SYNTHETIC air quality (aqreanalysis nature run)"
COMMENT = (
    "Synthetic: computed by a simple model from random numbers for an observing system simulation experiment (OSSE). "
    "Towns, weather, dates and concentrations are made up; nothing in it was ever measured."
)
_MEAN, _SUM = "time: mean", "time: sum"
# Short name of ERA5 in cfgrib: key of the weather, factor, standard name, long name, units, cell methods.
_METEOROLOGY = {
    "u10": ("u10", 1.0, "eastward_wind", "10 metre U wind component", "m s-1", _MEAN),
    "v10": ("v10", 1.0, "northward_wind", "10 metre V wind component", "m s-1", _MEAN),
    "blh": ("blh", 1.0, "atmosphere_boundary_layer_thickness", "Boundary layer height", "m", _MEAN),
    "t2m": ("t2m", 1.0, "air_temperature", "2 metre temperature", "K", _MEAN),
    "tp": ("rain", 1e-3, "lwe_thickness_of_precipitation_amount", "Total precipitation of the hour", "m", _SUM),
}


def truth_dataset(truth: dict[str, FloatArray], times: pd.DatetimeIndex, grid: Grid, seed: int) -> xr.Dataset:
    """Return the truth, a variable a pollutant under its layer name, from arrays (hour, row, column) by key."""
    return _dataset(_pollutants(truth, "true"), times, grid, f"{TITLE}: truth at every cell", seed)


def background_dataset(air: dict[str, FloatArray], times: pd.DatetimeIndex, grid: Grid, seed: int) -> xr.Dataset:
    """Return what the imperfect model gives, as `truth_dataset`; the means are as long as the stamps are apart."""
    return _dataset(_pollutants(air, "modelled"), times, grid, f"{TITLE}: background, by an imperfect model", seed)


def _pollutants(air: dict[str, FloatArray], kind: str) -> dict[str, Any]:
    variables = {}
    for key, values in air.items():
        species = SPECIES[key]
        attributes = {
            "standard_name": species.standard_name,
            "long_name": f"{kind} {species.title} mass concentration (synthetic)",
            "units": species.units,
            "cell_methods": _MEAN,
            "grid_mapping": "crs",
            "coverage_content_type": "modelResult",
        }
        variables[species.layer] = (("time", "lat", "lon"), values, attributes)
    return variables


def static_dataset(fields: dict[str, FloatArray], grid: Grid, seed: int) -> xr.Dataset:
    """Return people, roads and works at the cells of the grid, from arrays (row, column) by name."""
    variables = {
        name: (
            ("lat", "lon"),
            values,
            {**describe(name), "grid_mapping": "crs", "coverage_content_type": "modelResult"},
        )
        for name, values in fields.items()
    }
    return _dataset(variables, None, grid, f"{TITLE}: static fields", seed)


def meteorology_dataset(weather: dict[str, FloatArray], times: pd.DatetimeIndex, grid: Grid, seed: int) -> xr.Dataset:
    """Return wind, boundary layer, temperature and precipitation under the names that cfgrib gives ERA5."""
    variables = {}
    for name, (key, factor, standard_name, long_name, units, methods) in _METEOROLOGY.items():
        attributes = {
            "standard_name": standard_name,
            "long_name": f"{long_name} (synthetic)",
            "units": units,
            "cell_methods": methods,
            "grid_mapping": "crs",
            "coverage_content_type": "modelResult",
        }
        if units == "K":
            attributes["units_metadata"] = "temperature: on_scale"
        variables[name] = (("time", "lat", "lon"), weather[key] * np.float32(factor), attributes)
    return _dataset(variables, times, grid, f"{TITLE}: meteorology", seed)


def _dataset(
    variables: dict[str, Any], times: pd.DatetimeIndex | None, grid: Grid, title: str, seed: int
) -> xr.Dataset:
    """Return a dataset on a grid; means end at `times`, which are evenly spaced from an hour or more after midnight."""
    crs = pyproj.CRS.from_epsg(4326)
    mapping = {
        "grid_mapping_name": "latitude_longitude",
        "longitude_of_prime_meridian": 0.0,
        "semi_major_axis": 6378137.0,
        "inverse_flattening": 298.257223563,
        "crs_wkt": crs.to_wkt(),
        "spatial_ref": crs.to_wkt(),
    }
    degrees = {
        "lat": {"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north", "axis": "Y"},
        "lon": {"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east", "axis": "X"},
    }
    clock = {"standard_name": "time", "long_name": "time", "axis": "T", "bounds": "time_bnds"}
    clock["units_metadata"] = "leap_seconds: none"
    coordinates: dict[str, Any] = {
        "lat": ("lat", grid.lat, {**degrees["lat"], "bounds": "lat_bnds"}),
        "lon": ("lon", grid.lon, {**degrees["lon"], "bounds": "lon_bnds"}),
        "lat_bnds": (("lat", "bnds"), grid.lat_bounds),
        "lon_bnds": (("lon", "bnds"), grid.lon_bounds),
        "crs": ((), np.int32(0), mapping),
    }
    if times is not None:
        stamps = times.to_numpy()
        length = stamps[1] - stamps[0]
        coordinates["time"] = ("time", stamps, clock)
        coordinates["time_bnds"] = (("time", "bnds"), np.stack([stamps - length, stamps], axis=1))
    attributes = {
        "Conventions": "CF-1.11, ACDD-1.3",
        "title": title,
        "summary": COMMENT,
        "source": f"aqreanalysis nature run, seed {seed}",
        # No date of making: the same seed gives the same file.
        "history": f"made by the nature run of aqreanalysis, seed {seed}",
        "comment": COMMENT,
        "synthetic": "true",
    }
    return xr.Dataset(variables, coordinates, attributes)


def write_dataset(dataset: xr.Dataset, path: Path) -> None:
    """Write a compressed NetCDF-4 file under a temporary name, then rename it: a file that is there is whole."""
    hours, *plane = dataset.sizes["time"], dataset.sizes["lat"], dataset.sizes["lon"]
    packed = {
        "zlib": True,
        "complevel": 1,
        "shuffle": True,
        "dtype": "float32",
        "_FillValue": np.float32(-9999.0),
        "chunksizes": (min(hours, 168), *plane),
    }
    clock = {"units": TIME_UNITS, "calendar": "standard", "dtype": "float64", "_FillValue": None}
    encoding: dict[str, dict[str, Any]] = {str(name): packed for name in dataset.data_vars}
    encoding |= {"time": clock, "time_bnds": clock}
    encoding |= {name: {"_FillValue": None} for name in ("lat", "lon", "lat_bnds", "lon_bnds")}
    with replacing(path) as temporary:
        # The mapping goes along as a variable, and no layer is told about it twice in an attribute `coordinates`.
        flat = dataset.reset_coords(["crs", "time_bnds", "lat_bnds", "lon_bnds"])
        flat.to_netcdf(temporary, engine="netcdf4", format="NETCDF4", encoding=encoding)
