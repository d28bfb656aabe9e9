"""Whether the distribution is true: nominal against measured coverage, and the PIT histogram."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aqreanalysis.evaluation.pictures.style import MODEL_COLOUR, Picture, figures_of, method_styles, new_figure, save
from aqreanalysis.evaluation.protocols import TaskResult
from aqreanalysis.evaluation.scores import central_coverage
from aqreanalysis.model.bundle import MODEL

_PROBABILITIES = np.round(np.arange(0.05, 1.0, 0.05), 2)
_PIT_BINS = 20


def picture_reliability(result: TaskResult, path: Path) -> Picture:
    """Draw measured against nominal coverage of the central intervals of every method."""
    figure = new_figure(5.2, 5.6)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    axes.fill_between([0, 1], [-0.03, 0.97], [0.03, 1.03], color="#e8e8e8", linewidth=0)
    measured: dict[str, list[float]] = {}
    for method, style in method_styles(result.estimates).items():
        pit = result.sample(method).pit
        measured[method] = [central_coverage(pit, float(p)) for p in _PROBABILITIES]
        axes.plot(_PROBABILITIES, measured[method], label=result.titles[method], markersize=4, **style)
    axes.set(xlabel="nominal coverage", ylabel="share of readings inside", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    own = dict(zip(_PROBABILITIES.tolist(), measured[MODEL], strict=True))
    return Picture(
        "reliability",
        "Reliability: the share of readings inside the central interval against the probability it was given. On the "
        "black line the distribution is true; the grey band is 0.03 to either side. Above it intervals are too wide.",
        "Lines of measured against nominal coverage, one a method. AQ-Net: "
        + ", ".join(f"{figures_of(own[p])} at {p:.2f}" for p in (0.5, 0.9, 0.95))
        + ".",
        save(figure, path),
        {"nominal": _PROBABILITIES.tolist(), "measured": measured},
    )


def picture_pit(result: TaskResult, path: Path) -> Picture:
    """Draw the histogram of the model's probability integral transform."""
    pit = result.sample(MODEL).pit
    counts, edges = np.histogram(pit[np.isfinite(pit)], bins=_PIT_BINS, range=(0, 1))
    density = counts * _PIT_BINS / max(int(counts.sum()), 1)
    figure = new_figure(4.0)
    axes = figure.subplots()
    axes.bar(edges[:-1], density, width=1 / _PIT_BINS, align="edge", color=MODEL_COLOUR, edgecolor="white")
    axes.axhline(1.0, color="black", linewidth=1.0)
    axes.set(xlabel="distribution function at the reading (PIT)", ylabel="density", xlim=(0, 1))
    return Picture(
        "pit",
        "PIT histogram of AQ-Net: flat where the distribution is true, a hump where it is too wide, a bowl where it is "
        "too narrow, a slope where it is biased.",
        f"Histogram of {int(counts.sum())} values in {_PIT_BINS} bins; density between {density.min():.2f} and "
        f"{density.max():.2f} (1 is flat), {density[0]:.2f} in the lowest and {density[-1]:.2f} in the highest bin.",
        save(figure, path),
        {"edges": edges.round(4).tolist(), "counts": counts.tolist()},
    )
