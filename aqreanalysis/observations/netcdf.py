"""`Observations` as a CF discrete-sampling-geometry file (featureType timeSeries), written and read back."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import xarray as xr

from aqreanalysis.configs import QualityConfig
from aqreanalysis.errors import ObservationsError, OutputError
from aqreanalysis.observations import file_backed
from aqreanalysis.observations.dataset import KEPT_ATTRIBUTES, Observations
from aqreanalysis.observations.file_backed import FileBackedObservations, StationFile, count_values
from aqreanalysis.observations.flags import USABLE
from aqreanalysis.observations.places import StationPlaces
from aqreanalysis.observations.quality import Screening
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.observations.schema import check_hours, validated
from aqreanalysis.observations.times import times_from_hours
from aqreanalysis.species import SPECIES

_FILL = np.float32(-9999.0)
_TIME_UNITS = "hours since 1970-01-01 00:00:00"
_FARTHEST_HOUR = 2e6  # some 228 years; a damaged stamp beyond it would overflow nanoseconds
_REPORT = "quality_report"
_DIGEST = "observations_digest"
_CHUNK_HOURS = 744
_TITLE = "Hourly air-quality observations at stations"


def write_netcdf(observations: Observations, path: Path, overwrite: bool = False) -> Path:
    """Write the file under a temporary name, then rename it; return `path`. See `Observations.to_netcdf`."""
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists: choose another name, or allow overwriting")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: no folder {path.parent}: make it first")
    dataset = _as_file(observations)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        dataset.to_netcdf(temporary, engine="netcdf4", format="NETCDF4", encoding=_encoding(dataset))
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return path


def start_file(first: Observations, path: Path) -> netCDF4.Dataset:
    """Write `first`, a record's first hours, to `path` with a time axis that can grow, and return it open for more."""
    dataset = _as_file(first)
    try:
        dataset.to_netcdf(
            path, engine="netcdf4", format="NETCDF4", encoding=_encoding(dataset), unlimited_dims=["time"]
        )
        return netCDF4.Dataset(path, "a")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from None


def finish_file(file: netCDF4.Dataset, hours: tuple[int, int], digest: str, report: QualityReport) -> None:
    """Write into a file of `start_file` what only the whole tells: its first and last stamp, digest and report."""
    first, last = times_from_hours(list(hours))
    file.setncatts(
        {
            "time_coverage_start": f"{first:%Y-%m-%dT%H:%M:%SZ}",
            "time_coverage_end": f"{last:%Y-%m-%dT%H:%M:%SZ}",
            _DIGEST: digest,
            _REPORT: report.to_json(),
        }
    )


def read_netcdf(path: Path, quality: QualityConfig | None = None, span: tuple[int, int] | None = None) -> Observations:
    """Return the observations in a file that `write_netcdf` wrote; a file without flags passes quality control first.

    Of a long record (`file_backed.READINGS_IN_MEMORY`) the readings stay in the file, see `FileBackedObservations`.

    Parameters
    ----------
    path : Path
        The file.
    quality : QualityConfig, optional
        Tests, for a file without flags.
    span : (int, int), optional
        First and last stamp that are needed, hours since 1970-01-01: no others are read, and
        `Observations.full_span` says how far the whole reaches. Ignored for a file without flags, whose tests look at
        neighbouring hours, and where the file has none of these hours.

    Raises
    ------
    ObservationsError
        The file is unreadable, truncated, or holds no station records.
    """
    try:
        with _open(path) as opened:
            _check_shape(opened, path)
            rows = _rows(opened, path, span)
            record = _record(opened, path) if rows is not None else None
            if _stays_in_file(opened, rows):
                return _stored(path, rows or slice(0, opened.sizes["time"]), record)
            dataset = (opened if rows is None else opened.isel(time=rows)).load()
    except (ObservationsError, OutputError):
        raise
    except Exception as error:  # a damaged file makes netCDF4 and xarray raise almost anything
        raise ObservationsError(
            f"{path} is no readable NetCDF file ({' '.join(str(error).split())[:120]}): is it truncated?"
        ) from None
    report = _report(dataset, path)
    keys = [key for key in SPECIES if key in dataset]
    places = _places(dataset)
    times = times_from_hours(_hours(dataset, path))
    attributes = _attributes(dataset)
    if not _has_flags(dataset):
        values = {key: _floats(dataset, key) for key in keys}
        return Observations.from_arrays(times, places, values, attributes, report, Screening(quality))
    observations = Observations(_as_kept(dataset, keys, times, places).assign_attrs(attributes), report)
    _compare_digest(observations, dataset, path, record)
    return observations


def _open(path: Path) -> xr.Dataset:
    return xr.open_dataset(path, engine="netcdf4", decode_times=False, decode_coords=False)


def _has_flags(dataset: xr.Dataset) -> bool:
    return all(f"{key}_flag" in dataset for key in SPECIES if key in dataset)


