"""The station network of the nature run, and what its instruments report of the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.common.geodesy import KM_PER_DEGREE
from aqreanalysis.grids import Grid
from aqreanalysis.nature.random_fields import FloatArray, stream
from aqreanalysis.nature.region import Region
from aqreanalysis.species import SPECIES

RURAL_SHARE = 0.12
UNMONITORED_TOWNS = 3  # as in real networks, some towns are seen only from afar


@dataclass(frozen=True)
class Instrument:
    """How one pollutant is measured, in its units.

    Attributes
    ----------
    noise, relative_noise : float
        Standard deviation of a reading: a floor, and a share of the value.
    unrepresentative : float
        Standard deviation of the logarithm of what a place differs from its cell in one hour; it lasts some hours.
    bias : float
        Standard deviation of the logarithm of the lasting factor between station and cell.
    kerb : float
        Lasting factor of stations at the kerb on top of that.
    resolution : float
        Steps of the readings, and the detection limit at which they end.
    """

    noise: float
    relative_noise: float
    unrepresentative: float
    bias: float
    kerb: float
    resolution: float


INSTRUMENTS = {
    "pm25": Instrument(1.5, 0.03, 0.10, 0.06, 1.05, 1.0),
    "pm10": Instrument(3.0, 0.04, 0.14, 0.08, 1.10, 1.0),
    "so2": Instrument(0.8, 0.03, 0.22, 0.12, 1.00, 1.0),
    "no2": Instrument(1.0, 0.03, 0.12, 0.10, 1.20, 1.0),
    "o3": Instrument(2.0, 0.02, 0.06, 0.05, 0.90, 1.0),
    "co": Instrument(0.03, 0.02, 0.10, 0.10, 1.15, 0.01),
}
_MEMORY_HOURS = 3.0  # of what a place differs from its cell


def place_stations(seed: int, region: Region, grid: Grid, count: int, part: str = "network") -> pd.DataFrame:
    """Return the stations, one a row.

    Columns: ``station_id``; ``lat``, ``lon``; ``city`` (the town; a rural station is a city of its own); ``kind``
    (``urban``, ``kerb``, ``suburban``, ``rural``); and ``bias_<pollutant>``, the true lasting factor between what the
    station reports and what its cell holds. `part` names the stream of the seed that they are drawn from.
    """
    rng = stream(seed, part)
    towns = len(region.names)
    unmonitored = rng.choice(np.arange(3, towns), UNMONITORED_TOWNS, replace=False)
    share = np.where(np.isin(np.arange(towns), unmonitored), 0.0, region.town_size**0.8)
    town_of = rng.choice(towns, count, p=share / share.sum())
    # The first stations go round the towns, so that each monitored town has one even in a small network.
    monitored = np.flatnonzero(share)
    rural = rng.random(count) < RURAL_SHARE
    rural[: len(monitored)] = False
    town_of[: len(monitored)] = monitored[:count]
    radius = region.town_km[town_of] / KM_PER_DEGREE
    lat = region.town_lat[town_of] + rng.normal(0, 0.75, count) * radius
    lon = region.town_lon[town_of] + rng.normal(0, 0.75, count) * radius / np.cos(np.radians(lat))
    lat = np.where(rural, rng.uniform(grid.lat[1], grid.lat[-2], count), lat)
    lon = np.where(rural, rng.uniform(grid.lon[1], grid.lon[-2], count), lon)
    out = np.hypot(lat - region.town_lat[town_of], (lon - region.town_lon[town_of]) * np.cos(np.radians(lat)))
    kind = np.where(out > radius, "suburban", np.where(rng.random(count) < 0.25, "kerb", "urban"))
    kind = np.where(rural, "rural", kind)
    city = [f"Countryside-{i + 1}" if rural[i] else region.names[town_of[i]] for i in range(count)]
    table = pd.DataFrame(
        {
            "station_id": [f"S{i + 1:04d}" for i in range(count)],
            "lat": np.round(np.clip(lat, grid.lat[0], grid.lat[-1]), 4),
            "lon": np.round(np.clip(lon, grid.lon[0], grid.lon[-1]), 4),
            "city": city,
            "kind": kind,
        }
    )
    for key, instrument in INSTRUMENTS.items():
        kerb = np.where(kind == "kerb", instrument.kerb, 1.0)
        table[f"bias_{key}"] = kerb * np.exp(rng.normal(0, instrument.bias, count))
    return table


def at_stations(truth: FloatArray, grid: Grid, stations: pd.DataFrame) -> FloatArray:
    """Return the field (hour, row, column) between the four cells around each station, shape (hour, station)."""
    row = (stations["lat"].to_numpy() - grid.lat[0]) / grid.step[0]
    column = (stations["lon"].to_numpy() - grid.lon[0]) / grid.step[1]
    low = np.clip(row.astype(int), 0, grid.shape[0] - 2)
    left = np.clip(column.astype(int), 0, grid.shape[1] - 2)
    a, b = row - low, column - left
    south = (1 - b) * truth[:, low, left] + b * truth[:, low, left + 1]
    north = (1 - b) * truth[:, low + 1, left] + b * truth[:, low + 1, left + 1]
    return (1 - a) * south + a * north


def measure(seed: int, key: str, truth: FloatArray, bias: FloatArray, added: FloatArray | None = None) -> FloatArray:
    """Return what instruments without faults report, float32.

    Parameters
    ----------
    seed : int
    key : str
        Pollutant.
    truth : ndarray, shape (hour, station)
        What the cells hold at the stations.
    bias : ndarray, shape (station,)
        Lasting factor.
    added : ndarray, shape (hour, station), optional
        What the surroundings of each station add to the air of its cell (`local_sources`).
    """
    instrument = INSTRUMENTS[key]
    rng = stream(seed, "instruments", list(SPECIES).index(key))
    draws = rng.standard_normal((*truth.shape, 2))
    keep = np.exp(-1.0 / _MEMORY_HOURS)
    local = np.empty(truth.shape)
    local[0] = draws[0, :, 0]
    for hour in range(1, len(truth)):
        local[hour] = keep * local[hour - 1] + np.sqrt(1 - keep**2) * draws[hour, :, 0]
    reading = truth * bias * np.exp(instrument.unrepresentative * local - 0.5 * instrument.unrepresentative**2)
    if added is not None:
        reading = reading + added
    spread = np.hypot(instrument.noise, instrument.relative_noise * reading)
    steps = np.round((reading + spread * draws[:, :, 1]) / instrument.resolution)
    return (np.maximum(steps, 1.0) * instrument.resolution).astype(np.float32)


@dataclass(frozen=True)
class SensorFaults:
    """How often things go wrong, a chance for each station and hour, and how long it lasts.

    The defaults leave 6 to 8 % of the readings missing, as the feeds of large networks do.
    """

    single_gap: float = 0.02
    gap_run: float = 0.0012  # one pollutant, `run_hours` on average
    outage: float = 0.0008  # all pollutants of a station
    run_hours: float = 18.0
    network_gap: float = 1 / 240  # whole network, 1 to 3 hours
    stuck: float = 0.0002
    stuck_hours: float = 24.0
    spike: float = 0.0003


def add_faults(seed: int, readings: dict[str, FloatArray], faults: SensorFaults) -> dict[str, NDArray[np.bool_]]:
    """Put gaps (NaN), stuck values and spikes into `readings`, in place; return where stuck values and spikes stand."""
    hours, stations = next(iter(readings.values())).shape
    rng = stream(seed, "faults", len(SPECIES))
    outage = _runs(rng, (hours, stations), faults.outage, faults.run_hours)
    outage |= _runs(rng, (hours, 1), faults.network_gap, 1.0, longest=3)
    wrong = {}
    for key, values in readings.items():
        rng = stream(seed, "faults", list(SPECIES).index(key))
        chance = np.random.default_rng(rng.integers(2**63)).random((hours, stations, 3))
        stuck = _runs(rng, (hours, stations), faults.stuck, faults.stuck_hours)
        stuck[0] = False
        for hour, station in np.argwhere(stuck):
            values[hour, station] = values[hour - 1, station]
        spike = (chance[:, :, 0] < faults.spike) & ~stuck
        values[spike] *= (4.0 + 16.0 * chance[:, :, 1][spike]).astype(np.float32)
        gap = _runs(rng, (hours, stations), faults.gap_run, faults.run_hours) | outage
        gap |= chance[:, :, 2] < faults.single_gap
        values[gap] = np.nan
        wrong[key] = (stuck | spike) & ~gap
    return wrong


def _runs(
    rng: np.random.Generator, shape: tuple[int, int], chance: float, hours: float, longest: int = 200
) -> NDArray[np.bool_]:
    """Return runs that begin with `chance` an hour and last `hours` on average (exponential), at most `longest`."""
    # A stream of its own for the two draws of each hour: hours that follow do not change those before.
    draws = np.random.default_rng(rng.integers(2**63)).random((*shape, 2))
    runs = np.zeros(shape, dtype=bool)
    for start, column in np.argwhere(draws[:, :, 0] < chance):
        length = min(longest, 1 + int(-hours * np.log(1.0 - draws[start, column, 1])))
        runs[start : start + length, column] = True
    return runs
