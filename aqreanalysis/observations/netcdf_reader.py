"""A NetCDF of station records -> `Observations`, in memory or, of a long record, left in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from aqreanalysis.common.hours import TIME_UNITS, times_from_hours
from aqreanalysis.configs import QualityConfig
from aqreanalysis.errors import ObservationsError, OutputError, in_one_line
from aqreanalysis.observations import backing
from aqreanalysis.observations.backing import FileBacking, count_values, keys_in
from aqreanalysis.observations.dataset import Observations
from aqreanalysis.observations.digest import mask_unusable
from aqreanalysis.observations.netcdf_writer import CHUNK_HOURS, DIGEST, REPORT, TITLE
from aqreanalysis.observations.places import LABELS, StationPlaces
from aqreanalysis.observations.quality import Screening
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.observations.schema import KEPT_ATTRIBUTES, check_hours, station_dataset, validated
from aqreanalysis.species import SPECIES

_AS_STORED: Any = {"engine": "netcdf4", "decode_times": False, "decode_coords": False}
_FARTHEST_HOUR = 2e6  # some 228 years; a damaged stamp beyond it would overflow nanoseconds


def read_netcdf(path: Path, quality: QualityConfig | None = None, span: tuple[int, int] | None = None) -> Observations:
    """Return the observations in a file that `write_netcdf` wrote; a file without flags passes quality control first.

    Of a long record (`backing.READINGS_IN_MEMORY`) the readings stay in the file, see `backing`.

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
        with xr.open_dataset(path, **_AS_STORED) as opened:
            _check_shape(opened, path)
            rows = _rows(opened, path, span)
            full_span = _full_span(opened, path) if rows is not None else None
            if _stays_in_file(opened, rows):
                return _left_in_file(path, rows or slice(0, opened.sizes["time"]), full_span)
            dataset = (opened if rows is None else opened.isel(time=rows)).load()
    except (ObservationsError, OutputError):
        raise
    except Exception as error:  # a damaged file makes netCDF4 and xarray raise almost anything
        raise ObservationsError(
            f"{path} is no readable NetCDF file ({in_one_line(error, 120)}): is it truncated?"
        ) from None
    report = _report(dataset, path)
    keys = list(keys_in(dataset))
    places = _places(dataset)
    times = times_from_hours(_hours(dataset, path))
    attributes = _attributes(dataset)
    if not _has_flags(dataset):
        values = {key: _floats(dataset, key) for key in keys}
        return Observations.from_arrays(times, places, values, attributes, report, Screening(quality))
    observations = Observations(_as_dataset(dataset, keys, times, places), report)
    _compare_digest(observations, dataset, path, full_span)
    return observations


def _has_flags(dataset: xr.Dataset) -> bool:
    return all(f"{key}_flag" in dataset for key in keys_in(dataset))


def _stays_in_file(opened: xr.Dataset, rows: slice | None) -> bool:
    """Return whether the readings are too many for memory, and can be read in blocks: flagged, stations in order."""
    ids = _places(opened).ids
    return _has_flags(opened) and ids == sorted(ids) and count_values(opened, rows) > backing.READINGS_IN_MEMORY


def _left_in_file(path: Path, rows: slice, full_span: dict[str, tuple[int, int]] | None) -> Observations:
    """Return the rows of a long file as observations that stay in it."""
    opened = xr.open_dataset(path, **_AS_STORED)  # for as long as these observations are there
    keys, places = list(keys_in(opened)), _places(opened)
    times = times_from_hours(_hours(opened, path)[rows])
    check_hours(times)
    sample = opened.isel(time=slice(rows.start, rows.start + 1)).load()
    # Everything but the readings is checked on the first hour.
    checked = validated(_as_dataset(sample, keys, times[:1], places))
    axes = checked.drop_dims("time").assign_coords(time=times.as_unit("ns"))
    observations = Observations.from_file(FileBacking(path, opened, rows.start, rows.stop), axes, _report(opened, path))
    _compare_digest(observations, opened, path, full_span)
    return observations


