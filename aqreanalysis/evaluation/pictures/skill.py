"""Where and how large the errors are: a map, error against distance, estimate against reading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.colors import LogNorm

from aqreanalysis.evaluation.pictures.style import (
    MODEL_COLOUR,
    Picture,
    as_map,
    figures_of,
    legend_above,
    method_styles,
    new_figure,
    save,
)
from aqreanalysis.evaluation.protocols import TaskResult
from aqreanalysis.evaluation.scores import score, score_by
from aqreanalysis.evaluation.strata import distance_classes
from aqreanalysis.model.bundle import MODEL
from aqreanalysis.species import SPECIES

#: Station-hours that a class of distance must have to be drawn.
_FEWEST = 30
_MOST_BINS = 80


def station_rmse(result: TaskResult, method: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return each hidden station's root mean squared error (NaN without a reading) and its number of readings."""
    sample = result.sample(method)
    count = sample.known.sum(axis=0)
    squares = np.nansum((sample.best - sample.observed) ** 2, axis=0, dtype=np.float64)
    return np.where(count > 0, np.sqrt(squares / np.maximum(count, 1)), np.nan), count


def picture_errors(result: TaskResult, path: Path) -> Picture:
    """Draw the model's root mean squared error at each hidden station, with the visible stations beside."""
    import cmocean

    error, count = station_rmse(result, MODEL)
    known = count > 0
    species = SPECIES[result.species]
    order = np.flatnonzero(known)[np.argsort(error[known], kind="stable")]  # the largest errors on top
    lon, lat = (np.concatenate([getattr(result, f"visible_{n}"), getattr(result, n)]) for n in ("lon", "lat"))
    tall = np.ptp(lat) / max(np.ptp(lon) * np.cos(np.radians(lat.mean())), 0.1)
    figure = new_figure(float(np.clip(1.2 + 4.3 * tall, 3.6, 7.5)))
    axes = figure.subplots()
    axes.grid(color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.scatter(result.visible_lon, result.visible_lat, s=7, c="#9a9a9a", linewidths=0, label="visible station")
    dots = axes.scatter(
        result.lon[order],
        result.lat[order],
        c=error[order],
        s=52,
        cmap=cmocean.cm.amp,
        vmin=0,
        edgecolors="black",
        linewidths=0.6,
        label="hidden station",
    )
    figure.colorbar(dots, ax=axes, label=f"RMSE of {species.title} ({species.units})", shrink=0.9)
    as_map(axes, lat)
    legend_above(figure, size=10.0)
    middle = float(np.median(error[known])) if known.any() else None
    return Picture(
        "errors",
        "Root mean squared error at each hidden station.",
        f"Map of {int(known.sum())} hidden stations coloured by their RMSE, which is "
        f"{figures_of(middle)} {species.units} in the median and "
        f"{figures_of(float(error[known].max()) if known.any() else None)} at the worst; "
        f"{len(result.visible_lat)} visible stations are grey.",
        save(figure, path),
        {
            "station": [result.stations[i] for i in order],
            "lat": result.lat[order].round(5).tolist(),
            "lon": result.lon[order].round(5).tolist(),
            "rmse": error[order].round(4).tolist(),
            "n": count[order].tolist(),
        },
    )


def picture_distance(result: TaskResult, path: Path) -> Picture:
    """Draw every method's mean absolute error by distance to the nearest visible station."""
    labels, names = distance_classes(result.nearest_km)
    species = SPECIES[result.species]
    hours = result.sample(MODEL).known.sum(axis=0)
    enough = np.array([hours[labels == i].sum() >= _FEWEST for i in range(len(names))], bool)
    reached = np.flatnonzero(enough)
    # A class between others that has too few station-hours stays, without a point: no line runs across it.
    shown = [names[i] for i in range(reached[0], reached[-1] + 1)] if reached.size else []
    stations = [int(((labels == names.index(n)) & (hours > 0)).sum()) for n in shown]
    figure = new_figure(4.4)
    axes = figure.subplots()
    errors: dict[str, list[float]] = {}
    for method, style in method_styles(result.estimates).items():
        by_distance = score_by(result.sample(method), labels[None, :], names)
        errors[method] = [by_distance[n]["mae"] if enough[names.index(n)] else float("nan") for n in shown]
        axes.plot(range(len(shown)), errors[method], label=result.titles[method], **style)
    ticks = [f"{n}\n{c} station{'s' * (c != 1)}" for n, c in zip(shown, stations, strict=True)]
    axes.set_xticks(range(len(shown)), ticks, fontsize=9)
    axes.margins(x=0.12)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    axes.set_xlabel("distance to the nearest visible station")
    axes.set_ylabel(f"mean absolute error of {species.title} ({species.units})")
    legend_above(figure)
    text = ", ".join(f"{figures_of(e)} at {n}" for n, e in zip(shown, errors[MODEL], strict=True))
    return Picture(
        "distance",
        "Mean absolute error by distance to the nearest visible station.",
        f"Lines of MAE by class of distance, one a method; AQ-Net ({species.units}): {text or 'no class has enough'}.",
        save(figure, path),
        {"classes": shown, "stations": stations, "mae": errors},
    )


def picture_density(result: TaskResult, path: Path) -> Picture:
    """Draw estimate against reading as a density, for the model and for the baseline with the least RMSE."""
    import cmocean

    species = SPECIES[result.species]
    scores = {m: score(result.sample(m)) for m in result.estimates}
    others = {m: s["rmse"] for m, s in scores.items() if m != MODEL and np.isfinite(s["rmse"])}
    shown = [MODEL, *([min(others, key=lambda m: others[m])] if others else [])]
    known = result.sample(MODEL).known
    observed = result.observed[known]
    values = np.concatenate([observed, result.estimates[MODEL].best[known]]) if observed.size else np.array([1.0])
    top = float(np.quantile(values, 0.998)) or 1.0
    # Some four station-hours a bin along the line, or the density is a scatter of single ones.
    edges = np.linspace(0, top, int(np.clip(np.sqrt(observed.size), 24, _MOST_BINS)) + 1)
    figure = new_figure(3.9)
    panels = np.atleast_1d(figure.subplots(1, len(shown), sharex=True, sharey=True))
    densities = []
    for method in shown:
        best = result.sample(method).best[known]
        densities.append(np.histogram2d(np.clip(observed, 0, top), np.clip(best, 0, top), bins=(edges, edges))[0].T)
    scale = LogNorm(1, max(2.0, *(float(d.max()) for d in densities)))
    for axes, method, density in zip(panels, shown, densities, strict=True):
        mesh = axes.pcolormesh(
            edges,
            edges,
            np.ma.masked_less(density, 1),
            norm=scale,
            cmap=cmocean.tools.crop_by_percent(cmocean.cm.dense, 15, which="min"),
        )
        axes.plot([0, top], [0, top], color=MODEL_COLOUR, linewidth=1.0)
        axes.set_aspect("equal")
        axes.set_title(
            f"{result.titles[method]}\nR2 {scores[method]['r2']:.3f}, RMSE {figures_of(scores[method]['rmse'])}",
            fontsize=10,
        )
        axes.set_xlabel(f"reading ({species.units})")
        axes.locator_params(nbins=5)
    panels[0].set_ylabel(f"estimate ({species.units})")
    figure.colorbar(mesh, ax=panels.tolist(), label="station-hours", shrink=0.85)
    return Picture(
        "density",
        f"Estimate against reading of {species.title}; on the red line they are equal. Beyond {figures_of(top)} "
        f"{species.units} (0.2 % of the values) they are drawn at the rim.",
        "Density of estimate against reading. "
        + " ".join(
            f"{result.titles[m]}: R2 {figures_of(scores[m]['r2'])}, RMSE {figures_of(scores[m]['rmse'])} "
            f"{species.units}, bias {figures_of(scores[m]['bias'])}."
            for m in shown
        ),
        save(figure, path),
        {
            "methods": shown,
            "edges": edges.round(4).tolist(),
            "station_hours": {m: d.astype(int).tolist() for m, d in zip(shown, densities, strict=True)},
        },
    )
