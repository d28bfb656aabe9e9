"""The nature run's weather as GRIB, in the layout of ERA5: for models that read it, and to test its readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from aqreanalysis.common.files import replacing
from aqreanalysis.errors import OutputError

# ECMWF parameter and time range indicator of GRIB 1 (table 5: 3 average, 4 accumulation over the period P1 to P2).
_PARAMETERS = {"u10": (165, 3), "v10": (166, 3), "blh": (159, 3), "t2m": (167, 3), "tp": (228, 4)}
BITS = 16


def write_meteorology(dataset: xr.Dataset, path: str | Path, overwrite: bool = False) -> Path:
    """Return the path of a GRIB edition 1 file with a message a field and hour.

    Every message covers one hour that ends at the dataset's stamp: the mean of it, and for `tp` its sum in metres.
    Values are packed to 16 bits of the range of each map. Rows run from north to south, as ERA5's do.

    Parameters
    ----------
    dataset : Dataset
        `Nature.meteorology`, or one like it: variables (time, lat, lon) under cfgrib's names, latitudes ascending.
    path : str or Path
    overwrite : bool
        Replace a file that exists.

    Raises
    ------
    OutputError
        If the file exists, or the dataset has none of the variables.
    """
    import eccodes

    out = Path(path)
    if out.exists() and not overwrite:
        raise OutputError(f"output {out} exists; choose another name or overwrite it")
    names = [name for name in _PARAMETERS if name in dataset]
    if not names:
        raise OutputError(f"the dataset has none of {', '.join(_PARAMETERS)}; give the meteorology of a nature run")
    handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib1")
    try:
        for key, value in _header(dataset).items():
            eccodes.codes_set(handle, key, value)
        with replacing(out) as temporary, temporary.open("wb") as file:
            for index, stamp in enumerate(pd.DatetimeIndex(dataset["time"].values)):
                for name in names:
                    _write(file, handle, _PARAMETERS[name], stamp, dataset[name].values[index][::-1])
    finally:
        eccodes.codes_release(handle)
    return out


def _header(dataset: xr.Dataset) -> dict[str, Any]:
    return {
        "centre": 98,  # the parameters are of ECMWF's table 128, which only its own number selects
        "table2Version": 128,
        **grid_keys(dataset),
        "indicatorOfTypeOfLevel": 1,
        "level": 0,
        "unitOfTimeRange": 1,
        "bitsPerValue": BITS,
    }


def grid_keys(dataset: xr.Dataset) -> dict[str, Any]:
    """Return ecCodes' keys of the grid of a dataset with ascending `lat` and `lon`, rows from north to south."""
    lat, lon = (dataset[axis].values.astype(np.float64) for axis in ("lat", "lon"))
    return {
        "Ni": lon.size,
        "Nj": lat.size,
        "latitudeOfFirstGridPointInDegrees": float(lat[-1]),
        "latitudeOfLastGridPointInDegrees": float(lat[0]),
        "longitudeOfFirstGridPointInDegrees": float(lon[0]),
        "longitudeOfLastGridPointInDegrees": float(lon[-1]),
        "iDirectionIncrementInDegrees": round(float(lon[-1] - lon[0]) / (lon.size - 1), 3),
        "jDirectionIncrementInDegrees": round(float(lat[-1] - lat[0]) / (lat.size - 1), 3),
        "jScansPositively": 0,
    }


def _write(file: Any, handle: int, parameter: tuple[int, int], stamp: pd.Timestamp, values: np.ndarray) -> None:
    import eccodes

    start = stamp - pd.Timedelta(hours=1)
    number, time_range = parameter
    for key, value in (
        ("indicatorOfParameter", number),
        ("timeRangeIndicator", time_range),
        ("dataDate", int(f"{start:%Y%m%d}")),
        ("dataTime", int(f"{start:%H%M}")),
        ("P1", 0),
        ("P2", 1),
    ):
        eccodes.codes_set(handle, key, value)
    eccodes.codes_set_values(handle, values.astype(np.float64).ravel())
    eccodes.codes_write(handle, file)
