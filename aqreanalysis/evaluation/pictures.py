"""Pictures of an evaluation and of a cube, as PNG files. Colours are perceptually uniform (cmocean)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import cmocean
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from aqreanalysis.errors import CubeError, OutputError
from aqreanalysis.evaluation.protocols import MODEL, Outcome
from aqreanalysis.evaluation.scores import distance_classes, score_by
from aqreanalysis.observations import Observations
from aqreanalysis.species import SPECIES, Species, get_species

#: Station-hours that a class of distance must have to be drawn.
_FEWEST = 30
_SERIES_HOURS = 240
_STYLES = ("#c0392b", "#7f8c8d", "#2980b9", "#27ae60", "#8e44ad", "#d35400")


def _save(figure: Figure, path: Path) -> Path:
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; choose another --out") from None
    return path


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def _as_map(axes: Axes, lat: npt.NDArray[Any]) -> None:
    axes.set_aspect(1.0 / max(float(np.cos(np.radians(np.mean(lat)))), 0.05))
    axes.set_xlabel("longitude (degrees east)")
    axes.set_ylabel("latitude (degrees north)")


def picture_errors(outcome: Outcome, path: Path) -> Path:
    """Draw the model's mean absolute error at each hidden station, with the visible stations beside; return `path`."""
    sample = outcome.sample(MODEL)
    count = np.isfinite(sample.observed).sum(axis=0)
    error = np.nansum(np.abs(sample.best - sample.observed), axis=0) / np.maximum(count, 1)
    known = count > 0
    species = SPECIES[outcome.species]
    figure = _figure(8, 5.5)
    axes = figure.subplots()
    axes.scatter(outcome.visible_lon, outcome.visible_lat, s=6, c="#b0b0b0", label="visible station")
    dots = axes.scatter(
        outcome.lon[known],
        outcome.lat[known],
        c=error[known],
        s=46,
        cmap=cmocean.cm.amp,
        vmin=0,
        edgecolors="black",
        linewidths=0.6,
        label="hidden station",
    )
    figure.colorbar(dots, ax=axes, label=f"mean absolute error of {species.title} ({species.units})")
    _as_map(axes, outcome.lat)
    axes.set_title(f"{species.title}, {outcome.protocol.title}")
    axes.legend(loc="lower left", fontsize=8)
    return _save(figure, path)


def picture_series(outcome: Outcome, path: Path) -> Path:
    """Draw the model's estimate and interval beside the readings at the best, median and worst hidden station."""
    sample = outcome.sample(MODEL)
    count = np.isfinite(sample.observed).sum(axis=0)
    total = np.nansum(np.abs(sample.best - sample.observed), axis=0)
    usable = np.flatnonzero(count >= max(1, count.max() // 2))
    ranked = usable[np.argsort(total[usable] / count[usable], kind="stable")]
    picked = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]}
    species = SPECIES[outcome.species]
    estimates = outcome.estimates[MODEL]
    rows = slice(0, min(_SERIES_HOURS, len(outcome.hours)))
    times = outcome.hours[rows].astype("datetime64[h]")
    figure = _figure(10, 7.5)
    for axes, (name, i) in zip(figure.subplots(3, 1, sharex=True), picked.items(), strict=True):
        axes.fill_between(
            times, estimates.lower[rows, i], estimates.upper[rows, i], color="#f0b7ae", label="interval", linewidth=0
        )
        axes.plot(times, estimates.best[rows, i], color=_STYLES[0], linewidth=1.0, label="AQ-Net")
        axes.plot(times, outcome.observed[rows, i], ".", color="black", markersize=3, label="observed")
        mae = total[i] / count[i]
        axes.set_title(
            f"{name}: station {outcome.stations[i]}, {outcome.nearest_km[i]:.0f} km from the nearest visible one, "
            f"MAE {mae:.3g} {species.units}",
            fontsize=9,
        )
        axes.set_ylabel(f"{species.title} ({species.units})", fontsize=8)
        axes.set_ylim(bottom=0)
        axes.margins(x=0.01)
    axes.legend(loc="upper right", fontsize=8, ncols=3)
    return _save(figure, path)


