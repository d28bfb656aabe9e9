"""Cubes and exports of every kind that the program writes, for the clients that people open them with.

One small network of six pollutants is trained on a nature run, a synthetic year; its stations are also moved to the
antimeridian and to the pole, since a cube there differs in its coordinates alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from aqreanalysis.configs import MetadataConfig, ProductionConfig, load_config
from aqreanalysis.export import AggregateOptions, CubeSource, Limit, TimeSpan, aggregate, export_netcdf
from aqreanalysis.grids import Grid, load_grid
from aqreanalysis.nature import nature_run
from aqreanalysis.observations import Observations, read_observations
from aqreanalysis.production import ProduceOptions, produce_cubes
from aqreanalysis.production.stores.outputs import frequency_names
from aqreanalysis.training import TrainOptions, train

#: Everything that ACDD asks for, so that a finding is the program's own.
TOLD = MetadataConfig(
    title="A field",
    summary="What it is.",
    institution="Institute",
    creator_name="A. Person",
    creator_email="a@example.org",
    creator_url="https://example.org",
    publisher_name="A. Publisher",
    publisher_email="p@example.org",
    publisher_url="https://example.org",
    project="Project",
    license="CC-BY-4.0",
    references="none",
    comment="A note.",
    id="x",
    naming_authority="org.example",
    acknowledgement="Thanks.",
    product_version="1.0",
)
#: How a file's name goes on, by its form: NetCDF, Zarr 2, Zarr 3.
FORMS = (".nc", ".zarr", "_v3.zarr")
MONTH, YEAR = ("2001-02-01", "2001-03-01"), ("2001-01-01", "2002-01-01")
LAND, DATE_LINE, POLE = "11,47,13,48.75@0.25", "179,47,181.25,48.75@0.25", "11,88,13.5,90@0.25"
COARSE = "11,47,13,49@0.5"
ONE = ("pm2p5", "pm2p5_standard_error", "pm2p5_upper")
SIX = ("o3", "co_lower", "so2_standard_error")
_STATIONS, _DAYS = 40, 366
_TRAINING = (
    "model.neighbours=8",
    "model.state_width=8",
    "model.head_width=16",
    "training.epochs=2",
    "training.steps_per_epoch=8",
)


@dataclass(frozen=True)
class Opened:
    """A file or store, the layers that every client is asked for, and whether it is a cube by the program's rules."""

    path: Path
    layers: tuple[str, ...]
    cube: bool = True


@dataclass(frozen=True)
class Inputs:
    """A bundle of six pollutants, and the records of a synthetic year that it was trained on."""

    model: Path
    records: Observations


def make_inputs(folder: Path, days: int = _DAYS) -> Inputs:
    """Simulate, and train a network that is small and no good, but a real one; what is in the folder is read."""
    model, records_file = folder / "model", folder / "records.nc"
    if model.is_dir() and records_file.is_file():
        return Inputs(model, read_observations(records_file))
    nature = nature_run(seed=1, days=days, stations=_STATIONS)
    data = nature.observations.dataset
    # The run begins in March; moved to January it holds a calendar year.
    shift = pd.Timestamp(data.time.values[0]) - pd.Timestamp("2001-01-01T01:00")
    records = Observations(data.assign_coords(time=data.time - shift))
    records.to_netcdf(records_file, overwrite=True)
    early = records.select(end=pd.Timestamp("2001-01-31"))
    return Inputs(train(early, load_config("six", _TRAINING), model, options=TrainOptions(overwrite=True)), records)


def moved(records: Observations, lat: float, lon: float) -> Observations:
    """Return the records of stations that stand elsewhere."""
    data = records.dataset
    return Observations(data.assign_coords(lat=data.lat + lat, lon=(data.lon + lon + 180) % 360 - 180))


def masked_grid() -> Grid:
    """Return the grid on land with a corner and a lone cell left out."""
    grid = load_grid(LAND)
    wanted = np.ones(grid.shape, dtype=bool)
    wanted[:3, :4] = wanted[-1, -1] = False
    return Grid("masked", grid.lat, grid.lon, wanted)


