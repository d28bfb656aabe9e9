"""The estimate and its interval beside the readings, at the best, the median and the worst hidden station."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from aqreanalysis.evaluation.pictures.style import (
    INTERVAL_COLOUR,
    MODEL_COLOUR,
    Picture,
    figures_of,
    legend_above,
    new_figure,
    save,
)
from aqreanalysis.evaluation.protocols import TaskResult
from aqreanalysis.model.bundle import MODEL
from aqreanalysis.species import SPECIES

_SHOWN = 240


def ranked_stations(result: TaskResult) -> dict[str, tuple[int, float]]:
    """Return index and mean absolute error of the model's best, median and worst hidden station.

    Ranked are those with at least half as many readings as the fullest; empty where nothing was observed.
    """
    sample = result.sample(MODEL)
    count = sample.known.sum(axis=0)
    usable = np.flatnonzero(count >= max(1, int(count.max(initial=0)) // 2))
    if not usable.size:
        return {}
    error = (
        np.asarray(np.nansum(np.abs(sample.best - sample.observed), axis=0, dtype=np.float64))[usable] / count[usable]
    )
    order = np.argsort(error, kind="stable")
    picked = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    return {name: (int(usable[i]), float(error[i])) for name, i in picked.items()}


def picture_series(result: TaskResult, path: Path) -> Picture | None:
    """Draw the model's estimate and interval beside the readings at three stations; None where nothing was observed."""
    picked = ranked_stations(result)
    if not picked:
        return None
    species = SPECIES[result.species]
    rows = _busiest(np.isfinite(result.observed)[:, [i for i, _ in picked.values()]].sum(axis=1))
    numbers: dict[str, Any] = {}
    # Hours that are drawn one in several are points: what lies between them nobody looked at.
    apart = bool(np.diff(result.hours[rows]).min(initial=2) > 1)
    figure = new_figure(7.4)
    panels = figure.subplots(3, 1, sharex=True)
    for axes, (name, (i, mae)) in zip(panels, picked.items(), strict=True):
        drawn = _station(result, rows, i)
        time = drawn["time"].astype("datetime64[h]")
        handles = _draw(axes, time, drawn, apart)
        axes.set_title(
            f"{name}: station {result.stations[i]}, {result.nearest_km[i]:.0f} km from the nearest visible one, "
            f"MAE {figures_of(mae)} {species.units}",
            fontsize=9,
        )
        axes.set_ylabel(species.units)
        axes.set_ylim(bottom=0)
        axes.margins(x=0.01)
        numbers[name] = {"station": result.stations[i], "mae": mae} | {k: v.tolist() for k, v in drawn.items()}
    ticks = AutoDateLocator(minticks=4, maxticks=9)
    panels[-1].xaxis.set_major_locator(ticks)
    panels[-1].xaxis.set_major_formatter(ConciseDateFormatter(ticks))
    legend_above(figure, handles, ["reading", "AQ-Net", "interval"], 10.0)
    step = result.hours[rows]
    return Picture(
        "series",
        f"{species.title} at the hidden stations with the least, the median and the largest mean absolute error: "
        f"reading, estimate and interval, {_day(step[0])} to {_day(step[-1])} UTC.",
        "Three time series of reading, estimate and interval. "
        + " ".join(f"The {n} station's MAE is {figures_of(m)} {species.units}." for n, (_, m) in picked.items()),
        save(figure, path),
        numbers,
    )


def _draw(axes: Axes, time: npt.NDArray[Any], drawn: dict[str, npt.NDArray[Any]], apart: bool) -> list[Artist]:
    """Draw readings, estimate and interval, as lines or, where hours lie `apart`, as points; return them."""
    band: Artist
    if apart:
        band = axes.vlines(time, drawn["lower"], drawn["upper"], color=INTERVAL_COLOUR, linewidth=2.2)
    else:
        band = axes.fill_between(time, drawn["lower"], drawn["upper"], color=INTERVAL_COLOUR, linewidth=0)
    (line,) = axes.plot(time, drawn["best"], "_" if apart else "-", color=MODEL_COLOUR, linewidth=1.2, markersize=5.0)
    (dots,) = axes.plot(time, drawn["observed"], ".", color="black", markersize=3.5)
    return [dots, line, band]


def _busiest(readings: npt.NDArray[np.int64]) -> slice:
    """Return the run of `_SHOWN` rows that holds the most readings, the earliest where there are several."""
    length = min(_SHOWN, len(readings))
    total = np.concatenate([[0], np.cumsum(readings)])
    start = int(np.argmax(total[length:] - total[:-length]))
    return slice(start, start + length)


def _station(result: TaskResult, rows: slice, station: int) -> dict[str, npt.NDArray[Any]]:
    """Return what is drawn of one station, with a NaN in each hole of the hours, so that no line runs across it."""
    estimates, hours = result.estimates[MODEL], result.hours[rows]
    columns = {k: getattr(estimates, k)[rows, station].astype(np.float64) for k in ("best", "lower", "upper")}
    columns["observed"] = result.observed[rows, station].astype(np.float64)
    step = np.diff(hours).min(initial=24)
    holes = np.flatnonzero(np.diff(hours) > step) + 1 if step == 1 else np.array([], np.intp)
    drawn: dict[str, npt.NDArray[Any]] = {k: np.insert(v, holes, np.nan).round(4) for k, v in columns.items()}
    drawn["time"] = np.insert(hours, holes, hours[holes - 1] + 1)
    return drawn


def _day(hour: int) -> str:
    return str(np.datetime64(int(hour), "h").astype("datetime64[D]"))
