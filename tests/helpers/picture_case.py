"""A small cube written by hand, for the tests of pictures: known values, made in a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

_FLAG = {
    "flag_masks": np.array([1, 2, 4, 8], np.int8),
    "flag_meanings": "masked hour_without_observation extrapolated_beyond_network few_neighbours",
}


def write_cube(
    path: Path,
    values: np.ndarray,
    hours: int = 1,
    box: tuple[float, float, float, float] = (10.0, 46.0, 12.0, 48.0),
    starts: np.ndarray | None = None,
    flag: np.ndarray | None = None,
    **attrs: str,
) -> Path:
    """Write PM2.5 of `values` (time, lat, lon) in steps of `hours`; interval: 5 to each side, error: 3."""
    steps, rows, columns = values.shape
    west, south, east, north = box
    if starts is None:
        starts = np.datetime64("2019-01-01", "ns") + np.arange(steps) * np.timedelta64(hours, "h")
    ends = starts + np.timedelta64(hours, "h")
    lat = south + (np.arange(rows) + 0.5) * (north - south) / rows
    lon = west + (np.arange(columns) + 0.5) * (east - west) / columns
    dims = ("time", "lat", "lon")
    values = values.astype(np.float32)
    layers = {
        "pm2p5": (dims, values, {"long_name": "PM2.5", "units": "ug m-3", "cell_methods": "time: mean"}),
        "pm2p5_standard_error": (dims, np.full_like(values, 3.0), {"long_name": "standard error", "units": "ug m-3"}),
        "pm2p5_lower": (dims, values - 5, {"long_name": "lower", "units": "ug m-3", "coverage_probability": 0.9}),
        "pm2p5_upper": (dims, values + 5, {"long_name": "upper", "units": "ug m-3", "coverage_probability": 0.9}),
        "quality_flag": (dims, np.zeros(values.shape, np.int8) if flag is None else flag.astype(np.int8), _FLAG),
        "time_bnds": (("time", "bnds"), np.stack([starts, ends], axis=1)),
    }
    middle = starts + (ends - starts) // 2
    dataset = xr.Dataset(layers, {"time": ("time", middle, {"bounds": "time_bnds"}), "lat": lat, "lon": lon})
    dataset.attrs = {"title": "Hourly PM2.5", "Conventions": "CF-1.11, ACDD-1.3", **attrs}
    units = {"units": "hours since 1970-01-01", "dtype": "float64"}
    dataset.to_netcdf(path, encoding={"time": units, "time_bnds": units})
    return path
