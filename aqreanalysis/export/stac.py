"""A STAC item for a cube and its COGs, with the datacube extension."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from aqreanalysis.common.remote import RemotePath
from aqreanalysis.errors import OutputError
from aqreanalysis.export.files import whole_file
from aqreanalysis.export.source import CubeSource
from aqreanalysis.production.layers import CUBE_DIMS, MAP_DIMS

_NETCDF, _ZARR = "application/x-netcdf", "application/vnd+zarr"


def export_stac(source: CubeSource, out: str | Path, cogs: str | Path | None = None, overwrite: bool = False) -> Path:
    """Return the path of a STAC item (JSON) that describes the cube and, if given, the COGs made from it.

    Links to the data are relative to the item, so item and data move together. What the cube does not say (licence,
    institution) is left out.

    Parameters
    ----------
    source : CubeSource
        The cube.
    out : str or Path
        Ends in ``.json``.
    cogs : str, Path or None
        Folder of `export_cogs`.
    overwrite : bool
        Replace a file that exists.

    Raises
    ------
    OutputError
        If pystac is not installed, the folder holds no COG, or the file exists.
    """
    item = make_item(source, Path(out), None if cogs is None else Path(cogs))
    with whole_file(out, (".json",), overwrite) as temporary:
        temporary.write_text(json.dumps(item.to_dict(include_self_link=False), indent=2) + "\n", encoding="utf-8")
    return Path(out)


def make_item(source: CubeSource, out: Path, cogs: Path | None) -> Any:
    """Return the pystac Item."""
    pystac = import_pystac()
    from pystac.extensions.datacube import DatacubeExtension
    from pystac.extensions.projection import ProjectionExtension

    first, last = (pd.Timestamp(source.bounds[i, i]).to_pydatetime() for i in (0, -1))
    box, geometry = extent_of(source)
    item = pystac.Item(
        id=cube_id(source),
        geometry=geometry,
        bbox=box,
        datetime=None,
        start_datetime=first,
        end_datetime=last,
        properties=_properties(source),
    )
    item.add_asset("cube", cube_asset(source, out))
    for path in [] if cogs is None else cog_paths(cogs):
        item.add_asset(path.stem, cog_asset(path, out))
    DatacubeExtension.ext(item, add_if_missing=True).apply(dimensions=_dimensions(source), variables=_variables(source))
    ProjectionExtension.ext(item, add_if_missing=True).apply(code="EPSG:4326")
    return item


def import_pystac() -> Any:
    """Return the module pystac.

    Raises
    ------
    OutputError
        If it, or one of the extensions that are used, is not installed.
    """
    try:
        import pystac
        import pystac.extensions.datacube
        import pystac.extensions.projection
    except ImportError:
        raise OutputError("a STAC item needs pystac; install it with: pip install 'aqreanalysis[stac]'") from None
    return pystac


def cube_id(source: CubeSource) -> str:
    """Return the id that the cube has, or else its name with eight digits that differ between cubes of one name."""
    digests = [str(source.dataset.attrs.get(k, "")) for k in ("model_digest", "observations_digest")]
    span = [str(source.bounds[0, 0]), str(source.bounds[-1, 1])]
    digest = hashlib.sha256("".join([*digests, *span]).encode()).hexdigest()[:8]
    return str(source.dataset.attrs.get("id") or f"{source.path.stem}-{digest}").replace("/", "-")


def cube_asset(source: CubeSource, out: Path) -> Any:
    """Return the cube as an asset of the item `out`."""
    kind = _ZARR if source.is_store else _NETCDF
    title = str(source.dataset.attrs.get("title", source.path.name))
    return import_pystac().Asset(_href(source.path, out), title, media_type=kind, roles=["data"])


def license_of(source: CubeSource) -> str:
    """Return the licence as STAC wants it: an SPDX identifier that the cube says, ``other`` for words or none."""
    said = str(source.dataset.attrs.get("license", ""))
    return said if re.fullmatch(r"[\w.+-]+", said, re.ASCII) else "other"


def providers_of(source: CubeSource) -> list[dict[str, Any]]:
    """Return who made the cube, if it says it."""
    said = source.dataset.attrs.get("institution")
    return [] if said is None else [{"name": str(said), "roles": ["producer"]}]


def _properties(source: CubeSource) -> dict[str, Any]:
    attrs = source.dataset.attrs
    wanted = {
        "title": "title",
        "summary": "description",
        "date_created": "created",
        "date_modified": "updated",
    }
    held: dict[str, Any] = {new: str(attrs[old]) for old, new in wanted.items() if old in attrs}
    if "license" in attrs:
        held["license"] = license_of(source)
    if providers := providers_of(source):
        held["providers"] = providers
    digests = ["model_digest", "observations_digest", "source", "coverage_measured"]
    if held.get("license") == "other":
        digests.append("license")
    return {**held, **{f"aqreanalysis:{key}": str(attrs[key]) for key in digests if key in attrs}}


def extent_of(source: CubeSource) -> tuple[list[float], dict[str, Any]]:
    """Return bounding box and geometry of the cells' edges, cut at the antimeridian as GeoJSON wants it."""
    lat, lon = source.edges("lat"), source.edges("lon")
    south, north = max(float(lat.min()), -90.0), min(float(lat.max()), 90.0)
    west, east = float(lon.min()), float(lon.max())
    if east <= 180:
        return [west, south, east, north], {"type": "Polygon", "coordinates": [_ring(west, south, east, north)]}
    parts = [[_ring(west, south, 180.0, north)], [_ring(-180.0, south, east - 360, north)]]
    return [west, south, east - 360, north], {"type": "MultiPolygon", "coordinates": parts}


