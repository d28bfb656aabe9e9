"""A finished cube scored at the stations of any file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from aqreanalysis.common.files import plain
from aqreanalysis.common.geodesy import distance_km
from aqreanalysis.common.hours import hours_since_epoch, stamp_text, step_ends
from aqreanalysis.common.remote import RemotePath, open_dataset, place_of
from aqreanalysis.errors import AqreanalysisError, CubeError, in_one_line, no_cube, wrong_type
from aqreanalysis.evaluation.scores import ENOUGH, Sample, score
from aqreanalysis.evaluation.tables import Table
from aqreanalysis.grids.axes import cells_holding
from aqreanalysis.observations import Observations, read_observations
from aqreanalysis.species import SPECIES, Species

#: Cells times hours read from a cube at once (64 MB): a year of a region does not fit into memory.
_SLAB_VALUES = 16_000_000
#: The layer by which a cube tells how far the nearest station that reported is, alone or after a pollutant's name.
_DISTANCE = "nearest_station_distance"
_SAME_PLACE_KM = 0.1
_HOURS_LOOKED_AT = 48
_SCORES = ("n", "mae", "rmse", "r2", "bias", "coverage", "width")


def compare(
    cube: str | Path | RemotePath | xr.Dataset,
    observations: Observations | str | Path | Sequence[str | Path],
    held_out: bool = False,
) -> dict[str, Any]:
    """Score a cube at stations: each reading beside the estimate of the cell and hour that contain it.

    A cube of daily, monthly or annual means is scored by means of the readings, of the steps in which at least three
    quarters of the hours were read.

    Returns ``species`` (by pollutant: n, mae, rmse, r2, bias, coverage, width, stations and the counts of readings that
    had no estimate), ``stations`` (inside, outside the grid, and of those inside how many fed the cube; None where it
    does not tell), ``hours`` (steps of the cube: common, of_cube, first,
    last, and longest, how many hours the longest has), and ``coverage_probability``.

    Parameters
    ----------
    cube : str, Path or Dataset
        A ``.nc`` file, a ``.zarr`` store, the ``s3://`` or ``https://`` URL of either, or an opened cube.
    observations : Observations, str, Path or sequence of paths
        Readings, or where `read_observations` finds them; best of stations that the cube was not made from.
    held_out : bool
        Score only stations that the cube was not made from, as its layer of the nearest station's distance tells:
        where they read, no station that reported stood as near to their cell as they do.

    Raises
    ------
    CubeError
        If the cube cannot be read, does not tell which hours a step holds, or shares no pollutant, hour or place with
        the observations; with `held_out` if it does not tell which stations fed it, or all of them did.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> observations = aq.read_observations("obs.parquet")
    >>> cube = aq.produce("models/north", observations, "110,35,113,37.5@0.5", "2021-03-03", "2021-03-04", "scored.nc")
    >>> result = aq.compare(cube, observations)
    >>> result["hours"]["common"], result["species"]["pm25"]["units"]
    (24, 'ug m-3')
    """
    with opened_cube(cube) as dataset:
        return _compare(dataset, read_observations(observations), held_out)


def _compare(cube: xr.Dataset, observations: Observations, held_out: bool) -> dict[str, Any]:
    species = _common(cube, observations)
    row, column = (_cell_of(cube, name, getattr(observations, name)) for name in ("lat", "lon"))
    inside = (row >= 0) & (column >= 0)
    if not inside.any():
        lat, lon = cube["lat"].values, cube["lon"].values
        raise CubeError(
            f"none of the {len(inside)} stations stands in the cube, which spans {lat.min():g}..{lat.max():g} N, "
            f"{lon.min():g}..{lon.max():g} E: give observations of that region"
        )
    steps = _common_steps(cube, observations)
    fed = fed_stations(cube, observations, steps, (row, column))
    outside = int((~inside).sum())
    if held_out:
        inside &= ~_known_to_feed(fed, inside)
    result: dict[str, Any] = {
        "stations": {
            "inside": int(inside.sum()),
            "outside_grid": outside,
            "fed_the_cube": None if fed is None else int((fed & inside).sum()),
        },
        "hours": {
            "common": int(steps.index.size),
            "of_cube": int(cube.sizes["time"]),
            "longest": int((steps.last - steps.first).max()) + 1,
            "first": stamp_text(steps.last[0]) + "Z",
            "last": stamp_text(steps.last[-1]) + "Z",
        },
        "coverage_probability": {},
        "species": {},
    }
    for one in species:
        layers = layers_of(cube, one)
        readings = observations.values(one.key)
        within = readings[steps.holds(observations.hours)]
        observed = steps.means(observations, readings[:, inside])
        estimates = {
            name: _at_stations(cube[layer], steps.index, row[inside], column[inside]) for name, layer in layers.items()
        }
        empty = np.full(observed.shape, np.nan, np.float32)
        lower, upper = estimates.get("lower", empty), estimates.get("upper", empty)
        scores = score(Sample(estimates["best"], empty, lower, upper, empty, empty, observed))
        known = np.isfinite(observed)
        result["species"][one.key] = {
            **{k: scores[k] for k in _SCORES},
            "units": one.units,
            "stations": int((known & np.isfinite(estimates["best"])).any(axis=0).sum()),
            "readings": int(np.isfinite(readings).sum()),
            "readings_outside_grid": int(np.isfinite(within[:, ~inside]).sum()),
            "readings_outside_timeline": int(np.isfinite(readings).sum() - np.isfinite(within).sum()),
            "readings_without_estimate": int((known & ~np.isfinite(estimates["best"])).sum()),
        }
        if "lower" in layers:
            result["coverage_probability"][one.key] = interval_probability(cube[layers["lower"]])
    if not any(s["n"] for s in result["species"].values()):
        raise CubeError("no reading of the common hours and places has an estimate in the cube: nothing to compare")
    return dict(plain(result))


def fed_stations(
    cube: xr.Dataset,
    observations: Observations,
    steps: _Steps,
    cells: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
) -> npt.NDArray[np.bool_] | None:
    """Return which stations the cube was made from, as far as it tells (station,); None where it does not.

    A station that reads while no station that reported stands as near to its cell was not known to the run. At most of
    some hours in which it read that must be so: a reading may have been flagged there. Where two stations share a place
    both count as known.
    """
    row, column = cells
    inside = (row >= 0) & (column >= 0)
    known = np.zeros(len(row), bool)
    asked, silent = np.zeros(len(row), int), np.zeros(len(row), int)
    for one in _common(cube, observations):
        names = (f"{one.layer}_{_DISTANCE}", _DISTANCE)
        layer = next((cube[name] for name in names if name in cube.variables), None)
        if layer is None:
            return None
        some = steps.some(_HOURS_LOOKED_AT)
        own = distance_km(observations.lat, observations.lon, cube["lat"].values[row], cube["lon"].values[column])
        read = np.isfinite(some.means(observations, observations.values(one.key)[:, inside]))
        if "time" in layer.dims:
            nearest = _at_stations(layer, some.index, row[inside], column[inside])
        else:
            at = layer.transpose("lat", "lon").values[row[inside], column[inside]]
            nearest = np.broadcast_to(at, (len(some.index), len(at)))
        read &= np.isfinite(nearest)
        asked[inside] += read.sum(axis=0)
        silent[inside] += (read & (nearest > 1.02 * own[inside] + _SAME_PLACE_KM)).sum(axis=0)
    known[inside] = (silent <= asked / 2)[inside]
    return known


def _known_to_feed(fed: npt.NDArray[np.bool_] | None, inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which stations fed the cube, where some did not.

    Raises
    ------
    CubeError
        If the cube does not tell, or all did.
    """
    if fed is None:
        raise CubeError(f"the cube has no layer {_DISTANCE}, by which stations that fed it are told: leave --held-out")
    if fed[inside].all():
        raise CubeError(
            f"all {int(inside.sum())} stations in the grid fed the cube: produce one from records without those that "
            "are to be held out, or give records of others"
        )
    return fed


