"""``aqreanalysis validate CUBE``: a cube examined by the project's rules, CF and ACDD."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aqreanalysis.cli import cube_options as cubes
from aqreanalysis.cli import options
from aqreanalysis.cli.log import say

if TYPE_CHECKING:
    from aqreanalysis.common.remote import RemotePath


def _list_rules(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Print every rule with its severity and reason, and end."""
    if not value or ctx.resilient_parsing:
        return
    from aqreanalysis.validation import RULES
    from aqreanalysis.validation.value_scan import SEAMS

    for rule in (*RULES.values(), SEAMS):
        say(f"{rule.id:<18} {rule.severity:<8} {rule.reason}")
    ctx.exit()


@click.command(short_help="A cube examined: conventions, gaps, seams, ranges, provenance.")
@cubes.cube_argument
@click.option("--model", type=click.Path(path_type=Path), help="Model bundle that the cube is said to come from.")
@click.option("--values/--no-values", default=True, show_default=True, help="Read the values, not only the metadata.")
@click.option("--checker/--no-checker", default=True, show_default=True, help="Ask compliance-checker (CF, ACDD).")
@click.option("--skip", multiple=True, callback=options.split_commas, metavar="RULE[,RULE]", help="Leave rules out.")
@click.option("--rules", is_flag=True, is_eager=True, expose_value=False, callback=_list_rules, help="List the rules.")
@options.json_option
def validate(
    cube: Path | RemotePath, model: Path | None, values: bool, checker: bool, skip: tuple[str, ...], as_json: bool
) -> None:
    """Examine CUBE (.nc or .zarr, a path or URL). Exit status: 0 clean, 1 something was found, 2 not a cube.

    Advice (what ACDD recommends) does not count as a finding.
    """
    from aqreanalysis.cli.printing import print_json
    from aqreanalysis.cli.progress import progress_shown
    from aqreanalysis.validation import ValidateOptions
    from aqreanalysis.validation import validate as run

    cubes.tell_fetch(cube)
    with progress_shown("validating") as progress:
        report = run(cube, ValidateOptions(model, values, checker, skip), progress)
    if as_json:
        print_json(report.to_dict())
    else:
        for line in report.lines():
            say(line)
    sys.exit(0 if report.clean else 1)
