"""The rules of `Observations`, checked where one is built; names and attributes are set on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from aqreanalysis.common.hours import hours_since_epoch
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.flags import FLAG_MEANINGS, Flag
from aqreanalysis.observations.places import LABELS, StationPlaces, check_range
from aqreanalysis.species import SPECIES

# Attributes of the source that every file made from it keeps; `synthetic` marks the nature run.
KEPT_ATTRIBUTES = ("title", "source", "synthetic", "comment", "institution", "references", "license")


def validated(dataset: xr.Dataset) -> xr.Dataset:
    """Return the dataset with stations sorted and attributes set.

    Raises
    ------
    ObservationsError
        A rule of `Observations` is broken.
    """
    for name in ("time", "station", "lat", "lon"):
        if name not in dataset.variables:
            raise ObservationsError(f"the dataset has no {name!r}: Observations need time, station, lat and lon")
    keys = [key for key in SPECIES if key in dataset.data_vars]
    if not keys:
        raise ObservationsError(f"the dataset holds no known pollutant: name a variable one of {', '.join(SPECIES)}")
    ids = np.array([str(s) for s in dataset["station"].values], dtype=object)
    if len(set(ids)) != len(ids):
        twice = next(s for s in ids if (ids == s).sum() > 1)
        raise ObservationsError(f"station {twice!r} is there twice: station ids must differ")
    if len(ids) == 0 or dataset.sizes.get("time", 0) == 0:
        raise ObservationsError("the dataset is empty: at least one station and one hour are needed")
    places = pd.DataFrame({"station": ids, "lat": dataset["lat"].values, "lon": dataset["lon"].values})
    check_range(places, "observations")
    if (places["lon"] > 180).any():
        row = places[places["lon"] > 180].iloc[0]
        raise ObservationsError(f"station {row['station']!r} has longitude {row['lon']:g}: write it in -180..180")
    check_hours(pd.DatetimeIndex(dataset["time"].values))
    for key in keys:
        _check_variable(dataset, key)
    unsorted = not bool(np.all(ids[:-1] < ids[1:]))
    out = dataset.assign_coords(station=("station", ids))
    out = out.isel(station=np.argsort(ids, kind="stable")) if unsorted else out
    return described(out[[*keys, *(f"{key}_flag" for key in keys)]], keys)


def station_dataset(
    times: pd.DatetimeIndex,
    places: StationPlaces,
    values: Mapping[str, NDArray[np.float32]],
    flags: Mapping[str, NDArray[np.int8]],
    attributes: Mapping[str, object],
) -> xr.Dataset:
    """Return readings and flags, (time, station) a pollutant, as the dataset of `Observations`, not validated yet."""
    coords: dict[str, Any] = {
        "time": pd.DatetimeIndex(times).as_unit("ns"),
        "station": ("station", np.array(places.ids, dtype=object)),
        "lat": ("station", places.lat.astype(np.float64)),
        "lon": ("station", places.lon.astype(np.float64)),
    }
    for label in LABELS:
        if (texts := getattr(places, label)) is not None:
            coords[label] = ("station", np.array(texts, dtype=object))
    variables: dict[str, Any] = {}
    for key in values:
        variables[key] = (("time", "station"), values[key])
        variables[f"{key}_flag"] = (("time", "station"), flags[key])
    attrs = {name: attributes[name] for name in KEPT_ATTRIBUTES if name in attributes}
    return xr.Dataset(variables, coords, attrs=attrs)


def check_hours(times: pd.DatetimeIndex) -> None:
    """Refuse a timeline that is not every hour once.

    Raises
    ------
    ObservationsError
        It is not; the message names the step.
    """
    hours = hours_since_epoch(times)
    steps = np.diff(hours)
    if (steps != 1).any():
        at = int(np.argmax(steps != 1))
        raise ObservationsError(
            f"the timeline goes from {times[at]} to {times[at + 1]}: it must hold every hour once, in order; "
            "keep missing hours as NaN"
        )


def _check_variable(dataset: xr.Dataset, key: str) -> None:
    flag = f"{key}_flag"
    if flag not in dataset.data_vars:
        raise ObservationsError(f"{key} has no {flag}: build observations with from_frame or Observations.from_arrays")
    for name, dtype in ((key, np.float32), (flag, np.int8)):
        variable = dataset[name]
        if variable.dims != ("time", "station") or variable.dtype != dtype:
            raise ObservationsError(
                f"{name} is {variable.dtype} {variable.dims}: it must be {np.dtype(dtype)} ('time', 'station')"
            )


def check_readings(key: str, readings: NDArray[np.float32], flags: NDArray[np.int8]) -> None:
    """Refuse a flag that is none, and a reading that is not there and flagged good.

    Raises
    ------
    ObservationsError
        One of the two.
    """
    if flags.min() < min(Flag) or flags.max() > max(Flag):
        raise ObservationsError(
            f"{key}_flag holds values outside {min(Flag):d}..{max(Flag):d}, which are {FLAG_MEANINGS}"
        )
    if (np.isnan(readings) & (flags == Flag.GOOD)).any():
        raise ObservationsError(f"{key} is NaN where {key}_flag says good: flag it as missing ({Flag.MISSING:d})")


def described(dataset: xr.Dataset, keys: Sequence[str]) -> xr.Dataset:
    """Return the dataset with the attributes of its readings and flags set."""
    for key in keys:
        species = SPECIES[key]
        dataset[key].attrs = {
            "standard_name": species.standard_name,
            "long_name": f"{species.title} mass concentration",
            "units": species.units,
            "cell_methods": "time: mean",
            "ancillary_variables": f"{key}_flag",
        }
        dataset[f"{key}_flag"].attrs = {
            "standard_name": "quality_flag",
            "long_name": f"quality flag of {species.title}",
            "flag_values": np.array(list(Flag), dtype=np.int8),
            "flag_meanings": FLAG_MEANINGS,
        }
    return dataset
