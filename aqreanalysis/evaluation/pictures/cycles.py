"""Bias by hour of the day and by month: an error that comes back at the same time has a reason that can be found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from aqreanalysis.evaluation.pictures.style import Picture, figures_of, legend_above, method_styles, new_figure, save
from aqreanalysis.evaluation.protocols import TaskResult
from aqreanalysis.evaluation.strata import hour_of_day
from aqreanalysis.model.bundle import MODEL
from aqreanalysis.species import SPECIES

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def mean_by(values: npt.NDArray[np.float64], classes: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.float64]:
    """Return the mean of the finite `values` in each of `count` classes, NaN for an empty one."""
    known = np.isfinite(values)
    total = np.bincount(classes[known], weights=values[known], minlength=count)
    number = np.bincount(classes[known], minlength=count)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def picture_cycles(result: TaskResult, path: Path) -> Picture:
    """Draw every method's mean error by hour of the day and by month."""
    species = SPECIES[result.species]
    hour = hour_of_day(result.hours, result.lon)
    month = (result.hours - 1).astype("datetime64[h]").astype("datetime64[M]").astype(np.int64) % 12
    month = np.broadcast_to(month[:, None], hour.shape)
    figure = new_figure(5.6)
    upper, lower = figure.subplots(2, 1)
    by_hour, by_month = {}, {}
    for method, style in method_styles(result.estimates).items():
        sample = result.sample(method)
        error = (sample.best - sample.observed).astype(np.float64)
        by_hour[method], by_month[method] = mean_by(error, hour, 24), mean_by(error, month, 12)
        upper.plot(by_hour[method], label=result.titles[method], markersize=4, **style)
        lower.plot(by_month[method], markersize=4, **style)
    for axes in (upper, lower):
        axes.axhline(0, color="black", linewidth=0.8)
        axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
        axes.set_ylabel(f"bias ({species.units})")
    upper.set_xticks(range(0, 24, 3))
    upper.set_xlabel("hour of the day (mean solar time)")
    present = np.flatnonzero(np.isfinite(by_month[MODEL]))
    lower.set_xticks(range(12), _MONTHS)
    if present.size:
        lower.set_xlim(present[0] - 0.5, present[-1] + 0.5)
    lower.set_xlabel("month")
    legend_above(figure)
    return Picture(
        "cycles",
        f"Diurnal and seasonal bias: mean of estimate minus reading of {species.title}, by hour of the day and month.",
        f"Lines of bias, one a method. AQ-Net: {_extremes(by_hour[MODEL], [f'{h} h' for h in range(24)])} by hour; "
        f"{_extremes(by_month[MODEL], _MONTHS)} by month ({species.units}).",
        save(figure, path),
        {
            "solar_hour": list(range(24)),
            "bias_by_solar_hour": {m: v.round(4).tolist() for m, v in by_hour.items()},
            "month": list(range(1, 13)),
            "bias_by_month": {m: v.round(4).tolist() for m, v in by_month.items()},
        },
    )


def _extremes(bias: npt.NDArray[np.float64], names: tuple[str, ...] | list[str]) -> str:
    known = np.flatnonzero(np.isfinite(bias))
    if not known.size:
        return "unknown"
    low, high = known[np.argmin(bias[known])], known[np.argmax(bias[known])]
    return f"from {figures_of(float(bias[low]))} ({names[low]}) to {figures_of(float(bias[high]))} ({names[high]})"
