"""What people do next with a cube in Python: how likely a limit is exceeded, and what the population breathes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from aqreanalysis.common.remote import RemotePath
from aqreanalysis.errors import CubeError, OutputError, wrong_type
from aqreanalysis.export.exceedance import Array, exceedance_probability
from aqreanalysis.export.polygons import ASSUMPTION
from aqreanalysis.export.population import people_in_cells
from aqreanalysis.export.source import SLAB_VALUES, CubeSource, SpeciesLayers

CubeLike = str | Path | RemotePath | xr.Dataset


def exceedance(cube: CubeLike, limit: float, species: str | None = None) -> xr.DataArray:
    """Return the probability that a concentration lies above `limit`, at each step and cell, lazily.

    Where the cube holds the probability of this limit it is returned; elsewhere it is read from the best estimate and
    the bounds of the coverage interval (`exceedance_probability`). The sum over time is the expected number of steps
    above the limit.

    Parameters
    ----------
    cube : str, Path or Dataset
        A cube, its path or URL.
    limit : float
        Concentration in the units of the pollutant.
    species : str or None
        Pollutant; None takes the cube's first.

    Returns
    -------
    xarray.DataArray
        Float32 (time, lat, lon), 0 to 1, NaN where there is no estimate; in Dask chunks.

    Raises
    ------
    CubeError
        If the cube cannot be read, has no such pollutant, or no interval.
    OutputError
        If the limit is not above 0.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> cube = aq.produce("models/north", "obs.parquet", "110,35,111,36@0.25", "2021-03-03", "2021-03-04", "limit.nc")
    >>> above = aq.exceedance(cube, 35.0)
    >>> above.sizes["time"], above.attrs["threshold"], bool((above <= 1).all())
    (24, 35.0, True)
    >>> hours_above = above.sum("time")
    """
    if isinstance(limit, bool) or not isinstance(limit, int | float | np.number) or not limit > 0:
        raise wrong_type("limit", limit, "a concentration above 0, in the units of the cube", OutputError)
    source, one = _opened(cube, species)
    if float(limit) in one.exceedance:
        return source.dataset[one.exceedance[float(limit)]]
    if one.lower is None or one.upper is None:
        raise CubeError(f"{source.path} has no bounds of {one.best}, from which the probability would be read")
    coverage = source.coverage(one)

    def probability(lower: Array, best: Array, upper: Array) -> Array:
        return exceedance_probability((lower, best, upper), coverage, float(limit))

    layers = [_chunked(source.dataset[name]) for name in (one.lower, one.best, one.upper)]
    out = xr.apply_ufunc(probability, *layers, dask="parallelized", output_dtypes=[np.float32])
    attrs = {"long_name": f"probability that {one.species.title} lies above {limit:g} {one.species.units}"}
    return out.rename(f"{one.best}_exceedance").assign_attrs(
        **attrs, units="1", threshold=float(limit), threshold_units=one.species.units
    )


def population_weighted_mean(
    cube: CubeLike, population: str | Path | xr.DataArray, species: str | None = None
) -> xr.Dataset:
    """Return the mean concentration that people live in, at each step, with its standard error and bounds, lazily.

    Cells without an estimate are left out, and `population_share` says how many of the people the others hold. The
    expectation is averaged where the cube has it (``produce --layer mean``, and cubes of means).

    Parameters
    ----------
    cube : str, Path or Dataset
        A cube, its path or URL.
    population : str, Path or DataArray
        Counts: a raster in any reference system and resolution, or an array over the cube's own lat and lon.
    species : str or None
        Pollutant; None takes the cube's first.

    Returns
    -------
    xarray.Dataset
        Of (time): the mean of the estimate, of `standard_error`, `lower` and `upper` where the cube has them, and
        `population_share`. The first attribute `comment` says when they are exact.

    Raises
    ------
    CubeError
        If the cube cannot be read, or has no such pollutant.
    OutputError
        If the population cannot be read, lies elsewhere, or counts nobody in the cube.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> cube = aq.produce("models/north", "obs.parquet", "110,35,111,36@0.25", "2021-03-03", "2021-03-04", "people.nc")
    >>> people = (cube["pm2p5"].isel(time=0, drop=True) * 0 + 1.0).rename("people")  # one in each cell
    >>> mean = aq.population_weighted_mean(cube, people)
    >>> list(mean.data_vars)
    ['pm2p5', 'pm2p5_standard_error', 'pm2p5_lower', 'pm2p5_upper', 'population_share']
    >>> bool(abs(mean["pm2p5"] - cube["pm2p5"].mean(("lat", "lon"))).max() < 1e-3)
    True
    """
    source, one = _opened(cube, species)
    people = _people(source, population)
    total = float(people.sum())
    if not total > 0:
        raise OutputError("the population has nobody in the cube's cells; does it cover them?")
    out = {}
    for name in (one.averaged, one.standard_error, one.lower, one.upper):
        if name is not None:
            layer = _chunked(source.dataset[name])
            known = (people * layer.notnull()).sum(("lat", "lon"))
            mean = (people * layer.fillna(0)).sum(("lat", "lon")) / known.where(known > 0)
            out[name] = mean.astype(np.float32).assign_attrs(layer.attrs)
    held = (people * _chunked(source.dataset[one.averaged]).notnull()).sum(("lat", "lon")) / total
    out["population_share"] = held.assign_attrs(units="1", long_name="share of the people in cells with an estimate")
    comment = ASSUMPTION.replace("of a polygon ", "")
    if source.medians_averaged:
        comment += f"; {source.medians_averaged}"
    return xr.Dataset(out, attrs={"comment": comment, "population": total})


def _opened(cube: CubeLike, species: str | None) -> tuple[CubeSource, SpeciesLayers]:
    """Return the cube, which stays open for what is computed later, and the layers of a pollutant."""
    if not isinstance(cube, CubeLike):
        raise wrong_type("cube", cube, "the path or URL of a cube, or what open_cube returned", CubeError)
    if species is not None and not isinstance(species, str):
        raise wrong_type("species", species, "the name of a pollutant", CubeError)
    source = CubeSource(cube, () if species is None else (species,))
    return source, next(iter(source.species.values()))


def _chunked(layer: xr.DataArray) -> xr.DataArray:
    """Return a layer in Dask chunks of some steps, so that a long cube is never in memory as a whole."""
    if layer.chunks is not None:
        return layer
    return layer.chunk({"time": max(1, SLAB_VALUES // max(1, layer.sizes["lat"] * layer.sizes["lon"]))})


def _people(source: CubeSource, population: str | Path | xr.DataArray) -> xr.DataArray:
    """Return the people in each cell (lat, lon), 0 where nobody is counted."""
    lat, lon = source.dataset["lat"], source.dataset["lon"]
    if isinstance(population, str | Path):
        return xr.DataArray(people_in_cells(source, population), {"lat": lat, "lon": lon}, ("lat", "lon"))
    if not isinstance(population, xr.DataArray) or set(population.dims) != {"lat", "lon"}:
        raise OutputError("the population is neither the path of a raster nor a DataArray over lat and lon: give one")
    try:
        counts = population.sel(lat=lat, lon=lon, method="nearest", tolerance=1e-6)
    except KeyError:
        raise OutputError(
            "the population has other cells than the cube: give it on the cube's lat and lon, or as a raster"
        ) from None
    counts = counts.assign_coords(lat=lat, lon=lon).transpose("lat", "lon").astype(np.float64)
    return counts.where(counts > 0, 0.0)
