"""What stations of the nature run read beside the air of their cell: a street, a works, and cheap sensors.

Off by default: the plain nature run has stations whose surroundings differ from their cell by a lasting factor alone.
A street's traffic has its hours and its weekends, and stands in the air the longer the weaker the wind and the lower
the boundary layer; a works smells when the wind comes from it, in gusts. A cheap sensor reads too much, the more the
damper the air is (what swells in it scatters more light: Malings et al. 2020, doi:10.1080/02786826.2019.1623863).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.grids import Grid
from aqreanalysis.nature.emissions import CLOCK, ROADS_ON_SATURDAY, ROADS_ON_SUNDAY, TRAFFIC_HOURS, WORKS_AT_WEEKENDS
from aqreanalysis.nature.random_fields import FloatArray, stream
from aqreanalysis.nature.region import Region
from aqreanalysis.nature.station_network import INSTRUMENTS, place_stations
from aqreanalysis.observations.station_kinds import INDUSTRIAL, LOW_COST, REFERENCE, TRAFFIC

# What a street or a works adds on average, as a share of the mean over the network: round numbers of European networks
# (EEA 2020, tables of means by kind of station). Ozone is taken away by the street's NO.
SHARES = {
    TRAFFIC: {"pm25": 0.25, "pm10": 0.40, "so2": 0.10, "no2": 0.70, "o3": -0.25, "co": 0.70},
    INDUSTRIAL: {"pm25": 0.35, "pm10": 0.60, "so2": 1.20, "no2": 0.35, "o3": -0.06, "co": 0.40},
}
_STRENGTH = 0.4  # standard deviation of the logarithm of a site's own strength
_GUSTS = {TRAFFIC: 0.35, INDUSTRIAL: 0.8}  # the same of an hour's, with little memory
_SECTOR = 4.0  # concentration of the directions that bring a works' air: some 60 degrees wide
_MOST_TAKEN = 0.8  # of ozone, in one hour
# Cheap sensors: noise of a reading, spread of the sensors' own factors, and how much the damp adds.
SENSOR_NOISE, SENSOR_SPREAD, SENSOR_BIAS, SENSOR_DAMP = 0.30, 0.10, 1.3, 0.25


@dataclass(frozen=True)
class Sites:
    """Which share of the stations stands at kerbs and works, and how many cheap sensors stand beside the network.

    Attributes
    ----------
    traffic, industrial : float
        Shares of the stations in towns.
    sensors : int
        Number, at places drawn as those of the stations in towns are.
    """

    traffic: float = 0.25
    industrial: float = 0.1
    sensors: int = 0

    def __post_init__(self) -> None:
        if min(self.traffic, self.industrial) < 0 or self.traffic + self.industrial > 0.8 or self.sensors < 0:
            raise ObservationsError(
                f"shares {self.traffic:g} at kerbs and {self.industrial:g} at works, {self.sensors} sensors: none may "
                "be negative, and a fifth of the stations at least is background"
            )


def with_kinds(seed: int, table: pd.DataFrame, sites: Sites) -> pd.DataFrame:
    """Return the stations of `place_stations` with kerbs and works among those in towns, and whose network they are.

    Kerbs that it had are taken back, with their factors: here a street is a course of hours and no factor.
    """
    drawn = stream(seed, "sites").random(len(table))
    kerb = (table["kind"] == "kerb").to_numpy()
    kind = np.where(kerb, "urban", table["kind"]).astype("<U10")
    in_town = kind != "rural"
    kind[in_town & (drawn < sites.traffic)] = "kerb"
    kind[in_town & (drawn >= sites.traffic) & (drawn < sites.traffic + sites.industrial)] = "industrial"
    own = {f"bias_{key}": table[f"bias_{key}"] / np.where(kerb, one.kerb, 1.0) for key, one in INSTRUMENTS.items()}
    return table.assign(kind=kind, network=REFERENCE, **own)


def place_sensors(seed: int, region: Region, grid: Grid, count: int) -> pd.DataFrame:
    """Return the cheap sensors as `place_stations` returns stations; their factors are not among the columns."""
    table = place_stations(seed, region, grid, count, "sensors")
    kind = table["kind"].where(table["kind"] != "kerb", "urban")
    ids = [f"X{i + 1:04d}" for i in range(count)]
    return table[["lat", "lon", "city"]].assign(station_id=ids, kind=kind, network=LOW_COST)


def local_air(
    seed: int, kinds: list[str], truth: Mapping[str, FloatArray], weather: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """Return by pollutant what streets and works add to the air of the cells (hour, station), zero at other stations.

    Parameters
    ----------
    seed : int
    kinds : list of str
        Of `with_kinds`.
    truth : mapping
        By pollutant what the cells hold at the stations, (hour, station).
    weather : mapping
        ``u10``, ``v10`` and ``blh`` there.
    """
    kind = np.array([{"kerb": TRAFFIC}.get(one, one) for one in kinds])
    courses = {TRAFFIC: street(seed, weather), INDUSTRIAL: plume(seed, weather)}
    strength = np.exp(stream(seed, "sites", 1).normal(0.0, _STRENGTH, len(kind)))
    added: dict[str, FloatArray] = {key: np.zeros(air.shape) for key, air in truth.items()}
    for key, air in truth.items():
        for one, course in courses.items():
            at = kind == one
            added[key][:, at] = float(air.mean()) * SHARES[one][key] * strength[at] * course[:, at]
        added[key] = np.maximum(added[key], -_MOST_TAKEN * air)
    return added


def street(seed: int, weather: Mapping[str, FloatArray]) -> FloatArray:
    """Return the course of a street's air at each station, about 1 on average, (hour, station)."""
    shape = weather["blh"].shape
    hours = np.arange(shape[0])
    clock, weekday = (hours + CLOCK) % 24, _weekdays(hours)
    busy = TRAFFIC_HOURS[clock] * np.where(
        weekday == 5, ROADS_ON_SATURDAY, np.where(weekday == 6, ROADS_ON_SUNDAY, 1.0)
    )
    wind = np.hypot(weather["u10"], weather["v10"])
    # Of the air above a street the lowest part alone is its own: the layer's height counts by its root.
    thick = (3.0 / (wind + 1.0)) * np.sqrt(400.0 / weather["blh"])
    course = busy[:, None] * np.clip(thick, 0.3, 3.0) * _gusts(seed, TRAFFIC, shape)
    return np.asarray(course / course.mean())


