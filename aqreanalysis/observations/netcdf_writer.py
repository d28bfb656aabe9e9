"""`Observations` -> a CF discrete-sampling-geometry file (featureType timeSeries), at once or block by block."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import netCDF4
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aqreanalysis.common.files import disk_errors, move_into_place, partial_name, replacing
from aqreanalysis.common.hours import TIME_UNITS, times_from_hours
from aqreanalysis.common.sole_writer import sole_writer
from aqreanalysis.errors import OutputError
from aqreanalysis.observations.backing import BLOCK_HOURS, HourlyBlock
from aqreanalysis.observations.digest import IncrementalDigest, mask_unusable
from aqreanalysis.observations.places import LABELS, StationPlaces
from aqreanalysis.observations.report import QualityReport

# Attributes in which the report of the reading and the digest of what was read travel.
REPORT = "quality_report"
DIGEST = "observations_digest"
# A file's title where the source has none.
TITLE = "Hourly air-quality observations at stations"
# A month of hours a chunk: both a day of all stations and a year of one are read without waste.
CHUNK_HOURS = 744
_FILL = np.float32(-9999.0)


class Record(Protocol):
    """What a file takes of `Observations`, which write themselves through `write_netcdf` and so stand above."""

    report: QualityReport

    @property
    def dataset(self) -> xr.Dataset:
        """All readings and flags."""

    @property
    def species(self) -> tuple[str, ...]:
        """Keys of the pollutants."""

    @property
    def first_hour(self) -> int:
        """Hours since 1970-01-01 00:00 UTC of the first stamp."""

    @property
    def hours(self) -> NDArray[np.int64]:
        """The same of each stamp."""

    @property
    def attributes(self) -> dict[str, Any]:
        """Of the source."""

    def digest(self) -> str:
        """Return the sha256 of stations, hours and usable readings."""


def write_netcdf(observations: Record, path: Path, overwrite: bool = False) -> Path:
    """Write the file under a temporary name, then rename it; return `path`. See `Observations.to_netcdf`."""
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists: choose another name, or replace it with --overwrite (overwrite=True)")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: no folder {path.parent}: make it first")
    dataset = _as_file(observations)
    try:
        with sole_writer(path), replacing(path) as temporary, disk_errors(path, temporary):
            dataset.to_netcdf(temporary, engine="netcdf4", format="NETCDF4", encoding=_encoding(dataset))
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from None
    return path


class BlockFile:
    """A NetCDF that takes a record block by block, under a temporary name until it is finished.

    Used as a context, at whose end nothing half-written is left.

    Parameters
    ----------
    path : Path
        The file to write.

    Attributes
    ----------
    temporary : Path
        Its name until then.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.temporary = partial_name(path)
        self._file: netCDF4.Dataset | None = None
        self._first_hour = 0

    def __enter__(self) -> BlockFile:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            with suppress(RuntimeError, OSError):  # it is not finished: what could not be written is why
                self._file.close()
        self.temporary.unlink(missing_ok=True)

    def begin(self, first: Record) -> None:
        """Write the first block, which gives the file its stations, pollutants and attributes."""
        dataset = _as_file(first)
        dataset.to_netcdf(
            self.temporary,
            engine="netcdf4",
            format="NETCDF4",
            encoding=_encoding(dataset),
            unlimited_dims=["time"],
        )
        self._file = netCDF4.Dataset(self.temporary, "a")
        self._first_hour = first.first_hour

    def append(self, block: HourlyBlock) -> None:
        """Write the next block."""
        file = self._opened()
        at = block.first_hour - self._first_hour
        hours = block.hours.astype(np.float64)
        rows = slice(at, at + len(hours))
        for key, values in block.values.items():
            file[key][:, rows] = values.T
            file[f"{key}_flag"][:, rows] = block.flags[key].T
        file["time"][rows] = hours
        file["time_bounds"][rows] = np.stack([hours - 1, hours], axis=1)

    def finish(self, places: StationPlaces, keys: Sequence[str], report: QualityReport) -> None:
        """Write what only the whole tells, last stamp, digest and report, and give the file its name."""
        file = self._opened()
        first, last = times_from_hours([self._first_hour, self._first_hour + file.dimensions["time"].size - 1])
        file.setncatts(
            {
                "time_coverage_start": f"{first:%Y-%m-%dT%H:%M:%SZ}",
                "time_coverage_end": f"{last:%Y-%m-%dT%H:%M:%SZ}",
                DIGEST: self._digest(places, keys),
                REPORT: report.to_json(),
            }
        )
        file.close()
        self._file = None
        move_into_place(self.temporary, self._path)

    def _opened(self) -> netCDF4.Dataset:
        assert self._file is not None, "begin was not called"
        return self._file

    def _digest(self, places: StationPlaces, keys: Sequence[str]) -> str:
        """Return the digest of what stands in the file, read back in blocks."""
        file = self._opened()
        length = file.dimensions["time"].size
        hours = np.arange(self._first_hour, self._first_hour + length, dtype=np.int64)
        digest = IncrementalDigest(places.ids, places.lat, places.lon, hours)
        for key in keys:
            digest.begin(key)
            for at in range(0, length, BLOCK_HOURS):
                rows = slice(at, at + BLOCK_HOURS)
                values = np.ma.filled(file[key][:, rows], np.nan)
                digest.add(mask_unusable(values, np.asarray(file[f"{key}_flag"][:, rows])).T)
        return digest.hexdigest()


