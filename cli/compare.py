"""``aqreanalysis compare``: a cube scored at the stations of any file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aqreanalysis.cli import cube_options as cubes
from aqreanalysis.cli import options
from aqreanalysis.cli.log import say

if TYPE_CHECKING:
    from aqreanalysis.common.remote import RemotePath


@click.command(short_help="A cube scored at the stations of any file.")
@cubes.cube_argument
@options.observations_option
@click.option("--held-out", is_flag=True, help="Score only stations that the cube was not made from.")
@options.config_options("aqnet", "columns.lat=latitude")
@options.json_option
def compare(
    cube: Path | RemotePath,
    observations_path: str,
    held_out: bool,
    config_source: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Score CUBE (.nc or .zarr, a path or URL) against stations, preferably those that the model never saw.

    Stations that the cube was made from are counted, with a warning; --held-out leaves them out.

    \b
    aqreanalysis compare outputs/january.nc --observations independent.parquet
    aqreanalysis compare outputs/january.nc --observations all.parquet --held-out
    """
    from aqreanalysis.cli.printing import print_json, print_table
    from aqreanalysis.evaluation import compare as run
    from aqreanalysis.evaluation import comparison_table
    from aqreanalysis.evaluation.compare_cube import feeding_text

    cubes.tell_fetch(cube)
    config = options.load_part_config(config_source, overrides, ("columns",))
    observations = options.load_observations(observations_path, config)
    result = run(cube, observations, held_out)
    warning = feeding_text(result)
    if warning:
        say(f"warning: {warning}; --held-out scores the others", err=True)
    if as_json:
        print_json(result)
        return
    print_table(comparison_table(result))