@dataclass(frozen=True)
class Kind:
    """Cubes of one content: where, when, and which frequencies go into which form of file."""

    name: str
    records: Observations
    grid: Grid
    span: tuple[str, str]
    frequencies: Mapping[str, tuple[str, ...]]
    options: Mapping[str, Any]

    @property
    def layers(self) -> tuple[str, ...]:
        return ONE if "species" in self.options else SIX


def kinds_of(records: Observations) -> list[Kind]:
    """Return every kind of cube that differs in what a client has to cope with."""
    here, coarse, line, pole = (load_grid(spec) for spec in (LAND, COARSE, DATE_LINE, POLE))
    one = {"species": ("pm25",)}
    month = dict.fromkeys(FORMS, ("hourly",))
    year = {".nc": ("hourly", "daily", "monthly", "annual"), ".zarr": ("hourly", "daily"), "_v3.zarr": ("daily",)}
    six = {".nc": ("hourly", "daily"), ".zarr": ("daily",)}
    place = {**month, ".nc": ("hourly", "daily")}
    return [
        Kind("one_month", records, here, MONTH, month, one),
        Kind("six_month", records, here, MONTH, month, {"thresholds": {"o3": (60.0,)}}),
        Kind("one_year", records, coarse, YEAR, year, {**one, "thresholds": {"pm25": (15.0,)}}),
        Kind("six_year", records, coarse, YEAR, six, {}),
        Kind("masked", records, masked_grid(), MONTH, place, one),
        Kind("antimeridian", moved(records, 0, 167), line, MONTH, place, one),
        Kind("pole", moved(records, 40, 0), pole, MONTH, place, one),
    ]


def make_cubes(folder: Path, model: Path, kind: Kind) -> Iterator[Opened]:
    """Produce a kind of cube in every form; what is in the folder is left as it is."""
    for ending, frequencies in kind.frequencies.items():
        out = folder / f"{kind.name}{ending}"
        paths = list(frequency_names(out, frequencies).values())
        options = ProduceOptions(
            production=ProductionConfig(tile_rows=4, tile_columns=4),
            metadata=TOLD,
            frequencies=frequencies,
            zarr_format=3 if ending == FORMS[-1] else 2,
            **kind.options,
        )
        if not all(path.exists() for path in paths):
            for cube in produce_cubes(model, kind.records, kind.grid, kind.span, out, options).values():
                cube.close()
        yield from (Opened(path, kind.layers) for path in paths)


def make_exports(folder: Path) -> Iterator[Opened]:
    """Export every kind of NetCDF file from the months of `make_cubes` in the same folder."""
    with CubeSource(folder / "one_month.zarr") as source:
        for layout in ("maps", "series"):
            yield Opened(*export_netcdf(source, folder / f"{layout}.nc", layout, "none", overwrite=True), ONE)
    days = TimeSpan(pd.Timestamp("2001-02-02"), pd.Timestamp("2001-02-12"))
    statistics = {
        "mean": (AggregateOptions("mean", overwrite=True), SIX),
        "mda8": (AggregateOptions("mda8", rule="cn", overwrite=True), ("o3_mda8", "o3_mda8_lower")),
        "aqi": (AggregateOptions("aqi", overwrite=True), ("aqi", "aqi_lower", "aqi_upper")),
        "hours_above": (
            AggregateOptions("exceedance", limits=(Limit("o3", 60.0),), overwrite=True),
            # The expected number first: QGIS is asked for a picture of many colours of the first layer.
            ("o3_hours_above_60_expected", "o3_hours_above_60", "o3_hours_above_60_probability"),
        ),
    }
    for name, (options, layers) in statistics.items():
        with CubeSource(folder / "six_month.nc", ("o3",) if name in ("mda8", "hours_above") else (), days) as source:
            yield Opened(aggregate(source, folder / f"{name}.nc", options), layers, name == "mean")