def _as_file(observations: Record) -> xr.Dataset:
    """Return the dataset as it stands in the file: float hours with bounds, ASCII attributes, CF roles."""
    out = observations.dataset.copy()
    hours = observations.hours.astype(np.float64)
    out = out.assign_coords(time=("time", hours), time_bounds=(("time", "bnds"), np.stack([hours - 1, hours], axis=1)))
    out["time"].attrs = {
        "standard_name": "time",
        "long_name": "end of the averaging hour",
        "axis": "T",
        "units": TIME_UNITS,
        "calendar": "standard",
        "units_metadata": "leap_seconds: none",
        "bounds": "time_bounds",
    }
    out["station"].attrs = {"standard_name": "platform_id", "long_name": "station id", "cf_role": "timeseries_id"}
    out["lat"].attrs = {"standard_name": "latitude", "long_name": "latitude of the station", "units": "degrees_north"}
    out["lon"].attrs = {"standard_name": "longitude", "long_name": "longitude of the station", "units": "degrees_east"}
    for label in LABELS:
        if label in out.coords:
            out[label].attrs = {"long_name": f"{label} of the station"}
    if "name" in out.coords:
        out["name"].attrs["standard_name"] = "platform_name"
    labels = [label for label in LABELS if label in out.coords]
    # `station` is dimension and variable in memory; CF wants a character variable that is no coordinate variable.
    out = out.rename({"station": "station_id"}).rename_dims({"station_id": "station"}).reset_index("station_id")
    coordinates = " ".join(["lat", "lon", "station_id", *labels])
    for key in observations.species:
        out[key].attrs = {**out[key].attrs, "coordinates": coordinates}
        out[f"{key}_flag"].attrs = {**out[f"{key}_flag"].attrs, "coordinates": coordinates}
    times = times_from_hours(observations.hours[[0, -1]])
    program = f"aqreanalysis {version('aqreanalysis')}"
    out.attrs = {
        "Conventions": "CF-1.11",
        "featureType": "timeSeries",
        "title": TITLE,
        **{name: _ascii(value) for name, value in observations.attributes.items()},
        "time_coverage_start": f"{times[0]:%Y-%m-%dT%H:%M:%SZ}",
        "time_coverage_end": f"{times[1]:%Y-%m-%dT%H:%M:%SZ}",
        "history": f"{program}: read from {_ascii(observations.report.source)}, quality flags added",
        DIGEST: observations.digest(),
        REPORT: observations.report.to_json(),
    }
    # Stations first: CF wants the instance dimension left of time, and a station's series compresses better.
    return out.reset_coords().transpose("station", "time", ...)


def _ascii(value: Any) -> Any:
    # A non-ASCII attribute becomes NC_STRING, which breaks NCO, ncdump, ncview and Fortran readers.
    if isinstance(value, bool):
        return str(value).lower()
    return value.encode("ascii", "backslashreplace").decode("ascii") if isinstance(value, str) else value


def _encoding(dataset: xr.Dataset) -> dict[str, dict[str, Any]]:
    encoding: dict[str, dict[str, Any]] = {}
    for name, variable in dataset.variables.items():
        if variable.dtype == object:
            encoding[str(name)] = {"dtype": "S1", "char_dim_name": f"{name}_length"}
        elif variable.ndim == 2 and str(name) != "time_bounds":
            chunks = (variable.shape[0], min(variable.shape[1], CHUNK_HOURS))
            encoding[str(name)] = {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": chunks}
            encoding[str(name)]["_FillValue"] = _FILL if variable.dtype == np.float32 else None
        else:
            encoding[str(name)] = {"_FillValue": None}
    return encoding
