"""How often a limit is exceeded: counts, their bounds, and probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from aqreanalysis.errors import OutputError
from aqreanalysis.export.daily_maxima import DayRule, averaged_layers, max_eight_hour
from aqreanalysis.export.means import period_mean, slabs_in, statistic_text
from aqreanalysis.export.periods import MIN_SHARE, Period, periods_of
from aqreanalysis.export.source import CubeSource
from aqreanalysis.production.layers import FILL, Layer

Array = NDArray[np.float32]
BASES = ("step", "day", "mda8")


@dataclass(frozen=True)
class Limit:
    """A concentration that is to be exceeded.

    Attributes
    ----------
    key : str
        Pollutant.
    value : float
        In the pollutant's units.
    basis : str
        What is compared with it: ``step`` (each step of the cube: an hour), ``day`` (daily means), ``mda8``.
    """

    key: str
    value: float
    basis: str = "step"

    def __post_init__(self) -> None:
        if not self.value > 0:
            raise OutputError(f"limit of {self.key} = {self.value:g}: give a concentration above 0")
        if self.basis not in BASES:
            raise OutputError(f"basis {self.basis!r}: give {', '.join(BASES)}")

    @property
    def text(self) -> str:
        """``75`` or ``7p5``."""
        return f"{self.value:g}".replace(".", "p")


def exceedance_probability(quantiles: tuple[Array, Array, Array], coverage: float, limit: float) -> Array:
    """Return the probability that a quantity exceeds `limit`, from its lower bound, median and upper bound.

    Of a mean over many hours, whose distribution is less skewed, its expectation stands for the median.

    Between and beyond the three quantiles the g-distribution that passes through them is taken (Tukey 1977): with
    ``r = (upper - median) / (median - lower)`` and ``c`` the normal score of the upper bound,
    ``x(z) = median + (upper - median) (r ** (z / c) - 1) / (r - 1)``. It is the shifted log-normal where r > 1, the
    normal for r = 1; AQ-Net's own distribution is a calibrated shifted log-normal.

    Parameters
    ----------
    quantiles : tuple of float32 arrays
        Lower bound, median, upper bound; NaN stays NaN.
    coverage : float
        Probability between the bounds.
    limit : float
        In the units of the quantiles.
    """
    lower, median, upper = (np.asarray(q, dtype=np.float64) for q in quantiles)
    score = float(ndtri((1 + coverage) / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.clip((upper - median) / (median - lower), 1e-3, 1e3)
        away = (limit - median) / (upper - median)
        skewed = score * np.log(np.maximum(1 + away * (ratio - 1), 0.0)) / np.log(ratio)
        z = np.where(np.abs(ratio - 1) < 1e-6, score * away, skewed)
        # Nothing between the bounds: the quantity is known.
        z = np.where(upper - lower > 0, z, np.where(median > limit, -np.inf, np.inf))
    known = np.isfinite(lower) & np.isfinite(median) & np.isfinite(upper)
    return np.where(known, ndtr(-z), np.nan).astype(np.float32)


def exceedance_layers(source: CubeSource, limit: Limit, period: str) -> tuple[Layer, ...]:
    """Return the layers of one limit: counted, between which bounds, expected, and the probability of any."""
    one = source.species[limit.key]
    unit = {"step": _step_word(source), "day": "day", "mda8": "day"}[limit.basis]
    of = {"step": "", "day": "daily mean ", "mda8": "maximum daily 8-hour mean "}[limit.basis]
    head = f"{one.species.title} {of}above {limit.value:g} {one.species.units} in the {period}"
    stem = layer_prefix(source, limit)
    common = {"units": "1", "threshold": limit.value, "threshold_units": one.species.units}
    by = {"long_name": f"number of {unit}s with {head}, by the best estimate"}
    if limit.basis != "step":
        by["comment"] = statistic_text(one, {"day": "day", "mda8": "8 hours"}[limit.basis])
    if one.lower is None or one.upper is None:
        return (Layer(stem, "float32", FILL, {**common, **by}),)
    by["ancillary_variables"] = " ".join(f"{stem}_{part}" for part in ("lower", "upper", "expected", "probability"))
    layers = [Layer(stem, "float32", FILL, {**common, **by})]
    bounds = "of the interval if the errors of all of them go together"
    layers += [
        Layer(
            f"{stem}_{bound}",
            "float32",
            FILL,
            {
                **common,
                "long_name": f"number of {unit}s with {head}, {bound} bound",
                "comment": f"{bound} bound {bounds}",
            },
        )
        for bound in ("lower", "upper")
    ]
    method = "the cube's own probabilities" if own_layer(source, limit) else "the bounds and the best estimate"
    layers += [
        Layer(
            f"{stem}_expected",
            "float32",
            FILL,
            {
                **common,
                "long_name": f"expected number of {unit}s with {head}",
                "comment": f"sum of probabilities, which holds whatever the correlation; from {method}",
            },
        ),
        Layer(
            f"{stem}_probability",
            "float32",
            FILL,
            {
                **common,
                "long_name": f"probability of any {unit} with {head}",
                "comment": f"the largest of the probabilities, which is the least it can be; from {method}",
            },
        ),
    ]
    return tuple(layers)


def _step_word(source: CubeSource) -> str:
    return {1.0: "hour", 24.0: "day"}.get(source.step_hours, "step")


def layer_prefix(source: CubeSource, limit: Limit) -> str:
    """Return ``pm2p5_hours_above_75`` or ``o3_mda8_days_above_100``."""
    best = source.species[limit.key].best
    what = {"step": f"{_step_word(source)}s", "day": "days", "mda8": "mda8_days"}[limit.basis]
    return f"{best}_{what}_above_{limit.text}"


def own_layer(source: CubeSource, limit: Limit) -> str | None:
    """Return the cube's own layer of the probability, where steps are compared and it has one of that limit."""
    return source.species[limit.key].exceedance.get(limit.value) if limit.basis == "step" else None