def picture_distance(outcome: Outcome, path: Path) -> Path:
    """Draw every method's mean absolute error by distance to the nearest visible station; return `path`."""
    labels, names = distance_classes(outcome.nearest_km)
    species = SPECIES[outcome.species]
    figure = _figure(7.5, 4.5)
    axes = figure.subplots()
    hours = np.isfinite(outcome.sample(MODEL).observed).sum(axis=0)
    shown = [n for i, n in enumerate(names) if hours[labels == i].sum() >= _FEWEST]
    for colour, method in zip(_STYLES, outcome.estimates, strict=False):
        found = score_by(outcome.sample(method), labels[None, :], names)
        axes.plot(
            range(len(shown)), [found[n]["mae"] for n in shown], marker="o", color=colour, label=outcome.titles[method]
        )
    count = [int((labels == names.index(n)).sum()) for n in shown]
    axes.set_xticks(range(len(shown)), [f"{n}\n{c} stations" for n, c in zip(shown, count, strict=True)], fontsize=8)
    axes.margins(x=0.15)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("distance to the nearest visible station")
    axes.set_ylabel(f"MAE of {species.title} ({species.units})")
    axes.set_title(f"{species.title}, {outcome.protocol.title}")
    axes.legend(fontsize=8)
    return _save(figure, path)


