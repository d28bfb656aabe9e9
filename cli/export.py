"""``aqreanalysis export CUBE``: rasters, tables, statistics, GRIB2 and a catalogue entry from a cube."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aqreanalysis.cli import options
from aqreanalysis.errors import ConfigError

if TYPE_CHECKING:
    from aqreanalysis.export import Source, TableReport


@click.group(short_help="A cube as GeoTIFF, tables, statistics, NetCDF, GRIB2, STAC.")
def export() -> None:
    """Write a cube (.nc or .zarr) in another form: aqreanalysis export cog CUBE --out FOLDER."""


def _common(what: str, hours: bool = True) -> Callable[[options.Command], options.Command]:
    """Add CUBE, ``--out`` (its help is `what`), ``--species``, ``--start``, ``--end``, ``--overwrite``, ``--json``."""

    def add(command: options.Command) -> options.Command:
        for decorate in (options.json_option, options.overwrite_option):
            command = decorate(command)
        if hours:
            command = click.option("--end", type=options.UtcTime(), help="Where it ends (UTC).")(command)
            command = click.option("--start", type=options.UtcTime(), help="Where the part begins (UTC).")(command)
        command = options.species_option("Pollutants wanted.  [default: all]")(command)
        command = click.option("--out", required=True, type=click.Path(path_type=Path), help=what)(command)
        return click.argument("cube", type=click.Path(path_type=Path))(command)

    return add


def _open(cube: Path, species: Sequence[str], start: datetime | None = None, end: datetime | None = None) -> Source:
    from aqreanalysis.export import Source, Span

    return Source(cube, species, Span(start, end) if start or end else None)


def _say(written: Sequence[Path], as_json: bool, **more: Any) -> None:
    """Print what was written: the one path, or the folder and how many files."""
    from aqreanalysis.cli.printing import human_size, print_json

    size = sum(path.stat().st_size for path in written)
    if as_json:
        print_json({"files": list(written), "bytes": size, **more})
    elif len(written) == 1:
        click.echo(f"{written[0]} ({human_size(size)})")
    else:
        click.echo(f"{written[0].parent}: {len(written)} files ({human_size(size)})")


@export.command(short_help="Cloud-optimised GeoTIFFs, one a step or period.")
@_common("Folder of the GeoTIFFs.")
@click.option(
    "--period",
    type=click.Choice(["step", "day", "month", "year"]),
    default="step",
    show_default=True,
    help="One file a step of the cube, or one a period with its mean.",
)
@click.option("--epsg", type=int, metavar="CODE", help="Reproject, for example 3857.  [default: WGS 84, the cells]")
@click.option(
    "--resampling",
    type=click.Choice(["nearest", "bilinear", "average"]),
    default="bilinear",
    show_default=True,
    help="Of estimates, when reprojecting.",
)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="Files written at once.")
def cog(
    cube: Path,
    out: Path,
    species: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    overwrite: bool,
    as_json: bool,
    **told: Any,
) -> None:
    """Write cloud-optimised GeoTIFFs: north-up, a band a layer with its name and units, nodata -9999.

    Reprojected standard errors are resampled as variances, flags by nearest neighbour.
    """
    from aqreanalysis.cli.progress import progress_shown
    from aqreanalysis.export import CogOptions, export_cogs

    wanted = CogOptions(overwrite=overwrite, **told)
    with _open(cube, species, start, end) as source, progress_shown("exporting") as progress:
        written = export_cogs(source, out, wanted, progress)
    _say(written, as_json)


@export.command(short_help="Values at places: a CSV in, a table out.")
@_common("Table: a name that ends in .csv or .parquet.")
@click.option("--places", required=True, type=click.Path(path_type=Path), help="CSV or Parquet: place, lat, lon.")
def points(
    cube: Path,
    out: Path,
    species: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    overwrite: bool,
    as_json: bool,
    places: Path,
) -> None:
    """Write the values at places, with their uncertainty: a row a place, time and pollutant."""
    from aqreanalysis.cli.progress import progress_shown
    from aqreanalysis.export import export_points

    with _open(cube, species, start, end) as source, progress_shown("exporting") as progress:
        report = export_points(source, places, out, overwrite, progress)
    _say_table(report, as_json, "places")


@export.command(short_help="Means over polygons: a vector file in, a table out.")
@_common("Table: a name that ends in .csv or .parquet.")
@click.option("--vector", required=True, type=click.Path(path_type=Path), help="GeoPackage, Shapefile or GeoJSON.")
@click.option("--id-column", metavar="NAME", help="Column that names a polygon.  [default: its number]")
@click.option("--population", type=click.Path(path_type=Path), help="Raster of persons a pixel: adds weighted means.")
def polygons(
    cube: Path,
    out: Path,
    species: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    overwrite: bool,
    as_json: bool,
    vector: Path,
    id_column: str | None,
    population: Path | None,
) -> None:
    """Write means over polygons, weighted by area and, from a raster of yours, by population.

    Error bars of a mean are those of cells whose errors go wholly together, the widest they can be.
    """
    from aqreanalysis.cli.progress import progress_shown
    from aqreanalysis.export import PolygonOptions, export_polygons

    wanted = PolygonOptions(id_column, population, overwrite)
    with _open(cube, species, start, end) as source, progress_shown("exporting") as progress:
        report = export_polygons(source, vector, out, wanted, progress)
    _say_table(report, as_json, "polygons")


def _say_table(report: TableReport, as_json: bool, what: str) -> None:
    for place in report.outside[:10]:
        click.echo(f"{what}: {place} lies outside the grid, left out", err=True)
    if len(report.outside) > 10:
        click.echo(f"{what}: {len(report.outside) - 10} more lie outside the grid, left out", err=True)
    if not as_json:
        click.echo(f"{report.rows} rows of {report.places} {what}")
        if report.note:
            click.echo(f"note: {report.note}")
    _say([report.path], as_json, rows=report.rows, places=report.places, outside=report.outside, note=report.note)


@export.command(short_help="Means, 8-hour maxima, exceedances, air quality index.")
@_common("NetCDF file: a name that ends in .nc.")
@click.option(
    "--statistic",
    type=click.Choice(["mean", "mda8", "exceedance", "aqi"]),
    default="mean",
    show_default=True,
    help="mda8: the maximum daily 8-hour mean.",
)
@click.option(
    "--period",
    type=click.Choice(["day", "month", "year"]),
    default="day",
    show_default=True,
    help="Of mda8 and aqi: day.",
)
@click.option("--utc-offset", type=int, default=0, show_default=True, help="Hours of local time ahead of UTC.")
@click.option(
    "--rule",
    type=click.Choice(["eu", "us", "cn"]),
    default="eu",
    show_default=True,
    help="Which 8-hour means belong to a day.",
)
@click.option(
    "--index", type=click.Choice(["us", "cn"]), default="us", show_default=True, help="us: EPA 2024; cn: HJ 633-2012."
)
@click.option("--limit", "limits", multiple=True, metavar="NAME=VALUE", help="For exceedance, repeatable.")
@click.option(
    "--basis",
    type=click.Choice(["step", "day", "mda8"]),
    default="step",
    show_default=True,
    help="What is compared with a limit.",
)
@click.option(
    "--min-share", type=float, default=0.75, show_default=True, help="Of a period's hours that must be there."
)
def aggregate(
    cube: Path,
    out: Path,
    species: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    overwrite: bool,
    as_json: bool,
    limits: tuple[str, ...],
    basis: str,
    **told: Any,
) -> None:
    """Write statistics over days, months or years, each with the uncertainty that it can have.

    \b
    aqreanalysis export aggregate cube.nc --statistic exceedance --limit pm25=75 --period month --out counts.nc
    """
    from aqreanalysis.cli.progress import progress_shown
    from aqreanalysis.export import AggregateOptions, Limit
    from aqreanalysis.export import aggregate as run

    given = (Limit(key, value, basis) for key, value in read_limits(limits))
    wanted = AggregateOptions(limits=tuple(given), overwrite=overwrite, **told)
    with _open(cube, species, start, end) as source, progress_shown("exporting") as progress:
        written = run(source, out, wanted, progress)
    _say([written], as_json)


def read_limits(pairs: Iterable[str]) -> Iterator[tuple[str, float]]:
    """Yield pollutant key and concentration of each ``NAME=VALUE``.

    Raises
    ------
    ConfigError
        If a text is not of that form.
    """
    from aqreanalysis.species import get_species

    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            yield get_species(name).key, float(value)
        except ValueError:
            raise ConfigError(f"--limit {pair!r}: write NAME=VALUE, for example pm25=75") from None


@export.command(short_help="Monthly or yearly NetCDF files.")
@_common("Folder of the files; with --split none a name that ends in .nc.")
@click.option(
    "--split",
    type=click.Choice(["month", "year", "none"]),
    default="month",
    show_default=True,
    help="A file a month, a year, or one.",
)
@click.option(
    "--layout",
    type=click.Choice(["maps", "series"]),
    default="maps",
    show_default=True,
    help="Chunks for maps or for time series.",
)
def netcdf(
    cube: Path,
    out: Path,
    species: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    overwrite: bool,
    as_json: bool,
    **told: Any,
) -> None:
    """Write the cube as NetCDF files that every client reads."""
    from aqreanalysis.cli.progress import progress_shown
    from aqreanalysis.export import export_netcdf

    with _open(cube, species, start, end) as source, progress_shown("exporting") as progress:
        written = export_netcdf(source, out, overwrite=overwrite, progress=progress, **told)
    _say(written, as_json)


@export.command(short_help="A STAC item for a cube and its GeoTIFFs.")
@_common("Item: a name that ends in .json.", hours=False)
@click.option("--cogs", type=click.Path(path_type=Path), help="Folder of 'export cog', to list its files.")
def stac(cube: Path, out: Path, species: tuple[str, ...], overwrite: bool, as_json: bool, cogs: Path | None) -> None:
    """Write a STAC item with the datacube extension."""
    from aqreanalysis.export import export_stac

    with _open(cube, species) as source:
        written = export_stac(source, out, cogs, overwrite)
    _say([written], as_json)


@export.command(short_help="GRIB2 of the best estimate, one pollutant.")
@_common("GRIB file: a name that ends in .grib2.")
def grib(
    cube: Path,
    out: Path,
    species: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write the best estimate of one pollutant as GRIB2 (mass density, kg m-3) for weather tools."""
    from aqreanalysis.cli.progress import progress_shown
    from aqreanalysis.export import export_grib

    with _open(cube, species, start, end) as source, progress_shown("exporting") as progress:
        written = export_grib(source, out, overwrite, progress)
    _say([written], as_json)
