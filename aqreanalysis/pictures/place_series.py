"""The time series of one place with its interval, as PNG, SVG or PDF."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aqreanalysis.common.hours import HOUR
from aqreanalysis.errors import CubeError
from aqreanalysis.export.files import whole_file
from aqreanalysis.export.periods import MIN_SHARE
from aqreanalysis.export.source import CubeSource, SpeciesLayers
from aqreanalysis.pictures.cube_fields import gaps, titled, units_text, with_units
from aqreanalysis.pictures.paper import ENDINGS, Paper, check_ends, literal, save, wrapped
from aqreanalysis.pictures.stations import StationMarkers

_LINE, _BAND, _READINGS = "#a2145a", "#eec1d4", "#222222"
#: Stations nearer than this are drawn beside the estimate.
NEAR_KM = 10.0
_WIDE, _HIGH = 10.0, 3.8
# From so many inches on the legend stands beside the title.
_ROOMY = 8.0


@dataclass(frozen=True)
class SeriesOptions:
    """How the course at a place is drawn.

    Attributes
    ----------
    low, high : float or None
        Ends of the axis of concentrations, in the pollutant's units; None begins at 0 and holds all.
    paper : Paper
        Width, resolution and title.
    """

    low: float | None = None
    high: float | None = None
    paper: Paper = field(default_factory=Paper)

    def __post_init__(self) -> None:
        check_ends("axis", self.low or 0.0, self.high)


def draw_series(
    source: CubeSource,
    out: str | Path,
    place: tuple[float, float],
    marks: StationMarkers | None = None,
    overwrite: bool = False,
    options: SeriesOptions | None = None,
) -> Path:
    """Draw the first pollutant of `source` in the cell that holds a place; return the path of the picture.

    Parameters
    ----------
    source : CubeSource
        The cube, restricted to the period wanted.
    out : str or Path
        A name that ends in ``.png``, ``.svg`` or ``.pdf``.
    place : tuple of float
        Latitude and longitude, degrees.
    marks : StationMarkers, optional
        With readings, those of the nearest station within `NEAR_KM` are drawn too, as means over the cube's steps.
    overwrite : bool
        Whether a file that exists is replaced.
    options : SeriesOptions, optional
        Axis and paper.

    Raises
    ------
    CubeError
        If the place lies outside the grid or has no estimate.
    """
    options = options or SeriesOptions()
    one = next(iter(source.species.values()))
    cell = _cell(source, one, place)
    if options.low:
        check_ends("axis", options.low, options.high or max(float(np.nanmax(values)) for values in cell.values()))
    with whole_file(out, ENDINGS, overwrite) as path:
        wide = options.paper.inches(_WIDE)
        high = _HIGH if options.paper.width_cm is None else max(2.2, 0.42 * wide)
        figure = Figure(figsize=(wide, high), layout="constrained")
        axes = figure.subplots()
        times, ends = source.times, gaps(source.bounds)
        broken = np.insert(times, ends, times[ends - 1])
        drawn = {name: np.insert(values.astype(np.float64), ends, np.nan) for name, values in cell.items()}
        if one.lower is not None and one.upper is not None:
            coverage = float(source.dataset[one.lower].attrs.get("coverage_probability", np.nan))
            label = f"{100 * coverage:.3g} % interval" if np.isfinite(coverage) else "interval"
            axes.fill_between(broken, drawn[one.lower], drawn[one.upper], color=_BAND, linewidth=0, label=label)
        axes.plot(broken, drawn[one.best], color=_LINE, linewidth=1.3, label="estimate")
        near = _nearest(marks, place)
        if marks is not None and near is not None:
            _draw_readings(axes, source, marks, near, one.species.key)
        own = f"{one.species.title} at {place[0]:g}, {place[1]:g}"
        _finish(figure, axes, one, titled(source, own if options.paper.title is None else options.paper.title), options)
        save(figure, path, options.paper)
    return Path(out)


def _cell(source: CubeSource, one: SpeciesLayers, place: tuple[float, float]) -> dict[str, NDArray[np.float32]]:
    """Return estimate and bounds (time,) in the cell that holds a place."""
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
        raise CubeError(f"{source.path} has no estimate at {place[0]:g},{place[1]:g} at any step")
    return cell


def _nearest(marks: StationMarkers | None, place: tuple[float, float]) -> tuple[int, float] | None:
    if marks is None or not marks.names:
        return None
    from aqreanalysis.common.geodesy import distance_km  # with readings only: it brings scipy

    distance = distance_km(np.float64(place[0]), np.float64(place[1]), marks.lat, marks.lon)
    number = int(distance.argmin())
    return (number, float(distance[number])) if distance[number] <= NEAR_KM else None


def _draw_readings(axes: Axes, source: CubeSource, marks: StationMarkers, near: tuple[int, float], key: str) -> None:
    """Draw what a station, given with its distance in km, read of a pollutant: hours, or means of the cube's steps.

    A mean needs readings of `MIN_SHARE` of its hours.
    """
    if marks.observations is None or key not in marks.observations.species:
        return
    station, km = near
    read = _step_means(marks, station, key, source.bounds)
    if np.isfinite(read).any():
        step = source.step_hours
        what = {1.0: "", 24.0: "daily means of "}.get(step, "means of ")
        hidden = ", hidden from the model" if marks.hidden[station] else ""
        label = f"{what}station {literal(marks.names[station])} ({km:.1f} km{hidden})"
        # In the middle of what they are the mean of, wherever the cube is stamped.
        middle = source.bounds[:, 0] + (source.bounds[:, 1] - source.bounds[:, 0]) // 2
        axes.plot(middle, read, ".", color=_READINGS, markersize=2.5 if step == 1.0 else 5.0, label=label)


def _step_means(marks: StationMarkers, station: int, key: str, bounds: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Return a station's mean reading in each step; NaN where less than `MIN_SHARE` of its hours were read."""
    assert marks.observations is not None
    stamps = marks.observations.times.values
    read = marks.observations.values(key)[:, station].astype(np.float64)
    known = np.isfinite(read)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, read, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    # Readings are stamped at the end of their hour: those of a step are stamped after its beginning, up to its end.
    first, last = (np.searchsorted(stamps, bounds[:, side], side="right") for side in (0, 1))
    count = counts[last] - counts[first]
    enough = count >= np.maximum(MIN_SHARE * (bounds[:, 1] - bounds[:, 0]) / HOUR, 1)
    return np.where(enough, (sums[last] - sums[first]) / np.maximum(count, 1), np.nan)


def _finish(figure: Figure, axes: Axes, one: SpeciesLayers, title: str, options: SeriesOptions) -> None:
    """Label the axes, the time in UTC."""
    letters = options.paper.letters
    axes.set_ylabel(with_units(one.species.title, units_text(one.species.units)), fontsize=letters.label)
    axes.set_ylim(options.low or 0.0, options.high)
    axes.margins(x=0.01)
    axes.grid(color="#e3e3e3", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=letters.small)
    wide = float(figure.get_figwidth())
    locator = AutoDateLocator(minticks=3, maxticks=max(5, int(10 * wide / _WIDE)))
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.xaxis.get_offset_text().set_fontsize(letters.small)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_title(literal(wrapped(title, letters.title, wide)), loc="left", fontsize=letters.title)
    axes.set_xlabel("time (UTC)", loc="left", fontsize=letters.label)
    roomy = wide > _ROOMY
    figure.legend(
        loc="outside upper right" if roomy else "outside lower center",
        ncols=3 if roomy else 2,
        frameon=False,
        fontsize=letters.small,
    )
