"""What of its history a long forecast lives on, by lead day: the AQ-Net paper's heat map, and the same from outside.

The first is the attention itself: what each lead day's query weighs the steps of the history by. It is one path of
several, and by how much it moves the forecast it does not tell. The second asks the whole network: by how many per cent
does a lead day's mean change if a day of the history had read one per cent more everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cmocean
import numpy as np
import numpy.typing as npt

from aqreanalysis.evaluation.pictures.style import Picture, new_figure, save
from aqreanalysis.species import SPECIES

#: How much more a day is made to have read.
_RAISED = 1.1


@dataclass(frozen=True)
class HistoryInfluence:
    """Elasticity of the forecast.

    Attributes
    ----------
    elasticity : float64 (lead day, history day)
        Per cent by which the mean of a lead day changes, for a per cent more in a day of the history; in the mean over
        forecasts and stations. History days in the order of time, the last one ends at the origin.
    forecasts : int
        Of how many windows and stations it is the mean.
    """

    elasticity: npt.NDArray[np.float64]
    forecasts: int


def influence_of_history(
    forecast: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]],
    histories: npt.NDArray[np.float32],
    reading: int,
) -> HistoryInfluence:
    """Return how the forecast follows each day of its history.

    Parameters
    ----------
    forecast : callable
        From histories of one shape to daily means of the lead days in concentrations (lead day, window, place).
    histories : float32 (window, hour, station, input)
        Concentrations, NaN where missing; whole days.
    reading : int
        Which input is raised.
    """
    plain = np.maximum(forecast(histories), 1e-3)
    days = histories.shape[1] // 24
    influence = np.empty((len(plain), days))
    for day in range(days):
        raised = histories.copy()
        raised[:, 24 * day : 24 * (day + 1), :, reading] *= _RAISED
        change = np.log(np.maximum(forecast(raised), 1e-3) / plain) / np.log(_RAISED)
        influence[:, day] = change.reshape(len(plain), -1).mean(axis=1)
    return HistoryInfluence(influence, plain[0].size)


def picture_history(species: str, influence: HistoryInfluence, path: Path) -> Picture:
    """Draw the elasticity as a heat map, lead days down and days of the history across."""
    values = influence.elasticity
    leads, days = values.shape
    before = np.arange(-days, 0) + 1
    figure = new_figure(3.6)
    axes = figure.subplots()
    reach = max(float(np.abs(values).max()), 1e-3)
    mesh = axes.pcolormesh(before, np.arange(1, leads + 1), values, cmap=cmocean.cm.balance, vmin=-reach, vmax=reach)
    axes.set_xlabel("day of the history (0: the last before the forecast)")
    axes.set_ylabel("lead day")
    axes.set_yticks(np.arange(1, leads + 1))
    axes.invert_yaxis()
    figure.colorbar(mesh, ax=axes, label="change of the forecast, per cent\nfor a per cent more in that day")
    title = SPECIES[species].title
    first, last = values[0], values[-1]
    return Picture(
        "history",
        f"What of the history a forecast of {title} lives on: by how many per cent the mean of a lead day (down) "
        "changes if all stations had read one per cent more on a day of the history (across); mean over "
        f"{influence.forecasts} forecasts. This is the whole network, all its paths together.",
        f"Heat map, {leads} lead days by {days} days of history. Lead day 1: {first[-1]:.2f} for the last day, "
        f"{first.sum():.2f} for all days together; lead day {leads}: {last[-1]:.2f} and {last.sum():.2f}.",
        save(figure, path),
        {"history_days": before.tolist(), "elasticity": values.round(4).tolist(), "forecasts": influence.forecasts},
    )


def picture_attention(
    species: str, attention: npt.NDArray[np.float32], step_hours: int, path: Path, untrained: bool = False
) -> Picture:
    """Draw the attention (lead day, step) as a heat map, lead days down and the history across.

    `untrained` says that every member was best before its first step; the caption then tells it.
    """
    leads, steps = attention.shape
    before = -step_hours / 24 * np.arange(steps, -1, -1)
    figure = new_figure(3.6)
    axes = figure.subplots()
    edges = np.arange(leads + 1) + 0.5
    even = attention * steps
    mesh = axes.pcolormesh(before, edges, even, cmap=cmocean.cm.amp, vmin=0)
    axes.set_xlabel("days before the forecast")
    axes.set_ylabel("lead day")
    axes.set_yticks(np.arange(1, leads + 1))
    axes.invert_yaxis()
    figure.colorbar(mesh, ax=axes, label="attention, as a multiple\nof an even share")
    title = SPECIES[species].title
    day = max(1, 24 // step_hours)
    first, last = attention[0], attention[-1]
    return Picture(
        "attention",
        f"Attention over the history by lead day, forecast of {title}: how much weight each lead day (down) gives to "
        f"each {step_hours} hours of the history (across), as a multiple of an even share; mean over forecasts, "
        "stations, heads and members. It is one path of several: the linear paths go round it, and how far the "
        "network is believed against them is chosen lead by lead."
        + (" No member was better with its network than without: this attention is not a learned one." * untrained),
        f"Heat map, {leads} lead days by {steps} steps. On the last day before the forecast lies "
        f"{first[-day:].sum():.2f} of lead day 1's attention and {last[-day:].sum():.2f} of lead day {leads}'s; an "
        f"even share is {day / steps:.2f}.",
        save(figure, path),
        {"step_hours": step_hours, "attention": attention.round(5).tolist()},
    )