def _stays_in_file(opened: xr.Dataset, rows: slice | None) -> bool:
    """Return whether the readings are too many for memory, and can be read in blocks: flagged, stations in order."""
    ids = _places(opened).ids
    return _has_flags(opened) and ids == sorted(ids) and count_values(opened, rows) > file_backed.READINGS_IN_MEMORY


def _stored(path: Path, rows: slice, record: dict[str, tuple[int, int]] | None) -> Observations:
    """Return the rows of a long file as observations that stay in it."""
    opened = _open(path)  # for as long as these observations are there
    keys, places = [key for key in SPECIES if key in opened], _places(opened)
    times = times_from_hours(_hours(opened, path)[rows])
    check_hours(times)
    sample = opened.isel(time=slice(rows.start, rows.start + 1)).load()
    # Everything but the readings is checked on the first hour.
    checked = validated(_as_kept(sample, keys, times[:1], places)).assign_attrs(_attributes(opened))
    axes = checked.drop_dims("time").assign_coords(time=times.as_unit("ns"))
    observations = FileBackedObservations(StationFile(path, opened, rows.start, rows.stop), axes, _report(opened, path))
    _compare_digest(observations, opened, path, record)
    return observations


def _attributes(dataset: xr.Dataset) -> dict[str, Any]:
    """Return the attributes of the source that the file keeps."""
    found = {name: dataset.attrs[name] for name in KEPT_ATTRIBUTES if name in dataset.attrs}
    return {name: value for name, value in found.items() if (name, value) != ("title", _TITLE)}


def _compare_digest(
    observations: Observations, dataset: xr.Dataset, path: Path, record: dict[str, tuple[int, int]] | None
) -> None:
    """Warn if the file was changed since it was written; of a part of it keep how far the whole reaches instead."""
    if record is not None:
        observations.full_span = record  # the digest on record is that of the whole, which was not read
        return
    written = dataset.attrs.get(_DIGEST)
    if written is not None and written != observations.digest():
        observations.report.warnings.append(
            f"{path.name} was changed after this program wrote it: its digest is {observations.digest()[:12]} and its "
            f"attribute {_DIGEST} says {str(written)[:12]}"
        )


def _as_kept(dataset: xr.Dataset, keys: list[str], times: Any, places: StationPlaces) -> xr.Dataset:
    """Return the readings and flags of a file as `Observations` keeps them."""
    variables: dict[str, Any] = {}
    for key in keys:
        flags = np.ascontiguousarray(dataset[f"{key}_flag"].transpose("time", "station").values)
        variables[key] = (("time", "station"), _floats(dataset, key))
        variables[f"{key}_flag"] = (("time", "station"), flags)
    coords: dict[str, Any] = {"time": times, "station": ("station", np.array(places.ids, dtype=object))}
    for name in ("lat", "lon", "city", "name"):
        if getattr(places, name) is not None:
            dtype = np.float64 if name in ("lat", "lon") else object
            coords[name] = ("station", np.array(getattr(places, name), dtype=dtype))
    return xr.Dataset(variables, coords)


