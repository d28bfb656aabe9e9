"""Opening a cube and telling what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from aqreanalysis.common.hours import stamp_within
from aqreanalysis.errors import AqreanalysisError, CubeError, in_one_line, no_cube, wrong_type
from aqreanalysis.production.derived_layers import quantities_of
from aqreanalysis.production.layers import CHUNK_DIGESTS, QUANTIZATION, VERSION_ATTRIBUTE
from aqreanalysis.production.plan.timeline import FREQUENCIES, HOURLY
from aqreanalysis.production.stores.outputs import is_url, kind_at

SUFFIXES = (".nc", ".zarr")
_CODECS = ("compressor", "compressors", "filters", "serializer")
_NOT_LAYERS = ("time_bnds", "lat_bnds", "lon_bnds", "crs", QUANTIZATION)


def open_cube(path: str | Path) -> xr.Dataset:
    """Return the cube as an xarray Dataset, read lazily; bounds and grid mapping are coordinates.

    Parameters
    ----------
    path : str or Path
        A ``.nc`` file or ``.zarr`` store, on a disk or at an ``s3://`` or ``https://`` URL. Of a store there chunks are
        read as they are asked for; a file is brought to this machine whole, and is kept until Python ends.

    Raises
    ------
    CubeError
        If it is missing or cannot be read.
    ConfigError
        If a URL is given and obstore is not installed.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> made = aq.produce("models/north", "obs.parquet", "110,35,111,36@0.25", "2021-03-03", "2021-03-04", "3.zarr")
    >>> aq.open_cube("3.zarr")["pm2p5"].sizes["time"]
    24
    """
    if not isinstance(path, str | Path):
        raise wrong_type("cube", path, "the path or the URL of a cube", CubeError)
    where = str(path)
    if not is_url(where) and not Path(where).exists():
        raise no_cube(Path(where))
    try:
        dataset = kind_at(where).load().open_dataset(where)
    except AqreanalysisError:
        raise
    except Exception as error:  # each backend has its own ways to fail on a file that is not one
        raise CubeError(f"{where} cannot be read as a cube: {in_one_line(error)}") from None
    dataset.encoding["source"] = where
    return as_cube(dataset)


def as_cube(dataset: xr.Dataset) -> xr.Dataset:
    """Return a decoded Dataset of a cube with bounds and grid mapping as coordinates, so that layers alone are data."""
    for variable in dataset.variables.values():
        # An object that only GDAL reads from a Zarr store; NetCDF could not hold it if the dataset were saved again.
        variable.attrs.pop("_CRS", None)
        for codec in _CODECS:
            # Those of format 2 are refused by format 3, which zarr writes unless it is told otherwise.
            variable.encoding.pop(codec, None)
    # Whoever saves the dataset again makes other chunks.
    dataset = dataset.drop_vars(CHUNK_DIGESTS, errors="ignore")
    return dataset.set_coords([name for name in _NOT_LAYERS if name in dataset.data_vars])


def describe_cube(path: str | Path) -> dict[str, Any]:
    """Return what a cube is: title, span, grid, layers with units, provenance, size on disk.

    Raises
    ------
    CubeError
        If it cannot be read, or is no cube (no time, lat, lon or no pollutant).
    """
    where = str(path)
    kind = kind_at(where)
    with open_cube(where) as cube:
        missing = [d for d in ("time", "lat", "lon") if d not in cube.coords]
        known = quantities_of(cube)
        if missing or not known:
            lacks = f"no coordinate {missing[0]}" if missing else "no pollutant"
            raise CubeError(f"{where} is no cube of this program: it has {lacks}; see aqreanalysis produce")
        lat, lon, time = (cube[d].to_numpy() for d in ("lat", "lon", "time"))
        wanted = ("title", "source", "history", "model_digest", "observations_digest", "date_created", "comment")
        return {
            "path": where,
            "kind": "cube",
            "format": kind.title,
            "species": known,
            "frequency": _frequency(cube),
            "conventions": str(cube.attrs.get(VERSION_ATTRIBUTE, "1")),
            "stamp": _stamp(cube),
            "steps": int(time.size),
            "hours": _hours(cube),
            "first": str(time[0].astype("datetime64[m]")),
            "last": str(time[-1].astype("datetime64[m]")),
            "shape": [int(time.size), int(lat.size), int(lon.size)],
            "west": float(lon[0]),
            "south": float(lat[0]),
            "east": float(lon[-1]),
            "north": float(lat[-1]),
            "step": [round(float(np.diff(a).mean()), 10) if a.size > 1 else None for a in (lat, lon)],
            "layers": {
                str(name): {"long_name": v.attrs.get("long_name", ""), "units": v.attrs.get("units", "")}
                for name, v in cube.data_vars.items()
            },
            "bytes": kind.load().stored_bytes(where),
            **{key: cube.attrs[key] for key in wanted if key in cube.attrs},
        }


def _frequency(cube: xr.Dataset) -> str:
    """Return the frequency that the cube says it has; one that says none is of hours."""
    resolution = cube.attrs.get("time_coverage_resolution")
    return next((f.name for f in FREQUENCIES.values() if f.resolution == resolution), HOURLY)


def _stamp(cube: xr.Dataset) -> str | None:
    """Return where in its period a step is stamped; None where the cube does not say it."""
    return (
        stamp_within(cube["time"].to_numpy(), cube["time_bnds"].to_numpy()) if "time_bnds" in cube.variables else None
    )


def _hours(cube: xr.Dataset) -> int:
    """Return how many hours the steps of a cube hold."""
    if "time_bnds" not in cube.variables:
        return cube.sizes["time"]
    bounds = cube["time_bnds"].to_numpy()
    return int((bounds[:, 1] - bounds[:, 0]).sum() // np.timedelta64(1, "h"))