def comparison_table(result: Mapping[str, Any]) -> Table:
    """Return what `compare` found as a table, with what lay outside below it."""
    header = ["pollutant", "n", "stations", "MAE", "RMSE", "R2", "bias", "coverage", "width"]
    keys = ("mae", "rmse", "r2", "bias", "coverage", "width")
    rows = [
        [
            f"{SPECIES[key].title} ({s['units']})",
            str(s["n"]),
            str(s["stations"]),
            *("-" if s[k] is None else f"{s[k]:.3f}" for k in keys),
        ]
        for key, s in result["species"].items()
    ]
    stations, hours = result["stations"], result["hours"]
    lines = []
    if hours["longest"] == 1:
        lines.append(f"{hours['common']} common hours, {hours['first']} to {hours['last']}")
    else:
        lines.append(
            f"{hours['common']} common steps of up to {hours['longest']} h, {hours['first']} to {hours['last']}, by "
            f"means of the readings where {ENOUGH:.0%} of a step's hours were read"
        )
    lines.append(f"{stations['inside']} stations in the grid, {stations['outside_grid']} outside it")
    for key, s in result["species"].items():
        lines.append(
            f"{key}: of {s['readings']} readings {s['readings_outside_timeline']} lie outside the cube's hours, "
            f"{s['readings_outside_grid']} outside its grid, {s['readings_without_estimate']} where it has no estimate"
        )
    return Table(header, rows, 1, lines)


