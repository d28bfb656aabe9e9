"""``aqreanalysis covariates check PATHS``: what is in files of meteorology and rasters."""

from __future__ import annotations

import click

from aqreanalysis.cli import options
from aqreanalysis.cli.log import say


@click.group()
def covariates() -> None:
    """Meteorology, background concentrations and static fields."""


@covariates.command(short_help="Fields, span, step, grid, units and missing hours of files.")
@click.argument("paths", nargs=-1, required=True)
@options.config_options("aqnet", "covariates.max_step_hours=6")
@options.json_option
def check(paths: tuple[str, ...], config_source: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Say what is in PATHS: GRIB and NetCDF files, rasters (NAME=FILE), tables of weather, or folders of them.

    Headers are read throughout; of the values, one hour of each field is looked at.
    """
    from aqreanalysis.cli.printing import print_json
    from aqreanalysis.cli.progress import progress_shown
    from aqreanalysis.covariates import Covariates
    from aqreanalysis.covariates import check as look
    from aqreanalysis.covariates.inspect import lines

    config = options.load_part_config(config_source, overrides, ("covariates",))
    with progress_shown("reading headers") as progress:
        opened = Covariates.open(paths, config.covariates, progress)
    facts = look(opened)
    if as_json:
        print_json(facts)
        return
    for line in [*lines(facts), *opened.report.lines(), f"digest {facts['digest']}"]:
        say(line)
