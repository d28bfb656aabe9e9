"""The command line: one short file a command, each of which parses, loads a config, calls the core and prints.

Nothing heavy is imported here or at the top of a command's file, so that ``aqreanalysis --help`` answers at once.
"""

from __future__ import annotations

import click

from aqreanalysis.cli.calibrate import calibrate
from aqreanalysis.cli.compare import compare
from aqreanalysis.cli.completion import completion
from aqreanalysis.cli.config import config
from aqreanalysis.cli.covariates import covariates
from aqreanalysis.cli.demo import demo
from aqreanalysis.cli.errors import Commands
from aqreanalysis.cli.evaluate import evaluate
from aqreanalysis.cli.export import export
from aqreanalysis.cli.grids import grids
from aqreanalysis.cli.info import info
from aqreanalysis.cli.log import log_options
from aqreanalysis.cli.map import map_
from aqreanalysis.cli.new import new
from aqreanalysis.cli.observations import observations
from aqreanalysis.cli.plot import plot
from aqreanalysis.cli.produce import produce
from aqreanalysis.cli.style import style
from aqreanalysis.cli.train import train
from aqreanalysis.cli.validate import validate
from aqreanalysis.cli.view import view

__all__ = ["main"]


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="aqreanalysis", message="%(prog)s %(version)s")
def main() -> None:
    """Air-quality station records to gridded reanalysis cubes with honest error bars.

    \b
    The usual workflow: train, evaluate, produce, compare; 'aqreanalysis demo' runs it on a synthetic region.
    AQREANALYSIS_TRACEBACK=1 in the environment shows the traceback of an error.
    """


for _command in (
    map_,
    new,
    train,
    calibrate,
    evaluate,
    produce,
    validate,
    export,
    plot,
    view,
    style,
    compare,
    grids,
    config,
    observations,
    covariates,
    info,
    demo,
    completion,
):
    log_options(_command)
    main.add_command(_command)
