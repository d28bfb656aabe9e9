"""``aqreanalysis style CUBE``: styles and a project for QGIS, a colour table for Panoply."""

from __future__ import annotations

from pathlib import Path

import click

from aqreanalysis.cli import cube_options as cubes
from aqreanalysis.cli import options


@click.command(short_help="Styles and a project for QGIS, a colour table for Panoply.")
@cubes.cube_argument
@cubes.out_option("Folder.  [default: beside the cube]", required=False)
@options.species_option("Pollutant.  [default: the cube's first]")
@cubes.palette_option("who")
@options.overwrite_option
@options.json_option
def style(cube: Path, out: Path | None, species: tuple[str, ...], palette: str, overwrite: bool, as_json: bool) -> None:
    """Write what makes a cube (.nc or .zarr) look right in QGIS and Panoply at the first click.

    Open the .qgs file in QGIS 3.22 or later: the cube is there with its colours, and the clock animates it.
    """
    from aqreanalysis.cli.printing import print_json
    from aqreanalysis.pictures import write_companions

    with cubes.open_cube(cube, species) as source:
        written = write_companions(source, out or cube.resolve().parent, palette, overwrite)
    if as_json:
        print_json({"files": written})
        return
    for path in written:
        click.echo(str(path))
    if cube.is_dir():
        click.echo("no project: QGIS reads a mesh from NetCDF only; see aqreanalysis export netcdf", err=True)