def _as_file(observations: Observations) -> xr.Dataset:
    """Return the dataset as it stands in the file: float hours with bounds, ASCII attributes, CF roles."""
    out = observations.dataset.copy()
    hours = observations.hours.astype(np.float64)
    out = out.assign_coords(time=("time", hours), time_bounds=(("time", "bnds"), np.stack([hours - 1, hours], axis=1)))
    out["time"].attrs = {
        "standard_name": "time",
        "long_name": "end of the averaging hour",
        "axis": "T",
        "units": _TIME_UNITS,
        "calendar": "standard",
        "units_metadata": "leap_seconds: none",
        "bounds": "time_bounds",
    }
    out["station"].attrs = {"standard_name": "platform_id", "long_name": "station id", "cf_role": "timeseries_id"}
    out["lat"].attrs = {"standard_name": "latitude", "long_name": "latitude of the station", "units": "degrees_north"}
    out["lon"].attrs = {"standard_name": "longitude", "long_name": "longitude of the station", "units": "degrees_east"}
    for label in ("city", "name"):
        if label in out.coords:
            out[label].attrs = {"long_name": f"{label} of the station"}
    if "name" in out.coords:
        out["name"].attrs["standard_name"] = "platform_name"
    labels = [label for label in ("city", "name") if label in out.coords]
    # `station` is dimension and variable in memory; CF wants a character variable that is no coordinate variable.
    out = out.rename({"station": "station_id"}).rename_dims({"station_id": "station"}).reset_index("station_id")
    coordinates = " ".join(["lat", "lon", "station_id", *labels])
    for key in observations.species:
        out[key].attrs = {**out[key].attrs, "coordinates": coordinates}
        out[f"{key}_flag"].attrs = {**out[f"{key}_flag"].attrs, "coordinates": coordinates}
    times = observations.times
    program = f"aqreanalysis {version('aqreanalysis')}"
    out.attrs = {
        "Conventions": "CF-1.11",
        "featureType": "timeSeries",
        "title": _TITLE,
        **{name: _ascii(value) for name, value in observations.attributes.items()},
        "time_coverage_start": f"{times[0]:%Y-%m-%dT%H:%M:%SZ}",
        "time_coverage_end": f"{times[-1]:%Y-%m-%dT%H:%M:%SZ}",
        "history": f"{program}: read from {_ascii(observations.report.source)}, quality flags added",
        _DIGEST: observations.digest(),
        _REPORT: observations.report.to_json(),
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
            # A month of hours a chunk: both a day of all stations and a year of one are read without waste.
            chunks = (variable.shape[0], min(variable.shape[1], _CHUNK_HOURS))
            encoding[str(name)] = {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": chunks}
            encoding[str(name)]["_FillValue"] = _FILL if variable.dtype == np.float32 else None
        else:
            encoding[str(name)] = {"_FillValue": None}
    return encoding


def _check_shape(dataset: xr.Dataset, path: Path) -> None:
    dims = set(dataset.dims)
    if not {"time", "station"} <= dims:
        what = " (a grid, it seems)" if {"lat", "lon"} <= dims else ""
        raise ObservationsError(
            f"{path} has dimensions {', '.join(map(str, dataset.dims)) or 'none'}{what}: station records need 'time' "
            "and 'station'; give a file that this program wrote, or a CSV or Parquet table"
        )
    for name in ("lat", "lon", "time"):
        if name not in dataset.variables:
            raise ObservationsError(f"{path} has no variable {name!r}: give a file that this program wrote")
    if "station_id" not in dataset.variables and "station" not in dataset.variables:
        raise ObservationsError(f"{path} has no variable 'station_id': give a file that this program wrote")
    if not any(key in dataset.variables for key in SPECIES):
        raise ObservationsError(f"{path} holds no known pollutant: name a variable one of {', '.join(SPECIES)}")


def _hours(dataset: xr.Dataset, path: Path) -> np.ndarray:
    units = dataset["time"].attrs.get("units")
    hours = dataset["time"].values
    if units != _TIME_UNITS or not np.issubdtype(hours.dtype, np.number):
        raise ObservationsError(f"{path}: time has units {units!r}: write {_TIME_UNITS!r}")
    whole = np.round(hours)
    right = (np.abs(whole - hours) < 1e-6) & (np.abs(hours) < _FARTHEST_HOUR)  # false for NaN too
    if not right.all():
        raise ObservationsError(f"{path}: time {hours[int(np.argmin(right))]:g} h since 1970 is not on a full hour")
    return whole.astype(np.int64)


def _rows(opened: xr.Dataset, path: Path, span: tuple[int, int] | None) -> slice | None:
    """Return the rows of the stamps in `span`; None for all of them."""
    if span is None or not _has_flags(opened):
        return None
    hours = _hours(opened, path)
    first, end = np.searchsorted(hours, [span[0], span[1] + 1])
    whole = first == 0 and end == len(hours)
    return None if whole or first == end else slice(int(first), int(end))


def _record(opened: xr.Dataset, path: Path) -> dict[str, tuple[int, int]]:
    """Return pollutant -> first and last stamp at which any station has a usable reading, read from both ends."""
    hours = _hours(opened, path)
    found: dict[str, tuple[int, int]] = {}
    blocks = [slice(b, b + _CHUNK_HOURS) for b in range(0, len(hours), _CHUNK_HOURS)]
    for key in (key for key in SPECIES if key in opened):

        def usable_rows(block: slice, key: str = key) -> np.ndarray:
            part = opened[[key, f"{key}_flag"]].isel(time=block).transpose("time", "station")
            usable = np.isfinite(part[key].values) & np.isin(part[f"{key}_flag"].values, list(USABLE))
            return np.flatnonzero(usable.any(axis=1)) + block.start

        first = next((rows[0] for rows in map(usable_rows, blocks) if rows.size), None)
        if first is not None:
            last = next(rows[-1] for rows in map(usable_rows, blocks[::-1]) if rows.size)
            found[key] = (int(hours[first]), int(hours[last]))
    return found


def _floats(dataset: xr.Dataset, key: str) -> np.ndarray:
    return np.ascontiguousarray(dataset[key].transpose("time", "station").values, dtype=np.float32)


def _places(dataset: xr.Dataset) -> StationPlaces:
    def texts(name: str) -> list[str]:
        return [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in dataset[name].values]

    return StationPlaces(
        ids=texts("station_id" if "station_id" in dataset.variables else "station"),
        lat=dataset["lat"].values.astype(np.float64),
        lon=dataset["lon"].values.astype(np.float64),
        city=texts("city") if "city" in dataset.variables else None,
        name=texts("name") if "name" in dataset.variables else None,
    )


def _report(dataset: xr.Dataset, path: Path) -> QualityReport:
    """Return the report of the first reading, which travels in the file, under the name of this file."""
    text = dataset.attrs.get(_REPORT)
    try:
        report = QualityReport.from_json(text) if isinstance(text, str) else QualityReport()
    except (ValueError, TypeError):
        report = QualityReport(warnings=[f"{path.name}: its attribute {_REPORT} is unreadable"])
    report.source = path.name
    return report
