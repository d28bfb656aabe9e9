"""``aqreanalysis map``: one's own station file -> a map with its interval, its scores and a verdict."""

from __future__ import annotations

from datetime import datetime

import click

from aqreanalysis.cli import early, options, types
from aqreanalysis.cli.log import say
from aqreanalysis.cli.own_model import say_what_is_left_out


def _reading(command: options.Command) -> options.Command:
    return options.reading_options(command, expose=False)


@click.command("map", short_help="Your own CSV to a map with its interval and a verdict, in a minute.")
@click.argument("observations_path", metavar="OBSERVATIONS", type=types.Records())
@click.option("--grid", "grid_spec", required=True, type=types.GRID, help="Named grid, YAML, or W,S,E,N@step.")
@click.option("--start", required=True, type=types.UtcTime(), help="Start of the period (UTC).")
@click.option("--end", required=True, type=types.UtcTime(), help="End of the period (UTC); its last hour ends then.")
@click.option("--out", required=True, type=types.CUBE_OUT, help="Cube to write: a name in .nc or .zarr.")
@options.species_option("Pollutants to map.  [default: all that the observations hold]")
@options.covariates_option
@options.static_option
@_reading
@options.station_kinds_option
@options.config_options("that of the pretrained model", "columns.lat=latitude")
@options.overwrite_option
@options.json_option
def map_(
    observations_path: str,
    grid_spec: str,
    start: datetime,
    end: datetime,
    out: str,
    species: tuple[str, ...],
    covariate_paths: tuple[str, ...],
    static_specs: tuple[str, ...],
    config_source: str | None,
    overrides: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
) -> None:
    """Make a map of your own network, with the model that comes with the package.

    Checks the file, calibrates the model on its stations, scores it beside kriging at every station left out in folds,
    produces the cube, draws it, and says whether to believe it. Beside the cube lie OUT.model and OUT.evaluation.

    \b
    aqreanalysis map mine.csv --grid 5,45,8,48@0.05 --start 2024-01-01 --end 2024-03-01 --out map.nc

    With --covariates (a chemistry model's field, weather, towns and roads) the map is right where nobody measures.
    """
    early.check_span(start, end)
    early.check_map(out, overwrite)
    from aqreanalysis.cli.printing import print_json, print_table
    from aqreanalysis.cli.progress import progress_shown
    from aqreanalysis.pretrained import FOLDER

    config = options.load_model_config(
        FOLDER, config_source, overrides, ("columns", "production", "metadata", "quality", "covariates", "drift")
    )
    covariates = options.load_covariates(covariate_paths, config)
    static = options.load_static(static_specs, config, trained=True)
    observations = options.load_observations(observations_path, config)
    say_what_is_left_out(observations, species)
    from aqreanalysis.pretrained.own_model import Fields
    from aqreanalysis.pretrained.quick_map import described, quick_map
    from aqreanalysis.production import ProduceOptions
    from aqreanalysis.species import in_order

    chosen = ProduceOptions(
        production=config.production,
        metadata=config.metadata,
        columns=config.columns,
        species=in_order(species) or None,
        device="cpu",
        overwrite=overwrite,
    )
    fields = Fields(covariates, static)
    made = quick_map(observations, grid_spec, (start, end), out, chosen, progress_shown, fields)
    if as_json:
        print_json(dict(described(made)))
        return
    print_table(made.table)
    for path in (made.cube, *made.pictures.values()):
        say(str(path))
    say(f"model: {made.model}; report: {made.evaluation / 'report.html'}")
