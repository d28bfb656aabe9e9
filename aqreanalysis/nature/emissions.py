"""What the region emits in each hour, and the air that flows in over its border."""

from __future__ import annotations

import numpy as np

from aqreanalysis.nature.random_fields import FloatArray, RandomField, stream
from aqreanalysis.nature.region import Region

# What is carried: particles below 2.5 um and between 2.5 and 10 um, SO2 and CO in ug m-3; NOx = NO + NO2 and
# Ox = O3 + NO2 in ppb. The titration of O3 by NO leaves these two sums alone, so they can be carried and split after.
TRACERS = ("pm25", "coarse", "so2", "co", "nox", "ox")
CLOCK = 1  # h; people of the region live by UTC+1

# Emission at strength 1 (core of the largest town) in ug m-2 s-1, NOx and Ox in ppb m s-1. The ratios between the
# pollutants of a source are those of European inventories in round numbers; the level is set by the wanted field.
_FACTORS = np.array(
    [
        # pm25  coarse  so2   co    nox   ox
        [0.55, 1.10, 0.04, 34.0, 3.00, 0.30],  # traffic
        [1.60, 0.60, 0.80, 42.0, 0.90, 0.05],  # heating
        [1.10, 1.60, 2.20, 16.0, 2.00, 0.15],  # industry
        [0.16, 0.20, 0.010, 2.2, 0.06, 0.0],  # countryside
    ]
)
_FIRE = np.array([9.0, 1.5, 0.1, 90.0, 0.8, 0.0])
# Strength in each hour of the local day; the mean is about 1.
TRAFFIC_HOURS = np.array(
    [
        [0.25, 0.18, 0.15, 0.15, 0.25, 0.55, 1.10, 1.75, 1.80, 1.40, 1.20, 1.20],
        [1.20, 1.20, 1.25, 1.40, 1.65, 1.85, 1.70, 1.25, 0.90, 0.70, 0.55, 0.40],
    ]
).ravel()
_HEATING = np.array(
    [
        [0.70, 0.60, 0.50, 0.50, 0.55, 0.80, 1.20, 1.30, 1.10, 0.90, 0.80, 0.75],
        [0.75, 0.70, 0.70, 0.80, 1.00, 1.30, 1.55, 1.70, 1.65, 1.50, 1.20, 0.90],
    ]
).ravel()
# Shares of a working day's, on Saturday and Sunday.
WORKS_AT_WEEKENDS = 0.75, 0.65
ROADS_ON_SATURDAY, ROADS_ON_SUNDAY = 0.75, 0.6
_COUNTRY = 0.6 + 0.8 * np.clip(np.sin(np.pi * (np.arange(24) - 6) / 13), 0, None)


class Emitter:
    """The emissions of a seed, hour after hour.

    Parameters
    ----------
    seed : int
    region : Region
    hours : int
        Length of the run.
    first_weekday : int
        Weekday of hour 0, Monday is 0.
    part : str
        Which stream of the seed moods and fires are drawn from.
    town_error : float
        Standard deviation of the logarithm of a lasting factor of each town, drawn from the same part; 0 for none.
    """

    def __init__(
        self,
        seed: int,
        region: Region,
        hours: int,
        first_weekday: int,
        part: str = "activity",
        town_error: float = 0.0,
    ) -> None:
        rng = stream(seed, part)
        self._region = region
        self._first_weekday = first_weekday
        towns = len(region.names)
        # What people do differs from day to day: an hourly autoregression with a memory of a day, a fifth either way.
        shocks = rng.normal(size=(hours, towns)) * 0.2 * np.sqrt(1 - np.exp(-2 / 24))
        self._mood = np.zeros((hours, towns))
        for hour in range(hours):
            self._mood[hour] = (self._mood[hour - 1] * np.exp(-1 / 24) if hour else 0.0) + shocks[hour]
        self._fires = stream(seed, part, 1).random((hours, 5))
        if town_error:
            self._mood += stream(seed, part, 2).normal(0.0, town_error, towns)

    def at(self, hour: int, t2m: FloatArray, wind10: FloatArray, rain: FloatArray) -> FloatArray:
        """Return the emission of one hour, shape (cell, tracer); weather is that of the hour, shape (cell,)."""
        region = self._region
        clock = (hour + CLOCK) % 24
        weekday = (self._first_weekday + (hour + CLOCK) // 24) % 7
        at_weekend = list(zip(WORKS_AT_WEEKENDS, (ROADS_ON_SATURDAY, ROADS_ON_SUNDAY), strict=True))
        works, roads = (1.0, 1.0) if weekday < 5 else at_weekend[weekday - 5]
        cold = np.clip((290.0 - t2m) / 10.0, 0.1, 2.0)
        strength = region.activity * np.array([TRAFFIC_HOURS[clock] * roads, _HEATING[clock], works, _COUNTRY[clock]])
        strength[:, 1] *= cold
        strength[:, :3] *= np.exp(region.town_share @ self._mood[hour])[:, None]
        emission = strength @ _FACTORS
        # Dust: above a threshold of the wind, from dry open ground (the cube of the excess, as saltation goes).
        dry = np.exp(-2.0 * rain)
        emission[:, 1] += 0.25 * dry * region.activity[:, 3] * np.clip(wind10 - 4.5, 0.0, 6.0) ** 2
        self._add_fires(hour, emission)
        return emission

    def _add_fires(self, hour: int, emission: FloatArray) -> None:
        """Add fields and woods that burn for 3 to 10 hours; one starts about every second day."""
        rows, columns = self._region.lattice.shape
        for start in range(max(0, hour - 9), hour + 1):
            chance, row, column, length, size = self._fires[start]
            if chance < 0.02 and hour < start + 3 + int(8 * length):
                cell = int(row * rows) * columns + int(column * columns)
                emission[cell] += _FIRE * (0.3 + 2.0 * size**3)


class Inflow:
    """Air from outside: what the cells at the border of the lattice hold, below and above the boundary layer."""

    def __init__(self, seed: int, region: Region, part: str = "inflow") -> None:
        rng = stream(seed, part)
        rows, columns = np.indices(region.lattice.shape)
        edge = np.minimum(np.minimum(rows, rows[::-1]), np.minimum(columns, columns[:, ::-1]))
        # Three cells deep: no wind of this model crosses more within one step of transport.
        self.cells = np.flatnonzero(edge.ravel() < 3)
        x, y = region.lattice.flat_km
        border = x[self.cells], y[self.cells]
        scales = ((400.0, 60.0), (180.0, 30.0), (120.0, 24.0), (250.0, 48.0))
        self._fields = [RandomField(rng, border, km, hours) for km, hours in scales]

    def at(self, hours: FloatArray) -> FloatArray:
        """Return concentrations, shape (hour, border cell, tracer)."""
        haze, gas, dust, ozone = (field.at(hours) for field in self._fields)
        return np.stack(
            [
                20.0 * np.exp(0.8 * haze),
                10.0 * np.exp(0.5 * dust + 0.5 * haze),
                1.2 * np.exp(0.4 * gas),
                240.0 * np.exp(0.3 * haze),
                2.2 * np.exp(0.5 * gas),
                41.0 + 6.0 * ozone,
            ],
            axis=-1,
        )
