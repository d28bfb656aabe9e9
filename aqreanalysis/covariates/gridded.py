"""One set of gridded files on one grid, whatever their format: fields, hours, values at places."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.common.cache import BoundedCache
from aqreanalysis.covariates.fields import Field
from aqreanalysis.covariates.interpolation import Axes, Floats, Stencil, stencil
from aqreanalysis.covariates.report import CovariatesReport
from aqreanalysis.covariates.temporal_recipes import HourlyWeights
from aqreanalysis.covariates.units import Conversion
from aqreanalysis.errors import CovariatesError

#: Hours that are read and interpolated at once: a bound on memory, and a week of maps costs no more calls than a day.
CHUNK_HOURS = 168
#: Bytes of maps that are held at once while a chunk is read; the chunk is shortened where they would take more.
CHUNK_BYTES = 400e6
#: Bytes of stencils that a layer holds; one of a tile of 64 x 64 cells takes some 0.3 MB.
_STENCIL_BYTES = 128 << 20


class MapReader(Protocol):
    """Where time steps are read: the values of some time steps at the points of a box."""

    def read(self, time_steps: pd.DataFrame, stencil: Stencil, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return raw values, float32 (time step, point), NaN where missing."""
        ...

    def name(self, time_step: pd.Series) -> str:
        """Return file and message (or variable and time) of a time step, for messages."""
        ...


@dataclass
class Variable:
    """One field of a layer: its time steps, how hours and units are made of them, and where they are read."""

    field: Field
    time_steps: pd.DataFrame
    hourly_weights: HourlyWeights
    conversion: Conversion
    maps: MapReader
    note: str = ""


def with_hours(variables: dict[str, Variable], product: str, report: CovariatesReport) -> dict[str, Variable]:
    """Return the variables that have any hour, and warn of the others: a field that is never there is none."""
    for key, variable in variables.items():
        if not variable.hourly_weights.hours.size:
            report.warnings.append(
                f"{product}: {len(variable.time_steps)} maps of {key} give no hour, so the field is left out"
            )
    return {key: variable for key, variable in variables.items() if variable.hourly_weights.hours.size}


@dataclass
class GriddedSource:
    """Fields that share a grid and a product (ERA5, ERA5-Land, CAMS ...)."""

    product: str
    axes: Axes
    variables: dict[str, Variable]
    _stencils: BoundedCache[Stencil] = field(default_factory=lambda: BoundedCache(_STENCIL_BYTES, stale=4), repr=False)

    @property
    def resolution(self) -> float:
        """Distance of the rows in degrees; finer layers are asked first."""
        return self.axes.step

    def title(self) -> str:
        """Return product and grid in words."""
        return f"{self.product}: {self.axes.describe()}"

    def hours(self, key: str) -> NDArray[np.int64]:
        """Return the hours that a field has."""
        return self.variables[key].hourly_weights.hours

    def values(self, key: str, lat: Floats, lon: Floats, hours: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return a field in its units (a mixing ratio still times 1e9), float32 (hour, place), NaN where there is none.

        Raises
        ------
        CovariatesError
            If a map cannot be read or holds values that cannot be.
        """
        variable = self.variables[key]
        places = self._stencil(lat, lon)
        out = np.full((len(hours), len(lat)), np.nan, np.float32)
        row, there = variable.hourly_weights.rows(hours)
        index = np.flatnonzero(there)
        if not index.size or not places.inside.any():
            return out
        per_hour = 4.0 * max(places.points.size, 1) * 2
        step = int(np.clip(CHUNK_BYTES / per_hour, 1, CHUNK_HOURS))
        for begin in range(0, index.size, step):
            chosen = index[begin : begin + step]
            out[chosen] = places.apply(self._maps(variable, row[chosen], places))
        return out

    def _maps(self, variable: Variable, rows: NDArray[np.intp], places: Stencil) -> NDArray[np.float32]:
        """Return a field at the points of a stencil, converted and checked, float32 (hour, point)."""
        weights = variable.hourly_weights.weights[rows]
        needed = np.unique(weights.indices)
        time_steps = variable.time_steps.iloc[needed].sort_values(["file", "where"])
        raw = variable.maps.read(time_steps, places, self.axes.shape)
        order = np.empty(len(variable.time_steps), np.int64)
        order[time_steps.index.to_numpy()] = np.arange(len(time_steps))
        columns = order[weights.indices]
        out = np.empty((len(rows), raw.shape[1]), np.float32)
        for hour in range(len(rows)):
            span = slice(weights.indptr[hour], weights.indptr[hour + 1])
            out[hour] = np.tensordot(weights.data[span], raw[columns[span]].astype(np.float64), axes=1)
        out *= np.float32(variable.conversion.factor)
        out += np.float32(variable.conversion.offset)
        self._check(variable, out, weights, raw)
        return np.maximum(out, np.float32(0)) if variable.field.units not in {"m s-1", "K"} else out

    def _check(self, variable: Variable, out: NDArray[np.float32], weights: object, raw: object) -> None:
        """Refuse values that cannot be; a small negative amount is the rounding of the file's packing."""
        low, high = variable.field.plausible
        if variable.conversion.mixing_ratio:
            low, high = low / 2, high * 2  # air is some 0.5 to 1.5 kg m-3
        with np.errstate(invalid="ignore"):
            wrong = (out < low) | (out > high)
        if not wrong.any():
            return
        hour, point = (int(i[0]) for i in np.nonzero(wrong))
        first, last = weights.indptr[hour], weights.indptr[hour + 1]  # type: ignore[attr-defined]
        time_steps = weights.indices[first:last]  # type: ignore[attr-defined]
        time_step = variable.time_steps.iloc[int(time_steps[np.argmax(weights.data[first:last])])]  # type: ignore[attr-defined]
        hint = (
            "it is broken up as a sum from the start of its run and falls from one step to the next: "
            "set covariates.accumulation=hourly if each map holds one hour"
            if len(time_steps) > 1 and variable.field.accumulated and out[hour, point] < low
            else "the units or the values of the file are wrong"
        )
        raise CovariatesError(
            f"{variable.maps.name(time_step)}: {variable.field.key} is {out[hour, point]:g} {variable.field.units}, "
            f"outside {low:g} to {high:g}; {hint}"
        )

    def _stencil(self, lat: Floats, lon: Floats) -> Stencil:
        """Return the stencil of places, made once for each set of them."""
        key = hashlib.sha256(lat.tobytes() + b"|" + lon.tobytes()).hexdigest()
        return self._stencils.get(key, lambda: stencil(self.axes, lat, lon))