def _ring(west: float, south: float, east: float, north: float) -> list[list[float]]:
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def _dimensions(source: CubeSource) -> dict[str, Any]:
    from pystac.extensions.datacube import Dimension

    times = [pd.Timestamp(t).strftime("%Y-%m-%dT%H:%M:%SZ") for t in source.times[[0, -1]]]
    dimensions = {"time": Dimension.from_dict({"type": "temporal", "extent": times, "step": _step(source)})}
    for name, axis in (("lon", "x"), ("lat", "y")):
        values = np.asarray(source.dataset[name].values, dtype=np.float64)
        extent: dict[str, Any] = {"type": "spatial", "axis": axis, "extent": [float(values.min()), float(values.max())]}
        if values.size > 1:
            extent["step"] = round(float(values[-1] - values[0]) / (values.size - 1), 10)
        dimensions[name] = Dimension.from_dict({**extent, "reference_system": 4326})
    return dimensions


def _step(source: CubeSource) -> str | None:
    hours = source.step_hours
    if np.isnan(hours):
        return None
    return f"PT{hours:g}H" if hours % 24 else f"P{hours / 24:g}D"


def _variables(source: CubeSource) -> dict[str, Any]:
    from pystac.extensions.datacube import Variable

    variables = {}
    for name in [*source.layers, *source.maps]:
        held = source.dataset[name]
        dims = CUBE_DIMS if "time" in held.dims else MAP_DIMS
        description = {"type": "data", "dimensions": list(dims), "description": held.attrs.get("long_name", name)}
        variables[name] = Variable.from_dict({**description, "unit": held.attrs.get("units", "1")})
    return variables


def cog_paths(cogs: Path) -> list[Path]:
    """Return the GeoTIFFs in a folder.

    Raises
    ------
    OutputError
        If there is none.
    """
    paths = sorted(cogs.glob("*.tif")) if cogs.is_dir() else []
    if not paths:
        raise OutputError(f"no COG in {cogs}; make them with aqreanalysis export cog")
    return paths


def cog_asset(path: Path, out: Path) -> Any:
    """Return a GeoTIFF as an asset of the item `out`, with its time, bands and pixels."""
    import rasterio

    pystac = import_pystac()
    with rasterio.open(path) as file:
        tags = file.tags()
        bands = [
            {"name": name, "description": file.tags(i + 1).get("long_name", name), "unit": unit or "1"}
            for i, (name, unit) in enumerate(zip(file.descriptions, file.units, strict=True))
        ]
        fields = {"bands": bands, "nodata": file.nodata, "data_type": file.dtypes[0]}
        fields |= {"proj:shape": list(file.shape), "proj:transform": list(file.transform)[:6]}
        fields["proj:code"] = f"EPSG:{file.crs.to_epsg()}"
        fields["datetime"] = tags.get("time")
    return pystac.Asset(_href(path, out), media_type=pystac.MediaType.COG, roles=["data"], extra_fields=fields)


def _href(path: Path | RemotePath, out: Path) -> str:
    if isinstance(path, RemotePath):
        return str(path)
    relative = os.path.relpath(path.resolve(), out.resolve().parent)
    return Path(relative).as_posix() if relative.startswith("..") else f"./{Path(relative).as_posix()}"
