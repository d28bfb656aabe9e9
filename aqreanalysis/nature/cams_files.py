"""The background of the nature run in the layouts of the CAMS European ensemble: GRIB 2, and NetCDF a pollutant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from aqreanalysis.common.files import replacing
from aqreanalysis.common.hours import HOUR
from aqreanalysis.errors import OutputError
from aqreanalysis.nature.era5_grib import grid_keys
from aqreanalysis.species import SPECIES

BITS = 16
_SURFACE = 103  # of table 4.5: height above ground, which is 0 m
# Constituents of tables 4.230 and 4.233, particles by the ensemble's local numbers.
_CONSTITUENTS = {"pm25": 40009, "pm10": 40008, "so2": 8, "no2": 5, "o3": 0, "co": 4}
_MICROGRAMS = {"ug m-3": 1.0, "mg m-3": 1000.0}


def write_background_grib(dataset: xr.Dataset, path: str | Path, overwrite: bool = False) -> Path:
    """Return the path of a GRIB edition 2 file with a message a pollutant and mean.

    As in the European ensemble, each is a mass density (kg m-3) at the ground whose constituent alone tells it, which
    ecCodes gives no short name. The ensemble's maps are of an hour and called instants; these say that they are means
    (product template 42), and from when to when. Values are packed to 16 bits of the range of each map.

    Parameters
    ----------
    dataset : Dataset
        `Nature.background`, or one like it: variables (time, lat, lon) under the names of layers, latitudes ascending,
        `time_bnds` beside them.
    path : str or Path
    overwrite : bool
        Replace a file that exists.

    Raises
    ------
    OutputError
        If the file exists, or the dataset has none of the pollutants.
    """
    import eccodes

    out = _free(path, overwrite)
    layers = _layers(dataset)
    handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
    try:
        for key, value in {**grid_keys(dataset), **_product()}.items():
            eccodes.codes_set(handle, key, value)
        with replacing(out) as temporary, temporary.open("wb") as file:
            for index, (start, end) in enumerate(dataset["time_bnds"].values):
                _set_period(handle, pd.Timestamp(start), int((end - start) / HOUR))
                for key, layer in layers.items():
                    eccodes.codes_set(handle, "constituentType", _CONSTITUENTS[key])
                    kilograms = dataset[layer].values[index][::-1] * np.float64(_micrograms(key) * 1e-9)
                    eccodes.codes_set_values(handle, kilograms.ravel())
                    eccodes.codes_write(handle, file)
    finally:
        eccodes.codes_release(handle)
    return out


def _product() -> dict[str, Any]:
    return {
        "centre": 255,  # none: these are nobody's numbers
        "productDefinitionTemplateNumber": 42,
        "parameterCategory": 20,
        "parameterNumber": 0,
        "typeOfFirstFixedSurface": _SURFACE,
        "scaleFactorOfFirstFixedSurface": 0,
        "scaledValueOfFirstFixedSurface": 0,
        "typeOfStatisticalProcessing": 0,
        "bitsPerValue": BITS,
    }


def _set_period(handle: int, start: pd.Timestamp, hours: int) -> None:
    import eccodes

    eccodes.codes_set(handle, "dataDate", int(f"{start:%Y%m%d}"))
    eccodes.codes_set(handle, "dataTime", int(f"{start:%H%M}"))
    eccodes.codes_set(handle, "stepUnits", 1)
    eccodes.codes_set(handle, "stepRange", f"0-{hours}")


def write_background_netcdf(dataset: xr.Dataset, path: str | Path, overwrite: bool = False) -> Path:
    """Return the path of a NetCDF file as the European ensemble's: ``pm2p5_conc`` (time, level, latitude, longitude).

    All in ug m-3, rows from north to south, hours since a day that the long name of `time` alone tells. The ensemble's
    files have no bounds; this one has `time_bnds`, since its means are of more than an hour.

    Parameters
    ----------
    dataset, path, overwrite
        As of `write_background_grib`.

    Raises
    ------
    OutputError
        As `write_background_grib`.
    """
    out = _free(path, overwrite)
    layers = _layers(dataset)
    bounds = dataset["time_bnds"].values
    day = bounds[0, 0].astype("datetime64[D]")
    hours = ((bounds - day) / HOUR).astype(np.float32)
    variables: dict[str, Any] = {"time_bnds": (("time", "bnds"), hours)}
    for key, layer in layers.items():
        species = SPECIES[key]
        attributes = {
            "species": species.title,
            "units": "µg/m3",
            "value": "means over time_bnds",
            "standard_name": species.standard_name,
            "cell_methods": "time: mean",
        }
        values = dataset[layer].values[:, None, ::-1] * np.float32(_micrograms(key))
        variables[f"{layer}_conc"] = (("time", "level", "latitude", "longitude"), values, attributes)
    name = f"ANALYSIS time from {pd.Timestamp(day):%Y%m%d}"
    coordinates: dict[str, Any] = {
        "time": ("time", hours[:, 1], {"units": "hours", "long_name": name, "bounds": "time_bnds"}),
        "level": ("level", np.zeros(1, np.float32), {"long_name": "level", "units": "m"}),
        "latitude": ("latitude", dataset["lat"].values[::-1], {"long_name": "latitude", "units": "degrees_north"}),
        "longitude": ("longitude", dataset["lon"].values, {"long_name": "longitude", "units": "degrees_east"}),
    }
    packed = {"zlib": True, "complevel": 1, "shuffle": True, "dtype": "float32", "_FillValue": np.float32(-999.0)}
    encoding: dict[str, dict[str, Any]] = {name: packed for name in variables if name != "time_bnds"}
    encoding |= {str(name): {"_FillValue": None} for name in (*coordinates, "time_bnds")}
    with replacing(out) as temporary:
        made = xr.Dataset(variables, coordinates, dict(dataset.attrs))
        made.to_netcdf(temporary, engine="netcdf4", format="NETCDF4", encoding=encoding)
    return out


def _free(path: str | Path, overwrite: bool) -> Path:
    out = Path(path)
    if out.exists() and not overwrite:
        raise OutputError(f"output {out} exists; choose another name or overwrite it")
    return out


def _layers(dataset: xr.Dataset) -> dict[str, str]:
    """Return the layers of a dataset by the key of their pollutant."""
    layers = {key: SPECIES[key].layer for key in _CONSTITUENTS if SPECIES[key].layer in dataset}
    if not layers:
        names = ", ".join(SPECIES[key].layer for key in _CONSTITUENTS)
        raise OutputError(f"the dataset has none of {names}; give the background of a nature run")
    return layers


def _micrograms(key: str) -> float:
    """Return how many ug m-3 one unit of a pollutant is."""
    return _MICROGRAMS[SPECIES[key].units]
