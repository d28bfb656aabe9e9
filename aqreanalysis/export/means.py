"""Means over calendar periods, with error bars that hold whatever the correlation of hourly errors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.common.hours import HOUR
from aqreanalysis.export.periods import MIN_SHARE, Period
from aqreanalysis.export.source import CubeSource, SpeciesLayers
from aqreanalysis.production.layers import EXPECTATION, FILL, MEDIAN, Layer

#: What the estimate of a mean says of itself; the first word is the statistic.
OF_EXPECTATIONS = f"{EXPECTATION}: mean over the steps of the {{period}} of their expectations"
OF_MEDIANS = (
    f"{MEDIAN} of each hour, averaged over the {{period}}: below the expectation of the mean where the distribution is "
    "skewed; a cube with the layer _mean, or of that frequency, gives the expectation"
)
#: What the layers of a mean say of their error bars.
CORRELATION = (
    "mean of the steps' own values: exact if their errors go wholly together, an upper bound of the spread otherwise, "
    "since neighbouring hours share stations and weather; not divided by the square root of their number"
)

Array = NDArray[np.float32]


def mean_layers(source: CubeSource, period: str) -> tuple[Layer, ...]:
    """Return the layers of a cube of means, from those of the source: estimate, error bars, flag, least count."""
    layers: list[Layer] = []
    for one in source.species.values():
        averaged = (one.best, one.standard_error, one.lower, one.upper, one.distance)
        layers += [_float_layer(source, one, name, period) for name in averaged if name is not None]
        if one.flag is not None:
            attrs = dict(source.dataset[one.flag].attrs)
            attrs["comment"] = "a bit is set if it is set in any step of the period"
            layers.append(Layer(one.flag, "int8", None, attrs))
        if one.used is not None:
            attrs = {**source.dataset[one.used].attrs, "cell_methods": "time: minimum"}
            layers.append(Layer(one.used, "int32", -1, attrs))
        layers.append(share_layer(one, period))
    return tuple(layers)


def share_layer(one: SpeciesLayers, period: str) -> Layer:
    """Return the layer of the share of the period's hours that have an estimate."""
    attrs = {
        "long_name": f"share of the hours of the {period} with an estimate of {one.species.title}",
        "units": "1",
        "coverage_content_type": "qualityInformation",
    }
    return Layer(f"{one.best}_valid_share", "float32", FILL, attrs)


def _float_layer(source: CubeSource, one: SpeciesLayers, name: str, period: str) -> Layer:
    attrs = source.attrs_of_average(name)
    if name == one.best:
        attrs["cell_methods"] = "time: mean"
        gone = (name, one.mean, one.hours, *one.exceedance.values(), *one.beside)
        ancillary = [n for n in one.names if n not in gone]
        attrs["ancillary_variables"] = " ".join([*ancillary, f"{name}_valid_share"])
        attrs["comment"] = statistic_text(one, period)
    elif name != one.distance:
        attrs["comment"] = CORRELATION
    attrs["long_name"] = f"{attrs['long_name']}, mean of the {period}"
    return Layer(name, "float32", FILL, attrs)


def statistic_text(one: SpeciesLayers, period: str) -> str:
    """Return what an average of a pollutant's estimate over `period` says of its statistic."""
    return (OF_EXPECTATIONS if one.has_expectation else OF_MEDIANS).format(period=period)


def period_mean(
    source: CubeSource, period: Period, min_share: float = MIN_SHARE, species: str | None = None
) -> dict[str, NDArray[Any]]:
    """Return the layers (lat, lon) of the mean over one period, read slab by slab.

    The estimate is the mean of the steps' expectations, where the cube has them (`SpeciesLayers.averaged`).
    The standard error is the mean of the steps' standard errors. By the triangle inequality it is at least that of the
    mean, with equality where errors go wholly together. The bounds are the means of the bounds: the quantiles of a sum
    of comonotonic variables add (Dhaene et al. 2002). Steps count by their length. The distance to the nearest station
    is the mean over the steps at which one reports.

    Parameters
    ----------
    source : CubeSource
        The cube.
    period : Period
        Of `periods_of`.
    min_share : float
        A cell with estimates for less than this share of the period's hours gets none.
    species : str or None
        Key of the one pollutant wanted; None takes all.
    """
    result: dict[str, NDArray[Any]] = {}
    for one in source.species.values() if species is None else (source.species[species],):
        result.update(_species_mean(source, one, period, min_share))
    return result


def _species_mean(source: CubeSource, one: SpeciesLayers, period: Period, min_share: float) -> dict[str, NDArray[Any]]:
    shape = (source.dataset.sizes["lat"], source.dataset.sizes["lon"])
    averaged = [n for n in (one.best, one.standard_error, one.lower, one.upper, one.distance) if n is not None]
    total = {name: np.zeros(shape, dtype=np.float64) for name in averaged}
    hours = {name: np.zeros(shape, dtype=np.float64) for name in averaged}
    flag = np.zeros(shape, dtype=np.int8)
    least = np.full(shape, np.inf, dtype=np.float32)
    for slab in slabs_in(source, period.steps, len(averaged)):
        length = ((source.bounds[slab, 1] - source.bounds[slab, 0]) / HOUR)[:, None, None]
        read = {name: source.read(one.averaged if name == one.best else name, slab) for name in averaged}
        estimated = np.isfinite(read[one.best])
        for name, values in read.items():
            # There is no distance at a step at which no station reports, which may have an estimate.
            known = estimated & np.isfinite(values) if name == one.distance else estimated
            total[name] += np.where(known, values * length, 0.0).sum(axis=0)
            hours[name] += (known * length).sum(axis=0)
        if one.flag is not None:
            flag |= np.bitwise_or.reduce(source.read(one.flag, slab), axis=0).astype(np.int8)
        if one.used is not None:
            least = np.fmin(least, np.fmin.reduce(source.read(one.used, slab).astype(np.float32), axis=0))
    share = hours[one.best] / period.hours
    enough = (share >= min_share - 1e-9) & (hours[one.best] > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        result: dict[str, NDArray[Any]] = {
            name: np.where(enough, value / hours[name], np.nan).astype(np.float32) for name, value in total.items()
        }
    if one.flag is not None:
        result[one.flag] = flag
    if one.used is not None:
        result[one.used] = np.where(np.isfinite(least), least, np.nan).astype(np.float32)
    result[f"{one.best}_valid_share"] = share.astype(np.float32)
    return result


def slabs_in(source: CubeSource, steps: slice, layers: int) -> list[slice]:
    """Return the parts of `steps` in the cube's slabs."""
    parts = (slice(max(s.start, steps.start), min(s.stop, steps.stop)) for s in source.slabs(layers))
    return [part for part in parts if part.start < part.stop]
