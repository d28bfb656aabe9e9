"""Weather of the nature run: a wind that turns, a boundary layer that breathes, sun, clouds, rain, temperature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aqreanalysis.nature.random_fields import FloatArray, RandomField, stream
from aqreanalysis.nature.region import Region

# Convective part of the boundary layer over the local solar day: up with the heating, down at sunset.
_SOLAR_HOURS = np.array([0.0, 6.5, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0, 24.0])
_CONVECTION = np.array([0.0, 0.0, 0.10, 0.45, 0.80, 1.00, 0.95, 0.40, 0.05, 0.0])
TOP = 2500.0  # m; the lid of the whole model
LOWEST, HIGHEST = 140.0, 2300.0  # m; range of the boundary layer


@dataclass(frozen=True)
class Weather:
    """A stretch of hours over the lattice; every array has the shape (hour, cell).

    Attributes
    ----------
    u, v : m s-1, mean wind of the mixed layer, which carries the tracers
    u10, v10 : m s-1, wind at 10 m: weaker, and more so at night
    blh : m, height of the boundary layer
    sun : sine of the sun's elevation behind the clouds, 0 at night
    rain : mm in the hour
    t2m : K
    """

    u: FloatArray
    v: FloatArray
    u10: FloatArray
    v10: FloatArray
    blh: FloatArray
    sun: FloatArray
    rain: FloatArray
    t2m: FloatArray


class WeatherGenerator:
    """The weather of a seed, at any hour asked for.

    Parameters
    ----------
    seed : int
    region : Region
    first_day_of_year : float
        Day of the year at hour 0 (UTC), for the sun.
    eddies : bool
        Whether the wind has eddies in its flow; without them all other draws are the same.
    """

    def __init__(self, seed: int, region: Region, first_day_of_year: float, eddies: bool = True) -> None:
        rng = stream(seed, "weather")
        self._region = region
        self._first = first_day_of_year
        cells, middle = region.lattice.flat_km, (np.zeros(1), np.zeros(1))
        # The wind is a flow over the whole region that turns within days, and eddies without divergence in it.
        self._flow = [RandomField(rng, middle, 1.0, 30.0) for _ in range(2)]
        self._eddies = [(RandomField(rng, cells, 140.0, 24.0), 1.4), (RandomField(rng, cells, 50.0, 10.0), 0.5)]
        if not eddies:
            self._eddies = []
        self._cloud = RandomField(rng, cells, 120.0, 10.0)
        self._rain = RandomField(rng, cells, 45.0, 4.0)
        self._depth = RandomField(rng, cells, 300.0, 60.0)
        self._warm = RandomField(rng, cells, 400.0, 72.0)

    def at(self, hours: FloatArray) -> Weather:
        """Return the weather at `hours` since hour 0 (middle of the averaging hours)."""
        u, v = self._wind(hours)
        overcast = 0.5 * (1 + np.tanh(0.9 * self._cloud.at(hours)))
        solar = (hours[:, None] + self._region.lattice.flat_lon / 15.0) % 24.0
        sun = self._sine_of_elevation(hours, solar) * (1.0 - 0.75 * overcast)
        convection = np.interp(solar, _SOLAR_HOURS, _CONVECTION)
        depth = np.exp(0.45 * self._depth.at(hours)) * (1.0 + 0.25 * self._region.basin)
        speed = np.hypot(u, v)
        blh = depth * (70.0 + 40.0 * speed + convection * (1700.0 - 1000.0 * overcast))
        blh = np.maximum(LOWEST, HIGHEST * np.tanh(blh / HIGHEST))
        near_ground = 0.5 + 0.25 * convection
        # Showers need clouds; the threshold leaves about one hour in fifteen wet.
        wet = np.clip(self._rain.at(hours) + 1.6 * overcast - 2.1, 0.0, None)
        t2m = 280.0 + 4.0 * self._warm.at(hours) + 0.06 * hours[:, None] / 24.0 - 2.0 * self._region.basin
        t2m = t2m + 5.5 * (convection - 0.35) * (1.0 - 0.5 * overcast)
        return Weather(u, v, near_ground * u, near_ground * v, blh, sun, 2.5 * wet**1.3, t2m)

    def _wind(self, hours: FloatArray) -> tuple[FloatArray, FloatArray]:
        everywhere = hours.size, self._region.basin.size
        u = np.broadcast_to(1.2 + 3.0 * self._flow[0].at(hours), everywhere)
        v = np.broadcast_to(0.3 + 2.6 * self._flow[1].at(hours), everywhere)
        for stream_function, speed in self._eddies:
            east, north = stream_function.gradient(hours)
            scale = speed / np.sqrt(np.mean(stream_function.waves**2))  # so that `speed` is the m s-1 of the eddy
            u, v = u - scale * north, v + scale * east
        return u, v

    def _sine_of_elevation(self, hours: FloatArray, solar: FloatArray) -> FloatArray:
        # Declination to within half a degree: Cooper (1969).
        day = self._first + hours[:, None] / 24.0
        declination = np.radians(23.45) * np.sin(2 * np.pi * (284.0 + day) / 365.0)
        lat = np.radians(self._region.lattice.flat_lat)
        angle = np.radians(15.0 * (solar - 12.0))
        sine = np.sin(lat) * np.sin(declination) + np.cos(lat) * np.cos(declination) * np.cos(angle)
        return np.clip(sine, 0.0, None)
