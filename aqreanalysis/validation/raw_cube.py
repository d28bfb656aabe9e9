"""The cube under examination: as it is stored, undecoded, and as slabs of decoded values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aqreanalysis.common.remote import RemotePath, fetch, open_dataset, place_of, sizes_of, zarr_format
from aqreanalysis.errors import AqreanalysisError, CubeError, in_one_line, no_cube
from aqreanalysis.production.cube import SUFFIXES
from aqreanalysis.production.derived_layers import DerivedQuantity, derived_quantities
from aqreanalysis.production.layers import (
    CHUNK_DIGESTS,
    CONVENTIONS_VERSION,
    CUBE_DIMS,
    MAP_DIMS,
    QUANTIZATION,
    VERSION_ATTRIBUTE,
)
from aqreanalysis.production.template import LEAD_TIME
from aqreanalysis.species import SPECIES, Species

#: Values of one layer held at once.
SLAB_VALUES = 4_000_000
#: Variables that are no layers.
NOT_LAYERS = ("time", "lat", "lon", "time_bnds", "lat_bnds", "lon_bnds", "crs", LEAD_TIME, QUANTIZATION, CHUNK_DIGESTS)


@dataclass(frozen=True)
class Slab:
    """Some steps of all layers: `values` by name, float layers with NaN where missing; maps are (1, lat, lon)."""

    steps: slice
    values: Mapping[str, NDArray[Any]]


class RawCube:
    """A cube opened without decoding.

    Attributes
    ----------
    path : Path or RemotePath
        Where, as it was given.
    file : Path or None
        The file or store on this machine, of a NetCDF at a URL the one that it was brought to; None of a store there.
    raw : Dataset
        As stored: numbers of time, fills as numbers.
    format : str
        ``NetCDF``, ``Zarr 2`` or ``Zarr 3``.
    model : Path or None
        The bundle that the cube is said to come from.

    Raises
    ------
    CubeError
        If it cannot be read, or has no pollutant, nor anything derived from one, over time, lat and lon: then there is
        nothing to examine.
    """

    def __init__(self, path: str | Path | RemotePath, model: str | Path | None = None) -> None:
        self.path = place_of(path)
        self.model = None if model is None else Path(model)
        if isinstance(self.path, Path) and not self.path.exists():
            raise no_cube(self.path)
        if self.path.suffix not in SUFFIXES:
            raise CubeError(f"{self.path} is no cube: its name must end in {' or '.join(SUFFIXES)}")
        try:
            self.file, self.raw, number = _opened(self.path)
        except AqreanalysisError:
            raise
        except Exception as error:  # each backend has its own ways to fail on a file that is not one
            raise CubeError(f"{self.path} cannot be read as a cube: {in_one_line(error)}") from None
        self.format = f"Zarr {number}" if number else "NetCDF"
        lacking = [name for name in CUBE_DIMS if name not in self.raw.variables or self.raw[name].dims != (name,)]
        if lacking or not self.quantities:
            self.close()
            lacks = f"no coordinate {lacking[0]}" if lacking else "no pollutant over time, lat and lon"
            raise CubeError(f"{self.path} is no cube of this program: it has {lacks}; see aqreanalysis produce")

    def __enter__(self) -> RawCube:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.raw.close()

    @property
    def is_netcdf(self) -> bool:
        """Whether it is one file."""
        return self.format == "NetCDF"

    @property
    def is_consolidated(self) -> bool:
        """Whether the store holds the metadata of all its arrays in one file, as one at a URL must."""
        return self.file is None or _is_consolidated(self.file)

    @cached_property
    def names_stored(self) -> list[str] | None:
        """Names of the files of a store; None on a web server, which lists none."""
        if self.file is not None:
            return [file.relative_to(self.file).as_posix() for file in self.file.rglob("*") if file.is_file()]
        sizes = sizes_of(str(self.path))
        return None if sizes is None else list(sizes)

    @property
    def is_older(self) -> bool:
        """Whether it follows conventions of before, under which bounds carried the estimate's standard name."""
        return str(self.raw.attrs.get(VERSION_ATTRIBUTE, "1")) != CONVENTIONS_VERSION

    @cached_property
    def species(self) -> list[Species]:
        """Pollutants with an estimate over time, lat and lon."""
        return [
            s
            for s in SPECIES.values()
            if s.layer in self.raw.variables and set(CUBE_DIMS) <= set(self.raw[s.layer].dims)
        ]

    @cached_property
    def derived(self) -> list[DerivedQuantity]:
        """What the cube holds of indices, daily maxima and counts, as `export aggregate` writes them."""
        return list(derived_quantities(self.raw).values())

    @cached_property
    def quantities(self) -> list[Species]:
        """Pollutants, and what is derived from them."""
        return [*self.species, *(one.species for one in self.derived)]

    @cached_property
    def layers(self) -> list[str]:
        """Every variable that is neither coordinate (nor the lead time of the hours), bounds nor grid mapping."""
        return [str(name) for name in self.raw.variables if name not in NOT_LAYERS]

    def attrs(self, name: str) -> dict[str, Any]:
        """Return the attributes of a variable."""
        return dict(self.raw[name].attrs)

    def has(self, *names: str) -> bool:
        """Return whether all variables are there."""
        return all(name in self.raw.variables for name in names)

    def numbers(self, name: str) -> NDArray[Any]:
        """Return a coordinate or bounds as stored."""
        return np.asarray(self.raw[name].values)

    def chunks(self, name: str) -> tuple[int, ...]:
        """Return the chunk of a layer in the file; its shape if it is in one piece."""
        encoding = self.raw[name].encoding
        sizes = encoding.get("chunksizes") or encoding.get("chunks") or self.raw[name].shape
        return tuple(int(n) for n in sizes)

    def flag_of(self, species: Species) -> str | None:
        """Return the quality flag that speaks of a pollutant."""
        for name in (f"{species.layer}_quality_flag", "quality_flag"):
            if name in self.raw.variables:
                return name
        return None

    def slabs(self) -> Iterator[Slab]:
        """Yield the values of all regular layers, some steps at a time, whole chunks where they fit."""
        cells = self.raw.sizes["lat"] * self.raw.sizes["lon"]
        names = [n for n in self.layers if set(self.raw[n].dims) in (set(CUBE_DIMS), set(MAP_DIMS))]
        chunk = self.chunks(self.quantities[0].layer)[0]
        steps = max(1, SLAB_VALUES // cells)
        steps = steps - steps % chunk if steps > chunk else steps
        total = self.raw.sizes["time"]
        for start in range(0, total, steps):
            part = slice(start, min(start + steps, total))
            yield Slab(
                part, {name: self._values(name, part) for name in names if start == 0 or "time" in self.raw[name].dims}
            )

    def _values(self, name: str, steps: slice) -> NDArray[Any]:
        layer = self.raw[name]
        if "time" not in layer.dims:
            return _decoded(layer.transpose(*MAP_DIMS))[None]
        return _decoded(layer.isel(time=steps).transpose(*CUBE_DIMS))


def _decoded(layer: xr.DataArray) -> NDArray[Any]:
    values = np.asarray(layer.values)
    fill = layer.attrs.get("_FillValue", layer.encoding.get("_FillValue"))
    if fill is None:
        return values
    if values.dtype.kind == "f":
        return np.where(values == values.dtype.type(fill), values.dtype.type(np.nan), values)
    return np.where(values == fill, np.nan, values.astype(np.float32))


def _opened(place: Path | RemotePath) -> tuple[Path | None, xr.Dataset, int]:
    """Return the file or store on this machine, what is in it as stored, and the format of Zarr, 0 of a file."""
    if isinstance(place, RemotePath):
        if place.suffix == ".zarr":
            return None, open_dataset(place, decode_cf=False), zarr_format(place)
        place = fetch(place)
    if not place.is_dir():
        return place, xr.open_dataset(place, decode_cf=False, engine="netcdf4"), 0
    raw = xr.open_dataset(place, decode_cf=False, engine="zarr", consolidated=_is_consolidated(place))
    return place, raw, _zarr_format(place)


def _is_consolidated(path: Path) -> bool:
    """Return whether the store holds the metadata of all its arrays in one file."""
    if (path / "zarr.json").exists():
        return bool(json.loads((path / "zarr.json").read_text(encoding="utf-8")).get("consolidated_metadata"))
    return (path / ".zmetadata").exists()


def _zarr_format(path: Path) -> int:
    if (path / "zarr.json").exists():
        return int(json.loads((path / "zarr.json").read_text(encoding="utf-8")).get("zarr_format", 3))
    return 2
