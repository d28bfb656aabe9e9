"""Where and how large the errors are: a map, error against distance, estimate against reading."""

from __future__ import annotations

from pathlib import Path

import cmocean
import numpy as np
import numpy.typing as npt
from matplotlib.colors import LogNorm

from aqreanalysis.evaluation.pictures.style import (
    MODEL_COLOUR,
    Picture,
    as_map,
    figures_of,
    method_styles,
    new_figure,
    save,
)
from aqreanalysis.evaluation.protocols import MODEL, Outcome
from aqreanalysis.evaluation.scores import distance_classes, score, score_by
from aqreanalysis.species import SPECIES

#: Station-hours that a class of distance must have to be drawn.
_FEWEST = 30
_MOST_BINS = 80


def station_rmse(outcome: Outcome, method: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return each hidden station's root mean squared error (NaN without a reading) and its number of readings."""
    sample = outcome.sample(method)
    count = sample.known.sum(axis=0)
    squares = np.nansum((sample.best - sample.observed) ** 2, axis=0, dtype=np.float64)
    return np.where(count > 0, np.sqrt(squares / np.maximum(count, 1)), np.nan), count


def picture_errors(outcome: Outcome, path: Path) -> Picture:
    """Draw the model's root mean squared error at each hidden station, with the visible stations beside."""
    error, count = station_rmse(outcome, MODEL)
    known = count > 0
    species = SPECIES[outcome.species]
    order = np.flatnonzero(known)[np.argsort(error[known], kind="stable")]  # the largest errors on top
    lon, lat = (np.concatenate([getattr(outcome, f"visible_{n}"), getattr(outcome, n)]) for n in ("lon", "lat"))
    tall = np.ptp(lat) / max(np.ptp(lon) * np.cos(np.radians(lat.mean())), 0.1)
    figure = new_figure(float(np.clip(1.2 + 4.3 * tall, 3.6, 7.5)))
    axes = figure.subplots()
    axes.grid(color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.scatter(outcome.visible_lon, outcome.visible_lat, s=7, c="#9a9a9a", linewidths=0, label="visible station")
    dots = axes.scatter(
        outcome.lon[order],
        outcome.lat[order],
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
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    middle = float(np.median(error[known])) if known.any() else None
    return Picture(
        "errors",
        "Root mean squared error at each hidden station.",
        f"Map of {int(known.sum())} hidden stations coloured by their RMSE, which is "
        f"{figures_of(middle)} {species.units} in the median and "
        f"{figures_of(float(error[known].max()) if known.any() else None)} at the worst; "
        f"{len(outcome.visible_lat)} visible stations are grey.",
        save(figure, path),
        {
            "station": [outcome.stations[i] for i in order],
            "lat": outcome.lat[order].round(5).tolist(),
            "lon": outcome.lon[order].round(5).tolist(),
            "rmse": error[order].round(4).tolist(),
            "n": count[order].tolist(),
        },
    )


def picture_distance(outcome: Outcome, path: Path) -> Picture:
    """Draw every method's mean absolute error by distance to the nearest visible station."""
    labels, names = distance_classes(outcome.nearest_km)
    species = SPECIES[outcome.species]
    hours = outcome.sample(MODEL).known.sum(axis=0)
    shown = [n for i, n in enumerate(names) if hours[labels == i].sum() >= _FEWEST]
    stations = [int(((labels == names.index(n)) & (hours > 0)).sum()) for n in shown]
    figure = new_figure(4.4)
    axes = figure.subplots()
    errors: dict[str, list[float]] = {}
    for method, style in method_styles(outcome.estimates).items():
        found = score_by(outcome.sample(method), labels[None, :], names)
        errors[method] = [found[n]["mae"] for n in shown]
        axes.plot(range(len(shown)), errors[method], label=outcome.titles[method], **style)
    ticks = [f"{n}\n{c} station{'s' * (c != 1)}" for n, c in zip(shown, stations, strict=True)]
    axes.set_xticks(range(len(shown)), ticks, fontsize=9)
    axes.margins(x=0.12)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    axes.set_xlabel("distance to the nearest visible station")
    axes.set_ylabel(f"mean absolute error of {species.title} ({species.units})")
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    told = ", ".join(f"{figures_of(e)} at {n}" for n, e in zip(shown, errors[MODEL], strict=True))
    return Picture(
        "distance",
        "Mean absolute error by distance to the nearest visible station.",
        f"Lines of MAE by class of distance, one a method; AQ-Net ({species.units}): {told or 'no class has enough'}.",
        save(figure, path),
        {"classes": shown, "stations": stations, "mae": errors},
    )


def picture_density(outcome: Outcome, path: Path) -> Picture:
    """Draw estimate against reading as a density, for the model and for the baseline with the least RMSE."""
    species = SPECIES[outcome.species]
    scores = {m: score(outcome.sample(m)) for m in outcome.estimates}
    others = {m: s["rmse"] for m, s in scores.items() if m != MODEL and np.isfinite(s["rmse"])}
    shown = [MODEL, *([min(others, key=lambda m: others[m])] if others else [])]
    known = outcome.sample(MODEL).known
    observed = outcome.observed[known]
    values = np.concatenate([observed, outcome.estimates[MODEL].best[known]]) if observed.size else np.array([1.0])
    top = float(np.quantile(values, 0.998)) or 1.0
    # Some four station-hours a bin along the line, or the density is a scatter of single ones.
    edges = np.linspace(0, top, int(np.clip(np.sqrt(observed.size), 24, _MOST_BINS)) + 1)
    figure = new_figure(3.9)
    panels = np.atleast_1d(figure.subplots(1, len(shown), sharex=True, sharey=True))
    densities = []
    for method in shown:
        best = outcome.sample(method).best[known]
        densities.append(np.histogram2d(np.clip(observed, 0, top), np.clip(best, 0, top), bins=(edges, edges))[0].T)
    scale = LogNorm(1, max(2.0, max(float(d.max()) for d in densities)))
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
            f"{outcome.titles[method]}\nR2 {scores[method]['r2']:.3f}, RMSE {figures_of(scores[method]['rmse'])}",
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
            f"{outcome.titles[m]}: R2 {figures_of(scores[m]['r2'])}, RMSE {figures_of(scores[m]['rmse'])} "
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
