"""``aqreanalysis produce``: a model swept over a grid and a timeline -> a CF cube."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from aqreanalysis.cli import early, options, types
from aqreanalysis.cli.log import say
from aqreanalysis.cli.own_model import calibrated_beside, pretrained

if TYPE_CHECKING:
    from aqreanalysis.configs import Config
    from aqreanalysis.observations import Observations
    from aqreanalysis.production import ProduceOptions


timeline_options = options.option_group(
    click.option(
        "--grid",
        required=True,
        type=types.GRID,
        help="Named grid, YAML, CDO griddes file, NetCDF with lat/lon, or W,S,E,N@step.",
    ),
    click.option("--start", type=types.UtcTime(), help="Start of the period (UTC); with --append, the cube's own."),
    click.option("--end", required=True, type=types.UtcTime(), help="End of the period (UTC)."),
)
content_options = options.option_group(
    options.species_option("Pollutants to produce.  [default: all that the model estimates]"),
    click.option(
        "--frequency",
        "frequencies",
        multiple=True,
        type=types.Names("frequency", ("hourly", "daily", "monthly", "annual")),
        default=["hourly"],
        show_default=True,
        callback=options.split_commas,
        help="hourly, daily, monthly or annual. Repeatable, or joined by commas: each gets a cube of its own.",
    ),
    click.option(
        "--stamp",
        type=click.Choice(["middle", "start", "end"]),
        default="middle",
        show_default=True,
        help="Where in its hour, day, month or year a step is stamped; the bounds are around it anyway.",
    ),
    click.option(
        "--utc-offset",
        "utc_offset_hours",
        type=click.IntRange(-12, 14),
        default=0,
        show_default=True,
        metavar="HOURS",
        help="UTC offset of the local midnight at which days, months and years begin, hours.",
    ),
    click.option(
        "--layer",
        "layers",
        multiple=True,
        type=click.Choice(["mean"]),
        help="Add a layer to a cube of hours: mean, the expectation, where the estimate is the median.",
    ),
    click.option(
        "--exceedance",
        multiple=True,
        metavar="NAME=VALUE",
        help="Add the probability of exceeding a concentration, for example pm25=75. Repeatable.",
    ),
)
machine_options = options.option_group(
    options.device_option,
    click.option("--workers", type=click.IntRange(min=1), help="Processes to start here.  [default: threads]"),
    click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler of a running cluster."),
)
store_options = options.option_group(
    click.option(
        "--zarr-format", type=click.Choice(["2", "3"]), default="2", show_default=True, help="Of a .zarr store."
    ),
    click.option("--shards", is_flag=True, help="With --zarr-format 3: one file a block holds its chunks."),
    click.option(
        "--split",
        type=click.Choice(["none", "month", "year"]),
        default="none",
        show_default=True,
        help="Of .nc: a file a month (x_201901.nc) or year.",
    ),
    click.option(
        "--repair",
        is_flag=True,
        help="Recompute the damaged blocks of the cube --out, and nothing else.",
    ),
    click.option(
        "--append",
        is_flag=True,
        help="Extend the cube --out to --end; hours whose windows have gained readings are recomputed.",
    ),
)
dry_run_options = options.option_group(
    click.option("--dry-run", is_flag=True, help="Print the plan (blocks, bytes, memory, time), keep nothing."),
    click.option(
        "--no-calibration",
        is_flag=True,
        help="With --dry-run: leave out the trial of some seconds that sizes and time need.",
    ),
)


@click.command(short_help="A model swept over a grid and a timeline: a CF cube.")
@click.option(
    "--model",
    "model_path",
    type=click.Path(),
    help="Model bundle (a folder).  [default: the pretrained one, calibrated on these observations; kept as OUT.model]",
)
@options.observations_option
@options.covariates_option
@options.static_option
@timeline_options
@click.option(
    "--out", required=True, type=types.CUBE_OUT, help="Cube to write: a name in .nc or .zarr, or s3://....zarr."
)
@content_options
@options.config_options("the one in the model bundle", "production.tile_rows=128 or metadata.license=CC-BY-4.0")
@machine_options
@store_options
@dry_run_options
@options.overwrite_option
@options.json_option
def produce(
    model_path: str | None,
    observations_path: str,
    covariate_paths: tuple[str, ...],
    static_specs: tuple[str, ...],
    grid: str,
    start: datetime | None,
    end: datetime,
    out: str,
    config_source: str | None,
    overrides: tuple[str, ...],
    dry_run: bool,
    no_calibration: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Produce a cube on a grid, with its standard error and the bounds of its coverage interval.

    The hours between --start and --end are produced, each stamped in its middle: 2019-01-07 to 2019-01-14 is 168 hours,
    the first stamped 00:30 on the 7th. A stopped run resumes when the same command is given again.

    With --frequency daily, monthly or annual the cube holds means over whole periods, their intervals calibrated as
    such. Several frequencies are made in one sweep and go to siblings of --out: x_hourly.nc and x_daily.nc for x.nc.

    --append extends a finished cube: the same command, newer observations, a later --end. --repair mends damage.

    Without --model the one that comes with the package is calibrated on the observations first; 'map' scores it too.

    \b
    aqreanalysis produce --model outputs/models/north --observations obs.parquet --grid north-china-0.1
        --start 2019-01-01 --end 2019-01-08 --out outputs/january.nc
    """
    early.check_produced(out, (start, end), {**settings, "dry_run": dry_run})
    named, uses = (config_source, overrides), ("columns", "production", "metadata", "covariates")
    config = options.load_model_config(model_path or pretrained(dry_run), *named, uses)
    covariates = options.load_covariates(covariate_paths, config, trained=model_path is not None)
    static = options.load_static(static_specs, config, trained=True)
    if model_path is None:
        model_path = calibrated_beside(out, observations_path, config, settings, covariates, static)
        config = options.load_model_config(model_path, *named, uses)
    from aqreanalysis.cli.dry_run import show_plan
    from aqreanalysis.cli.progress import progress_shown
    from aqreanalysis.production import produce_cubes
    from aqreanalysis.production.plan.inputs import required_span
    from aqreanalysis.production.plan.prepare import prepare
    from aqreanalysis.production.resume.append import resolve_timeline

    chosen = _produce_options(config, as_json, **settings)
    chosen = replace(chosen, covariates=covariates, static=static)
    asked = (start, end)
    timeline = resolve_timeline(out, asked, chosen) if chosen.append else asked
    # In a list, from which it is handed on for good: nothing here keeps it in memory during the sweep.
    read = [_read_observations(model_path, observations_path, config, required_span(timeline, config.reach))]
    if dry_run:
        show_plan(prepare(model_path, read.pop(), grid, timeline, chosen), chosen, out, not no_calibration, as_json)
        return
    with progress_shown("producing") as progress:
        hours = asked if chosen.append else timeline
        cubes = produce_cubes(model_path, read.pop(), grid, hours, out, replace(chosen, progress=progress))
    _print_result(cubes, as_json)


