"""Regular axes: from ends and a step, or recognised in the numbers of a file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aqreanalysis.errors import GridError

FloatArray = NDArray[np.float64]

# A file's coordinates may leave the regular line by this share of a step. Rounded printouts stay below it; a Gaussian
# latitude axis, the usual irregular one, leaves it at once.
IRREGULAR = 1e-3
DECIMALS = 10
# Places that are held against all cells at a time: memory.
_AT_ONCE = 4096


def regular_axis(start: float, step: float, size: int) -> FloatArray:
    """Return `size` centres ``round(start + i * step, 10)`` as float64."""
    return np.round(start + np.arange(size, dtype=np.float64) * step, DECIMALS)


def cells_between(first: float, last: float, step: float, what: str) -> int:
    """Return the number of centres from `first` to `last`, both included.

    Parameters
    ----------
    first, last : float
        Outermost cell centres in degrees.
    step : float
        Distance of the centres in degrees.
    what : str
        Grid and ends for a message, for example ``"grid mine: W..E"``.

    Raises
    ------
    GridError
        If the step is not positive, the ends are in the wrong order, or the step does not divide their distance.
        Ends that are equal are one cell.
    """
    extent = last - first
    if not (np.isfinite(step) and step > 0):
        raise GridError(f"{what}: step {step:g} must be a positive number of degrees")
    if extent == 0:
        return 1
    if not extent > 0:
        raise GridError(
            f"{what} {first:g}..{last:g}: the second must be larger than the first{_crossing(first, last, what)}"
        )
    steps = extent / step
    whole = round(steps)
    if whole < 1:
        raise GridError(f"{what} {first:g}..{last:g} at a step of {step:g}: one cell only; take a smaller step")
    # 1e-6 of a step leaves room for 0.3333333 written for a third, and none for a real mistake.
    if abs(steps - whole) > 1e-6 * max(1, whole):
        below, above = first + np.floor(steps) * step, first + np.ceil(steps) * step
        nearest = " or ".join(f"{first:g}..{round(end, 6):.10g}" for end in (below, above) if end > first)
        raise GridError(
            f"{what} {first:g}..{last:g} is not divided by the step {step:g} ({steps:.4g} steps between the centres of "
            f"the outermost cells): {nearest} would do"
        )
    return whole + 1


def _crossing(first: float, last: float, what: str) -> str:
    if not (what.endswith("W..E") and first > 0 > last):
        return ""
    return f" (a grid across the antimeridian is written with E past 180, here {last + 360:g})"


def recognise_axis(values: ArrayLike, what: str, spacing: tuple[float, float] | None = None) -> tuple[FloatArray, bool]:
    """Return the regular float64 axis that `values` mean, ascending, and whether they were descending.

    Coordinates stored as float32, or printed with few digits, are put back on the regular line that they came from.

    Parameters
    ----------
    values : array_like
        Coordinates of one axis in degrees, at least two where no `spacing` is given.
    what : str
        Where they come from, for the message.
    spacing : tuple of float, optional
        Height and width of a cell, by which one alone is an axis.

    Raises
    ------
    GridError
        If they are not one-dimensional, not finite, too few or not regular.
    """
    axis = np.asarray(values, dtype=np.float64)
    if axis.ndim != 1:
        raise GridError(f"{what}: {axis.ndim}-dimensional coordinates; only regular latitude/longitude grids are read")
    if axis.size == 0:
        raise GridError(f"{what}: no cell; a grid needs at least one along each axis")
    if not np.isfinite(axis).all():
        raise GridError(f"{what}: {int((~np.isfinite(axis)).sum())} coordinates are not finite numbers")
    if axis.size == 1:
        if spacing is None or not (np.isfinite(spacing).all() and min(spacing) > 0):
            raise GridError(f"{what}: one cell, whose size is not known; write the grid as W,S,E,N@step")
        return np.round(axis, DECIMALS), False
    descending = bool(axis[-1] < axis[0])
    axis = axis[::-1] if descending else axis
    step = (axis[-1] - axis[0]) / (axis.size - 1)
    off = np.abs(axis - (axis[0] + np.arange(axis.size) * step))
    single_precision = 2 * float(np.spacing(np.float32(np.abs(axis).max())))
    if step <= 0 or off.max() > max(IRREGULAR * step, single_precision) or off.max() > 0.1 * step:
        worst = int(off.argmax())
        raise GridError(
            f"{what}: not regular, {axis[worst]:.8g} lies {off[worst]:.3g} degrees off a step of {step:.6g}; "
            "interpolate it to a regular latitude/longitude grid first (cdo remapbil)"
        )
    start, step = _tidy(axis, step, single_precision)
    return regular_axis(start, step, axis.size), descending


def _tidy(axis: FloatArray, step: float, room: float) -> tuple[float, float]:
    """Return start and step without the noise of single precision, `room`, or as they are if that was not used."""
    index = np.arange(axis.size)
    if not np.array_equal(axis, axis.astype(np.float32)):
        return float(axis[0]), float(step)
    steps: Sequence[float] = [1 / round(1 / step)] if step < 1 else []
    for candidate in [*steps, *(round(step, digits) for digits in range(9))]:
        for digits in range(9):
            start = round(float(axis[0]), digits)
            if candidate > 0 and np.abs(axis - (start + index * candidate)).max() <= room:
                return start, candidate
    return float(axis[0]), float(step)


def cells_holding(places: FloatArray, edges: FloatArray, around: bool = False) -> NDArray[np.intp]:
    """Return the index of the cell that each place lies in, of several the first; -1 where it lies in none, (place,).

    Parameters
    ----------
    places : float64 (place,)
        Degrees along the axis.
    edges : float64 (cell, 2)
        Lower and upper edge of each cell.
    around : bool
        Of longitudes: places are also looked for a turn farther east and west, as a grid across the antimeridian goes
        on past 180.
    """
    cells = np.full(places.shape, -1, dtype=np.intp)
    for moved in (places, places + 360.0, places - 360.0) if around else (places,):
        for begin in range(0, places.size, _AT_ONCE):
            part = slice(begin, begin + _AT_ONCE)
            inside = (moved[part, None] >= edges[None, :, 0]) & (moved[part, None] <= edges[None, :, 1])
            hit = np.where(inside.any(axis=1), inside.argmax(axis=1), -1)
            cells[part] = np.where(cells[part] < 0, hit, cells[part])
    return cells