def picture_reliability(outcome: Outcome, path: Path) -> Path:
    """Draw measured against nominal coverage of every method, and the model's PIT histogram; return `path`."""
    figure = _figure(10, 4.5)
    left, right = figure.subplots(1, 2)
    nominal = np.linspace(0.05, 0.95, 19)
    left.plot([0, 1], [0, 1], color="black", linewidth=0.8, label="true")
    for colour, method in zip(_STYLES, outcome.estimates, strict=False):
        pit = outcome.sample(method).pit
        inside = np.abs(pit[np.isfinite(pit)] - 0.5)
        measured = [float((inside <= p / 2).mean()) if inside.size else np.nan for p in nominal]
        left.plot(nominal, measured, marker=".", color=colour, label=outcome.titles[method])
    left.set(xlabel="nominal coverage", ylabel="measured coverage", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    left.legend(fontsize=8)
    pit = outcome.sample(MODEL).pit
    right.hist(pit[np.isfinite(pit)], bins=20, range=(0, 1), density=True, color=_STYLES[0], alpha=0.8)
    right.axhline(1.0, color="black", linewidth=0.8)
    right.set(xlabel="probability integral transform", ylabel="density", title="AQ-Net", xlim=(0, 1))
    return _save(figure, path)


def picture_field(
    cube: xr.Dataset,
    observations: Observations,
    hidden: Collection[str],
    time: str | np.datetime64 | pd.Timestamp,
    path: str | Path,
    key: str | None = None,
) -> Path:
    """Draw estimate and standard error of one hour side by side, with the stations on them; return `path`.

    Stations carry the hour's reading in the colours of the field, so an estimate that disagrees is seen at once.

    Parameters
    ----------
    cube : Dataset
        A cube of this program.
    observations : Observations
        Stations and readings.
    hidden : collection of str
        Stations that the model was not given (triangles); the others are circles.
    time : str, datetime64 or Timestamp
        UTC stamp, the end of the hour; the cube must hold it.
    path : str or Path
        PNG to write.
    key : str, optional
        Pollutant; the cube's first where not given.

    Raises
    ------
    CubeError
        If the cube has no such pollutant or hour.
    """
    species = _species_of(cube, key)
    stamp = np.datetime64(pd.Timestamp(time), "ns")
    times = cube["time"].values.astype("datetime64[ns]")
    if stamp not in times:
        raise CubeError(f"the cube has no hour {pd.Timestamp(time)}: it runs from {times[0]} to {times[-1]}")
    hour = cube.isel(time=int(np.flatnonzero(times == stamp)[0]))
    best = np.asarray(hour[species.layer].values, np.float64)
    readings = _readings(observations, species.key, stamp)
    known = np.concatenate([best[np.isfinite(best)], readings[np.isfinite(readings)]])
    top = float(np.quantile(known, 0.99)) if known.size else 1.0
    figure = _figure(13, 5.2)
    left, right = figure.subplots(1, 2)
    _draw_field(left, hour, best, Normalize(0, top), cmocean.cm.matter, f"{species.title} ({species.units})")
    error = np.asarray(hour[f"{species.layer}_standard_error"].values, np.float64)
    spread = float(np.nanquantile(error, 0.99)) if np.isfinite(error).any() else 1.0
    label = f"standard error of {species.title} ({species.units})"
    _draw_field(right, hour, error, Normalize(0, spread), cmocean.cm.amp, label)
    _draw_stations(left, observations, hidden, readings, Normalize(0, top))
    _draw_stations(right, observations, hidden, None, None)
    left.set_title(f"{species.title}, hour ending {pd.Timestamp(time):%Y-%m-%d %H:%M} UTC")
    right.set_title("standard error")
    return _save(figure, Path(path))


def picture_truth(
    cube: xr.Dataset, truth: xr.DataArray, time: str | np.datetime64 | pd.Timestamp, path: str | Path
) -> Path:
    """Draw the truth of a synthetic region, the estimate and their difference at one hour, side by side; return `path`.

    Parameters
    ----------
    cube : Dataset
        The cube, on the truth's grid.
    truth : DataArray
        Dimensions (time, lat, lon), named by the pollutant's key.
    time : str, datetime64 or Timestamp
        UTC stamp that both hold.
    path : str or Path
        PNG to write.
    """
    species = get_species(str(truth.name))
    hour = cube.sel(time=time)
    best = np.asarray(hour[species.layer].values, np.float64)
    true = np.asarray(truth.sel(time=time).sel(lat=hour["lat"], lon=hour["lon"], method="nearest").values, np.float64)
    scale = Normalize(0, float(np.nanquantile(np.concatenate([best.ravel(), true.ravel()]), 0.99)))
    reach = float(np.nanquantile(np.abs(best - true), 0.99)) or 1.0
    figure = _figure(17, 4.8)
    panels = figure.subplots(1, 3)
    label = f"{species.title} ({species.units})"
    _draw_field(panels[0], hour, true, scale, cmocean.cm.matter, label)
    _draw_field(panels[1], hour, best, scale, cmocean.cm.matter, label)
    _draw_field(panels[2], hour, best - true, Normalize(-reach, reach), cmocean.cm.balance, f"difference, {label}")
    for panel, title in zip(panels, ("truth (synthetic)", "estimate", "estimate minus truth"), strict=True):
        panel.set_title(f"{title}, {pd.Timestamp(time):%Y-%m-%d %H:%M} UTC", fontsize=10)
    return _save(figure, Path(path))


def _species_of(cube: xr.Dataset, key: str | None) -> Species:
    held = [s for s in SPECIES.values() if s.layer in cube.data_vars]
    if key is not None:
        wanted = get_species(key)
        if wanted not in held:
            raise CubeError(
                f"the cube has no {wanted.key}: it holds {', '.join(s.key for s in held) or 'no pollutant'}"
            )
        return wanted
    if not held:
        raise CubeError("the cube holds no pollutant that is known; see aqreanalysis produce")
    return held[0]


def _readings(observations: Observations, key: str, stamp: np.datetime64) -> npt.NDArray[np.float32]:
    """Return the hour's readings, shape (station,), NaN where there is none."""
    row = int((stamp - observations.times.values.astype("datetime64[ns]")[0]) / np.timedelta64(1, "h"))
    if key not in observations.species or not 0 <= row < len(observations.times):
        return np.full(len(observations.stations), np.nan, np.float32)
    return observations.values(key)[row]


def _draw_field(
    axes: Axes, hour: xr.Dataset, values: npt.NDArray[Any], norm: Normalize, colours: Any, label: str
) -> None:
    lat, lon = hour["lat"].values, hour["lon"].values
    mesh = axes.pcolormesh(lon, lat, values, norm=norm, cmap=colours, shading="nearest", rasterized=True)
    figure = axes.figure
    assert figure is not None
    signed = norm.vmin is not None and norm.vmin < 0
    figure.colorbar(mesh, ax=axes, label=label, extend="both" if signed else "max", shrink=0.85)
    axes.set_xlim(lon.min(), lon.max())
    axes.set_ylim(lat.min(), lat.max())
    _as_map(axes, lat)


def _draw_stations(
    axes: Axes,
    observations: Observations,
    hidden: Collection[str],
    readings: npt.NDArray[np.float32] | None,
    norm: Normalize | None,
) -> None:
    away = np.isin(observations.stations, list(hidden))
    for mask, marker, size, name in ((~away, "o", 16, "visible station"), (away, "^", 34, "hidden station")):
        if not mask.any():
            continue
        colours: dict[str, Any] = {"facecolors": "none"}
        if readings is not None:
            colours = {"c": readings[mask], "norm": norm, "cmap": cmocean.cm.matter, "plotnonfinite": False}
        axes.scatter(
            observations.lon[mask],
            observations.lat[mask],
            s=size,
            marker=marker,
            edgecolors="black",
            linewidths=0.5,
            label=name,
            **colours,
        )
    axes.legend(loc="lower left", fontsize=7)