def _read_observations(model_path: str, path: str, config: Config, span: tuple[int, int]) -> Observations:
    """Return the readings of a span of hours; of all where a station is not known by its kind.

    What such a station lastingly differs by is told from the whole of its record, whatever hours are asked for.
    """
    observations = options.load_observations(path, config, span)
    if not observations.tells_kinds:
        return observations
    from aqreanalysis.background_air.record import knows_all
    from aqreanalysis.model import read_bundle

    known = knows_all(observations, read_bundle(model_path).groups)
    return observations if known else options.load_observations(path, config)


def _produce_options(
    config: Config,
    as_json: bool,
    *,
    species: tuple[str, ...],
    exceedance: tuple[str, ...],
    zarr_format: str,
    **as_is: Any,
) -> ProduceOptions:
    """Return the options of a run: those of the command line that `ProduceOptions` takes `as_is`, and the others."""
    from aqreanalysis.production import ProduceOptions

    thresholds: dict[str, list[float]] = {}
    for key, value in options.read_limits("--exceedance", exceedance):
        thresholds.setdefault(key, []).append(value)
    return ProduceOptions(
        production=config.production,
        metadata=config.metadata,
        columns=config.columns,
        species=species or None,
        thresholds=thresholds,
        zarr_format=int(zarr_format),
        say=lambda line: say(line, err=as_json),
        **as_is,
    )


def _print_result(cubes: Mapping[str, Any], as_json: bool) -> None:
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
        say(f"cube: {files[name]} ({steps}, {cube.sizes['lat']} x {cube.sizes['lon']} cells)")
