"""What a map shows: the layers of one pollutant at a step, or their mean over the steps of a source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.common.hours import HOUR
from aqreanalysis.errors import ConfigError, CubeError, nearest_hint
from aqreanalysis.export.means import period_mean, slabs_in
from aqreanalysis.export.periods import Period
from aqreanalysis.export.source import CubeSource, SpeciesLayers

#: Layers that can be drawn, with their names for people.
LAYERS = {
    "best": "estimate",
    "mean": "expectation",
    "standard_error": "standard error",
    "lower": "lower bound",
    "upper": "upper bound",
    "width": "width of the interval",
    "flag": "quality flag",
    "used": "neighbours used",
    "distance": "distance to the nearest station that reports",
}
CONCENTRATIONS = ("best", "mean", "lower", "upper")
#: What stands on top where several conditions hold: what weighs most comes last.
_PRECEDENCE = (
    "few_neighbours",
    "hour_without_observation",
    "few_hours_with_observations",
    "forecast_hour",
    "contains_forecast_hours",
    "extrapolated_beyond_network",
    "left_blank",
    "masked",
)
UNRESERVED = "not flagged"
#: Conditions that say that an estimate is extrapolated, or would be if there were one.
EXTRAPOLATED = ("extrapolated_beyond_network", "left_blank")

Array = NDArray[Any]


@dataclass(frozen=True)
class TimeStep:
    """A step of a cube, or the span of a mean.

    Attributes
    ----------
    steps : slice
        Steps of the source.
    first, last : datetime64[ns]
        Beginning and end, UTC.
    mean : bool
        Whether it is a mean over steps.
    """

    steps: slice
    first: np.datetime64
    last: np.datetime64
    mean: bool

    @property
    def hours(self) -> float:
        """Length."""
        return float((self.last - self.first) / HOUR)

    @property
    def text(self) -> str:
        """For a title: ``2019-01-07 05:00 to 06:00 UTC``, a day by its date, or from beginning to end."""
        first, last = pd.Timestamp(self.first), pd.Timestamp(self.last)
        if not self.mean and (last - first) <= pd.Timedelta(hours=1):
            return f"{first:%Y-%m-%d %H:%M} to {last:%H:%M} UTC"
        return f"{'mean of ' if self.mean else ''}{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"


def check_layers(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return `names` if all are layers that can be drawn.

    Raises
    ------
    ConfigError
        If one is not.
    """
    for name in names:
        if name not in LAYERS:
            raise ConfigError(f"layer {name!r}: known are {', '.join(LAYERS)}{nearest_hint(name, LAYERS)}")
    return names


def time_step_at(source: CubeSource, time: datetime) -> TimeStep:
    """Return the step stamped `time` (UTC), or else the one that holds it, beginnings counted and ends not.

    Raises
    ------
    CubeError
        If the cube has none; the nearest is named.
    """
    moment = np.datetime64(time, "ns")
    held = np.flatnonzero(source.times == moment)
    if not held.size:
        held = np.flatnonzero((source.bounds[:, 0] <= moment) & (moment < source.bounds[:, 1]))
    if not held.size:
        near, end = (pd.Timestamp(t) for t in source.bounds[int(np.abs(source.times - moment).argmin())])
        raise CubeError(
            f"{source.path} has no step at {pd.Timestamp(time):%Y-%m-%dT%H:%M} (UTC); the nearest is from "
            f"{near:%Y-%m-%dT%H:%M} to {end:%Y-%m-%dT%H:%M}"
        )
    return time_step_of(source, int(held[0]))


def time_step_of(source: CubeSource, number: int) -> TimeStep:
    """Return step `number` of the source."""
    return TimeStep(slice(number, number + 1), source.bounds[number, 0], source.bounds[number, 1], False)


def whole_span(source: CubeSource) -> TimeStep:
    """Return the mean over all steps of the source."""
    return TimeStep(slice(0, len(source.bounds)), source.bounds[0, 0], source.bounds[-1, 1], True)


def read_fields(source: CubeSource, one: SpeciesLayers, step: TimeStep, wanted: tuple[str, ...]) -> dict[str, Array]:
    """Return the wanted layers (lat, lon) by name; missing values of floats are NaN.

    The error bars of a mean are those of `period_mean`: the widest they can be. Its flag is that of `reserved_share`.

    Raises
    ------
    CubeError
        If the cube lacks one.
    """
    known = _names(source, one)
    for name in wanted:
        for part in ("lower", "upper") if name == "width" else (name,):
            if known[part] is None:
                raise CubeError(f"{source.path} has no layer of the {LAYERS[part]} of {one.species.title}")
    if step.mean:
        covered = float(((source.bounds[:, 1] - source.bounds[:, 0]) / HOUR)[step.steps].sum())
        span = np.array([step.first, step.last], dtype="datetime64[ns]")
        share = covered / float((step.last - step.first) / HOUR)
        period = Period("span", span, step.steps, share)
        read: Mapping[str, Array] = period_mean(source, period, 0.0, one.species.key)
    else:
        read = {}
    fields: dict[str, Array] = {}

    def get(part: str) -> Array:
        name = known[part]
        assert name is not None
        if name in read:
            return read[name]
        if step.mean and part == "mean":
            return read[one.best]
        values = source.read(name, step.steps)
        return values[0] if values.ndim == 3 else values

    for name in wanted:
        if name == "flag" and step.mean:
            fields[name] = reserved_share(source, one, step)
        else:
            fields[name] = get("upper") - get("lower") if name == "width" else get(name)
    return fields


