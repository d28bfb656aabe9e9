"""What is in the files, with a look at the values: for ``aqreanalysis covariates check``."""

from __future__ import annotations

from typing import Any

import numpy as np

from aqreanalysis.covariates.covariates import Covariates
from aqreanalysis.covariates.gridded import GriddedSource
from aqreanalysis.covariates.interpolation import Floats
from aqreanalysis.covariates.weather import WeatherStations

#: Points along an axis of a grid that are looked at.
_POINTS = 40


def check(covariates: Covariates) -> dict[str, Any]:
    """Return `Covariates.summary` with the range of each field at one hour in the middle of its span.

    Raises
    ------
    CovariatesError
        If that hour cannot be read or holds values that cannot be.
    """
    facts = covariates.summary()
    for key, about in facts["fields"].items():
        hours = covariates.hours(key)
        middle = hours[[hours.size // 2]]
        for layer in covariates.layers:
            if middle[0] in (layer.hours(key) if key in _fields(layer) else ()):
                values = covariates.select([key]).at(*_points(layer), middle)
                about["look"] = {"hour": str(np.datetime64(int(middle[0]), "h")), **_range(values)}
                break
    for index, name in enumerate(covariates.static):
        raster = next(r for r in covariates.rasters if name in r.fields)
        values = covariates.static_at(*_inside(raster))[:, index]
        facts["static"][name]["look"] = _range(values)
    return facts


def lines(facts: dict[str, Any]) -> list[str]:
    """Return the facts of `check` in lines for people."""
    out = []
    for key, about in facts["fields"].items():
        step = f"every {about['step_hours']} h" if about["step_hours"] else "one hour"
        gap = f", {about['missing_hours']} hours missing" if about["missing_hours"] else ""
        out.append(f"{key:<16} {about['title']} [{about['units']}]")
        out.append(f"  {about['first']} to {about['last']} UTC (end of the hour), {about['hours']} hours, {step}{gap}")
        out += [f"  {source}" for source in about["sources"]]
        out.append(f"  {_look(about.get('look'))}")
    for name, about in facts["static"].items():
        size = " x ".join(map(str, about["size"]))
        out.append(f"{name:<16} static, {about['method']} over {about['window_km']:g} km")
        out.append(f"  {about['path']}: {size} pixels, {about['crs']}")
        out.append(f"  {_look(about.get('look'))}")
    return out


def _look(look: dict[str, Any] | None) -> str:
    at = f"at {look['hour']} " if look is not None and "hour" in look else ""
    if look is None or look["mean"] is None:
        return f"{at}no value found"
    missing = f", {look['missing']:.0%} missing" if look["missing"] else ""
    return f"{at}{look['min']:.4g} to {look['max']:.4g}, mean {look['mean']:.4g}{missing}"


def _range(values: np.ndarray) -> dict[str, Any]:
    seen = values[np.isfinite(values)].astype(np.float64)
    ends = (float(seen.min()), float(seen.mean()), float(seen.max())) if seen.size else (None, None, None)
    return {**dict(zip(("min", "mean", "max"), ends, strict=True)), "missing": 1 - seen.size / max(values.size, 1)}


def _fields(layer: GriddedSource | WeatherStations) -> Any:
    return layer.variables if isinstance(layer, GriddedSource) else layer.fields


def _points(layer: GriddedSource | WeatherStations) -> tuple[Floats, Floats]:
    if isinstance(layer, WeatherStations):
        return layer.lat, layer.lon
    return layer.axes.some_points(_POINTS)


def _inside(raster: Any) -> tuple[Floats, Floats]:
    """Return places spread over a raster."""
    from pyproj import Transformer

    west, south, east, north = raster.facts["bounds"]
    x, y = np.meshgrid(*(np.linspace(a, b, _POINTS + 2)[1:-1] for a, b in ((west, east), (south, north))))
    lon, lat = Transformer.from_crs(raster.facts["crs"], "EPSG:4326", always_xy=True).transform(x.ravel(), y.ravel())
    return np.asarray(lat), np.asarray(lon)
