"""``aqreanalysis plot CUBE``: a map, maps side by side, a film, or the time series of a place."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aqreanalysis.cli import cube_options as cubes
from aqreanalysis.cli import early, options, types
from aqreanalysis.cli.log import say
from aqreanalysis.errors import ConfigError

if TYPE_CHECKING:
    from aqreanalysis.common.remote import RemotePath
    from aqreanalysis.export import CubeSource
    from aqreanalysis.pictures import StationMarkers

FILMS, PICTURES = (".gif", ".mp4"), (".png", ".svg", ".pdf")
_PANELS = ("best", "standard_error", "width", "flag")


class LatLon(click.ParamType):
    """``LAT,LON`` in degrees."""

    name = "LAT,LON"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """Return latitude and longitude."""
        if isinstance(value, tuple):
            return value
        try:
            lat, lon = (float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no place: write latitude and longitude, for example 39.9,116.4", param, ctx)
        if not (-90 <= lat <= 90 and -360 <= lon <= 360):
            self.fail(f"{value!r} is no place: latitude comes first and lies within -90..90", param, ctx)
        return lat, lon


@click.command(short_help="A map, a film, or the time series of a place.")
@cubes.cube_argument
@cubes.out_option("Picture: .png, .svg or .pdf for a map or time series, .gif or .mp4 for a film of the period.")
@options.species_option("Pollutant to draw.  [default: the cube's first]")
@click.option("--time", type=types.UtcTime(), help="Moment whose step is drawn (UTC).")
@click.option("--mean", is_flag=True, help="Draw the mean from --start to --end.")
@click.option("--place", type=LatLon(), metavar="LAT,LON", help="Draw the time series of the cell there.")
@cubes.span_options("the mean, film or series")
@cubes.layers_option(
    "best, mean, standard_error, lower, upper, width, flag, used, distance; or panels for four.  [default: best]"
)
@cubes.palette_option("even")
@click.option("--min", "low", type=float, help="Beginning of the uniform scale, in the layer's units.")
@click.option("--max", "high", type=float, help="End of the uniform scale, in the layer's units.")
@click.option("--plain-shades", is_flag=True, help="Classes of cn and us from light to dark: for colour-blind readers.")
@click.option("--width", "width_cm", type=float, help="Width in print, cm; text is then at least 7 points.")
@click.option("--dpi", type=float, help="Dots an inch of a .png.  [default: 130, with --width 300]")
@click.option("--title", help="Instead of pollutant and time; '' for none.")
@click.option("--north", is_flag=True, help="An arrow to the north.")
@click.option("--scale-bar", is_flag=True, help="A bar of kilometres.")
@cubes.stations_option
@click.option("--observations", type=click.Path(path_type=Path), help="Station records: readings over the map.")
@click.option("--borders/--no-borders", default=True, show_default=True, help="Coastlines, rivers and borders.")
@click.option(
    "--overlay",
    "overlays",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Points, lines or polygons over the map (GeoPackage, Shapefile, GeoJSON). Repeatable.",
)
@click.option("--every", type=click.IntRange(min=1), default=1, show_default=True, help="Film: a frame each N steps.")
@click.option("--fps", type=float, default=8.0, show_default=True, help="Film: frames a second.")
@options.overwrite_option
@options.json_option
def plot(
    cube: Path | RemotePath,
    out: Path,
    species: tuple[str, ...],
    time: datetime | None,
    mean: bool,
    place: tuple[float, float] | None,
    start: datetime | None,
    end: datetime | None,
    marked: bool,
    model: Path | None,
    observations: Path | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Draw a cube (.nc or .zarr, a path or URL): at a time, as a mean, as a film, or over time at a place.

    \b
    aqreanalysis plot cube.nc --time 2019-01-12T06:00 --layer panels --out map.png
    aqreanalysis plot cube.nc --mean --colours who --model outputs/models/north --out mean.svg
    aqreanalysis plot cube.nc --start 2019-01-10 --end 2019-01-13 --out episode.gif
    aqreanalysis plot cube.nc --place 39.9,116.4 --out beijing.png
    aqreanalysis plot cube.nc --time 2019-01-12T06:00 --width 17 --scale-bar --out figure.pdf
    """
    film = out.suffix.lower() in FILMS
    _check_kind(film, time, mean, place)
    early.check_export(out, FILMS if film else PICTURES, chosen["overwrite"])
    from aqreanalysis.cli.printing import print_json

    span = (None, None) if time is not None else (start, end)
    with cubes.open_cube(cube, species, *span) as source:
        marks = cubes.markers_of_options(source, marked, model, observations)
        _draw(source, out, marks, {"film": film, "time": time, "place": place, **chosen})
        if mean:
            cubes.advise_medians(source, next(iter(source.species.values())))
    if as_json:
        print_json({"file": out, "bytes": out.stat().st_size})
        return
    say(str(out))


def _check_kind(film: bool, time: datetime | None, mean: bool, place: tuple[float, float] | None) -> None:
    choices = [name for name, given in (("--time", time), ("--mean", mean), ("--place", place)) if given]
    if film and choices:
        raise ConfigError(f"{choices[0]} is for .png, .svg and .pdf; a film shows the steps from --start to --end")
    if not film and len(choices) != 1:
        raise ConfigError(
            f"{' and '.join(choices) or 'nothing'} given: choose one of --time, --mean, --place, or a .gif"
        )


def _draw(source: CubeSource, out: Path, marks: StationMarkers | None, chosen: dict[str, Any]) -> None:
    from aqreanalysis.pictures import MapOptions, Paper, draw_map

    paper = Paper(**{key: chosen[key] for key in ("width_cm", "dpi", "title", "north", "scale_bar")})
    if chosen["place"] is not None:
        from aqreanalysis.pictures import SeriesOptions, draw_series

        wanted = SeriesOptions(chosen["low"], chosen["high"], paper)
        draw_series(source, out, chosen["place"], marks, chosen["overwrite"], wanted)
        return
    layers = tuple(
        part for name in chosen["layers"] or ("best",) for part in (_PANELS if name == "panels" else (name,))
    )
    keys = ("time", "palette", "low", "high", "plain_shades", "borders", "overlays", "overwrite")
    options = MapOptions(layers=tuple(dict.fromkeys(layers)), paper=paper, **{key: chosen[key] for key in keys})
    if not chosen["film"]:
        draw_map(source, out, options, marks)
        return
    from aqreanalysis.cli.progress import progress_shown
    from aqreanalysis.pictures import Film, animate

    with progress_shown("drawing") as progress:
        animate(source, out, options, Film(chosen["every"], chosen["fps"]), marks, progress)