def condition_shares(source: CubeSource, one: SpeciesLayers, step: TimeStep) -> dict[str, Array]:
    """Return in what part of the hours of `step`, 0 to 1, each condition of the flag holds (lat, lon).

    Without what is masked, which is no matter of hours: such cells are NaN. `UNRESERVED` is the part in which none
    holds.

    Raises
    ------
    CubeError
        If the cube has no flag.
    """
    bits = source.bits(one)
    if one.flag is None:
        raise CubeError(f"{source.path} has no layer of the {LAYERS['flag']} of {one.species.title}")
    blank = bits.pop("masked", 0)
    shape = (source.dataset.sizes["lat"], source.dataset.sizes["lon"])
    held = {name: np.zeros(shape) for name in (UNRESERVED, *bits)}
    masked = np.ones(shape, bool)
    for slab in slabs_in(source, step.steps, 1):
        length = ((source.bounds[slab, 1] - source.bounds[slab, 0]) / HOUR)[:, None, None]
        flag = source.read(one.flag, slab).astype(np.int16)
        masked &= ((flag & blank) > 0).all(axis=0)
        held[UNRESERVED] += ((flag == 0) * length).sum(axis=0)
        for name, bit in bits.items():
            held[name] += (((flag & bit) > 0) * length).sum(axis=0)
    lengths = (source.bounds[step.steps, 1] - source.bounds[step.steps, 0]) / HOUR
    return {name: np.where(masked, np.nan, hours / lengths.sum()) for name, hours in held.items()}


def reserved_share(source: CubeSource, one: SpeciesLayers, step: TimeStep) -> Array:
    """Return in what percentage of the hours of `step` any condition of the flag holds (lat, lon); NaN if masked."""
    return np.asarray(100.0 * (1.0 - condition_shares(source, one, step)[UNRESERVED]))


def layer_name(source: CubeSource, one: SpeciesLayers, name: str) -> str:
    """Return a layer's name for people, with the interval's coverage where the cube tells it."""
    bound = one.lower or one.upper
    coverage = None if bound is None else source.dataset[bound].attrs.get("coverage_probability")
    if name not in ("lower", "upper", "width") or coverage is None:
        return LAYERS[name]
    interval = f"{100 * float(coverage):.3g} % interval"
    return f"width of the {interval}" if name == "width" else f"{LAYERS[name]} of the {interval}"


def is_synthetic(source: CubeSource) -> bool:
    """Return whether the cube says of itself that it, or what made it, is synthetic."""
    attrs = source.dataset.attrs
    texts = (str(attrs.get(name, "")).lower() for name in ("title", "summary"))
    return bool(attrs.get("synthetic")) or any("synthetic" in text for text in texts)


def titled(source: CubeSource, title: str) -> str:
    """Return a picture's title, which says synthetic where the cube is."""
    return f"{title} (synthetic)" if is_synthetic(source) and "synthetic" not in title.lower() else title


def gaps(bounds: NDArray[np.datetime64]) -> NDArray[np.intp]:
    """Return the steps that do not begin where the one before ends: a line drawn across such a gap would make it up."""
    return np.flatnonzero(bounds[1:, 0] > bounds[:-1, 1]) + 1


def units_text(units: str) -> str:
    """Return units as they are printed: ``µg m⁻³``; nothing for ``1``, of an index or a count."""
    return "" if units == "1" else units.replace("ug", "µg").replace("m-3", "m⁻³")


def with_units(text: str, units: str) -> str:
    """Return a name with its printed units, as of `units_text`, behind it."""
    return f"{text} ({units})" if units else text


def read_extrapolated(source: CubeSource, one: SpeciesLayers, step: TimeStep) -> NDArray[np.bool_] | None:
    """Return where the estimate of a step is extrapolated (lat, lon); None if the cube does not say.

    Of a mean over steps, where the mean distance to the nearest station that reports is beyond that of the flag.
    """
    km = source.extrapolation_km(one)
    if not step.mean:
        far = None if one.flag is None else source.extrapolated(one, source.read(one.flag, step.steps)[0])
        return None if far is None else far > 0
    if km is None or one.distance is None:
        return None
    total, count = 0.0, 0
    for slab in slabs_in(source, step.steps, 1):
        distance = source.read(one.distance, slab)
        known = np.isfinite(distance)
        total, count = total + np.where(known, distance, 0.0).sum(axis=0), count + known.sum(axis=0)
    return np.asarray(total > km * np.maximum(count, 1))


def extrapolated_text(source: CubeSource, one: SpeciesLayers) -> str:
    """Return what a legend says of what is extrapolated."""
    km = source.extrapolation_km(one)
    return "extrapolated" if km is None else f"extrapolated: no station that reports within {km:.3g} km"


def _names(source: CubeSource, one: SpeciesLayers) -> dict[str, str | None]:
    return {
        "best": one.best,
        "mean": one.mean,
        "standard_error": one.standard_error,
        "lower": one.lower,
        "upper": one.upper,
        "flag": one.flag,
        "used": one.used,
        "distance": one.distance or next(iter(source.maps), None),
    }


def flag_classes(source: CubeSource, one: SpeciesLayers) -> dict[str, int]:
    """Return condition -> bit of the cube's quality flag, what weighs most last; `UNRESERVED` is 0."""
    bits = source.bits(one)
    order = {name: place for place, name in enumerate(_PRECEDENCE)}
    return {UNRESERVED: 0, **dict(sorted(bits.items(), key=lambda pair: order.get(pair[0], -1)))}


def flag_numbers(flag: Array, classes: Mapping[str, int]) -> NDArray[np.int16]:
    """Return the place in `classes` of the weightiest condition that holds in each cell."""
    result = np.zeros(flag.shape, np.int16)
    for number, bit in enumerate(classes.values()):
        result = np.where((flag.astype(np.int16) & bit) > 0, number, result).astype(np.int16)
    return result
