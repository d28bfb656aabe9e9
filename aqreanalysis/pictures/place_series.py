"""The time series of one place with its interval, as PNG or SVG."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aqreanalysis.common.hours import HOUR
from aqreanalysis.errors import CubeError
from aqreanalysis.export.files import whole_file
from aqreanalysis.export.source import CubeSource, SpeciesLayers
from aqreanalysis.pictures.maps import DPI, ENDINGS
from aqreanalysis.pictures.stations import StationMarkers

_LINE, _BAND, _READINGS = "#a2145a", "#eec1d4", "#222222"
#: Stations nearer than this are drawn beside the estimate.
NEAR_KM = 10.0


def draw_series(
    source: CubeSource,
    out: str | Path,
    place: tuple[float, float],
    marks: StationMarkers | None = None,
    overwrite: bool = False,
) -> Path:
    """Draw the first pollutant of `source` in the cell that holds a place; return the path of the picture.

    Parameters
    ----------
    source : CubeSource
        The cube, restricted to the period wanted.
    out : str or Path
        A name that ends in ``.png`` or ``.svg``.
    place : tuple of float
        Latitude and longitude, degrees.
    marks : StationMarkers, optional
        With readings, those of the nearest station within `NEAR_KM` are drawn too.
    overwrite : bool
        Whether a file that exists is replaced.

    Raises
    ------
    CubeError
        If the place lies outside the grid or has no estimate.
    """
    one = next(iter(source.species.values()))
    row, column = (int(source.cell_of(a, np.array([p]))[0]) for a, p in zip(("lat", "lon"), place, strict=True))
    if row < 0 or column < 0:
        lat, lon = source.edges("lat"), source.edges("lon")
        raise CubeError(
            f"place {place[0]:g},{place[1]:g} lies outside {source.path}: latitude {lat.min():g} to {lat.max():g}, "
            f"longitude {lon.min():g} to {lon.max():g}; write it as LAT,LON"
        )
    names = [name for name in (one.best, one.lower, one.upper) if name is not None]
    cell = {name: np.asarray(source.dataset[name].isel(lat=row, lon=column).values) for name in names}
    if not np.isfinite(cell[one.best]).any():
        raise CubeError(f"{source.path} has no estimate at {place[0]:g},{place[1]:g}: the cell is masked")
    with whole_file(out, ENDINGS, overwrite) as path:
        figure = Figure(figsize=(10, 3.8), layout="constrained")
        axes = figure.subplots()
        times = source.times
        if one.lower is not None and one.upper is not None:
            coverage = float(source.dataset[one.lower].attrs.get("coverage_probability", np.nan))
            label = f"{100 * coverage:g} % interval" if np.isfinite(coverage) else "interval"
            axes.fill_between(times, cell[one.lower], cell[one.upper], color=_BAND, linewidth=0, label=label)
        axes.plot(times, cell[one.best], color=_LINE, linewidth=1.3, label="estimate")
        title = f"{one.species.title} at {place[0]:g}, {place[1]:g}"
        near = _nearest(marks, place)
        if marks is not None and near is not None:
            _draw_readings(axes, marks, near, one.species.key, times)
        _finish(axes, one, title)
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "aqreanalysis"}):
            figure.savefig(path, dpi=DPI, metadata={"Date": None} if path.suffix == ".svg" else None)
    return Path(out)


def _nearest(marks: StationMarkers | None, place: tuple[float, float]) -> tuple[int, float] | None:
    if marks is None or not marks.names:
        return None
    from aqreanalysis.common.geodesy import distance_km  # with readings only: it brings scipy

    distance = distance_km(np.float64(place[0]), np.float64(place[1]), marks.lat, marks.lon)
    number = int(distance.argmin())
    return (number, float(distance[number])) if distance[number] <= NEAR_KM else None


def _draw_readings(
    axes: Axes, marks: StationMarkers, near: tuple[int, float], key: str, times: NDArray[np.datetime64]
) -> None:
    """Draw what a station, given with its distance in km, read of a pollutant during `times`."""
    if marks.observations is None or key not in marks.observations.species:
        return
    station, km = near
    stamps = marks.observations.times.values
    during = (stamps >= times[0]) & (stamps <= times[-1] + HOUR)
    if during.any():
        hidden = ", hidden from the model" if marks.hidden[station] else ""
        label = f"station {marks.names[station]} ({km:.1f} km{hidden})"
        read = marks.observations.values(key)[during, station]
        # Readings are stamped at the end of their hour, and drawn in its middle.
        axes.plot(stamps[during] - HOUR // 2, read, ".", color=_READINGS, markersize=2.5, label=label)


def _finish(axes: Axes, one: SpeciesLayers, title: str) -> None:
    """Label the axes, the time in UTC."""
    axes.set_ylabel(f"{one.species.title} ({one.species.units.replace('ug', 'µg').replace('m-3', 'm⁻³')})")
    axes.set_ylim(bottom=0)
    axes.margins(x=0.01)
    axes.grid(color="#e3e3e3", linewidth=0.6)
    axes.set_axisbelow(True)
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_title(title, loc="left")
    axes.set_xlabel("time (UTC)", loc="left")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize=9)
