"""A cube opened for export: its layers by pollutant, its hours with their bounds, and slabs that fit into memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from aqreanalysis.common.hours import EPOCH, HOUR, STAMPS, stamp_within
from aqreanalysis.common.remote import RemotePath, place_of
from aqreanalysis.errors import CubeError
from aqreanalysis.grids.axes import cells_holding
from aqreanalysis.production.cube import as_cube, open_cube
from aqreanalysis.production.derived_layers import (
    AQI,
    CONCENTRATION,
    DerivedQuantity,
    derived_quantities,
    held_beside,
)
from aqreanalysis.production.layers import (
    CUBE_DIMS,
    DISTANCE,
    EXPECTATION,
    MAP_DIMS,
    MEDIAN,
    LayerNames,
    layer_names,
    statistic_of,
)
from aqreanalysis.species import SPECIES, Species, get_species

#: Values of one layer read at once (32 MB as float32).
SLAB_VALUES = 8_000_000

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class SpeciesLayers:
    """The layers of one pollutant in one cube; None where the cube has none.

    Attributes
    ----------
    species : Species
        The pollutant.
    best : str
        The best estimate.
    standard_error, lower, upper, flag, used, hours, distance : str or None
        Standard error, bounds of the coverage interval, quality flag, observations used; of a cube of means the hours
        observed; distance to the nearest station that reports, where it is a layer of each step.
    exceedance : dict
        Threshold in the pollutant's units -> layer of the probability that it is exceeded.
    mean : str or None
        The expectation, where it is a layer beside an estimate that is the median.
    statistic : str
        What the best estimate is: ``median`` or ``expectation``.
    kind : str
        ``concentration``; of what `export aggregate` writes also ``index`` (an air quality index) or ``count``.
    of : str or None
        Key of the pollutant of a derived quantity; None of an index, and of a plain pollutant.
    beside : tuple of str
        Other layers of it: the share of hours with an estimate, an index' leading pollutant, probabilities of a count.
    """

    species: Species
    best: str
    standard_error: str | None
    lower: str | None
    upper: str | None
    flag: str | None
    used: str | None
    hours: str | None
    distance: str | None
    exceedance: Mapping[float, str] = field(default_factory=dict)
    mean: str | None = None
    statistic: str = EXPECTATION
    kind: str = CONCENTRATION
    of: str | None = None
    beside: tuple[str, ...] = ()

    @property
    def averaged(self) -> str:
        """The layer from which averages are made: the expectation, or the best estimate where there is none."""
        return self.mean or self.best

    @property
    def has_expectation(self) -> bool:
        """Whether `averaged` is the expectation."""
        return self.mean is not None or self.statistic == EXPECTATION

    @property
    def names(self) -> list[str]:
        """All layers that are there, the estimate first."""
        known = (
            self.best,
            self.standard_error,
            self.lower,
            self.upper,
            self.mean,
            self.flag,
            self.used,
            self.hours,
            self.distance,
        )
        return [name for name in (*known, *self.exceedance.values(), *self.beside) if name is not None]


class CubeSource:
    """A cube to export from, a path or an opened Dataset; nothing but coordinates is read until `read` is called.

    Attributes
    ----------
    dataset : Dataset
        Of `open_cube`, restricted to the hours asked for.
    species : dict
        Key -> `SpeciesLayers`, in the order of `SPECIES`; then what is derived from them, such as ``aqi``.
    bounds : datetime64[ns] (time, 2)
        Beginning and end of what each step stands for.
    step_hours : float
        Length of a step; 1 for an hourly cube, 24 for a daily one, NaN where steps differ in length (months).
    """

    def __init__(
        self,
        path: str | Path | RemotePath | xr.Dataset,
        wanted: Sequence[str] = (),
        span: TimeSpan | None = None,
    ) -> None:
        self.path: Path | RemotePath = Path("the cube")
        self._opened: xr.Dataset | None = None
        if isinstance(path, xr.Dataset):  # what was opened elsewhere stays open
            dataset = as_cube(path.copy())
        else:
            self.path = place_of(path)
            dataset = self._opened = open_cube(str(self.path))
        for name in CUBE_DIMS:
            if name not in dataset.coords or dataset[name].dims != (name,) or not dataset.sizes[name]:
                dataset.close()
                raise CubeError(f"{self.path} is no cube of this program: it has no coordinate {name}")
        if not np.issubdtype(dataset["time"].dtype, np.datetime64):
            raise CubeError(f"{self.path}: time cannot be decoded; its units must be like 'hours since 1970-01-01'")
        bounds = _time_bounds(dataset, self.path)
        if span is not None:
            keep = span.select(bounds, self.path)
            dataset, bounds = dataset.isel(time=keep), bounds[keep]
        self.dataset, self.bounds = dataset, bounds
        self.species = _species_layers(dataset, wanted, self.path, self.step_hours == 1.0)

    def __enter__(self) -> CubeSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._opened is not None:
            self._opened.close()

    @property
    def is_store(self) -> bool:
        """Whether it is a Zarr store and not a file."""
        return self.path.is_dir() if isinstance(self.path, Path) else self.path.suffix == ".zarr"

    @property
    def local_file(self) -> Path | None:
        """The NetCDF file on a disk of this machine; None for a store, and for what is at a URL."""
        return self.path if isinstance(self.path, Path) and not self.is_store else None

    @property
    def times(self) -> NDArray[np.datetime64]:
        """Stamps, datetime64[ns] (time,)."""
        return np.asarray(self.dataset["time"].values, dtype="datetime64[ns]")

    @property
    def stamp(self) -> str:
        """Where in its period a step is stamped, of `STAMPS`; the middle where stamps lie at no one place."""
        return stamp_within(self.times, self.bounds) or STAMPS[0]

    @property
    def step_hours(self) -> float:
        lengths = np.unique((self.bounds[:, 1] - self.bounds[:, 0]) / HOUR)
        return float(lengths[0]) if lengths.size == 1 else float("nan")

    @property
    def medians_averaged(self) -> str:
        """What is to be said of averages made from this cube, where it holds medians alone; empty otherwise."""
        return medians_among(self.species.values())

    @property
    def layers(self) -> list[str]:
        """Layers over (time, lat, lon) of the pollutants asked for."""
        return [name for one in self.species.values() for name in one.names]

    @property
    def maps(self) -> list[str]:
        """Layers over (lat, lon): of older cubes the distance to the nearest station, reporting or not."""
        held = self.dataset.data_vars
        return [DISTANCE] if DISTANCE in held and "time" not in held[DISTANCE].dims else []

    def read(self, name: str, steps: slice | NDArray[np.intp], rows: slice | None = None) -> NDArray[Any]:
        """Return a layer as (time, lat, lon), or (lat, lon) for a map; missing values of floats are NaN."""
        layer = self.dataset[name]
        indexers: dict[str, Any] = {"lat": rows or slice(None)}
        dims: tuple[str, ...] = MAP_DIMS
        if "time" in layer.dims:
            indexers["time"], dims = steps, CUBE_DIMS
        return np.asarray(layer.isel(indexers).transpose(*dims).values)

    def bits(self, one: SpeciesLayers) -> dict[str, int]:
        """Return the bit of each condition that a pollutant's quality flag names; none without a flag."""
        attrs = {} if one.flag is None else self.dataset[one.flag].attrs
        masks = np.atleast_1d(attrs.get("flag_masks", ()))
        return dict(zip(str(attrs.get("flag_meanings", "")).split(), (int(mask) for mask in masks), strict=False))

    def coverage(self, one: SpeciesLayers) -> float:
        """Return the probability of the interval.

        Raises
        ------
        CubeError
            If the cube does not say it.
        """
        value = self.dataset[one.lower].attrs.get("coverage_probability") if one.lower else None
        if value is None:
            raise CubeError(
                f"{self.path}: {one.lower or one.best} has no coverage_probability, so what its interval is "
                "is unknown; see aqreanalysis validate"
            )
        return float(value)

    def extrapolated(self, one: SpeciesLayers, flag: NDArray[Any]) -> NDArray[np.float32] | None:
        """Return 1 where a flag says that the estimate is extrapolated, 0 where not, NaN where nothing is estimated.

        What was left blank because it lies too far counts as extrapolated. None if the flag knows no such condition.
        """
        bits = self.bits(one)
        beyond = bits.get("extrapolated_beyond_network", 0) | bits.get("left_blank", 0)
        if not beyond:
            return None
        plain = flag.astype(np.int64)
        far = np.where(plain & beyond, np.float32(1), np.float32(0))
        return np.where(plain & bits.get("masked", 0), np.float32(np.nan), far)

    def extrapolation_km(self, one: SpeciesLayers) -> float | None:
        """Return the distance beyond which a pollutant's estimates are flagged; None where the cube does not say."""
        km = None if one.flag is None else self.dataset[one.flag].attrs.get("extrapolation_km")
        return None if km is None else float(km)

    def attrs_of_average(self, name: str) -> dict[str, Any]:
        """Return the attributes of a layer as far as they hold of an average: which is not rounded, and has other
        layers beside it."""
        gone = ("ancillary_variables", "quantization", "quantization_nsb")
        return {key: value for key, value in self.dataset[name].attrs.items() if key not in gone}

    def slabs(self, layers: int = 1) -> Iterator[slice]:
        """Yield ranges of steps, whole chunks where they fit, of at most `SLAB_VALUES` values in all `layers`."""
        cells = self.dataset.sizes["lat"] * self.dataset.sizes["lon"]
        steps = max(1, SLAB_VALUES // (cells * max(1, layers)))
        chunk = self._chunk_hours()
        if steps > chunk:
            steps -= steps % chunk
        total = self.dataset.sizes["time"]
        for start in range(0, total, steps):
            yield slice(start, min(start + steps, total))

    def _chunk_hours(self) -> int:
        encoding = self.dataset[self.layers[0]].encoding
        sizes = encoding.get("chunksizes") or encoding.get("chunks") or (1,)
        return max(1, int(sizes[0]))

    def edges(self, axis: str) -> FloatArray:
        """Return the edges (n, 2), ascending, of the cells along ``lat`` or ``lon``."""
        name = f"{axis}_bnds"
        if name in self.dataset.variables:
            return np.sort(np.asarray(self.dataset[name].values, dtype=np.float64), axis=1)
        centres = np.asarray(self.dataset[axis].values, dtype=np.float64)
        if centres.size < 2:
            raise CubeError(f"{self.path}: {axis} has one value and no bounds, so the size of its cell is unknown")
        half = abs(centres[1] - centres[0]) / 2
        return np.column_stack([centres - half, centres + half])

    def cell_of(self, axis: str, places: FloatArray) -> NDArray[np.intp]:
        """Return the index of the cell that contains each place along `axis`, longitudes in any turn; -1 outside."""
        return cells_holding(places, self.edges(axis), around=axis == "lon")


def medians_among(averaged: Iterable[SpeciesLayers]) -> str:
    """Return what is to be said of averages of these pollutants, where the cube holds medians alone; else nothing."""
    lacking = [one.best for one in averaged if not one.has_expectation]
    if not lacking:
        return ""
    return (
        f"averages of {', '.join(lacking)} are of hourly medians, which lie below the expectation: for means "
        "without that bias produce the cube with --layer mean, or with --frequency daily, monthly or annual"
    )


@dataclass(frozen=True)
class TimeSpan:
    """The part of the timeline that is wanted: steps that lie wholly between `start` and `end` (UTC)."""

    start: datetime | None = None
    end: datetime | None = None

    def select(self, bounds: NDArray[np.datetime64], path: Path | RemotePath) -> slice:
        """Return the range of steps.

        Raises
        ------
        CubeError
            If no step lies between the two.
        """
        low = bounds[0, 0] if self.start is None else np.datetime64(self.start, "ns")
        high = bounds[-1, 1] if self.end is None else np.datetime64(self.end, "ns")
        inside = np.flatnonzero((bounds[:, 0] >= low) & (bounds[:, 1] <= high))
        if not inside.size:
            raise CubeError(
                f"{path} has no step between {_text(low)} and {_text(high)}: it spans {_text(bounds[0, 0])} to "
                f"{_text(bounds[-1, 1])} (UTC); choose --start and --end within"
            )
        return slice(int(inside[0]), int(inside[-1]) + 1)


def _text(moment: np.datetime64) -> str:
    return str(pd.Timestamp(moment).strftime("%Y-%m-%dT%H:%M"))


def _time_bounds(dataset: xr.Dataset, path: Path | RemotePath) -> NDArray[np.datetime64]:
    name = dataset["time"].attrs.get("bounds", "time_bnds")
    if name in dataset.variables:
        values = np.asarray(dataset[name].values)
        if np.issubdtype(values.dtype, np.datetime64):
            return values.astype("datetime64[ns]")
        # A backend that left the bounds as numbers: they are in the units of the coordinate.
        return (EPOCH + (values * 3600).astype("timedelta64[s]")).astype("datetime64[ns]")
    raise CubeError(f"{path}: time has no bounds, so what a stamp stands for is unknown; see aqreanalysis validate")


def _species_layers(
    dataset: xr.Dataset, wanted: Sequence[str], path: Path | RemotePath, hourly: bool
) -> dict[str, SpeciesLayers]:
    held = [s for s in SPECIES.values() if s.layer in dataset.data_vars]
    derived = derived_quantities(dataset)
    if not held and not derived:
        raise CubeError(f"{path} is no cube of this program: it holds no pollutant ({', '.join(SPECIES)})")
    layers = {s.key: _layers_of(dataset, s, len(held) > 1, hourly) for s in held}
    layers |= {key: _layers_of(dataset, one.species, True, hourly, one) for key, one in derived.items()}
    keys = {key for name in wanted for key in _keys_of(name, layers)} or set(layers)
    lacking = [key for key in (*SPECIES, *keys) if key in keys and key not in layers]
    if lacking:
        raise CubeError(f"{path} has no {', '.join(dict.fromkeys(lacking))}; it holds {', '.join(layers)}")
    return {key: one for key, one in layers.items() if key in keys}


def _keys_of(name: str, layers: Mapping[str, SpeciesLayers]) -> list[str]:
    """Return what is meant by a name: a quantity of the cube, or of a pollutant all that is derived from it."""
    plain = name.strip().lower()
    if plain in layers or plain == AQI:
        return [plain]
    key = get_species(name).key
    return [key] if key in layers else [k for k, one in layers.items() if one.of == key] or [key]


def _layers_of(
    dataset: xr.Dataset, species: Species, several: bool, hourly: bool, derived: DerivedQuantity | None = None
) -> SpeciesLayers:
    names: LayerNames = layer_names(species, several)
    statistic = statistic_of(dataset[names.best].attrs, hourly)

    def held(name: str) -> str | None:
        return name if name in dataset.data_vars and set(CUBE_DIMS) == set(dataset[name].dims) else None

    exceedance = {}
    for name in map(str, dataset.data_vars):
        if re.fullmatch(rf"{species.layer}_exceedance_[0-9p]+", name):
            exceedance[float(dataset[name].attrs.get("threshold", "nan"))] = name
    return SpeciesLayers(
        species,
        names.best,
        held(names.standard_error),
        held(names.lower),
        held(names.upper),
        held(names.flag),
        held(names.used),
        held(names.hours),
        held(names.distance),
        {limit: name for limit, name in sorted(exceedance.items()) if np.isfinite(limit)},
        held(names.mean) if statistic == MEDIAN else None,
        statistic,
        CONCENTRATION if derived is None else derived.kind,
        None if derived is None else derived.of,
        held_beside(names.best, ("_valid_share",) if derived is None else derived.beside, dataset),
    )
