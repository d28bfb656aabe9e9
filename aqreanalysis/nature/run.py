"""`nature_run`: the synthetic region, its truth at every cell and hour, and what its network reports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import ObservationsError, OutputError
from aqreanalysis.grids import Grid, load_grid
from aqreanalysis.nature.datasets import COMMENT, TITLE, meteorology_dataset, truth_dataset, write_dataset
from aqreanalysis.nature.emissions import CLOCK, TRACERS, Emitter, Inflow
from aqreanalysis.nature.random_fields import FloatArray
from aqreanalysis.nature.region import build_region
from aqreanalysis.nature.station_network import SensorFaults, add_faults, at_stations, measure, place_stations
from aqreanalysis.nature.synthetic_weather import WeatherGenerator
from aqreanalysis.nature.transport import Transport, interior, split_oxidants
from aqreanalysis.observations import Observations, StationPlaces
from aqreanalysis.species import SPECIES, in_order

START = "2001-03-01"
RUN_IN_DAYS = 2  # until the air over the region has forgotten the uniform beginning
MAX_DAYS, MAX_STATIONS = 366, 5000
_PPB_TO_UG = {key: (SPECIES[key].molar_mass or 0.0) / 24.055 for key in ("o3", "no2")}  # at 20 degrees C, 1013.25 hPa


@dataclass(frozen=True)
class Nature:
    """A synthetic region for experiments in which the truth is known (an observing system simulation experiment).

    Attributes
    ----------
    observations : Observations
        What the network reports: with noise, lasting bias, gaps, stuck values and spikes.
    truth : xarray.Dataset
        Dimensions (time, lat, lon): a float32 variable a pollutant under its layer name (``pm2p5``, ...), hourly means
        stamped at the end of the hour, in the units of `SPECIES`. The value is that of the cell; a station inside the
        cell differs from it by its place (see `stations`), as real ones do.
    meteorology : xarray.Dataset
        The same dimensions: ``u10``, ``v10`` (m s-1), ``blh`` (m), ``t2m`` (K), hourly means, and ``tp`` (m in the
        hour), under the names that cfgrib gives ERA5.
    grid : Grid
        ``nature-0.1``.
    stations : pandas.DataFrame
        A row a station: ``station_id, lat, lon, city, kind`` and the true lasting factors ``bias_<pollutant>``.
    faulty : dict of str to ndarray of bool, shape (time, station)
        Where a reported value is stuck or a spike; stations in the order of `observations`.
    seed : int
    """

    observations: Observations
    truth: xr.Dataset
    meteorology: xr.Dataset
    grid: Grid
    stations: pd.DataFrame
    faulty: dict[str, NDArray[np.bool_]]
    seed: int

    def write(self, folder: str | Path) -> dict[str, Path]:
        """Write the run into `folder` (made if absent) and return the paths.

        Keys: ``observations`` (observations.nc, CF time series), ``truth`` (truth.nc), ``meteorology``
        (meteorology.nc; all three CF NetCDF, compressed), ``stations`` (stations.csv).

        Raises
        ------
        OutputError
            If one of them exists, or the folder cannot be written.
        """
        folder = Path(folder)
        names = ("observations.nc", "truth.nc", "meteorology.nc", "stations.csv")
        paths = {name.partition(".")[0]: folder / name for name in names}
        for path in paths.values():
            if path.exists():
                raise OutputError(f"{path} exists: choose another folder, or remove it")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.observations.to_netcdf(paths["observations"])
            write_dataset(self.truth, paths["truth"])
            write_dataset(self.meteorology, paths["meteorology"])
            # A column and no comment line: every reader of CSV sees it, and none trips over it.
            self.stations.assign(synthetic=True).to_csv(paths["stations"], index=False, float_format="%.6g")
        except OSError as error:
            raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from None
        return paths


def nature_run(
    seed: int = 0,
    days: int = 60,
    stations: int = 80,
    species: Iterable[str] | None = None,
    progress: Progress | None = None,
) -> Nature:
    """Return the synthetic nature run of a seed.

    Towns, roads and works emit with daily and weekly cycles; a wind that turns carries it, the boundary layer dilutes
    it, rain washes it out, sunlight turns it over, and air flows in from outside. The same arguments give the same
    bits with the same libraries on the same kind of processor, whatever the number of threads; fewer days are the
    beginning of more days. See ``docs/nature.md``.

    Parameters
    ----------
    seed : int
        Of everything: towns, weather, network, faults.
    days : int
        Length, 1 to 366, from 2001-03-01 (a label, not a claim: nothing of it ever happened).
    stations : int
        Size of the network, 13 to 5000; the weather and the towns do not depend on it.
    species : iterable of str, optional
        Pollutants to keep in observations and truth; all six by default.
    progress : callable, optional
        Called with days done, days in all and a note.

    Raises
    ------
    ObservationsError
        If days, stations or a pollutant is out of range or unknown.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> nature = aq.nature_run(seed=0, days=1, stations=13, species=["pm25"])
    >>> nature.truth["pm2p5"].dims, len(nature.observations.stations)
    (('time', 'lat', 'lon'), 13)
    """
    _check(seed, days, stations)
    keys = in_order(species) if species is not None else tuple(SPECIES)
    if not keys:
        raise ObservationsError("species is empty; name at least one of " + ", ".join(SPECIES))
    grid = load_grid("nature-0.1")
    # With more threads the matrix products add up in another order: a run would depend on who shares the machine.
    with threadpool_limits(1, user_api="blas"):
        tracers, weather = _simulate(seed, days, grid, progress)
    truth = {key: values for key, values in _pollutants(tracers, weather.pop("sun")).items() if key in keys}
    times = pd.date_range(START, periods=24 * days + 1, freq="h", unit="ns")[1:]
    table, observations, faulty = _observe(seed, stations, grid, truth, times)
    return Nature(
        observations,
        truth_dataset(truth, times, grid, seed),
        meteorology_dataset(weather, times, grid, seed),
        grid,
        table,
        faulty,
        seed,
    )


def _check(seed: int, days: int, stations: int) -> None:
    for name, value, least, most in (
        ("seed", seed, 0, 2**63 - 1),
        ("days", days, 1, MAX_DAYS),
        ("stations", stations, 13, MAX_STATIONS),
    ):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
            raise ObservationsError(f"nature run: {name} = {value!r} must be a whole number from {least} to {most}")


def _simulate(seed: int, days: int, grid: Grid, progress: Progress | None) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Return hourly means of the tracers (tracer, hour, row, column), and the weather (hour, row, column)."""
    region = build_region(seed, grid)
    first = pd.Timestamp(START) - pd.Timedelta(days=RUN_IN_DAYS)
    generator = WeatherGenerator(seed, region, first.dayofyear)
    emitter = Emitter(seed, region, 24 * (days + RUN_IN_DAYS), (first + pd.Timedelta(hours=CLOCK)).weekday())
    inflow = Inflow(seed, region)
    transport = Transport(region.lattice, inflow)
    tracers = np.empty((len(TRACERS), 24 * days, *grid.shape), np.float32)
    fields = {
        key: np.empty((24 * days, *grid.shape), np.float32) for key in ("u10", "v10", "blh", "t2m", "rain", "sun")
    }
    for day in range(days + RUN_IN_DAYS):
        hours = 24 * day + np.arange(24)
        weather = generator.at(hours + 0.5)
        border = inflow.at(hours + 0.5)
        for index, hour in enumerate(hours):
            wind10 = np.hypot(weather.u10[index], weather.v10[index])
            emission = emitter.at(int(hour), weather.t2m[index], wind10, weather.rain[index])
            means = transport.hour(weather, index, emission, border[index])
            if day >= RUN_IN_DAYS:
                tracers[:, hour - 24 * RUN_IN_DAYS] = interior(region.lattice, means.T)
        if day >= RUN_IN_DAYS:
            for key, values in fields.items():
                values[hours - 24 * RUN_IN_DAYS] = interior(region.lattice, getattr(weather, key))
        if progress is not None:
            progress(day + 1, days + RUN_IN_DAYS, "synthetic air")
    return tracers, fields


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


def _observe(
    seed: int, count: int, grid: Grid, truth: dict[str, FloatArray], times: pd.DatetimeIndex
) -> tuple[pd.DataFrame, Observations, dict[str, NDArray[np.bool_]]]:
    table = place_stations(seed, build_region(seed, grid), grid, count)
    readings = {
        key: measure(seed, key, at_stations(field, grid, table), table[f"bias_{key}"].to_numpy())
        for key, field in truth.items()
    }
    faulty = add_faults(seed, readings, SensorFaults())
    places = StationPlaces(
        ids=table["station_id"].tolist(),
        lat=table["lat"].to_numpy(),
        lon=table["lon"].to_numpy(),
        city=table["city"].tolist(),
        name=[f"{city} {kind}" for city, kind in zip(table["city"], table["kind"], strict=True)],
    )
    attributes = {
        "title": f"{TITLE}: station records",
        "source": f"aqreanalysis nature run, seed {seed}",
        "comment": COMMENT,
        "synthetic": "true",
    }
    return table, Observations.from_arrays(times, places, readings, attributes), faulty
