"""``aqreanalysis produce``: a model swept over a grid and a timeline -> a CF cube."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import click

from aqreanalysis.cli import options
from aqreanalysis.cli.startup import loading


@click.command(short_help="A model swept over a grid and a timeline: a CF cube.")
@options.model_option
@options.observations_option
@options.covariates_option
@click.option(
    "--grid",
    "grid_spec",
    required=True,
    help="Named grid, YAML, CDO griddes file, NetCDF with lat/lon, or W,S,E,N@step.",
)
@click.option(
    "--start", type=options.UtcTime(), help="Where the timeline begins (UTC); with --append the cube says it."
)
@click.option("--end", required=True, type=options.UtcTime(), help="Where it ends; its last hour is stamped so.")
@click.option(
    "--out", required=True, type=click.Path(), help="Cube to write: a name in .nc or .zarr, or s3://....zarr."
)
@options.species_option("Pollutants to produce.  [default: all that the model estimates]")
@click.option(
    "--frequency",
    "frequencies",
    multiple=True,
    default=["hourly"],
    show_default=True,
    help="hourly, daily, monthly or annual. Repeatable, or joined by commas: each gets a cube of its own.",
)
@click.option(
    "--utc-offset",
    type=click.IntRange(-12, 14),
    default=0,
    show_default=True,
    metavar="HOURS",
    help="Clock whose midnight begins days, months and years of means, in hours ahead of UTC.",
)
@click.option(
    "--exceedance",
    multiple=True,
    metavar="NAME=VALUE",
    help="Add the probability of exceeding a concentration, for example pm25=75. Repeatable.",
)
@options.config_options("the one in the model bundle", "production.tile_rows=128 or metadata.license=CC-BY-4.0")
@options.device_option
@click.option("--workers", type=click.IntRange(min=1), help="Processes to start here.  [default: threads]")
@click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler of a running cluster.")
@click.option("--zarr-format", type=click.Choice(["2", "3"]), default="2", show_default=True, help="Of a .zarr store.")
@click.option("--shards", is_flag=True, help="With --zarr-format 3: one file a block holds its chunks.")
@click.option(
    "--split",
    type=click.Choice(["none", "month", "year"]),
    default="none",
    show_default=True,
    help="Of .nc: a file a month (x_201901.nc) or year.",
)
@click.option(
    "--append",
    is_flag=True,
    help="Let the cube --out grow to --end; hours whose windows have gained readings are computed anew.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan (blocks, bytes, memory, time), keep nothing.")
@click.option(
    "--no-calibration",
    is_flag=True,
    help="With --dry-run: leave out the trial of some seconds that sizes and time need.",
)
@options.overwrite_option
@options.json_option
def produce(
    model_path: str,
    observations_path: str,
    covariate_paths: tuple[str, ...],
    grid_spec: str,
    start: datetime | None,
    end: datetime,
    out: str,
    species: tuple[str, ...],
    frequencies: tuple[str, ...],
    utc_offset: int,
    exceedance: tuple[str, ...],
    config_source: str | None,
    overrides: tuple[str, ...],
    device: str,
    workers: int | None,
    scheduler: str | None,
    zarr_format: str,
    shards: bool,
    split: str,
    append: bool,
    dry_run: bool,
    no_calibration: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Produce a cube on a grid, with its standard error and the bounds of its coverage interval.

    The hours between --start and --end are produced, each stamped at its end: 2019-01-07 to 2019-01-14 is 168 hours,
    the first stamped 01:00 on the 7th. A run that was stopped goes on when the same command is given again.

    With --frequency daily, monthly or annual the cube holds means over whole periods, their intervals calibrated as
    such. Several frequencies are made in one sweep and go to siblings of --out: x_hourly.nc and x_daily.nc for x.nc.

    With --append a finished cube grows: the same command with newer observations and a later --end.

    \b
    aqreanalysis produce --model outputs/models/north --observations obs.parquet --grid north-china-0.1
        --start 2019-01-01 --end 2019-01-08 --out outputs/january.nc
    """
    config = options.load_model_config(
        model_path, config_source, overrides, ("columns", "production", "metadata", "covariates")
    )
    read_of = options.begin_observations(observations_path, config, (None if append else start, end))
    with loading():
        from aqreanalysis.cli.dry_run import show_plan
        from aqreanalysis.cli.progress import progress_shown
        from aqreanalysis.grids import load_grid
        from aqreanalysis.production import ProduceOptions, produce_cubes
        from aqreanalysis.production.plan.inputs import stamps_needed
        from aqreanalysis.production.plan.prepare import prepare
        from aqreanalysis.production.resume.append import resolve_timeline

        _get_ready(device, workers)
    told = ProduceOptions(
        production=config.production,
        metadata=config.metadata,
        columns=config.columns,
        species=species or None,
        thresholds=_thresholds(exceedance),
        workers=workers,
        scheduler=scheduler,
        device=device,
        zarr_format=int(zarr_format),
        shards=shards,
        split=split,
        append=append,
        say=lambda line: click.echo(line, err=as_json),
        frequencies=tuple(name.strip() for text in frequencies for name in text.split(",")),
        utc_offset_hours=utc_offset,
        overwrite=overwrite,
        covariates=options.load_covariates(covariate_paths, config, trained=True),
    )
    grid = load_grid(grid_spec)
    timeline = resolve_timeline(out, (start, end), told)
    # In a list, from which it is handed on for good: nothing here keeps it in memory during the sweep.
    read = [read_of(stamps_needed(timeline, config.window))]
    if dry_run:
        prepared = prepare(model_path, read.pop(), grid, timeline, told)
        show_plan(prepared, told, out, not no_calibration, as_json)
        return
    with progress_shown("producing") as progress:
        given = timeline if not append else (start, end)
        cubes = produce_cubes(model_path, read.pop(), grid, given, out, replace(told, progress=progress))
    _tell(cubes, as_json)


def _get_ready(device: str, workers: int | None) -> None:
    """Do what needs neither model nor readings while these are read: begin to load workers, load compiled loops."""
    if workers is not None:
        from aqreanalysis.production.execute.dask_cluster import prepare_workers

        prepare_workers()
        return
    from aqreanalysis.model import choose_device
    from aqreanalysis.model import kernels as compiled

    if choose_device(device).type == "cpu":
        compiled.warm_up()


def _tell(cubes: Mapping[str, Any], as_json: bool) -> None:
    """Print what was made, and close it."""
    from aqreanalysis.cli.printing import print_json
    from aqreanalysis.production import describe_cube
    from aqreanalysis.production.plan.timeline import FREQUENCIES

    files = {name: cube.encoding["source"] for name, cube in cubes.items()}
    for cube in cubes.values():
        cube.close()
    if as_json:
        described = {name: describe_cube(path) for name, path in files.items()}
        print_json({"cubes": described} if len(described) > 1 else described.popitem()[1])
        return
    for name, cube in cubes.items():
        period = FREQUENCIES[name.partition("_")[0]].period
        steps = f"{cube.sizes['time']} {period}{'s' * (cube.sizes['time'] > 1)}"
        click.echo(f"cube: {files[name]} ({steps}, {cube.sizes['lat']} x {cube.sizes['lon']} cells)")


def _thresholds(pairs: Iterable[str]) -> dict[str, list[float]]:
    limits: dict[str, list[float]] = {}
    for key, value in options.read_limits("--exceedance", pairs):
        limits.setdefault(key, []).append(value)
    return limits