@dataclass(frozen=True)
class DayCut:
    """How days are made: 8-hour means by `rule`, hours ahead of UTC, share of a period that must be known."""

    rule: DayRule
    utc_offset: int = 0
    min_share: float = MIN_SHARE


def count_exceedances(source: CubeSource, limit: Limit, period: Period, cut: DayCut) -> dict[str, Any]:
    """Return the layers (lat, lon) of one limit and one period.

    A cell counts where the share `cut.min_share` of the period's steps or days has an estimate.

    Parameters
    ----------
    source : CubeSource
        The cube.
    limit : Limit
        The limit.
    period : Period
        Of `periods_of`.
    cut : DayCut
        How days are made.
    """
    one, stem = source.species[limit.key], layer_prefix(source, limit)
    bounded = one.lower is not None and one.upper is not None
    coverage = source.coverage(one) if bounded else float("nan")
    sums: dict[str, Any] = {}
    known = 0.0
    units = 0.0
    for parts, chance in _compared(source, limit, period, cut):
        best = parts[0]
        valid = np.isfinite(best)
        known = known + valid.sum(axis=0)
        units += len(best)
        _add(sums, stem, (best > limit.value).sum(axis=0))
        if bounded:
            _add(sums, f"{stem}_lower", (parts[1] > limit.value).sum(axis=0))
            _add(sums, f"{stem}_upper", (parts[2] > limit.value).sum(axis=0))
            p = (
                chance
                if chance is not None
                else exceedance_probability((parts[1], best, parts[2]), coverage, limit.value)
            )
            _add(sums, f"{stem}_expected", np.nansum(p, axis=0))
            any_p = np.fmax.reduce(p, axis=0)
            name = f"{stem}_probability"
            sums[name] = any_p if name not in sums else np.fmax(sums[name], any_p)
    expected = period.hours / 24 if limit.basis != "step" else units / max(period.share, 1e-9)
    enough = known / expected >= cut.min_share - 1e-9
    return {name: np.where(enough, value, np.nan).astype(np.float32) for name, value in sums.items()}


def _add(sums: dict[str, Any], name: str, value: NDArray[Any]) -> None:
    sums[name] = value if name not in sums else sums[name] + value


def _compared(source: CubeSource, limit: Limit, period: Period, cut: DayCut) -> Any:
    """Yield ``((best, lower, upper), probability or None)``, each (n, lat, lon), of what is compared with the limit."""
    one = source.species[limit.key]
    names = [n for n in (one.best, one.lower, one.upper) if n is not None]
    if limit.basis == "step":
        own = own_layer(source, limit)
        for slab in slabs_in(source, period.steps, 2 * len(names)):
            yield [source.read(n, slab) for n in names], source.read(own, slab) if own else None
        return
    for one_day in periods_of(source, "day", cut.utc_offset):
        if not period.bounds[0] <= one_day.bounds[0] < period.bounds[1]:
            continue
        if limit.basis == "mda8":
            made_from = averaged_layers(one)
            yield [max_eight_hour(source, made_from[n], one_day, cut.rule)[None] for n in names], None
        else:
            mean = period_mean(source, one_day, species=limit.key)
            yield [mean[n][None] for n in names], None
