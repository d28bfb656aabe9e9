"""``aqreanalysis grids list``, ``grids show NAME`` and ``grids around OBSERVATIONS``."""

from __future__ import annotations

import click

from aqreanalysis.cli import options, types
from aqreanalysis.cli.log import say


@click.group()
def grids() -> None:
    """List the named grids, show one, or lay one around stations."""


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
@click.argument("spec", metavar="NAME", type=types.Suggested("grid", types.grid_names))
@options.json_option
def show_command(spec: str, as_json: bool) -> None:
    """Show one grid: a name, a YAML, a CDO griddes file, a NetCDF with lat/lon, W,S,E,N@step, or r360x180."""
    from aqreanalysis.cli.printing import print_json
    from aqreanalysis.grids import load_grid

    grid = load_grid(spec)
    if as_json:
        print_json(grid.to_dict())
        return
    say(grid.describe())


@grids.command("around")
@click.argument("observations_path", metavar="OBSERVATIONS", type=types.Records())
@options.config_options("aqnet", "columns.lat=latitude")
@options.json_option
def around_command(
    observations_path: str, config_source: str | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Print a grid around the stations of a file, as --grid takes it: some 20,000 cells at most, a margin around."""
    from aqreanalysis.cli.printing import print_json
    from aqreanalysis.grids import Grid

    config = options.load_part_config(config_source, overrides, ("columns",))
    observations = options.load_observations(observations_path, config)
    grid = Grid.around("around", observations.lat, observations.lon)
    facts = grid.to_dict()
    spec = f"{facts['west']:.10g},{facts['south']:.10g},{facts['east']:.10g},{facts['north']:.10g}@{grid.step[0]:g}"
    if as_json:
        print_json({**facts, "spec": spec})
        return
    say(spec)
