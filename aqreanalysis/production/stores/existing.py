"""A finished cube as the beginning of a longer one: what it says of itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import zarr
from numpy.typing import NDArray

from aqreanalysis.errors import CubeError, OutputError
from aqreanalysis.production.plan import HOURS_A_DAY, stamp_text
from aqreanalysis.production.resume.covariate_changes import WEATHER
from aqreanalysis.production.resume.record import READINGS, RUN, Readings
from aqreanalysis.production.stores.bucket import Place, open_zarr
from aqreanalysis.production.template import Template

# What the history keeps of a cube that grows, and the moment it was first made.
_KEPT = ("history", "date_created")
# Name -> NumPy type and dimensions.
_Layers = dict[str, tuple[str, tuple[str, ...]]]
# Attributes, bounds of the steps, layers.
_Said = tuple[dict[str, Any], NDArray[np.int64], _Layers]


@dataclass(frozen=True)
class Base:
    """A cube that exists and is to grow.

    Attributes
    ----------
    path : Path or Place
        A ``.nc`` file, or a ``.zarr`` store on a disk or in a bucket; the last one of several files.
    bounds : int64 (step, 2)
        Of its steps, hours since 1970-01-01 00:00 UTC.
    run : dict
        Of the run that made it; see `record.run_of`.
    readings : Readings
        From which.
    weather : Readings or None
        From which covariates, if the model has any.
    kept : dict
        Attributes that the grown cube carries on.
    layers : dict
        Name -> NumPy type and dimensions.
    parts : tuple of Base
        The files of months or years that it is made of, in their order; none where it is one file or store.
    """

    path: Path | Place
    bounds: NDArray[np.int64]
    run: dict[str, Any]
    readings: Readings
    weather: Readings | None
    kept: dict[str, str]
    layers: _Layers
    parts: tuple[Base, ...] = ()

    @classmethod
    def of(cls, path: Path | Place) -> Base:
        """Return the cube at `path`.

        Raises
        ------
        OutputError
            If there is none, or it does not say how it was made.
        CubeError
            If it cannot be read.
        """
        if not (path.holds_cube() if isinstance(path, Place) else path.exists()):
            raise OutputError(f"there is no cube {path} to append to; produce it without --append first")
        try:
            one_file = isinstance(path, Path) and not path.is_dir()
            attrs, bounds, layers = _read_netcdf(path) if one_file else _read_zarr(path)
        except (OSError, KeyError, ValueError) as error:
            raise CubeError(f"{path} cannot be read as a cube: {' '.join(str(error).split())}") from None
        if RUN not in attrs or READINGS not in attrs:
            raise OutputError(
                f"{path} does not say from which readings it was made: an older version or another program wrote it; "
                "produce it anew, then it can grow"
            )
        kept = {key: str(attrs[key]) for key in _KEPT if key in attrs}
        readings = Readings.from_text(attrs[READINGS])
        weather = Readings.from_text(attrs[WEATHER], WEATHER) if WEATHER in attrs else None
        return cls(path, bounds, json.loads(attrs[RUN]), readings, weather, kept, layers)

    @classmethod
    def of_parts(cls, path: Path, split: str) -> Base:
        """Return the cube whose files of months or years stand beside `path`: ``x_201901.nc`` and so on for ``x.nc``.

        Files from the beginning may have been taken away: the cube then begins with the first one that is left.

        Raises
        ------
        OutputError
            If there is none, or one between them is missing.
        CubeError
            If one cannot be read.
        """
        files = part_files(path, split)
        if not files:
            raise OutputError(
                f"there is no cube {path.with_name(f'{path.stem}_*{path.suffix}')} with a file a {split} to append to; "
                "produce it without --append first"
            )
        parts = tuple(cls.of(file) for file in files)
        for one, after in pairwise(parts):
            if one.hours[1] != after.hours[0]:
                raise OutputError(
                    f"{one.path} ends {stamp_text(one.hours[1])} and {after.path} begins {stamp_text(after.hours[0])}: "
                    "a file between them is missing, or one was cut; put it back, or produce the cube anew"
                )
        last = parts[-1]
        readings, bounds = _joined(parts, lambda part: part.readings), np.concatenate([part.bounds for part in parts])
        weathers = [part.weather for part in parts if part.weather is not None]
        weather = _joined(parts, lambda part: part.weather) if len(weathers) == len(parts) else None
        return cls(last.path, bounds, last.run, readings, weather, last.kept, last.layers, parts)

    @property
    def files(self) -> tuple[Base, ...]:
        """The files that it is made of, itself where it is one."""
        return self.parts or (self,)

    @property
    def days(self) -> tuple[int, int]:
        """Half-open range of the UTC days that it touches."""
        return self.hours[0] // HOURS_A_DAY, -(-self.hours[1] // HOURS_A_DAY)

    @property
    def hours(self) -> tuple[int, int]:
        """Where it begins and ends, hours since 1970-01-01 00:00 UTC."""
        return int(self.bounds[0, 0]), int(self.bounds[-1, 1])

    @property
    def identity(self) -> str:
        """What tells this state of the cube from the one before and after it has grown."""
        return "\n".join(f"{one.hours[1]} {one.kept.get('history', '')}" for one in self.files)

    def check_fits(self, template: Template) -> None:
        """Refuse a template that does not continue this cube.

        Raises
        ------
        OutputError
            If its layers differ, or its steps are not those of the template, which goes on after them.
        """
        wanted = {layer.name: (np.dtype(layer.dtype).str, layer.dims) for layer in template.layers}
        for file in self.files:
            if file.layers != wanted:
                theirs, ours = (
                    ", ".join(name for name in one if one[name] != other.get(name)) or "none more"
                    for one, other in ((file.layers, wanted), (wanted, file.layers))
                )
                raise OutputError(
                    f"{file.path} has other layers than this run: {theirs} there, {ours} here; produce it anew"
                )
        count = len(self.bounds)
        if count > template.plan.steps or not np.array_equal(template.plan.bounds[:count], self.bounds):
            raise OutputError(
                f"the steps of {self.path} are not those of this run from the same beginning: it was cut or resampled, "
                "or its periods begin at another clock (--utc-offset); produce it anew"
            )


def part_files(path: Path, split: str) -> list[Path]:
    """Return the files of months or years that stand beside `path`, in their order."""
    label = re.compile(rf"{re.escape(path.stem)}_\d{{{6 if split == 'month' else 4}}}{re.escape(path.suffix)}")
    return sorted(file for file in path.parent.glob(f"*{path.suffix}") if label.fullmatch(file.name))


def _joined(parts: tuple[Base, ...], record: Callable[[Base], Any]) -> Readings:
    """Return one record of all parts: of each day that of the part that holds it.

    A part that did not change when a later one was written has the record of its own making.
    """
    owners = {day: part for part in parts for day in range(*part.days)}
    begin, stop = min(owners), max(owners)
    days = []
    for day in range(record(parts[0]).first_day, record(parts[-1]).end_day):
        owner = owners[min(max(day, begin), stop)]
        if (known := record(owner).get(day)) is None:
            raise CubeError(f"{owner.path} does not say from which readings its own hours were made; produce it anew")
        days.append(known)
    return Readings(record(parts[0]).first_day, tuple(days))


def _read_zarr(path: Path | Place) -> _Said:
    group: Any = open_zarr(path.url) if isinstance(path, Place) else zarr.open_group(str(path), mode="r")
    layers = {}
    for name, array in group.arrays():
        # Zarr 2 has no place for the names of dimensions but an attribute.
        dims: Any = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS", ())
        layers[name] = array.dtype.str, tuple(dims)
    bounds = np.asarray(group["time_bnds"][:]).round().astype(np.int64)
    return dict(group.attrs), bounds, _layers(layers)


def _read_netcdf(path: Path | Place) -> _Said:
    with netCDF4.Dataset(str(path)) as file:
        file.set_auto_maskandscale(False)
        layers = {name: (variable.dtype.str, variable.dimensions) for name, variable in file.variables.items()}
        bounds = np.asarray(file["time_bnds"][:]).round().astype(np.int64)
        return {key: file.getncattr(key) for key in file.ncattrs()}, bounds, _layers(layers)


def _layers(found: _Layers) -> _Layers:
    """Return the layers among the variables: those over both latitude and longitude."""
    return {name: form for name, form in found.items() if {"lat", "lon"} <= set(form[1])}
