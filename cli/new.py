"""``aqreanalysis new FOLDER``: a project, from records to a validated cube by one command."""

from __future__ import annotations

from pathlib import Path

import click

from aqreanalysis.cli import options, types
from aqreanalysis.cli.log import say


@click.command("new", short_help="A project folder: records to a validated cube by 'make'.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--observations",
    "records",
    multiple=True,
    type=types.Records(),
    help="Station files or folders to copy into it. Repeatable.",
)
@click.option("--grid", "grid_spec", type=types.GRID, help="Grid of the cube.  [default: around the stations]")
@options.species_option("Pollutants.  [default: all that the records hold]")
@options.json_option
def new(folder: Path, records: tuple[str, ...], grid_spec: str | None, species: tuple[str, ...], as_json: bool) -> None:
    """Set up a project: a Makefile, settings, a config, and folders for records and covariates.

    'make' in it imports the records, calibrates or trains a model, scores it, produces the cube, validates and draws
    it. With newer records 'make' again lets the cube grow, so that a clock may run it.

    \b
    aqreanalysis new north --observations stations.csv
    make -C north
    """
    from aqreanalysis.cli.printing import print_json
    from aqreanalysis.project import lay_project
    from aqreanalysis.species import in_order

    keys = in_order(species)
    settings = {"GRID": grid_spec or "", "SPECIES": ",".join(keys)}
    root = lay_project(folder, records, {name: value for name, value in settings.items() if value})
    if as_json:
        print_json({"folder": root, "files": sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())})
        return
    first = "" if records else f"put station files into {root / 'records'}, then: "
    say(f"{root}: {first}make -C {root}")
