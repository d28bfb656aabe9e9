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

from aqreanalysis.errors import CubeError
from aqreanalysis.production.cube import SUFFIXES
from aqreanalysis.production.layers import CONVENTIONS_VERSION, CUBE_DIMS, MAP_DIMS, QUANTIZATION, VERSION_ATTRIBUTE
from aqreanalysis.production.template import LEAD_TIME
from aqreanalysis.species import SPECIES, Species

#: Values of one layer held at once.
SLAB_VALUES = 4_000_000
#: Variables that are no layers.
NOT_LAYERS = ("time", "lat", "lon", "time_bnds", "lat_bnds", "lon_bnds", "crs", LEAD_TIME, QUANTIZATION)


@dataclass(frozen=True)
class Slab:
    """Some steps of all layers: `values` by name, float layers with NaN where missing; maps are (1, lat, lon)."""

    steps: slice
    values: Mapping[str, NDArray[Any]]


class RawCube:
    """A cube opened without decoding.

    Attributes
    ----------
    path : Path
        Where.
    raw : Dataset
        As stored: numbers of time, fills as numbers.
    format : str
        ``NetCDF``, ``Zarr 2`` or ``Zarr 3``.
    model : Path or None
        The bundle that the cube is said to come from.

    Raises
    ------
    CubeError
        If it cannot be read, or has no pollutant over time, lat and lon: then there is nothing to examine.
    """

    def __init__(self, path: str | Path, model: str | Path | None = None) -> None:
        self.path = Path(path)
        self.model = None if model is None else Path(model)
        if not self.path.exists():
            part = self.path.with_name(self.path.name + ".part")
            more = f"; {part} holds an unfinished run: repeat its command" if part.exists() else "; check the path"
            raise CubeError(f"no cube {self.path}{more}")
        if self.path.suffix not in SUFFIXES:
            raise CubeError(f"{self.path} is no cube: its name must end in {' or '.join(SUFFIXES)}")
        zarr = self.path.is_dir()
        try:
            how: dict[str, Any] = {"engine": "netcdf4"}
            if zarr:
                how = {"engine": "zarr", "consolidated": is_consolidated(self.path)}
            self.raw = xr.open_dataset(self.path, decode_cf=False, **how)
        except Exception as error:  # each backend has its own ways to fail on a file that is not one
            raise CubeError(f"{self.path} cannot be read as a cube: {' '.join(str(error).split())}") from None
        self.format = f"Zarr {_zarr_format(self.path)}" if zarr else "NetCDF"
        lacking = [name for name in CUBE_DIMS if name not in self.raw.variables or self.raw[name].dims != (name,)]
        if lacking or not self.species:
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
        chunk = self.chunks(self.species[0].layer)[0]
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


def is_consolidated(path: Path) -> bool:
    """Return whether the store holds the metadata of all its arrays in one file."""
    if (path / "zarr.json").exists():
        return bool(json.loads((path / "zarr.json").read_text(encoding="utf-8")).get("consolidated_metadata"))
    return (path / ".zmetadata").exists()


def _zarr_format(path: Path) -> int:
    if (path / "zarr.json").exists():
        return int(json.loads((path / "zarr.json").read_text(encoding="utf-8")).get("zarr_format", 3))
    return 2
