"""Networks to learn from that nobody has: nature runs of many seeds, climates, sizes and kinds.

Every network is cut out of a nature run and changed in what a model that is to serve any network must not rely on: how
far apart the stations stand (a country, or the quarters of a town), how many there are, what they measure, the season,
the clock and the longitude. Levels need no changing beyond the climate's: each record is scaled by its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.configs import Config
from aqreanalysis.nature import nature_run
from aqreanalysis.nature.simulation import Climate
from aqreanalysis.observations import Observations, StationPlaces
from aqreanalysis.species import SPECIES
from aqreanalysis.splits import CALIBRATION, TRAINING, Split

# Stations of a nature run, of which each of its networks takes some.
_STATIONS = 160
_NETWORKS_A_RUN = 3
_SIZES = 12, 90
# Distances between stations, as factors of the nature run's: from one in which a thousand km are the width of a town
# and its surroundings to the nature run's own.
_SMALLEST, _LARGEST = 0.06, 1.3
# What networks measure: all, a part, or one pollutant; by how often.
_MEASURED: tuple[tuple[float, tuple[str, ...]], ...] = (
    (0.45, tuple(SPECIES)),
    (0.15, ("pm25", "pm10", "no2", "o3")),
    (0.15, ("pm25",)),
    (0.05, ("pm25", "pm10")),
    (0.05, ("no2", "o3")),
    (0.05, ("no2",)),
    (0.05, ("o3",)),
    (0.05, ("so2", "co")),
)
_SCORED_SHARE = 0.25


@dataclass(frozen=True)
class Kind:
    """What is changed of a nature run's network.

    Attributes
    ----------
    stations : int
        How many of it there are.
    stretch : float
        Factor on the distances between them.
    lat, lon : float
        Where its middle lies, degrees.
    shift_hours : int
        By how much its hours are stamped later.
    measured : tuple of str
        Pollutants.
    """

    stations: int
    stretch: float
    lat: float
    lon: float
    shift_hours: int
    measured: tuple[str, ...]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Kind:
        """Return a kind drawn at random."""
        size, stretch = (np.exp(rng.uniform(*np.log(span))) for span in (_SIZES, (_SMALLEST, _LARGEST)))
        measured = rng.choice(len(_MEASURED), p=[share for share, _ in _MEASURED])
        lat, lon = float(rng.uniform(-50, 60)), float(rng.uniform(-180, 180))
        # The sun of the nature run stands over its own longitude: elsewhere it rises at another hour, on another day.
        shift = int(rng.integers(-12, 12)) + 24 * int(rng.integers(0, 365))
        return cls(round(float(size)), float(stretch), lat, lon, shift, _MEASURED[int(measured)][1])


def draw_climate(rng: np.random.Generator) -> Climate:
    """Return a climate drawn at random: calm or windy, shallow or deep, clean or dirty, any season."""
    wind, mixing, emission = (float(np.exp(rng.normal(0.0, spread))) for spread in (0.3, 0.2, 0.5))
    return Climate(wind, mixing, emission, int(rng.integers(0, 365)))


def draw_networks(seed: int, days: int) -> list[Observations]:
    """Return the networks of the nature run of a seed, each of another kind in the same air."""
    rng = np.random.default_rng((seed, 16))
    record = nature_run(seed, days, _STATIONS, climate=draw_climate(rng)).observations
    return [changed(record, Kind.draw(rng), rng) for _ in range(_NETWORKS_A_RUN)]


def changed(record: Observations, kind: Kind, rng: np.random.Generator) -> Observations:
    """Return some stations of a record as a network of another kind."""
    some = np.sort(rng.permutation(len(record.stations))[: kind.stations])
    middle_lat, middle_lon = float(np.mean(record.lat[some])), float(np.mean(record.lon[some]))
    north = kind.stretch * (record.lat[some] - middle_lat)
    # Degrees of longitude are as wide as the latitude has them.
    wider = np.cos(np.radians(middle_lat)) / np.cos(np.radians(kind.lat))
    east = kind.stretch * wider * (record.lon[some] - middle_lon)
    lon = (kind.lon + east + 180.0) % 360.0 - 180.0
    places = StationPlaces([record.stations[i] for i in some], kind.lat + north, lon)
    times = pd.DatetimeIndex(record.times) + pd.Timedelta(hours=kind.shift_hours)
    values = {key: record.values(key)[:, some] for key in record.species if key in kind.measured}
    return Observations.from_arrays(times, places, values, dict(record.attributes))


def all_seen(observations: Observations, config: Config, scored: bool) -> Split:
    """Return a split of a network none of whose hours are hidden: learned from whole, or with stations to score by."""
    count = len(observations.stations)
    role = np.full(count, TRAINING, dtype=f"<U{len(CALIBRATION)}")
    if scored:
        rng = np.random.default_rng((config.training.seed, count))
        role[rng.permutation(count)[: max(2, round(_SCORED_SHARE * count))]] = CALIBRATION
    names: tuple[str, ...] = tuple(observations.stations)
    lat: NDArray[np.float64] = np.asarray(observations.lat, np.float64)
    lon: NDArray[np.float64] = np.asarray(observations.lon, np.float64)
    end = np.datetime64(int(observations.hours[-1]) + 1, "h")
    return Split(names, lat, lon, names, role, end, config.split.cluster_km)
