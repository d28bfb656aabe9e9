"""`nature_run`: the synthetic region, its truth at every cell and hour, and what its network reports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import ObservationsError, OutputError, as_given, wrong_type
from aqreanalysis.grids import Grid, load_grid
from aqreanalysis.nature.background import simulate_background
from aqreanalysis.nature.cams_files import write_background_grib, write_background_netcdf
from aqreanalysis.nature.datasets import (
    COMMENT,
    TITLE,
    background_dataset,
    meteorology_dataset,
    static_dataset,
    truth_dataset,
    write_dataset,
)
from aqreanalysis.nature.era5_grib import write_meteorology
from aqreanalysis.nature.local_sources import Sites, local_air, place_sensors, sensor_readings, with_kinds
from aqreanalysis.nature.random_fields import FloatArray
from aqreanalysis.nature.region import Region, build_region
from aqreanalysis.nature.simulation import START, Climate, one_thread, simulate, true_world
from aqreanalysis.nature.static_fields import FINE_STEP, static_fields, write_static_fields
from aqreanalysis.nature.station_network import SensorFaults, add_faults, at_stations, measure, place_stations
from aqreanalysis.nature.transport import interior
from aqreanalysis.observations import Observations, StationPlaces
from aqreanalysis.observations.station_kinds import LOW_COST, kind_of
from aqreanalysis.species import SPECIES, in_order

MAX_DAYS, MAX_STATIONS = 366, 5000
FILES = {
    "observations": "observations.nc",
    "truth": "truth.nc",
    "meteorology": "meteorology.nc",
    "stations": "stations.csv",
    "weather_grib": "weather.grib",
    "background_grib": "background.grib2",
    "background": "background.nc",
    "static": "static",
    "static_coarse": "static_coarse",
}


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

    @cached_property
    def background(self) -> xr.Dataset:
        """What an imperfect model makes of the region."""
        days = self.meteorology.sizes["time"] // 24
        air, times, grid = simulate_background(self.seed, days, self.grid)
        return background_dataset(air, times, grid, self.seed)

    @cached_property
    def static(self) -> xr.Dataset:
        """People, roads and works at the cells of the grid."""
        fields = static_fields(self.seed, self.grid, self.grid.lat, self.grid.lon)
        return static_dataset(fields, self.grid, self.seed)

    def write(self, folder: str | Path) -> dict[str, Path]:
        """Write the run into `folder` (made if absent) and return the paths by the names of the files.

        - ``observations``: observations.nc, CF time series; ``stations``: stations.csv
        - ``truth``, ``meteorology``: truth.nc and meteorology.nc, CF NetCDF
        - ``weather_grib``: weather.grib, the meteorology in the layout of ERA5
        - ``background_grib``: background.grib2, the background in the layout of the CAMS European ensemble
        - ``background``: background.nc, the same as the ensemble's NetCDF
        - ``static``: folder of population.tif, roads.tif and works.tif at 0.02 degree
        - ``static_coarse``: folder of the same at the step of the grid

        Raises
        ------
        OutputError
            If one of them exists, or the folder cannot be written.
        """
        folder = Path(folder)
        paths = {name: folder / file for name, file in FILES.items()}
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
            write_meteorology(self.meteorology, paths["weather_grib"])
            write_background_grib(self.background, paths["background_grib"])
            write_background_netcdf(self.background, paths["background"])
            tags = {name: self.static.attrs[name] for name in ("title", "comment", "source", "synthetic")}
            for name, step in (("static", FINE_STEP), ("static_coarse", self.grid.step[0])):
                write_static_fields(self.seed, self.grid, paths[name], step, tags)
        except OSError as error:
            raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from None
        return paths


def nature_run(
    seed: int = 0,
    days: int = 60,
    stations: int = 80,
    species: Iterable[str] | None = None,
    progress: Progress | None = None,
    climate: Climate | None = None,
    sites: Sites | None = None,
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
    climate : Climate, optional
        Of the region, where it is not the plain one; its `background` knows nothing of it.
    sites : Sites, optional
        Kerbs, works and cheap sensors; then the observations tell kinds and networks, which else they do not.

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
    _check_kinds(progress, climate, sites)
    keys = _wanted(species)
    grid = load_grid("nature-0.1")
    with one_thread():
        region = build_region(seed, grid)
        world = true_world(seed, region, days, climate)
        air, weather = simulate(world, days, partial(interior, region.lattice), progress)
    truth = {key: values for key, values in air.items() if key in keys}
    times = pd.date_range(START, periods=24 * days + 1, freq="h", unit="ns")[1:]
    table = _network(seed, stations, region, grid, sites)
    readings, faulty = _reported(seed, table, grid, truth, weather)
    datasets = truth_dataset(truth, times, grid, seed), meteorology_dataset(weather, times, grid, seed)
    return Nature(_observe(seed, table, readings, times), *datasets, grid, table, faulty, seed)


def _check(seed: int, days: int, stations: int) -> None:
    for name, value, least, most in (
        ("seed", seed, 0, 2**63 - 1),
        ("days", days, 1, MAX_DAYS),
        ("stations", stations, 13, MAX_STATIONS),
    ):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
            raise ObservationsError(
                f"nature run: {name} = {as_given(value)} must be a whole number from {least} to {most}"
            )


def _wanted(species: Iterable[str] | None) -> tuple[str, ...]:
    keys = in_order(species) if species is not None else tuple(SPECIES)
    if not keys:
        raise ObservationsError("species is empty; name at least one of " + ", ".join(SPECIES))
    return keys


def _check_kinds(progress: Progress | None, climate: Climate | None, sites: Sites | None) -> None:
    if progress is not None and not callable(progress):
        raise wrong_type("progress", progress, "a function of done, total and note")
    for name, value, kind in (("climate", climate, Climate), ("sites", sites, Sites)):
        if value is not None and not isinstance(value, kind):
            raise wrong_type(name, value, f"{kind.__name__}(...)")


def _network(seed: int, count: int, region: Region, grid: Grid, sites: Sites | None) -> pd.DataFrame:
    """Return the stations, cheap sensors last."""
    table = place_stations(seed, region, grid, count)
    if sites is None:
        return table
    table = with_kinds(seed, table, sites)
    if not sites.sensors:
        return table
    return pd.concat([table, place_sensors(seed, region, grid, sites.sensors)], ignore_index=True)


def _reported(
    seed: int, table: pd.DataFrame, grid: Grid, truth: dict[str, FloatArray], weather: dict[str, FloatArray]
) -> tuple[dict[str, FloatArray], dict[str, NDArray[np.bool_]]]:
    """Return what stations and cheap sensors report of the truth in the weather, and where stations are wrong."""
    cheap = table["network"].eq(LOW_COST).to_numpy() if "network" in table else np.zeros(len(table), bool)
    readings, faulty = _measured(seed, table[~cheap], grid, truth, weather)
    if not cheap.any():
        return readings, faulty
    more = sensor_readings(seed, _at(truth, grid, table[cheap]), _at(weather, grid, table[cheap]))
    readings = {key: np.concatenate([readings[key], more[key]], axis=1) for key in readings}
    return readings, {key: np.pad(wrong, ((0, 0), (0, int(cheap.sum())))) for key, wrong in faulty.items()}


def _measured(
    seed: int, table: pd.DataFrame, grid: Grid, truth: dict[str, FloatArray], weather: dict[str, FloatArray]
) -> tuple[dict[str, FloatArray], dict[str, NDArray[np.bool_]]]:
    """Return what stations report of the truth in the weather, and where that is wrong."""
    added: dict[str, FloatArray] = {}
    if "network" in table:  # kerbs and works read more than the air of their cells
        added = local_air(seed, table["kind"].tolist(), _at(truth, grid, table), _at(weather, grid, table))
    readings = {
        key: measure(seed, key, values, table[f"bias_{key}"].to_numpy(), added.get(key))
        for key, values in _at(truth, grid, table).items()
    }
    return readings, add_faults(seed, readings, SensorFaults())


def _at(fields: dict[str, FloatArray], grid: Grid, table: pd.DataFrame) -> dict[str, FloatArray]:
    """Return fields (hour, row, column) at the stations of a table, (hour, station)."""
    return {key: at_stations(field, grid, table) for key, field in fields.items()}


def _observe(seed: int, table: pd.DataFrame, readings: dict[str, FloatArray], times: pd.DatetimeIndex) -> Observations:
    """Return what the stations of a table report."""
    places = StationPlaces(
        ids=table["station_id"].tolist(),
        lat=table["lat"].to_numpy(),
        lon=table["lon"].to_numpy(),
        city=table["city"].tolist(),
        name=[f"{city} {kind}" for city, kind in zip(table["city"], table["kind"], strict=True)],
        kind=[kind_of(kind) or "" for kind in table["kind"]] if "network" in table else None,
        network=table["network"].tolist() if "network" in table else None,
    )
    attributes = {
        "title": f"{TITLE}: station records",
        "source": f"aqreanalysis nature run, seed {seed}",
        "comment": COMMENT,
        "synthetic": "true",
    }
    return Observations.from_arrays(times, places, readings, attributes)
