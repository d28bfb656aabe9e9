"""GRIB2 messages of the best estimate: the parameter of each pollutant by the tables of the WMO."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.common.hours import HOUR
from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import OutputError
from aqreanalysis.export.files import whole_file
from aqreanalysis.export.source import CubeSource
from aqreanalysis.production.layers import FILL

SUFFIXES = (".grib2", ".grb2", ".grib", ".grb")
#: Bits a value: a step is then a 65535th of the range of a map.
BITS = 16
# Kilograms a unit of the cube.
_KILOGRAMS = {"ug m-3": 1e-9, "mg m-3": 1e-6}


@dataclass(frozen=True)
class Parameter:
    """How GRIB2 names a pollutant: mass density (table 4.2-0-20, number 0, kg m-3) of a constituent.

    Attributes
    ----------
    interval, moment : int
        Product definitions: of chemical constituents 42 (statistically processed over a time interval) and 40 (at a
        point in time), of aerosol 46 and 48.
    constituent : int
        Of tables 4.230 (gases) and 4.233 (aerosols).
    size : tuple or None
        Scale factor and scaled value of the largest diameter in metres, for particles.
    """

    interval: int
    moment: int
    constituent: int
    size: tuple[int, int] | None = None


# 62026: particulate matter. With its size, ecCodes calls it paramId 210073 (pm2p5) and 210074 (pm10).
PARAMETERS = {
    "pm25": Parameter(46, 48, 62026, (7, 25)),
    "pm10": Parameter(46, 48, 62026, (6, 10)),
    "so2": Parameter(42, 40, 8),
    "no2": Parameter(42, 40, 5),
    "o3": Parameter(42, 40, 0),
    "co": Parameter(42, 40, 4),
}


def export_grib(source: CubeSource, out: str | Path, overwrite: bool = False, progress: Progress | None = None) -> Path:
    """Return the path of a GRIB2 file with a message a step: the mean over the step, at the surface, in kg m-3.

    Only the estimate: GRIB2 has no product template for the standard error or for quantiles of a constituent. Values
    are packed simply, which every reader knows, to 16 bits of the range of each map; missing ones are in a bitmap.

    Readers date a message as the cube stamps its step. What GRIB calls an average they date by the end of its interval,
    so that the day's last hour would fall into the next day: it is written of cubes stamped at the end alone. Of others
    a message is a field at the moment of its stamp, the length of the step left to be known.

    Parameters
    ----------
    source : CubeSource
        The cube, opened with one pollutant: readers tell gases apart by one key only (``constituentType``), which many
        do not look at.
    out : str or Path
        Ends in ``.grib2``, ``.grb2``, ``.grib`` or ``.grb``.
    overwrite : bool
        Replace a file that exists.
    progress : callable or None
        Told of each slab.

    Raises
    ------
    OutputError
        If there are several pollutants, a step is no whole number of hours, or the file exists.
    """
    if len(source.species) != 1:
        raise OutputError(
            f"{source.path} holds {', '.join(source.species)}, and most readers of GRIB take one constituent; "
            "choose one with --species, a file each"
        )
    (one,) = source.species.values()
    if one.species.key not in PARAMETERS:
        raise OutputError(
            f"{source.path} holds {one.species.key}, which GRIB2 has no code for here; it has {', '.join(PARAMETERS)}"
        )
    lengths = (source.bounds[:, 1] - source.bounds[:, 0]) / HOUR
    if (lengths % 1).any() or (lengths < 1).any():
        raise OutputError(f"{source.path} has a step of {lengths.min():g} h, and steps in GRIB are whole hours here")
    factor = _KILOGRAMS[one.species.units]
    slabs = list(source.slabs())
    north_first = -1 if source.dataset["lat"].values[0] < source.dataset["lat"].values[-1] else 1
    sample = _message(source, PARAMETERS[one.species.key])
    begins, hours = (source.bounds[:, 0], lengths) if source.stamp == "end" else (source.times, 0 * lengths)
    try:
        with whole_file(out, SUFFIXES, overwrite) as temporary, temporary.open("wb") as file:
            for number, slab in enumerate(slabs):
                values = source.read(one.best, slab)[:, ::north_first]
                for i in range(len(values)):
                    step = slab.start + i
                    _write(file, sample, begins[step], hours[step], values[i] * factor)
                if progress is not None:
                    progress(number + 1, len(slabs), "GRIB")
    finally:
        import eccodes

        eccodes.codes_release(sample)
    return Path(out)


def _message(source: CubeSource, parameter: Parameter) -> int:
    """Return a message with everything but time and values."""
    import eccodes

    handle: int = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
    for key, value in {**_grid(source), **_product(parameter, source.stamp == "end")}.items():
        eccodes.codes_set(handle, key, value)
    return handle


def _grid(source: CubeSource) -> dict[str, Any]:
    lat, lon = (np.asarray(source.dataset[a].values, dtype=np.float64) for a in ("lat", "lon"))
    if lat.size < 2 or lon.size < 2:
        raise OutputError(f"{source.path} has {lat.size} x {lon.size} cells; a GRIB grid needs two each way")
    return {
        "shapeOfTheEarth": 5,  # WGS 84
        "Ni": lon.size,
        "Nj": lat.size,
        "latitudeOfFirstGridPointInDegrees": float(lat.max()),
        "latitudeOfLastGridPointInDegrees": float(lat.min()),
        "longitudeOfFirstGridPointInDegrees": float(lon[0] % 360),
        "longitudeOfLastGridPointInDegrees": float(lon[-1] % 360),
        "iDirectionIncrementInDegrees": round(float(lon[-1] - lon[0]) / (lon.size - 1), 6),
        "jDirectionIncrementInDegrees": round(float(abs(lat[-1] - lat[0])) / (lat.size - 1), 6),
        "jScansPositively": 0,
    }


def _product(parameter: Parameter, averages: bool) -> dict[str, Any]:
    product = {
        "centre": 255,  # none: nobody's numbers but the user's
        "tablesVersion": 32,
        "productionStatusOfProcessedData": 255,
        "significanceOfReferenceTime": 0,  # analysis
        "typeOfProcessedData": 0,  # analysis
        "discipline": 0,
        "productDefinitionTemplateNumber": parameter.interval if averages else parameter.moment,
        "parameterCategory": 20,
        "parameterNumber": 0,
        "typeOfGeneratingProcess": 0,
        "typeOfFirstFixedSurface": 1,
        **({"typeOfStatisticalProcessing": 0} if averages else {}),  # average
        "bitsPerValue": BITS,
        "packingType": "grid_simple",
    }
    if parameter.size is None:
        return {**product, "constituentType": parameter.constituent}
    # Table 4.91, 5: smaller than or equal to the first size.
    factor, value = parameter.size
    return {
        **product,
        "aerosolType": parameter.constituent,
        "typeOfSizeInterval": 5,
        "scaleFactorOfFirstSize": factor,
        "scaledValueOfFirstSize": value,
    }


def _write(file: Any, sample: int, time: np.datetime64, hours: float, values: NDArray[Any]) -> None:
    """Write a message: the reference time, and the hours of an average from there, 0 of a moment."""
    import eccodes

    first = pd.Timestamp(time)
    handle = eccodes.codes_clone(sample)
    try:
        eccodes.codes_set(handle, "dataDate", int(f"{first:%Y%m%d}"))
        eccodes.codes_set(handle, "dataTime", int(f"{first:%H%M}"))
        eccodes.codes_set(handle, "stepUnits", 1)
        if hours:
            eccodes.codes_set(handle, "startStep", 0)
            eccodes.codes_set(handle, "endStep", int(hours))
        # Not part of the message, so that no clone has it.
        eccodes.codes_set(handle, "missingValue", FILL)
        eccodes.codes_set(handle, "bitmapPresent", 1)
        flat = np.where(np.isnan(values), FILL, values).astype(np.float64).ravel()
        eccodes.codes_set_values(handle, flat)
        eccodes.codes_write(handle, file)
    finally:
        eccodes.codes_release(handle)