def feeding_text(result: Mapping[str, Any]) -> str:
    """Return what is to be said of stations that the cube was made from; empty where there are none."""
    stations = result["stations"]
    if not stations["fed_the_cube"]:
        return ""
    return (
        f"{stations['fed_the_cube']} of the {stations['inside']} stations in the grid fed the cube: there it is scored "
        "by the readings that it was made from, which says little of places without a station"
    )


class opened_cube:
    """Context of an opened cube: a path is opened and closed, a Dataset is passed through and left open."""

    def __init__(self, cube: str | Path | RemotePath | xr.Dataset) -> None:
        self._given = cube
        self._own: xr.Dataset | None = None

    def __enter__(self) -> xr.Dataset:
        if isinstance(self._given, xr.Dataset):
            return self._given
        if not isinstance(self._given, str | Path | RemotePath):
            raise wrong_type("cube", self._given, "the path or URL of a cube, or what open_cube returned", CubeError)
        path = place_of(self._given)
        if isinstance(path, Path) and not path.exists():
            raise no_cube(path)
        try:
            if isinstance(path, Path):
                self._own = xr.open_dataset(path, engine="zarr" if path.is_dir() else "netcdf4")
            else:
                self._own = open_dataset(path)
        except AqreanalysisError:
            raise
        except Exception as error:  # each backend has its own ways to fail on a file that is not one
            raise CubeError(f"{path} cannot be read as a cube: {in_one_line(error)}") from None
        return self._own

    def __exit__(self, *_: object) -> None:
        if self._own is not None:
            self._own.close()


def _common(cube: xr.Dataset, observations: Observations) -> list[Species]:
    missing = [d for d in ("time", "lat", "lon") if d not in cube.coords]
    if missing:
        raise CubeError(f"the cube has no coordinate {missing[0]!r}: it is none of this program")
    held = [s for s in SPECIES.values() if s.layer in cube.data_vars]
    common = [s for s in held if s.key in observations.species]
    if not held:
        lacks = ", ".join(map(str, list(cube.data_vars)[:3])) or "nothing"
        raise CubeError(
            f"the cube holds {lacks} and no concentration of a pollutant: readings are compared with concentrations, "
            "not with an index, a maximum or a count"
        )
    if not common:
        raise CubeError(
            f"the cube holds {', '.join(s.key for s in held)} and the observations "
            f"{', '.join(observations.species)}: none is common"
        )
    for one in common:
        units = cube[one.layer].attrs.get("units")
        if units != one.units:
            raise CubeError(f"{one.layer} is in {units!r}, expected {one.units!r}: convert the cube first")
    return common


def layers_of(cube: xr.Dataset, species: Species) -> dict[str, str]:
    """Return the names of those layers of a pollutant that the cube has: ``best``, ``lower``, ``upper``."""
    names = {"best": species.layer, "lower": f"{species.layer}_lower", "upper": f"{species.layer}_upper"}
    return {k: v for k, v in names.items() if v in cube.data_vars}


