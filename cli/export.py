"""``aqreanalysis export CUBE``: rasters, tables, statistics, GRIB2 and a catalogue entry from a cube."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aqreanalysis.cli import cube_options as cubes
from aqreanalysis.cli import early, options
from aqreanalysis.cli.log import say
from aqreanalysis.errors import OutputError

if TYPE_CHECKING:
    from aqreanalysis.common.progress import Progress
    from aqreanalysis.common.remote import RemotePath
    from aqreanalysis.export import CubeSource, TableReport

    Written = Path | Sequence[Path] | TableReport


@click.group(short_help="A cube as GeoTIFF, tables, statistics, NetCDF, GRIB2, STAC.")
def export() -> None:
    """Write a cube (.nc or .zarr) in another form: aqreanalysis export cog CUBE --out FOLDER."""


_TABLE = (".csv", ".parquet")


@dataclass(frozen=True)
class ExportTarget:
    """Where an export goes: ``--out``, ``--overwrite``, and the callable that shows its progress."""

    out: Path
    overwrite: bool
    progress: Progress


def _exports(
    what: str,
    endings: Sequence[str] | Callable[..., Sequence[str]] = (),
    check: Callable[..., None] | None = None,
    hours: bool = True,
    rows: str = "rows",
) -> Callable[[Callable[..., Written]], Callable[..., None]]:
    """Make of ``write(source, target, **chosen)`` a command: the cube is opened, what was written is told.

    Parameters
    ----------
    what : str
        Help of ``--out``.
    endings : sequence of str or callable
        Those of the file that is written, none of a folder; or ``endings(out, **chosen)``.
    check : callable, optional
        ``check(**chosen)`` refuses what needs no cube to be refused.
    hours : bool
        Whether ``--start`` and ``--end`` are taken.
    rows : str
        What the rows of a table stand for.
    """

    def make(write: Callable[..., Written]) -> Callable[..., None]:
        @wraps(write)
        def command(
            cube: Path | RemotePath,
            out: Path,
            species: tuple[str, ...],
            overwrite: bool,
            as_json: bool,
            start: datetime | None = None,
            end: datetime | None = None,
            **chosen: Any,
        ) -> None:
            from aqreanalysis.cli.progress import progress_shown

            early.check_export(out, endings(out, **chosen) if callable(endings) else endings, overwrite)
            if check is not None:
                check(species=species, **chosen)
            with cubes.open_cube(cube, species, start, end) as source, progress_shown("exporting") as progress:
                written = write(source, ExportTarget(out, overwrite, progress), **chosen)
            _say(written, as_json, rows)

        decorators: list[Callable[[Any], Any]] = [options.json_option, options.overwrite_option]
        decorators += [cubes.span_options("the part")] if hours else []
        decorators += [options.species_option("Pollutants wanted.  [default: all]"), cubes.out_option(what)]
        for decorate in (*decorators, cubes.cube_argument):
            command = decorate(command)
        return command

    return make


def _say(written: Written, as_json: bool, rows: str) -> None:
    """Print what was written: the one path, the folder and how many files, or the table and its rows."""
    from aqreanalysis.cli.printing import human_size, print_json

    more: dict[str, Any] = {}
    if isinstance(written, (Path, Sequence)):
        files = [written] if isinstance(written, Path) else list(written)
    else:
        files = [written.path]
        more = {"rows": written.rows, "places": written.places, "outside": written.outside, "note": written.note}
        more |= {"left_out": written.left_out, "remarks": written.remarks}
        for remark in written.remarks:
            say(remark, err=True)
        _say_left_out(written, rows)
    size = sum(path.stat().st_size for path in files)
    if as_json:
        print_json({"files": files, "bytes": size, **more})
        return
    if more:
        say(f"{more['rows']} rows of {more['places']} {rows}")
        if more["note"]:
            say(f"note: {more['note']}")
    name = str(files[0]) if len(files) == 1 else f"{files[0].parent}: {len(files)} files"
    say(f"{name} ({human_size(size)})")


def _say_left_out(written: TableReport, rows: str) -> None:
    outside = [f"{place} lies outside the grid" for place in written.outside]
    for reasons, more in ((written.left_out, "more cannot be used"), (outside, "more lie outside the grid")):
        for reason in reasons[:10]:
            say(f"{rows}: {reason}, left out", err=True)
        if len(reasons) > 10:
            say(f"{rows}: {len(reasons) - 10} {more}, left out", err=True)


def _check_statistic(
    period: str, statistic: str | None, index: str | None, rule: str | None, utc_offset: int | None, **_: Any
) -> None:
    of_days = {"--index": index, "--rule": rule, "--utc-offset": utc_offset}
    lost = next((name for name, value in of_days.items() if value is not None), None)
    if statistic is not None and period not in ("step", "day"):
        raise OutputError(f"--statistic {statistic} is of days; leave --period {period} out")
    if statistic is None and lost is not None:
        raise OutputError(f"{lost} has no effect without --statistic; leave it out or add it")


def _check_places(places: Path, kind: str | None, model_path: str | None, **_: Any) -> None:
    from aqreanalysis.common.files import PLACES, check_given

    if (kind is None) != (model_path is None):
        raise OutputError("--kind and --model go together: the model says what such a site differs by from background")
    check_given(places, PLACES)


def _check_vector(vector: Path, **_: Any) -> None:
    from aqreanalysis.common.files import VECTOR, check_given

    check_given(vector, VECTOR)


def _check_aggregate(statistic: str, limits: tuple[str, ...], **_: Any) -> None:
    options.read_limits("--limit", limits)
    if statistic == "exceedance" and not limits:
        raise OutputError("--statistic exceedance needs a limit: give --limit pm25=75")
    if statistic != "exceedance" and limits:
        raise OutputError(f"--limit has no effect on --statistic {statistic}; leave it out or take exceedance")


def _check_message(species: tuple[str, ...], **_: Any) -> None:
    if len(species) > 1:
        raise OutputError(
            f"--species {','.join(species)}: most readers of GRIB take one constituent; choose one, a file each"
        )


@export.command(short_help="Cloud-optimised GeoTIFFs, one a step or period.")
@_exports("Folder of the GeoTIFFs.", check=_check_statistic)
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
@click.option("--statistic", type=click.Choice(["aqi", "mda8"]), help="Of an hourly cube, a file a day.")
@click.option("--index", type=click.Choice(["us", "cn"]), help="Of aqi: us, EPA 2024; cn, HJ 633-2012.  [default: us]")
@click.option("--rule", type=click.Choice(["eu", "us", "cn"]), help="Of mda8: as of aggregate.  [default: eu]")
@click.option("--utc-offset", type=int, help="Of a statistic: UTC offset of local midnight, hours.  [default: 0]")
def cog(
    source: CubeSource,
    target: ExportTarget,
    statistic: str | None,
    index: str | None,
    rule: str | None,
    utc_offset: int | None,
    **chosen: Any,
) -> Sequence[Path]:
    """Write cloud-optimised GeoTIFFs: north-up, a band a layer with its name and units, nodata -9999.

    Reprojected standard errors are resampled as variances, flags by nearest neighbour. Of an air quality index a file
    of its classes stands beside each, with their colours and names:

    \b
    aqreanalysis export cog cube.nc --statistic aqi --index cn --utc-offset 8 --out aqi/
    """
    from aqreanalysis.export import AggregateOptions, CogOptions, export_cogs, export_statistic_cogs

    of_days: dict[str, Any] = {"statistic": statistic, "index": index, "rule": rule, "utc_offset": utc_offset}
    if statistic is not None:
        wanted = CogOptions(overwrite=target.overwrite, **{**chosen, "period": "step"})
        given = AggregateOptions(**{key: value for key, value in of_days.items() if value is not None})
        written = export_statistic_cogs(source, target.out, given, wanted, target.progress)
    else:
        written = export_cogs(source, target.out, CogOptions(overwrite=target.overwrite, **chosen), target.progress)
    if chosen["period"] != "step" or statistic is not None:
        cubes.advise_medians(source)
    return written


@export.command(short_help="Values at places: a CSV in, a table out.")
@_exports("Table: a name that ends in .csv or .parquet.", _TABLE, _check_places, rows="places")
@click.option(
    "--places",
    required=True,
    type=click.Path(path_type=Path),
    help="CSV or Parquet with place, lat, lon; or a vector file of points.",
)
@click.option("--id-column", metavar="NAME", help="Column that names a place.  [default: place, id, ... or its row]")
@click.option("--layer", metavar="NAME", help="Layer of a vector file.  [default: the first of points]")
@click.option(
    "--kind",
    metavar="KIND",
    help="What such a site would read there: kerb (traffic), industrial, or a network of cheap sensors. Needs "
    "--model.  [default: background air]",
)
@click.option("--model", "model_path", type=click.Path(), help="With --kind: the model bundle that the cube is of.")
def points(
    source: CubeSource, target: ExportTarget, places: Path, id_column: str | None, layer: str | None, **street: Any
) -> TableReport:
    """Write the values at places, with their uncertainty: a row a place, time and pollutant."""
    from aqreanalysis.export import export_points, read_places

    wanted, at = read_places(places, id_column, layer), None
    if street["kind"] is not None:
        from aqreanalysis.export.street_values import street_values

        at = street_values(source, street["kind"], street["model_path"])
    return export_points(source, wanted, target.out, target.overwrite, target.progress, at)


@export.command(short_help="Means over polygons: a vector file in, a table out.")
@_exports("Table: a name that ends in .csv or .parquet.", _TABLE, _check_vector, rows="polygons")
@click.option("--vector", required=True, type=click.Path(path_type=Path), help="GeoPackage, Shapefile or GeoJSON.")
@click.option("--id-column", metavar="NAME", help="Column that names a polygon.  [default: its number]")
@click.option("--layer", metavar="NAME", help="Layer of the vector file.  [default: the first of polygons]")
@click.option("--population", type=click.Path(path_type=Path), help="Raster of persons a pixel: adds weighted means.")
def polygons(source: CubeSource, target: ExportTarget, vector: Path, **chosen: Any) -> TableReport:
    """Write means over polygons, weighted by area and, from a raster of yours, by population.

    Error bars of a mean are those of cells whose errors go wholly together, the widest they can be.
    """
    from aqreanalysis.export import PolygonOptions, export_polygons

    wanted = PolygonOptions(overwrite=target.overwrite, **chosen)
    return export_polygons(source, vector, target.out, wanted, target.progress)


@export.command(short_help="Means, 8-hour maxima, exceedances, air quality index.")
@_exports("NetCDF file: a name that ends in .nc.", (".nc",), _check_aggregate)
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
@click.option("--utc-offset", type=int, default=0, show_default=True, help="UTC offset of local midnight, hours.")
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
def aggregate(source: CubeSource, target: ExportTarget, limits: tuple[str, ...], basis: str, **chosen: Any) -> Path:
    """Write statistics over days, months or years, each with the uncertainty that it can have.

    \b
    aqreanalysis export aggregate cube.nc --statistic exceedance --limit pm25=75 --period month --out counts.nc
    """
    from aqreanalysis.export import AggregateOptions, Limit
    from aqreanalysis.export import aggregate as run

    given = tuple(Limit(key, value, basis) for key, value in options.read_limits("--limit", limits))
    wanted = AggregateOptions(limits=given, overwrite=target.overwrite, **chosen)
    written = run(source, target.out, wanted, target.progress)
    if wanted.statistic != "exceedance" or basis != "step":
        cubes.advise_medians(source)
    return written


@export.command(short_help="Monthly or yearly NetCDF files.")
@_exports(
    "Folder of the files; with --split none a name that ends in .nc.",
    lambda out, split, **_: (".nc",) if split == "none" else (),
)
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
def netcdf(source: CubeSource, target: ExportTarget, **chosen: Any) -> Sequence[Path]:
    """Write the cube as NetCDF files that every client reads."""
    from aqreanalysis.export import export_netcdf

    return export_netcdf(source, target.out, overwrite=target.overwrite, progress=target.progress, **chosen)


@export.command(short_help="A STAC collection, or item, for a cube and its GeoTIFFs.")
@_exports(
    "Folder of a collection; or a single item: a name that ends in .json.",
    lambda out, **_: (".json",) if out.suffix.lower() == ".json" else (),
    hours=False,
)
@click.option("--cogs", type=click.Path(path_type=Path), help="Folder of 'export cog', to list its files.")
def stac(source: CubeSource, target: ExportTarget, cogs: Path | None) -> Path | Sequence[Path]:
    """Write a STAC collection: an item a time step, and one of the cube with the datacube extension.

    \b
    aqreanalysis export stac cube.nc --cogs cogs/ --out catalogue/
    aqreanalysis export stac cube.nc --cogs cogs/ --out item.json   # the item of the cube alone
    """
    from aqreanalysis.export import export_stac, export_stac_collection

    write = export_stac if target.out.suffix.lower() == ".json" else export_stac_collection
    return write(source, target.out, cogs, target.overwrite)


@export.command(short_help="GRIB2 of the best estimate, one pollutant.")
@_exports("GRIB file: a name that ends in .grib2.", (".grib2", ".grb2", ".grib", ".grb"), _check_message)
def grib(source: CubeSource, target: ExportTarget) -> Path:
    """Write the best estimate of one pollutant as GRIB2 (mass density, kg m-3) for weather tools."""
    from aqreanalysis.export import export_grib

    return export_grib(source, target.out, target.overwrite, target.progress)