def plume(seed: int, weather: Mapping[str, FloatArray]) -> FloatArray:
    """Return the course of a works' air at each station, about 1 on average, (hour, station)."""
    shape = weather["blh"].shape
    bearing = stream(seed, "sites", 2).uniform(0, 2 * np.pi, shape[1])
    comes_from = np.arctan2(-weather["u10"], -weather["v10"])
    sector = np.exp(_SECTOR * (np.cos(comes_from - bearing) - 1.0))
    weekday = _weekdays(np.arange(shape[0]))
    works = np.where(weekday == 5, WORKS_AT_WEEKENDS[0], np.where(weekday == 6, WORKS_AT_WEEKENDS[1], 1.0))
    course = works[:, None] * sector * _gusts(seed, INDUSTRIAL, shape)
    return np.asarray(course / course.mean())


def sensor_readings(
    seed: int, truth: Mapping[str, FloatArray], weather: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """Return by pollutant what cheap sensors read of the truth at their places, (hour, sensor), float32."""
    swollen = 1.0 + SENSOR_DAMP * (damp(weather) - 1.0)
    out = {}
    for key, air in truth.items():
        rng = stream(seed, "sensors", 1 + list(SHARES[TRAFFIC]).index(key))
        own = SENSOR_BIAS * np.exp(rng.normal(0.0, SENSOR_SPREAD, air.shape[1]))
        noise = np.exp(SENSOR_NOISE * rng.standard_normal(air.shape) - 0.5 * SENSOR_NOISE**2)
        out[key] = (air * own * swollen * noise).astype(np.float32)
    return out


def damp(weather: Mapping[str, FloatArray]) -> FloatArray:
    """Return how much particles have swollen (about 1 on average), from what falls, from warmth and from night."""
    t2m = weather["t2m"]
    humidity = np.clip(70.0 - 4.0 * (t2m - t2m.mean()) + 25.0 * np.minimum(weather["rain"], 1.0), 20.0, 95.0) / 100.0
    growth = 1.0 + 0.25 * humidity / (1.0 - humidity)
    return np.asarray(growth / growth.mean())


def _weekdays(hours: NDArray[np.integer]) -> NDArray[np.integer]:
    # 2001-03-01, which the run begins with, was a Thursday.
    return np.asarray((3 + (hours + CLOCK) // 24) % 7)


def _gusts(seed: int, kind: str, shape: tuple[int, ...]) -> FloatArray:
    """Return factors that differ from hour to hour, 1 on average, (hour, station)."""
    rng = stream(seed, "sites", 3 if kind == TRAFFIC else 4)
    return np.asarray(np.exp(_GUSTS[kind] * rng.standard_normal(shape) - 0.5 * _GUSTS[kind] ** 2))
