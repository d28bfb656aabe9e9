"""Whether the interval holds in each class of distance, level, season and hour, and not only over all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from aqreanalysis.evaluation.pictures.style import Picture, figures_of, legend_above, method_styles, new_figure, save
from aqreanalysis.evaluation.protocols import TaskResult
from aqreanalysis.evaluation.scores import central_coverage
from aqreanalysis.evaluation.strata import (
    HOURS_OF_DAY,
    SEASONS,
    distance_classes,
    hour_of_day,
    level_terciles,
    season_of,
)
from aqreanalysis.model.bundle import MODEL

_NOMINAL, _BAND = 0.9, 0.05
#: Station-hours that a class must have: a share of fewer says little.
_FEWEST = 100


def coverage_by_class(result: TaskResult, method: str) -> dict[str, dict[str, float]]:
    """Return the share of readings inside the central 90 % interval, by kind of class and by class.

    Classes with fewer than a hundred station-hours are NaN between others, so that no line runs across them, and left
    out at the ends.
    """
    sample = result.sample(method)
    distance, names = distance_classes(result.nearest_km)
    level, terciles = level_terciles(sample.best)
    kinds: dict[str, tuple[Any, Any]] = {
        "distance to the nearest visible station": (distance[None, :], names),
        "level of the estimate (tercile)": (level, terciles),
        "season": (season_of(result.hours)[:, None], SEASONS),
        "hour of the day (mean solar time)": (hour_of_day(result.hours, result.lon), HOURS_OF_DAY),
    }
    covered: dict[str, dict[str, float]] = {}
    for kind, (labels, classes) in kinds.items():
        labels = np.broadcast_to(labels, sample.pit.shape)
        parts = {name: sample.pit[(labels == i) & sample.known] for i, name in enumerate(classes)}
        shares = {n: central_coverage(p, _NOMINAL) if p.size >= _FEWEST else np.nan for n, p in parts.items()}
        known = np.flatnonzero(np.isfinite(list(shares.values())))
        reached = slice(known[0], known[-1] + 1) if known.size else slice(0)
        covered[kind] = dict(list(shares.items())[reached])
    return covered


def picture_classes(result: TaskResult, path: Path) -> Picture | None:
    """Draw the coverage of the 90 % interval by class, of the model and the krigings; None with too few readings."""
    own = coverage_by_class(result, MODEL)
    if not any(own.values()):
        return None
    methods = [MODEL, *(m for m in result.estimates if "kriging" in m)]
    measured = {m: coverage_by_class(result, m) for m in methods}
    shown = {kind: classes for kind, classes in own.items() if classes}
    figure = new_figure(0.7 + 1.5 * len(shown))
    panels = np.atleast_1d(figure.subplots(len(shown), 1, sharey=True))
    for axes, (kind, classes) in zip(panels, shown.items(), strict=True):
        axes.axhspan(_NOMINAL - _BAND, _NOMINAL + _BAND, color="#e8e8e8", linewidth=0)
        axes.axhline(_NOMINAL, color="black", linewidth=0.8)
        for method, style in method_styles(methods).items():
            values = [measured[method][kind].get(name, np.nan) for name in classes]
            axes.plot(range(len(classes)), values, label=result.titles[method], markersize=4, **style)
        short = [name.removesuffix(" h") for name in classes]
        axes.set_xticks(range(len(classes)), short, fontsize=9)
        axes.set_xlabel(kind, fontsize=9)
        axes.margins(x=0.06)
    figure.supylabel("share of readings inside the 90 % interval", fontsize=10)
    legend_above(figure)
    panels[0].set_ylim(top=1.0)
    extremes = []
    for kind, of_kind in shown.items():
        classes = {name: share for name, share in of_kind.items() if np.isfinite(share)}
        low, high = min(classes, key=lambda n: classes[n]), max(classes, key=lambda n: classes[n])
        extremes.append(f"by {kind} from {figures_of(classes[low])} ({low}) to {figures_of(classes[high])} ({high})")
    return Picture(
        "classes",
        "Coverage of the 90 % interval in each class; the grey band is 0.85 to 0.95. Levels are those of each method's "
        f"own estimate; classes with fewer than {_FEWEST} station-hours are left out.",
        f"Lines of coverage, a panel for each kind of class. AQ-Net: {'; '.join(extremes)}.",
        save(figure, path),
        {"nominal": _NOMINAL, "measured": measured},
    )
