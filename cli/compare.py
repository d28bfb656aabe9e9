"""``aqreanalysis compare``: a cube scored at the stations of any file."""

from __future__ import annotations

import click

from aqreanalysis.cli import options


@click.command(short_help="A cube scored at the stations of any file.")
@click.argument("cube_path", metavar="CUBE", type=click.Path())
@options.observations_option
@options.config_options("aqnet", "columns.lat=latitude")
@options.json_option
def compare(
    cube_path: str,
    observations_path: str,
    config_source: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Score the cube CUBE (.nc or .zarr) against station observations, best those that the model never saw.

    \b
    aqreanalysis compare outputs/january.nc --observations independent.parquet
    """
    from aqreanalysis.cli.printing import print_json, print_table
    from aqreanalysis.evaluation import compare as run
    from aqreanalysis.evaluation import comparison_table

    config = options.load_part_config(config_source, overrides, ("columns",))
    observations = options.load_observations(observations_path, config)
    result = run(cube_path, observations)
    if as_json:
        print_json(result)
        return
    print_table(comparison_table(result))
