"""What a chemistry model makes of the region: the same transport, driven by what such a model knows, and wrong.

As a real one, it knows towns and works, the sun and the large weather, and has moods, fires and towns' emissions of its
own, a wind without the eddies, a boundary layer too low, rain too weak, and half of the air that flows in. What comes
out is coarse in space and time.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.grids import Grid
from aqreanalysis.nature.emissions import Emitter, Inflow
from aqreanalysis.nature.random_fields import FloatArray
from aqreanalysis.nature.region import Region, TransportLattice, build_region
from aqreanalysis.nature.simulation import RUN_IN_DAYS, START, World, first_hour, first_weekday, one_thread, simulate
from aqreanalysis.nature.synthetic_weather import Weather, WeatherGenerator

HOURS = 3  # of a mean
CELLS = 4  # of the transport along the side of one of the background: 0.4 degree
# Lattice cells at the border that are left out: the outermost hold inflow alone.
_BORDER = 4
TOWN_ERROR = 0.4  # standard deviation of the logarithm of a town's emissions against the true ones
LAYER_DEPTH = 0.8  # of the boundary layer
RAIN = 0.7
INFLOW = 0.5  # share of the true inflow


class _ModelWeather:
    """The true weather without eddies of the wind, and with too low a boundary layer and too weak a rain."""

    def __init__(self, generator: WeatherGenerator) -> None:
        self._generator = generator

    def at(self, hours: FloatArray) -> Weather:
        """Return the weather at `hours`."""
        weather = self._generator.at(hours)
        return replace(weather, blh=LAYER_DEPTH * weather.blh, rain=RAIN * weather.rain)


class _ModelInflow:
    """The mean of the true inflow and one that has nothing to do with it."""

    def __init__(self, true: Inflow, other: Inflow) -> None:
        self._true, self._other = true, other

    @property
    def cells(self) -> NDArray[np.intp]:
        """Cells at the border."""
        return self._true.cells

    def at(self, hours: FloatArray) -> FloatArray:
        """Return concentrations, shape (hour, border cell, tracer)."""
        return INFLOW * self._true.at(hours) + (1.0 - INFLOW) * self._other.at(hours)


def simulate_background(seed: int, days: int, grid: Grid) -> tuple[dict[str, FloatArray], pd.DatetimeIndex, Grid]:
    """Return the model's pollutants by key, float32 (time, row, column), the ends of its means, and its grid.

    Means of `HOURS` hours on cells of `CELLS` x `CELLS` of the nature run's, in the units of `SPECIES`. The cells reach
    beyond the grid of the nature run, so that every place of it lies between four of them.

    Parameters
    ----------
    seed, days : int
        As of `nature_run`. The truth and the background of a seed have weather and towns in common, and no random draw
        otherwise.
    grid : Grid
        That of the nature run.
    """
    with one_thread():
        region = build_region(seed, grid)
        lattice = region.lattice
        air, _ = simulate(_model_world(seed, region, days), days, lambda values: _inner(lattice, values))
    times = pd.date_range(START, periods=24 * days // HOURS + 1, freq=f"{HOURS}h", unit="ns")[1:]
    lat, lon = (_means(_trimmed(axis), (CELLS,)) for axis in (lattice.lat, lattice.lon))
    coarse = Grid(f"{grid.name}, background", np.round(lat, 10), np.round(lon, 10))
    return {key: _means(values, (HOURS, CELLS, CELLS)) for key, values in air.items()}, times, coarse


def _model_world(seed: int, region: Region, days: int) -> World:
    """Return what the model believes to drive the air of a seed."""
    weather = _ModelWeather(WeatherGenerator(seed, region, first_hour().dayofyear, eddies=False))
    hours = 24 * (days + RUN_IN_DAYS)
    emitter = Emitter(seed, region, hours, first_weekday(), "background activity", TOWN_ERROR)
    inflow = _ModelInflow(Inflow(seed, region), Inflow(seed, region, "background inflow"))
    return World(region, weather, emitter, inflow)


def _trimmed(axis: FloatArray) -> FloatArray:
    """Return an axis of the lattice without the border, a whole number of coarse cells long."""
    return axis[_BORDER : _BORDER + (axis.size - 2 * _BORDER) // CELLS * CELLS]


def _inner(lattice: TransportLattice, values: FloatArray) -> FloatArray:
    """Return values over the lattice (..., cell) as (..., row, column) where the coarse cells lie."""
    rows, columns = (_trimmed(axis).size for axis in (lattice.lat, lattice.lon))
    block = values.reshape(*values.shape[:-1], *lattice.shape)
    return block[..., _BORDER : _BORDER + rows, _BORDER : _BORDER + columns]


def _means(values: FloatArray, sizes: tuple[int, ...]) -> FloatArray:
    """Return the means over blocks of `sizes` along each axis."""
    for axis, size in enumerate(sizes):
        shape = (*values.shape[:axis], values.shape[axis] // size, size, *values.shape[axis + 1 :])
        values = values.reshape(shape).mean(axis=axis + 1, dtype=np.float64)
    return values.astype(np.float32) if len(sizes) > 1 else values
