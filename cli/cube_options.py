"""What the commands that read a finished cube share: their options, and the cube opened for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aqreanalysis.cli import options, types
from aqreanalysis.cli.log import say
from aqreanalysis.cli.options import Command
from aqreanalysis.errors import no_cube

if TYPE_CHECKING:
    from aqreanalysis.common.remote import RemotePath
    from aqreanalysis.export import CubeSource
    from aqreanalysis.export.source import SpeciesLayers
    from aqreanalysis.pictures import StationMarkers


class CubePlace(click.ParamType):
    """A path of a cube, or its URL."""

    name = "path"

    def convert(
        self, value: str | Path | RemotePath, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | RemotePath:
        """Return a path, or the place that a URL names."""
        if "://" not in str(value):
            return Path(str(value))
        from aqreanalysis.common.remote import place_of

        return place_of(str(value))


class CubeThere(CubePlace):
    """A path of a cube that is there, or its URL."""

    def convert(
        self, value: str | Path | RemotePath, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | RemotePath:
        """Return a path, or the place that a URL names.

        Raises
        ------
        CubeError
            If nothing is at the path.
        """
        place = super().convert(value, param, ctx)
        if isinstance(place, Path) and not place.exists():
            raise no_cube(place)
        return place


def cube_argument(command: Command) -> Command:
    """Add CUBE, which reaches the command as `cube`: a path, or the place that a URL names."""
    return click.argument("cube", type=CubeThere())(command)


def tell_fetch(cube: str | Path | RemotePath) -> None:
    """Say on stderr that a NetCDF file at a URL is brought here whole."""
    if "://" in str(cube) and str(cube).endswith(".nc"):
        say(
            f"fetching {cube} into a temporary file: NetCDF is not read in pieces over a network, a Zarr store is",
            err=True,
        )


def out_option(text: str, required: bool = True) -> Callable[[Command], Command]:
    """Add ``--out``; `text` is its help."""
    return click.option("--out", required=required, type=click.Path(path_type=Path), help=text)


def span_options(what: str) -> Callable[[Command], Command]:
    """Add ``--start`` and ``--end`` of `what`, such as the part."""

    def add(command: Command) -> Command:
        end = click.option("--end", type=types.UtcTime(), help="Where it ends.  [default: the cube's]")
        start = click.option("--start", type=types.UtcTime(), help=f"Where {what} begins (UTC).  [default: the cube's]")
        return start(end(command))

    return add


def palette_option(default: str) -> Callable[[Command], Command]:
    """Add ``--colours``, which reaches the command as `palette`."""
    return click.option(
        "--colours",
        "palette",
        type=click.Choice(["even", "who", "cn", "us"]),
        default=default,
        show_default=True,
        help="A uniform scale, or classes: WHO 2021, the Chinese or the US air quality index.",
    )


def layers_option(text: str) -> Callable[[Command], Command]:
    """Add ``--layer``, repeatable and with commas, as `layers`; `text` is its help."""
    return click.option(
        "--layer", "layers", multiple=True, callback=options.split_commas, metavar="NAME[,NAME]", help=text
    )


def stations_option(command: Command) -> Command:
    """Add ``--model``, whose stations `markers_of_options` returns, and ``--no-stations``."""
    command = click.option(
        "--stations/--no-stations", "marked", default=True, show_default=True, help="Whether stations are marked."
    )(command)
    return click.option(
        "--model",
        type=click.Path(path_type=Path),
        help="Bundle whose stations are marked, visible and hidden.  [default: the cube's own, where it lies near]",
    )(command)


def open_cube(
    cube: Path | RemotePath, species: Sequence[str], start: datetime | None = None, end: datetime | None = None
) -> CubeSource:
    """Return the cube, or its part from `start` to `end`, opened; use it in a ``with`` block."""
    from aqreanalysis.export import CubeSource, TimeSpan

    tell_fetch(cube)
    return CubeSource(cube, species, TimeSpan(start, end) if start or end else None)


def advise_medians(source: CubeSource, averaged: SpeciesLayers | None = None) -> None:
    """Say on stderr that averages, of one pollutant or of all, are of medians, where the cube holds nothing else."""
    from aqreanalysis.export.source import medians_among

    advice = source.medians_averaged if averaged is None else medians_among([averaged])
    if advice:
        say(f"advice: {advice}", err=True)


def markers_of_options(
    source: CubeSource, marked: bool, model: Path | None, observations: Path | None = None
) -> StationMarkers | None:
    """Return the stations of ``--model`` and ``--observations``; of neither those of the model that the cube names.

    None where there are none, or ``--no-stations`` is given.
    """
    if not marked:
        return None
    from aqreanalysis.pictures.stations import find_model, station_markers

    if model is None and observations is None and isinstance(source.path, Path):
        model = find_model(source.path, str(source.dataset.attrs.get("model_digest", "")))
        if model is not None:
            say(f"stations: those of {model} (--no-stations leaves them out)", err=True)
    read = None
    if observations is not None:
        from aqreanalysis.configs import load_config

        own = None if model is None or not (model / "config.yaml").is_file() else str(model / "config.yaml")
        read = options.load_observations(str(observations), load_config(own))
    return station_markers(model, read)
