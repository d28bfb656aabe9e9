"""The loop over the hours: weather, emissions and inflow drive the transport, and its means are pollutants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from aqreanalysis.common.progress import Progress
from aqreanalysis.nature.emissions import CLOCK, TRACERS, Emitter, Inflow
from aqreanalysis.nature.random_fields import FloatArray
from aqreanalysis.nature.region import Region
from aqreanalysis.nature.synthetic_weather import HIGHEST, LOWEST, Weather, WeatherGenerator
from aqreanalysis.nature.transport import InflowSource, Transport, split_oxidants
from aqreanalysis.species import SPECIES

START = "2001-03-01"
RUN_IN_DAYS = 2  # until the air over the region has forgotten the uniform beginning
_PPB_TO_UG = {key: (SPECIES[key].molar_mass or 0.0) / 24.055 for key in ("o3", "no2")}  # at 20 degrees C, 1013.25 hPa
WEATHER = ("u10", "v10", "blh", "t2m", "rain", "sun")


@dataclass(frozen=True)
class Climate:
    """How a region's air differs from that of the plain nature run, each a factor on what that one has.

    Attributes
    ----------
    wind : float
        On the wind at every height.
    mixing : float
        On the height of the boundary layer, which stays within its range.
    emission : float
        On what the region emits, not on the air that flows in.
    season_days : int
        Days of the year later, for sun and warmth; the labels of the hours stay.
    """

    wind: float = 1.0
    mixing: float = 1.0
    emission: float = 1.0
    season_days: int = 0


class _ClimateWeather:
    """The weather of a seed in another climate."""

    def __init__(self, generator: WeatherGenerator, climate: Climate) -> None:
        self._generator, self._climate = generator, climate

    def at(self, hours: FloatArray) -> Weather:
        """Return the weather at `hours`."""
        weather, wind = self._generator.at(hours), self._climate.wind
        blh = np.clip(self._climate.mixing * weather.blh, LOWEST, HIGHEST)
        u, v, u10, v10 = (wind * part for part in (weather.u, weather.v, weather.u10, weather.v10))
        return replace(weather, u=u, v=v, u10=u10, v10=v10, blh=blh)


class _ClimateEmitter(Emitter):
    """What a region emits that emits more, or less, than that of its seed."""

    factor = 1.0

    def at(self, hour: int, t2m: FloatArray, wind10: FloatArray, rain: FloatArray) -> FloatArray:
        """Return the emission of one hour, shape (cell, tracer)."""
        return self.factor * super().at(hour, t2m, wind10, rain)


def one_thread() -> threadpool_limits:
    """Return a context in which the matrix products add up in one order: no run depends on who shares the machine."""
    return threadpool_limits(1, user_api="blas")


class WeatherSource(Protocol):
    """What gives the weather of any hours."""

    def at(self, hours: FloatArray) -> Weather:
        """Return the weather at `hours` since the beginning of the run-in (middle of the averaging hours)."""
        ...


@dataclass(frozen=True)
class World:
    """What drives the transport: the true one of a seed, or one that a model believes in.

    Attributes
    ----------
    region : Region
    weather : WeatherSource
    emitter : Emitter
    inflow : InflowSource
    """

    region: Region
    weather: WeatherSource
    emitter: Emitter
    inflow: InflowSource


def first_hour() -> pd.Timestamp:
    """Return the beginning of the run-in."""
    return pd.Timestamp(START) - pd.Timedelta(days=RUN_IN_DAYS)


def first_weekday() -> int:
    """Return the weekday of hour 0 for the people of the region."""
    return int((first_hour() + pd.Timedelta(hours=CLOCK)).weekday())


def true_world(seed: int, region: Region, days: int, climate: Climate | None = None) -> World:
    """Return what drives the truth of a seed, in its own climate or another."""
    hours, inflow = 24 * (days + RUN_IN_DAYS), Inflow(seed, region)
    if climate is None:
        emitter = Emitter(seed, region, hours, first_weekday())
        return World(region, WeatherGenerator(seed, region, first_hour().dayofyear), emitter, inflow)
    stronger = _ClimateEmitter(seed, region, hours, first_weekday())
    stronger.factor = climate.emission
    generator = WeatherGenerator(seed, region, (first_hour().dayofyear + climate.season_days) % 365)
    return World(region, _ClimateWeather(generator, climate), stronger, inflow)


def simulate(
    world: World, days: int, cut: Callable[[FloatArray], FloatArray], progress: Progress | None = None
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Return hourly means of the six pollutants by key, and the weather by `WEATHER`, float32 (hour, row, column).

    Parameters
    ----------
    world : World
    days : int
        Length after the run-in.
    cut : callable
        Makes (..., row, column) that are wanted of values over the lattice (..., cell).
    progress : callable, optional
        Called with days done, days in all and a note.
    """
    lattice = world.region.lattice
    shape = cut(lattice.flat_lat).shape
    transport = Transport(lattice, world.inflow)
    tracers = np.empty((len(TRACERS), 24 * days, *shape), np.float32)
    fields = {key: np.empty((24 * days, *shape), np.float32) for key in WEATHER}
    for day in range(days + RUN_IN_DAYS):
        hours = 24 * day + np.arange(24)
        weather = world.weather.at(hours + 0.5)
        border = world.inflow.at(hours + 0.5)
        for index, hour in enumerate(hours):
            wind10 = np.hypot(weather.u10[index], weather.v10[index])
            emission = world.emitter.at(int(hour), weather.t2m[index], wind10, weather.rain[index])
            means = transport.hour(weather, index, emission, border[index])
            if day >= RUN_IN_DAYS:
                tracers[:, hour - 24 * RUN_IN_DAYS] = cut(means.T)
        if day >= RUN_IN_DAYS:
            for key, values in fields.items():
                values[hours - 24 * RUN_IN_DAYS] = cut(getattr(weather, key))
        if progress is not None:
            progress(day + 1, days + RUN_IN_DAYS, "synthetic air")
    return _pollutants(tracers, fields["sun"]), fields


def _pollutants(tracers: FloatArray, sun: FloatArray) -> dict[str, FloatArray]:
    """Return the six pollutants in their units, float32 (hour, row, column)."""
    pm25, coarse, so2, co, nox, ox = tracers
    o3, no2 = split_oxidants(nox, ox, sun)
    return {
        "pm25": pm25,
        "pm10": pm25 + coarse,
        "so2": so2,
        "no2": (no2 * _PPB_TO_UG["no2"]).astype(np.float32),
        "o3": (o3 * _PPB_TO_UG["o3"]).astype(np.float32),
        "co": co / np.float32(1000.0),
    }
