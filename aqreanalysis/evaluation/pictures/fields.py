"""Pictures of a cube's field, as PNG files. Colours are perceptually uniform (cmocean)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from aqreanalysis.common.hours import HOUR, step_ends
from aqreanalysis.errors import CubeError
from aqreanalysis.evaluation.pictures.style import as_map, new_figure, save
from aqreanalysis.observations import Observations
from aqreanalysis.species import SPECIES, Species, get_species

#: Maps side by side in `picture_methods`.
_COLUMNS = 3


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
        End of the hour, UTC; the cube must hold it.
    path : str or Path
        PNG to write.
    key : str, optional
        Pollutant; the cube's first where not given.

    Raises
    ------
    CubeError
        If the cube has no such pollutant or hour.
    """
    import cmocean

    species = _species_of(cube, key)
    stamp = np.datetime64(pd.Timestamp(time), "ns")
    hour = _hour_ending(cube, stamp)
    best = np.asarray(hour[species.layer].values, np.float64)
    readings = _readings(observations, species.key, stamp)
    known = np.concatenate([best[np.isfinite(best)], readings[np.isfinite(readings)]])
    top = float(np.quantile(known, 0.99)) if known.size else 1.0
    figure = new_figure(5.2, 13)
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
    return save(figure, Path(path))


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
        End of an hour that both hold, UTC.
    path : str or Path
        PNG to write.
    """
    import cmocean

    species = get_species(str(truth.name))
    hour = _hour_ending(cube, np.datetime64(pd.Timestamp(time), "ns"))
    best = np.asarray(hour[species.layer].values, np.float64)
    true = np.asarray(truth.sel(time=time).sel(lat=hour["lat"], lon=hour["lon"], method="nearest").values, np.float64)
    scale = Normalize(0, float(np.nanquantile(np.concatenate([best.ravel(), true.ravel()]), 0.99)))
    reach = float(np.nanquantile(np.abs(best - true), 0.99)) or 1.0
    figure = new_figure(4.8, 17)
    panels = figure.subplots(1, 3)
    label = f"{species.title} ({species.units})"
    _draw_field(panels[0], hour, true, scale, cmocean.cm.matter, label)
    _draw_field(panels[1], hour, best, scale, cmocean.cm.matter, label)
    _draw_field(panels[2], hour, best - true, Normalize(-reach, reach), cmocean.cm.balance, f"difference, {label}")
    for panel, title in zip(panels, ("truth (synthetic)", "estimate", "estimate minus truth"), strict=True):
        panel.set_title(f"{title}, {pd.Timestamp(time):%Y-%m-%d %H:%M} UTC", fontsize=10)
    return save(figure, Path(path))


def picture_methods(
    fields: Mapping[str, xr.DataArray], observations: Observations, species: Species, title: str, path: str | Path
) -> Path:
    """Draw one hour as several methods see it, in the colours of one scale, with the stations on them; return `path`.

    Parameters
    ----------
    fields : mapping of str to DataArray
        Dimensions (lat, lon), by what is written above each panel; the first one, the truth, sets the scale and the
        region.
    observations : Observations
        Whose stations are drawn.
    species : Species
        The pollutant.
    title : str
        Written above all.
    path : str or Path
        PNG to write.
    """
    import cmocean

    first = next(iter(fields.values()))
    scale = Normalize(0, float(np.nanquantile(first.values, 0.995)))
    rows = -(-len(fields) // _COLUMNS)
    figure = new_figure(3.4 * rows + 0.4, 4.2 * _COLUMNS)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    mesh = None
    for panel, (name, field) in zip(panels, fields.items(), strict=False):
        lat, lon = field["lat"].values, field["lon"].values
        mesh = panel.pcolormesh(
            lon, lat, field.values, norm=scale, cmap=cmocean.cm.matter, shading="nearest", rasterized=True
        )
        panel.scatter(observations.lon, observations.lat, s=5, facecolors="none", edgecolors="black", linewidths=0.4)
        panel.set_title(name, fontsize=10)
        panel.set_xlim(first["lon"].values.min(), first["lon"].values.max())
        panel.set_ylim(first["lat"].values.min(), first["lat"].values.max())
        as_map(panel, first["lat"].values)
        panel.label_outer()
    for panel in panels[len(fields) :]:
        panel.set_axis_off()
    assert mesh is not None
    figure.colorbar(mesh, ax=panels.tolist(), label=f"{species.title} ({species.units})", extend="max", shrink=0.8)
    figure.suptitle(title, fontsize=11)
    return save(figure, Path(path))


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


def _hour_ending(cube: xr.Dataset, end: np.datetime64) -> xr.Dataset:
    """Return the step of a cube that ends at a moment."""
    ends = step_ends(cube)
    if end not in ends:
        first, last = (pd.Timestamp(stamp) for stamp in (ends[0], ends[-1]))
        raise CubeError(f"the cube has no hour that ends {pd.Timestamp(end)}: its hours end {first} to {last}")
    return cube.isel(time=int(np.flatnonzero(ends == end)[0]))


def _readings(observations: Observations, key: str, stamp: np.datetime64) -> npt.NDArray[np.float32]:
    """Return the hour's readings, shape (station,), NaN where there is none."""
    row = int((stamp - observations.times.values.astype("datetime64[ns]")[0]) / HOUR)
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
    as_map(axes, lat)


def _draw_stations(
    axes: Axes,
    observations: Observations,
    hidden: Collection[str],
    readings: npt.NDArray[np.float32] | None,
    norm: Normalize | None,
) -> None:
    import cmocean

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