def _attributes(dataset: xr.Dataset) -> dict[str, Any]:
    """Return the attributes of the source that the file keeps."""
    attributes = {name: dataset.attrs[name] for name in KEPT_ATTRIBUTES if name in dataset.attrs}
    return {name: value for name, value in attributes.items() if (name, value) != ("title", TITLE)}


def _compare_digest(
    observations: Observations, dataset: xr.Dataset, path: Path, full_span: dict[str, tuple[int, int]] | None
) -> None:
    """Warn if the file was changed since it was written; of a part of it keep how far the whole reaches instead."""
    if full_span is not None:
        observations.full_span = full_span  # the digest on record is that of the whole, which was not read
        return
    written = dataset.attrs.get(DIGEST)
    if written is not None and written != observations.digest():
        observations.report.warnings.append(
            f"{path.name} was changed after this program wrote it: its digest is {observations.digest()[:12]} and its "
            f"attribute {DIGEST} says {str(written)[:12]}"
        )


def _as_dataset(dataset: xr.Dataset, keys: list[str], times: pd.DatetimeIndex, places: StationPlaces) -> xr.Dataset:
    """Return the readings, flags and attributes of a file as `Observations` has them."""
    values = {key: _floats(dataset, key) for key in keys}
    flags = {key: np.ascontiguousarray(dataset[f"{key}_flag"].transpose("time", "station").values) for key in keys}
    return station_dataset(times, places, values, flags, _attributes(dataset))


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
    if units != TIME_UNITS or not np.issubdtype(hours.dtype, np.number):
        raise ObservationsError(f"{path}: time has units {units!r}: write {TIME_UNITS!r}")
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


def _full_span(opened: xr.Dataset, path: Path) -> dict[str, tuple[int, int]]:
    """Return pollutant -> first and last stamp at which any station has a usable reading, read from both ends."""
    hours = _hours(opened, path)
    spans: dict[str, tuple[int, int]] = {}
    blocks = [slice(b, b + CHUNK_HOURS) for b in range(0, len(hours), CHUNK_HOURS)]
    for key in keys_in(opened):

        def usable_rows(block: slice, key: str = key) -> np.ndarray:
            part = opened[[key, f"{key}_flag"]].isel(time=block).transpose("time", "station")
            usable = mask_unusable(part[key].values, part[f"{key}_flag"].values)
            return np.flatnonzero(np.isfinite(usable).any(axis=1)) + block.start

        first = next((rows[0] for rows in map(usable_rows, blocks) if rows.size), None)
        if first is not None:
            last = next(rows[-1] for rows in map(usable_rows, blocks[::-1]) if rows.size)
            spans[key] = (int(hours[first]), int(hours[last]))
    return spans


def _floats(dataset: xr.Dataset, key: str) -> np.ndarray:
    return np.ascontiguousarray(dataset[key].transpose("time", "station").values, dtype=np.float32)


def _places(dataset: xr.Dataset) -> StationPlaces:
    def texts(name: str) -> list[str]:
        return [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in dataset[name].values]

    return StationPlaces(
        ids=texts("station_id" if "station_id" in dataset.variables else "station"),
        lat=dataset["lat"].values.astype(np.float64),
        lon=dataset["lon"].values.astype(np.float64),
        **{label: texts(label) for label in LABELS if label in dataset.variables},
    )


def _report(dataset: xr.Dataset, path: Path) -> QualityReport:
    """Return the report of the first reading, which travels in the file, under the name of this file."""
    text = dataset.attrs.get(REPORT)
    try:
        report = QualityReport.from_json(text) if isinstance(text, str) else QualityReport()
    except (ValueError, TypeError):
        report = QualityReport(warnings=[f"{path.name}: its attribute {REPORT} is unreadable"])
    report.source = path.name
    return report
