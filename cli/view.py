"""``aqreanalysis view CUBE``: a page that any browser opens by double click."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aqreanalysis.cli import cube_options as cubes
from aqreanalysis.cli import early, options
from aqreanalysis.cli.log import say

if TYPE_CHECKING:
    from aqreanalysis.common.remote import RemotePath


@click.command(short_help="A cube as one HTML page that opens anywhere.")
@cubes.cube_argument
@cubes.out_option("Page: a name that ends in .html.")
@options.species_option("Pollutant to show.  [default: the cube's first]")
@cubes.span_options("the part")
@cubes.layers_option("best, lower, upper, standard_error, flag.  [default: all but standard_error]")
@click.option("--max-mb", "max_megabytes", type=float, default=24.0, show_default=True, help="Size of the page, MB.")
@click.option("--step", type=float, help="Rounding of the estimate.  [default: the finest that the size allows]")
@cubes.stations_option
@options.overwrite_option
@options.json_option
def view(
    cube: Path | RemotePath,
    out: Path,
    species: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    layers: tuple[str, ...],
    marked: bool,
    model: Path | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Write a cube (.nc or .zarr, a path or URL) as one HTML page: a map with a time slider, time series by click.

    The page needs no server and no network. Its numbers are rounded; how far is printed, and stands in the page.
    """
    early.check_export(out, (".html",), chosen["overwrite"])
    from aqreanalysis.cli.printing import human_size, print_json
    from aqreanalysis.cli.progress import progress_shown
    from aqreanalysis.pictures import PageOptions, write_page

    wanted = PageOptions(**chosen)
    if layers:
        wanted = replace(wanted, layers=layers)
    with cubes.open_cube(cube, species, start, end) as source, progress_shown("packing") as progress:
        marks = cubes.markers_of_options(source, marked, model)
        page = write_page(source, out, wanted, marks, progress)
    size = page.path.stat().st_size
    if as_json:
        print_json({"file": page.path, "bytes": size, "within": page.within})
        return
    say(f"{page.path} ({human_size(size)})")
    say("rounded to within " + ", ".join(f"{value:g} ({name})" for name, value in page.within.items()))
