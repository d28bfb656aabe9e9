"""``aqreanalysis style CUBE``: styles and a project for QGIS, a colour table for Panoply."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aqreanalysis.cli import cube_options as cubes
from aqreanalysis.cli import options
from aqreanalysis.cli.log import say

if TYPE_CHECKING:
    from aqreanalysis.common.remote import RemotePath


@click.command(short_help="Styles and a project for QGIS, a colour table for Panoply.")
@cubes.cube_argument
@cubes.out_option("Folder.  [default: beside the cube, of a URL here]", required=False)
@options.species_option("Pollutant.  [default: the cube's first]")
@cubes.palette_option("who")
@options.overwrite_option
@options.json_option
def style(
    cube: Path | RemotePath,
    out: Path | None,
    species: tuple[str, ...],
    palette: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write what makes a cube (.nc or .zarr) look right in QGIS and Panoply at the first click.

    Open the .qgs file in QGIS 3.22 or later: the cube is there with its colours, and the clock animates it.
    """
    from aqreanalysis.cli.printing import print_json
    from aqreanalysis.pictures import write_companions

    with cubes.open_cube(cube, species) as source:
        beside = cube.resolve().parent if isinstance(cube, Path) else Path.cwd()
        written = write_companions(source, out or beside, palette, overwrite)
        has_project = source.local_file is not None
    if as_json:
        print_json({"files": written})
        return
    for path in written:
        say(str(path))
    if not has_project:
        say("no project: QGIS reads a mesh from NetCDF on a disk; see aqreanalysis export netcdf", err=True)
