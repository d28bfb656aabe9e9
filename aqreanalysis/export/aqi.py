"""The daily air quality index of every cell, its interval and its leading pollutant."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.errors import OutputError
from aqreanalysis.export.aqi_scales import Index, Scale
from aqreanalysis.export.daily_maxima import RULES, averaged_layers, max_eight_hour, max_one_hour
from aqreanalysis.export.means import period_mean
from aqreanalysis.export.periods import Period
from aqreanalysis.export.source import CubeSource
from aqreanalysis.production.layers import FILL, Layer
from aqreanalysis.species import SPECIES

_BOUNDS = ("best", "lower", "upper")


def usable_scales(source: CubeSource, index: Index) -> list[Scale]:
    """Return the scales of an index that the cube can feed: a daily cube has 24-hour means only.

    Raises
    ------
    OutputError
        If none is left.
    """
    hourly = source.step_hours == 1.0
    if not hourly and source.step_hours != 24.0:
        raise OutputError(f"{source.path} is neither hourly nor daily, and an air quality index is of a day")
    scales = [s for s in index.scales if s.key in source.species and (hourly or s.average == "mean")]
    if not scales:
        raise OutputError(
            f"{source.path} holds {', '.join(source.species)} by steps of {source.step_hours:g} h; none has a scale in "
            f"the {index.title}: produce an hourly cube"
        )
    return scales


def aqi_layers(source: CubeSource, index: Index) -> tuple[Layer, ...]:
    """Return the layers of an index: its value, bounds, and leading pollutant."""
    scales = usable_scales(source, index)
    averages = ", ".join(f"{SPECIES[s.key].title} {_AVERAGES[s.average]}" for s in scales)
    lacking = [SPECIES[k].title for k in dict.fromkeys(s.key for s in index.scales) if k not in {s.key for s in scales}]
    comment = f"from {averages}" + (f"; without {', '.join(lacking)}, so it may be higher" if lacking else "")
    if source.medians_averaged:
        comment += f"; {source.medians_averaged}"
    bounded = all(source.species[s.key].lower and source.species[s.key].upper for s in scales)
    beside = " ".join([*(["aqi_lower", "aqi_upper"] if bounded else []), "aqi_leading_pollutant"])
    own = {"long_name": index.title, "units": "1", "comment": comment, "ancillary_variables": beside}
    layers = [Layer("aqi", "float32", FILL, own)]
    if bounded:
        for bound in ("lower", "upper"):
            attrs = {
                "long_name": f"{bound} bound of the coverage interval of the {index.title}",
                "units": "1",
                "comment": "index of the bounds of the concentrations, which go through sums, maxima and a rising "
                "index as they are if errors go together; too wide otherwise",
            }
            layers.append(Layer(f"aqi_{bound}", "float32", FILL, attrs))
    keys = list(SPECIES)
    leading: dict[str, Any] = {
        "long_name": "pollutant with the highest sub-index",
        "flag_values": np.arange(len(keys) + 1, dtype=np.int8),
        "flag_meanings": " ".join(["none", *(SPECIES[k].layer for k in keys)]),
        "comment": f"none where the index is unknown or at most {index.leading_above:g}"
        if index.leading_above > 0
        else "none where the index is unknown",
    }
    layers.append(Layer("aqi_leading_pollutant", "int8", None, leading))
    return tuple(layers)


_AVERAGES = {"mean": "24-hour mean", "max8": "maximum 8-hour mean", "max1": "maximum hourly mean"}


def aqi(source: CubeSource, index: Index, day: Period) -> dict[str, NDArray[Any]]:
    """Return the index of one day (lat, lon): ``aqi``, ``aqi_lower``, ``aqi_upper``, ``aqi_leading_pollutant``.

    The index is the largest sub-index of the pollutants that the cube holds; NaN where one of them is unknown all day
    does not hide the others.
    """
    scales = usable_scales(source, index)
    bounded = all(source.species[s.key].lower and source.species[s.key].upper for s in scales)
    shape = (source.dataset.sizes["lat"], source.dataset.sizes["lon"])
    result: dict[str, NDArray[Any]] = {}
    means = {key: period_mean(source, day, species=key) for key in {s.key for s in scales if s.average == "mean"}}
    for bound in _BOUNDS if bounded else _BOUNDS[:1]:
        highest = np.full(shape, np.nan)
        leading = np.zeros(shape, dtype=np.int8)
        for scale in scales:
            name = getattr(source.species[scale.key], bound)
            sub = scale.sub_index(_average(source, index, scale, (name, day, means)))
            ahead = np.isfinite(sub) & ~(sub <= highest)
            highest = np.where(ahead, sub, highest)
            leading = np.where(ahead, list(SPECIES).index(scale.key) + 1, leading).astype(np.int8)
        rounded = index.rounded(highest).astype(np.float32)
        if bound == "best":
            result["aqi"] = rounded
            result["aqi_leading_pollutant"] = np.where(rounded > index.leading_above, leading, 0).astype(np.int8)
        else:
            result[f"aqi_{bound}"] = rounded
    return result


def _average(source: CubeSource, index: Index, scale: Scale, of: tuple[str, Period, Any]) -> NDArray[np.float32]:
    name, day, means = of
    if scale.average == "mean":
        return np.asarray(means[scale.key][name])
    made_from = averaged_layers(source.species[scale.key])[name]
    if scale.average == "max8":
        return max_eight_hour(source, made_from, day, RULES[index.day_rule])
    return max_one_hour(source, made_from, day)
