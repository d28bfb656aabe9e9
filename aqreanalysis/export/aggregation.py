"""A cube of statistics over days, months or years, written as CF NetCDF."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.common.progress import Progress
from aqreanalysis.errors import OutputError
from aqreanalysis.export import aqi as air_quality
from aqreanalysis.export.aqi_scales import INDICES
from aqreanalysis.export.daily_maxima import RULES, check_hourly, mda8, mda8_layers
from aqreanalysis.export.exceedance import DayCut, Limit, count_exceedances, exceedance_layers
from aqreanalysis.export.files import whole_file
from aqreanalysis.export.means import mean_layers, period_mean
from aqreanalysis.export.netcdf_files import Shape, create_file, history, write_values
from aqreanalysis.export.periods import MIN_SHARE, PERIODS, Period, periods_of
from aqreanalysis.export.source import CubeSource
from aqreanalysis.production.layers import Layer

STATISTICS = ("mean", "mda8", "exceedance", "aqi")

Values = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class AggregateOptions:
    """What is aggregated, and how days are cut.

    Attributes
    ----------
    statistic : str
        ``mean``, ``mda8`` (maximum daily 8-hour mean), ``exceedance`` or ``aqi``.
    period : str
        ``day``, ``month`` or ``year``; of ``mda8`` and ``aqi`` only ``day``.
    utc_offset : int
        Hours that local standard time is ahead of UTC.
    rule : str
        ``eu``, ``us`` or ``cn``: which 8-hour means belong to a day. An index uses its own.
    index : str
        ``us`` or ``cn``.
    limits : tuple of Limit
        For ``exceedance``.
    min_share : float
        Share of a period's hours that must have an estimate, for ``mean`` and ``exceedance``.
    overwrite : bool
        Replace a file that exists.
    """

    statistic: str = "mean"
    period: str = "day"
    utc_offset: int = 0
    rule: str = "eu"
    index: str = "us"
    limits: tuple[Limit, ...] = ()
    min_share: float = MIN_SHARE
    overwrite: bool = False

    def __post_init__(self) -> None:
        known = {
            "statistic": (self.statistic, STATISTICS),
            "period": (self.period, PERIODS),
            "rule": (self.rule, tuple(RULES)),
            "index": (self.index, tuple(INDICES)),
        }
        for name, (value, values) in known.items():
            if value not in values:
                raise OutputError(f"{name} {value!r}: give {', '.join(values)}")
        if self.statistic in ("mda8", "aqi") and self.period != "day":
            raise OutputError(f"statistic {self.statistic} is of a day; take --period day, not {self.period}")
        if self.statistic == "exceedance" and not self.limits:
            raise OutputError("statistic exceedance needs a limit: give --limit pm25=75")
        if self.statistic != "exceedance" and self.limits:
            raise OutputError(f"a limit has no effect on statistic {self.statistic}; leave it out or take exceedance")
        if not 0 < self.min_share <= 1:
            raise OutputError(f"min_share {self.min_share:g}: give a share above 0, at most 1")


@dataclass(frozen=True)
class Statistic:
    """Layers of a statistic and the function that gives their values (lat, lon) for a period."""

    title: str
    layers: tuple[Layer, ...]
    compute: Callable[[Period], Values]


def aggregate(
    source: CubeSource, out: str | Path, options: AggregateOptions | None = None, progress: Progress | None = None
) -> Path:
    """Return the path of a NetCDF file with one stamp a period, its layers named as in the cube where they are means.

    Error bars are upper bounds of the spread, whatever the correlation of errors in time: see `means`, `hourly`,
    `exceedance`, `aqi`. Steps that a calibrated daily cube holds count as they are: its error bars of a day are the
    model's own, and only months and years made from them are bounds.

    Parameters
    ----------
    source : CubeSource
        The cube, restricted to the pollutants and hours wanted.
    out : str or Path
        File to write; ends in ``.nc``.
    options : AggregateOptions, optional
        Statistic, period, clock, limits.
    progress : callable, optional
        ``progress(done, total, note)``.

    Raises
    ------
    OutputError
        If the cube cannot give the statistic, or the file exists.
    """
    options = options or AggregateOptions()
    statistic = statistic_of(source, options)
    periods = periods_of(source, options.period, options.utc_offset, options.min_share)
    what = f"{statistic.title}, by {options.period} at UTC{options.utc_offset:+d}"
    attrs = {
        "title": f"{statistic.title}: {source.dataset.attrs.get('title', source.path.name)}",
        "history": history(source, what),
        "summary": _summary(source, what),
    }
    bounds = np.stack([p.bounds for p in periods])
    shape = Shape(
        statistic.layers,
        bounds,
        (1, source.dataset.sizes["lat"], source.dataset.sizes["lon"]),
        attrs,
        options.period,
    )
    with whole_file(out, (".nc",), options.overwrite) as temporary, create_file(temporary, source, shape) as file:
        for number, period in enumerate(periods):
            values = statistic.compute(period)
            for layer in statistic.layers:
                write_values(file[layer.name], layer, number, np.asarray(values[layer.name]))
            if progress is not None:
                progress(number + 1, len(periods), f"{options.statistic} {period.label}")
    return Path(out)


def _summary(source: CubeSource, what: str) -> str:
    return f"{what}. Made from: {source.dataset.attrs.get('summary', source.path.name)}"


def statistic_of(source: CubeSource, options: AggregateOptions) -> Statistic:
    """Return the statistic that the options ask for, checked against the cube.

    Raises
    ------
    OutputError
        If the cube's steps or pollutants do not allow it.
    """
    if options.statistic == "mean":
        return Statistic(
            "mean",
            mean_layers(source, options.period),
            lambda period: period_mean(source, period, options.min_share),
        )
    if options.statistic == "mda8":
        check_hourly(source, "the maximum daily 8-hour mean")
        rule = RULES[options.rule]
        layers = tuple(layer for one in source.species.values() for layer in mda8_layers(source, one, rule))
        return Statistic(
            "maximum daily 8-hour mean",
            layers,
            lambda day: {k: v for one in source.species.values() for k, v in mda8(source, one, day, rule).items()},
        )
    if options.statistic == "aqi":
        index = INDICES[options.index]
        return Statistic(
            index.title, air_quality.aqi_layers(source, index), lambda day: air_quality.aqi(source, index, day)
        )
    return _exceedance(source, options)


def _exceedance(source: CubeSource, options: AggregateOptions) -> Statistic:
    for limit in options.limits:
        if limit.key not in source.species:
            raise OutputError(f"a limit is given for {limit.key}; {source.path} holds {', '.join(source.species)}")
        if limit.basis == "mda8":
            check_hourly(source, "the maximum daily 8-hour mean")
    cut = DayCut(RULES[options.rule], options.utc_offset, options.min_share)
    layers = tuple(layer for limit in options.limits for layer in exceedance_layers(source, limit, options.period))
    return Statistic(
        "exceedances",
        layers,
        lambda period: {
            name: value
            for limit in options.limits
            for name, value in count_exceedances(source, limit, period, cut).items()
        },
    )
