"""Small GRIB and NetCDF files in the layouts of ERA5, ERA5-Land and CAMS, for the tests of covariates."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

LAT = np.array([51.0, 50.0, 49.0, 48.0])  # north to south, as ERA5
LON = np.array([5.0, 6.0, 7.0, 8.0, 9.0])
PARAM = {"u10": 165, "v10": 166, "t2m": 167, "d2m": 168, "sp": 134, "tp": 228, "blh": 159}


def hour(text: str) -> int:
    """Return hours since 1970-01-01."""
    return int((pd.Timestamp(text) - pd.Timestamp(0)) / pd.Timedelta(hours=1))


def plane(level: float, north: float = 0.0, east: float = 0.0) -> np.ndarray:
    """Return values over LAT x LON that bilinear interpolation reproduces exactly."""
    return level + north * (LAT[:, None] - 50.0) + east * (LON[None, :] - 7.0)


def message(field: str, run: str, values: Any, step: tuple[int, int] = (0, 0), **keys: Any) -> dict[str, Any]:
    """Return the keys of a GRIB 1 message; a step range of some length makes a sum."""
    start, end = step
    kind = {"timeRangeIndicator": 4 if end > start else 0, "P1": start if end > start else end, "P2": end}
    if end == start:
        kind["P2"] = 0
    stamp = pd.Timestamp(run)
    return {
        "centre": 98,
        "table2Version": 128,
        "indicatorOfParameter": PARAM[field],
        "indicatorOfTypeOfLevel": 1,
        "dataDate": int(f"{stamp:%Y%m%d}"),
        "dataTime": int(f"{stamp:%H%M}"),
        "unitOfTimeRange": 1,
        **kind,
        **keys,
        "values": values,
    }


def write_grib(path: Path, messages: Iterable[dict[str, Any]], lat: np.ndarray = LAT, lon: np.ndarray = LON) -> Path:
    """Write messages (see `message`) one after the other; the grid is that of lat and lon."""
    import eccodes

    with path.open("wb") as file:
        for keys in messages:
            sample = "regular_ll_sfc_grib2" if keys.get("edition") == 2 else "regular_ll_sfc_grib1"
            handle = eccodes.codes_grib_new_from_samples(sample)
            grid = {
                "Ni": lon.size,
                "Nj": lat.size,
                "latitudeOfFirstGridPointInDegrees": float(lat[0]),
                "latitudeOfLastGridPointInDegrees": float(lat[-1]),
                "longitudeOfFirstGridPointInDegrees": float(lon[0]),
                "longitudeOfLastGridPointInDegrees": float(lon[-1]),
                "iDirectionIncrementInDegrees": float(abs(lon[1] - lon[0])),
                "jDirectionIncrementInDegrees": float(abs(lat[1] - lat[0])),
                "jScansPositively": int(lat[-1] > lat[0]),
                "bitsPerValue": 24,
            }
            for key, value in {**grid, **keys}.items():
                if key not in {"values", "edition"}:
                    eccodes.codes_set(handle, key, value)
            values = np.broadcast_to(np.asarray(keys["values"], np.float64), (lat.size, lon.size))
            if np.isnan(values).any():
                eccodes.codes_set(handle, "bitmapPresent", 1)
                eccodes.codes_set(handle, "missingValue", 9999.0)
            eccodes.codes_set_values(handle, np.where(np.isnan(values), 9999.0, values).ravel())
            eccodes.codes_write(handle, file)
            eccodes.codes_release(handle)
    return path
