"""``aqreanalysis grids list`` and ``aqreanalysis grids show NAME``."""

from __future__ import annotations

import click

from aqreanalysis.cli import options
from aqreanalysis.cli.errors import visible


@click.group()
def grids() -> None:
    """List the named grids, or show one."""


@grids.command("list")
@options.json_option
def list_command(as_json: bool) -> None:
    """List the named grids: cells, step and what each is for."""
    from aqreanalysis.cli.printing import print_json, print_pairs
    from aqreanalysis.grids import list_grids, load_grid

    known = [load_grid(name) for name in list_grids()]
    if as_json:
        print_json([grid.to_dict() for grid in known])
        return
    print_pairs([(g.name, f"{g.shape[0]:>5} x {g.shape[1]:<5} {g.step[0]:g} degree  {g.title}") for g in known])


@grids.command("show", context_settings={"ignore_unknown_options": True})
@click.argument("spec", metavar="NAME")
@options.json_option
def show_command(spec: str, as_json: bool) -> None:
    """Show one grid: a name, a YAML, a CDO griddes file, a NetCDF with lat/lon, W,S,E,N@step, or r360x180."""
    from aqreanalysis.cli.printing import print_json
    from aqreanalysis.grids import load_grid

    grid = load_grid(spec)
    if as_json:
        print_json(grid.to_dict())
        return
    click.echo(visible(grid.describe()))
