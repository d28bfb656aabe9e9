"""One set of gridded files on one grid, whatever their format: fields, hours, values at places."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from aqreanalysis.common.cache import BoundedCache
from aqreanalysis.covariates.fields import Field
from aqreanalysis.covariates.interpolation import Floats, HorizontalGrid, Stencil, stencil
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
#: Maps are read in boxes of so many points a side and held by day, in a layer at most so many bytes.
BOX_POINTS = 64
_MAPS_BYTES = 192 << 20
_DAY = 24
_ONE_AT_ONCE = threading.RLock()

Maps = NDArray[np.float32]


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


# What a GRIB header says of a centre, class or stream that it leaves open.
_UNNAMED = ("", "255", "65535")


@dataclass(frozen=True)
class _Box:
    """A day's hours of a square of a grid: `row` and `column` count squares."""

    day: int
    row: int
    column: int


def _rows_of(variable: Variable, day: int) -> slice:
    """Return which of the hours that a field has are of a day since 1970-01-01."""
    first, last = np.searchsorted(variable.hourly_weights.hours, (day * _DAY, (day + 1) * _DAY))
    return slice(int(first), int(last))


def with_hours(variables: dict[str, Variable], product: str, report: CovariatesReport) -> dict[str, Variable]:
    """Return the variables that have any hour, and warn of the others: a field that is never there is none."""
    for key, variable in variables.items():
        if len(variable.time_steps) and not variable.hourly_weights.hours.size:
            report.warnings.append(
                f"{product}: {len(variable.time_steps)} maps of {key} give no hour, so the field is left out"
            )
    return {key: variable for key, variable in variables.items() if variable.hourly_weights.hours.size}


@dataclass
class GriddedSource:
    """Fields that share a grid and a product (ERA5, ERA5-Land, CAMS ...)."""

    product: str
    axes: HorizontalGrid
    variables: dict[str, Variable]
    _stencils: BoundedCache[Stencil] = field(default_factory=lambda: BoundedCache(_STENCIL_BYTES, stale=4), repr=False)
    _held: BoundedCache[Maps] = field(default_factory=lambda: BoundedCache(_MAPS_BYTES, stale=4), repr=False)

    @property
    def resolution(self) -> float:
        """Distance of the rows in degrees; finer layers are asked first."""
        return self.axes.step

    def title(self) -> str:
        """Return product and grid in words."""
        known = [part for part in self.product.split("/") if part not in _UNNAMED]
        return f"{'/'.join(known) or 'a model that is not named'}: {self.axes.describe()}"

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
        # A place after the other, as the stencil multiplies.
        out = np.full((len(lat), len(hours)), np.nan, np.float32).T
        row, there = variable.hourly_weights.rows(hours)
        index = np.flatnonzero(there)
        if not index.size or not places.inside.any():
            return out
        whole = index.size == len(hours) and index.size <= CHUNK_HOURS
        per_hour = 4.0 * max(places.points.size, 1) * 2
        step = int(np.clip(CHUNK_BYTES / per_hour, 1, CHUNK_HOURS))
        for begin in range(0, index.size, step):
            chosen = index[begin : begin + step]
            values = places.apply(self._maps(key, row[chosen], places))
            if whole and step >= index.size:
                return values
            out[chosen] = values
        return out

    def _maps(self, key: str, rows: NDArray[np.intp], places: Stencil) -> NDArray[np.float32]:
        """Return a field at the points of a stencil, converted and checked, float32 (hour, point)."""
        variable = self.variables[key]
        row, column = places.positions
        wide = -(-self.axes.shape[1] // BOX_POINTS)
        numbers, member = np.unique(row // BOX_POINTS * wide + column // BOX_POINTS, return_inverse=True)
        boxes = [divmod(number, wide) for number in numbers.tolist()]
        of_day = variable.hourly_weights.hours[rows] // _DAY
        days = np.unique(of_day).tolist()
        maps = self._boxes(key, [_Box(day, y, x) for day in days for y, x in boxes])
        out = np.empty((len(rows), places.points.size), np.float32)
        for number, (y, x) in enumerate(boxes):
            points = np.flatnonzero(member == number)
            inside = row[points] - y * BOX_POINTS, column[points] - x * BOX_POINTS
            for day in days:
                hours = np.flatnonzero(of_day == day)
                within = rows[hours] - _rows_of(variable, day).start
                out[np.ix_(hours, points)] = maps[key, _Box(day, y, x)][within[:, None], inside[0], inside[1]]
        self._check(variable, out, variable.hourly_weights.weights[rows])
        return np.maximum(out, np.float32(0)) if variable.field.units not in {"m s-1", "K"} else out

    def _boxes(self, key: str, boxes: list[_Box]) -> dict[tuple[str, _Box], Maps]:
        """Return the maps of a field in some boxes, converted, float32 (hour, row, column).

        The tiles of a sweep lie side by side: what one has read the others take from memory.
        """

        def read(missing: list[tuple[str, _Box]]) -> dict[tuple[str, _Box], Maps]:
            return {(key, box): maps for box, maps in self._read(self.variables[key], [box for _, box in missing])}

        with _ONE_AT_ONCE:  # what two threads lack is read by one of them
            return self._held.get_all([(key, box) for box in boxes], read)

    def _read(self, variable: Variable, boxes: list[_Box]) -> Iterator[tuple[_Box, Maps]]:
        """Yield boxes with their maps; those of several days, and side by side, are read in one go."""
        by_place: dict[tuple[int, int], list[int]] = {}
        for box in boxes:
            by_place.setdefault((box.row, box.column), []).append(box.day)
        for (y, x), days in by_place.items():
            spans = [_rows_of(variable, day) for day in days]
            rows = np.concatenate([np.arange(span.start, span.stop) for span in spans])
            within = [
                slice(line * BOX_POINTS, min((line + 1) * BOX_POINTS, size))
                for line, size in zip((y, x), self.axes.shape, strict=True)
            ]
            maps = self._converted(variable, rows, Stencil.of_box(*within))
            height = within[0].stop - within[0].start
            maps = maps.reshape(len(rows), height, -1)
            begin = 0
            for day, span in zip(days, spans, strict=True):
                count = span.stop - span.start
                yield _Box(day, y, x), maps[begin : begin + count].copy()
                begin += count

    def _converted(self, variable: Variable, rows: NDArray[np.intp], places: Stencil) -> NDArray[np.float32]:
        """Return a field at the points of a stencil in its units, float32 (hour, point)."""
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
        return out

    def _check(self, variable: Variable, out: NDArray[np.float32], weights: sp.csr_array) -> None:
        """Refuse values that cannot be; a small negative amount is the rounding of the file's packing."""
        low, high = variable.field.plausible
        if variable.conversion.mixing_ratio:
            low, high = low / 2, high * 2  # air is some 0.5 to 1.5 kg m-3
        with np.errstate(invalid="ignore"):
            wrong = (out < low) | (out > high)
        if not wrong.any():
            return
        hour, point = (int(i[0]) for i in np.nonzero(wrong))
        first, last = weights.indptr[hour], weights.indptr[hour + 1]
        time_steps = weights.indices[first:last]
        time_step = variable.time_steps.iloc[int(time_steps[np.argmax(weights.data[first:last])])]
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
