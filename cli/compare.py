"""``aqreanalysis compare``: a cube scored at the stations of any file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aqreanalysis.cli import cube_options as cubes
from aqreanalysis.cli import options

if TYPE_CHECKING:
    from aqreanalysis.common.remote import RemotePath


@click.command(short_help="A cube scored at the stations of any file.")
@cubes.cube_argument
@options.observations_option
@options.config_options("aqnet", "columns.lat=latitude")
@options.json_option
def compare(
    cube: Path | RemotePath,
    observations_path: str,
    config_source: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Score CUBE (.nc or .zarr, a path or URL) against station observations, best those that the model never saw.

    \b
    aqreanalysis compare outputs/january.nc --observations independent.parquet
    """
    from aqreanalysis.cli.printing import print_json, print_table
    from aqreanalysis.evaluation import compare as run
    from aqreanalysis.evaluation import comparison_table

    cubes.tell_fetch(cube)
    config = options.load_part_config(config_source, overrides, ("columns",))
    observations = options.load_observations(observations_path, config)
    result = run(cube, observations)
    if as_json:
        print_json(result)
        return
    print_table(comparison_table(result))
