"""Transport, mixing, washout and chemistry of the tracers: from weather and emissions to hourly means.

Two layers: the boundary layer, well mixed, whose height breathes, and the air above it up to a lid. A growing boundary
layer takes in air from above, a shrinking one leaves air behind; so what a night keeps near the ground a morning
dilutes, and O3 comes down from above when it does.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from aqreanalysis.nature.emissions import TRACERS
from aqreanalysis.nature.random_fields import FloatArray
from aqreanalysis.nature.region import MARGIN, TransportLattice
from aqreanalysis.nature.synthetic_weather import TOP, Weather

STEPS = 3  # of transport in an hour: a plume stays a plume, and a wind of 10 m s-1 crosses two cells a step
_N = len(TRACERS)
PM25, COARSE, SO2, CO, NOX, OX = range(_N)
# Dry deposition, m s-1, and washout, per hour at 1 mm per hour.
_DEPOSITION = np.array([0.0012, 0.005, 0.004, 0.0001, 0.0015, 0.003], np.float32)
_WASHOUT = np.array([0.30, 0.55, 0.25, 0.0, 0.08, 0.0], np.float32)


class InflowSource(Protocol):
    """What gives the air at the border."""

    @property
    def cells(self) -> NDArray[np.intp]:
        """Cells of the lattice that the border holds."""
        ...

    def at(self, hours: FloatArray) -> FloatArray:
        """Return concentrations, shape (hour, border cell, tracer)."""
        ...


class Transport:
    """State of the tracers over the lattice, and its step through an hour."""

    def __init__(self, lattice: TransportLattice, inflow: InflowSource) -> None:
        self._lattice = lattice
        self._inflow = inflow
        cells = lattice.shape[0] * lattice.shape[1]
        # Boundary layer in the first columns, the air above in the others. The run-in replaces these values.
        self._state = np.tile(inflow.at(np.zeros(1))[0].mean(axis=0), (cells, 2)).astype(np.float32)
        self._depth: FloatArray | None = None

    def hour(self, weather: Weather, index: int, emission: FloatArray, border: FloatArray) -> FloatArray:
        """Return the mean of the boundary layer over an hour, shape (cell, tracer), and go on to its end.

        Parameters
        ----------
        weather : Weather
            A stretch of hours in which `index` is this hour.
        emission : ndarray, shape (cell, tracer)
            Units m s-1 times that of the tracer.
        border : ndarray, shape (border cell, tracer)
            Concentrations of the inflow.
        """
        # Single precision, by conversion in this one place: twice as fast, and 1e-7 is far below every other error.
        depth, rain, sun = (a[index].astype(np.float32) for a in (weather.blh, weather.rain, weather.sun))
        carry = departure_matrix(self._lattice, weather.u[index], weather.v[index], 1.0 / STEPS)
        rates = _Rates(depth, rain, sun)
        added = (emission * (3600.0 / STEPS)).astype(np.float32)
        inflow = np.tile(border, 2).astype(np.float32)
        before = depth if self._depth is None else self._depth
        heights = before + (depth - before) * np.linspace(0.0, 1.0, STEPS + 1, dtype=np.float32)[:, None]
        total = np.zeros((len(depth), _N), np.float32)
        for step in range(STEPS):
            self._state = carry @ self._state
            self._state[self._inflow.cells] = inflow
            diurnal_mixing(self._state, heights[step], heights[step + 1])
            self._state[:, :_N] += added / heights[step + 1][:, None]
            rates.apply(self._state)
            total += self._state[:, :_N]
        self._depth = depth
        return total / STEPS


class _Rates:
    """Deposition, washout and chemistry of one step at the weather of one hour."""

    def __init__(self, depth: FloatArray, rain: FloatArray, sun: FloatArray) -> None:
        washout = rain[:, None] ** 0.7 * _WASHOUT
        deposition = 3600.0 * _DEPOSITION / depth[:, None]
        self._kept = np.exp(-np.concatenate([washout + deposition, washout], axis=1) / STEPS)
        self._sulfur = 1 - np.exp(-(0.008 + 0.03 * sun[:, None]) / STEPS)
        self._nitrogen = 1 - np.exp(-(0.025 + 0.13 * sun[:, None]) / STEPS)
        self._light = 10.0 * sun[:, None] / STEPS

    def apply(self, state: FloatArray) -> None:
        """Turn SO2 and NOx into particles and make Ox in sunlight, in both layers at once."""
        state *= self._kept
        pm25, so2, nox, ox = (state[:, tracer::_N] for tracer in (PM25, SO2, NOX, OX))
        sulfur, nitrogen = so2 * self._sulfur, nox * self._nitrogen
        # Ammonium sulfate weighs 2.06 times its SO2; of the nitric acid (a ppb is 2.6 ug m-3) a third stays particle.
        pm25 += 2.06 * sulfur + 1.1 * nitrogen
        # Ox is made where there are light and NOx, and goes back to what the wider region holds within two days.
        ox += self._light * nox / (nox + 6.0) + (0.02 / STEPS) * (42.0 - ox)
        so2 -= sulfur
        nox -= nitrogen


def departure_matrix(lattice: TransportLattice, u: FloatArray, v: FloatArray, hours: float) -> sp.csr_array:
    """Return the sparse matrix that carries a field by one semi-Lagrangian step.

    Each cell takes the value that lies upwind at the beginning of the step, interpolated between four cells. Weights
    are positive and sum to 1: stable at any wind, no value below 0, no new extremes. What bilinear interpolation
    smooths (up to dx**2 / 8 per step, here some 5000 m2 s-1) stands for the mixing by eddies smaller than a cell.

    Parameters
    ----------
    lattice : TransportLattice
    u, v : ndarray, shape (cell,)
        Wind, m s-1.
    hours : float
        Length of the step.
    """
    rows, columns = lattice.shape
    dx, dy = lattice.cell_km
    row, column = np.divmod(np.arange(rows * columns), columns)
    from_row = np.clip(row - 3.6 * v * hours / dy, 0, rows - 1)
    from_column = np.clip(column - 3.6 * u * hours / dx, 0, columns - 1)
    low_row = np.minimum(from_row.astype(np.int64), rows - 2)
    low_column = np.minimum(from_column.astype(np.int64), columns - 2)
    a, b = from_row - low_row, from_column - low_column
    weights = np.stack([(1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b], axis=1)
    corner = low_row * columns + low_column
    places = corner[:, None] + np.array([0, 1, columns, columns + 1])
    starts = np.arange(0, 4 * rows * columns + 1, 4)
    return sp.csr_array(
        (weights.astype(np.float32).ravel(), places.ravel(), starts), shape=(rows * columns, rows * columns)
    )


def diurnal_mixing(state: FloatArray, before: FloatArray, now: FloatArray) -> None:
    """Exchange air between the layers as the boundary layer goes from one height to another (m); keeps the mass.

    Parameters
    ----------
    state : ndarray, shape (cell, 2 * tracer)
        Boundary layer and the air above; changed in place.
    before, now : ndarray, shape (cell,)
        Heights, below `TOP`.
    """
    low, high = state[:, :_N], state[:, _N:]
    # One of the two is 0 in each cell: either air comes down into the layer or is left behind above it.
    down = np.clip(now - before, 0.0, None) / now
    up = np.clip(before - now, 0.0, None) / (TOP - now)
    difference = high - low
    low += down[:, None] * difference
    high -= up[:, None] * difference


def split_oxidants(nox: FloatArray, ox: FloatArray, sun: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return O3 and NO2 (ppb) in photostationary balance: [O3][NO] = Q [NO2], with Q = J / k.

    Q is 20 ppb under a high sun (J about 0.009 s-1, k about 4.5e-4 ppb-1 s-1; Leighton, 1961). At night O3 and NO would
    exclude each other; a cell is not so well mixed, and some ppb of O3 are found beside NO, which 0.6 ppb more in Q do.
    """
    total = nox + ox + 20.0 * sun + 0.6
    no2 = 0.5 * (total - np.sqrt(np.clip(total**2 - 4.0 * nox * ox, 0.0, None)))
    return np.clip(ox - no2, 0.0, None), np.clip(no2, 0.0, None)


def interior(lattice: TransportLattice, values: FloatArray) -> FloatArray:
    """Return values over the lattice (..., cell) as values over the grid (..., row, column), margin cut off."""
    block = values.reshape(*values.shape[:-1], *lattice.shape)
    return block[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