def interval_probability(lower: xr.DataArray) -> float | None:
    """Return the probability of the interval whose lower bound the layer is, or None where it does not say."""
    value = lower.attrs.get("coverage_probability")
    return None if value is None else float(value)


@dataclass(frozen=True)
class _Steps:
    """Steps of a cube: their positions, and the stamps of the first and last hour of each, hours since 1970."""

    index: npt.NDArray[np.intp]
    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]

    def some(self, count: int) -> _Steps:
        """Return so many of them, evenly spread, or all where there are fewer."""
        chosen = np.unique(np.linspace(0, len(self.index) - 1, min(count, len(self.index))).round().astype(int))
        return _Steps(self.index[chosen], self.first[chosen], self.last[chosen])

    def holds(self, hours: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return which of `hours` (stamps) lie in a step."""
        place = np.searchsorted(self.last, hours)
        return (place < len(self.last)) & (self.first[np.minimum(place, len(self.last) - 1)] <= hours)

    def means(self, observations: Observations, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return readings (time, station) as means of steps; NaN where fewer than `ENOUGH` of the hours were read."""
        means = np.full((len(self.index), values.shape[1]), np.nan, np.float32)
        for i, (first, last) in enumerate(zip(self.first, self.last, strict=True)):
            part = values[max(first - observations.first_hour, 0) : last + 1 - observations.first_hour]
            known = np.isfinite(part).sum(axis=0)
            enough = known >= ENOUGH * (last + 1 - first)
            means[i, enough] = np.nansum(part[:, enough], axis=0, dtype=np.float64) / known[enough]
        return means


def _common_steps(cube: xr.Dataset, observations: Observations) -> _Steps:
    """Return the steps of the cube in which an hour of the observations lies."""
    times = pd.DatetimeIndex(cube["time"].values)
    last = hours_since_epoch(pd.DatetimeIndex(step_ends(cube)))
    if "time_bnds" in cube.variables:
        bounds = np.asarray(cube["time_bnds"].values).astype("datetime64[h]").astype(np.int64)
        first, last = bounds[:, 0] + 1, bounds[:, 1]
    elif len(times) > 1 and times[1] - times[0] != pd.Timedelta(hours=1):
        raise CubeError(
            f"the cube's step is {times[1] - times[0]} and it has no time_bnds, which would tell what hours a step "
            "holds: compare a cube that 'aqreanalysis produce' or 'aqreanalysis export netcdf' wrote"
        )
    else:
        first = last
    common = np.flatnonzero((last >= observations.hours[0]) & (first <= observations.hours[-1]))
    if not common.size:
        raise CubeError(
            f"the cube runs from {times[0]} to {times[-1]} and the observations from {observations.times[0]} to "
            f"{observations.times[-1]}: no hour is common"
        )
    return _Steps(common, first[common], last[common])


def _cell_of(cube: xr.Dataset, name: str, places: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the index of the cell that contains each place along `name`, shape (station,); -1 outside the grid."""
    centres = np.asarray(cube[name].values, np.float64)
    bounds = f"{name}_bnds"
    if bounds in cube.variables:
        edges = np.sort(np.asarray(cube[bounds].values, np.float64), axis=1)
    else:
        half = (np.abs(np.diff(centres)).mean() if centres.size > 1 else 0.1) / 2
        edges = np.column_stack([centres - half, centres + half])
    return cells_holding(places, edges, around=name == "lon").astype(np.int64)


def _at_stations(
    layer: xr.DataArray,
    hours: npt.NDArray[np.intp],
    row: npt.NDArray[np.int64],
    column: npt.NDArray[np.int64],
) -> npt.NDArray[np.float32]:
    """Return the layer at the stations' cells, shape (hour, station), read slab by slab."""
    box = layer.isel(
        lat=slice(int(row.min()), int(row.max()) + 1), lon=slice(int(column.min()), int(column.max()) + 1)
    ).transpose("time", "lat", "lon")
    step = max(1, _SLAB_VALUES // (box.sizes["lat"] * box.sizes["lon"]))
    parts = []
    for start in range(0, len(hours), step):
        slab = np.asarray(box.isel(time=hours[start : start + step]).values)
        parts.append(slab[:, row - row.min(), column - column.min()])
    return np.concatenate(parts).astype(np.float32)
