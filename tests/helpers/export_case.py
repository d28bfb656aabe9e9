"""Small cubes that `produce` made, for the tests of exports and validation: real layers, a mask, two formats."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from production_case import TILES, make_bundle, make_observations, small_grid

from aqreanalysis.production import ProduceOptions, produce

START, END = "2019-01-02", "2019-01-05"


@dataclass(frozen=True)
class Cubes:
    """Paths: `two` is NetCDF, masked, PM2.5 and ozone with a probability; `one` the same of PM2.5 as a Zarr 2 store
    without a mask; `far` the same as NetCDF, extrapolated beyond 15 km and left blank beyond 25; `model` the bundle of
    both."""

    two: Path
    one: Path
    far: Path
    model: Path


def make_cubes(folder: Path) -> Cubes:
    """Produce three days of 7 x 9 cells."""
    one, two = make_bundle(folder / "m1"), make_bundle(folder / "m2", ("pm25", "o3"))
    readings = make_observations()
    plain = ProduceOptions(production=TILES)
    produce(one, readings, small_grid(), START, END, folder / "one.zarr", plain).close()
    limits = ProduceOptions(production=TILES, thresholds={"o3": (60.0,)})
    produce(two, readings, small_grid(mask=True), START, END, folder / "two.nc", limits).close()
    beyond = TILES.model_copy(update={"extrapolation_km": 15.0, "blank_beyond_km": 25.0})
    produce(one, readings, small_grid(), START, END, folder / "far.nc", ProduceOptions(production=beyond)).close()
    return Cubes(folder / "two.nc", folder / "one.zarr", folder / "far.nc", one)


def copy_cube(path: Path, folder: Path) -> Path:
    """Return a copy that may be broken."""
    to = folder / path.name
    if path.is_dir():
        shutil.copytree(path, to)
    else:
        shutil.copy(path, to)
    return to
