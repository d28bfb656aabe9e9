"""What lies beside a cube for desktop programs: QGIS styles and a project, a colour table for Panoply and GMT."""

from __future__ import annotations

from pathlib import Path

from aqreanalysis.common.files import replacing
from aqreanalysis.errors import OutputError, already_exists
from aqreanalysis.export.source import CubeSource
from aqreanalysis.pictures.colours import Colours, classes_of, even_colours
from aqreanalysis.pictures.qgis import layer_of, mesh_group, mesh_style, project, raster_style, write_xml
from aqreanalysis.production.derived_layers import COUNT


def write_companions(
    source: CubeSource, folder: str | Path, palette: str = "who", overwrite: bool = False
) -> list[Path]:
    """Write styles, a project and a colour table for the first pollutant of `source`; return their paths.

    ``<cube>.<layer>.raster.qml``, ``<cube>.<layer>.mesh.qml``, ``<cube>.<layer>.qgs`` and ``<cube>.<layer>.cpt``; of a
    Zarr store the first and the last, since it is no mesh to QGIS, and a project could not name it by a relative path.

    Parameters
    ----------
    source : CubeSource
        The cube.
    folder : str or Path
        Where they go; beside the cube is best, since the project names the cube by its path from there.
    palette : str
        ``who``, ``cn``, ``us`` or ``even``.
    overwrite : bool
        Whether files that exist are replaced.

    Raises
    ------
    OutputError
        If one exists, or `folder` is a file.
    """
    one = next(iter(source.species.values()))
    where = Path(folder)
    if where.exists() and not where.is_dir():
        raise OutputError(f"output {where} is a file, and a folder is wanted; choose another --out")
    # A count has no classes, and the default of the command is one that has.
    wanted = "even" if one.kind == COUNT else palette
    colours = classes_of(one, source.dataset[one.best].attrs, wanted)
    if colours is None:
        kind = "count" if one.kind == COUNT else "concentration"
        colours = even_colours(kind, source.read(one.best, slice(0, 24)))
    stem = f"{source.path.stem}.{one.best}"
    endings = ("raster.qml", "cpt", "mesh.qml", "qgs") if source.local_file else ("raster.qml", "cpt")
    paths = [where / f"{stem}.{ending}" for ending in endings]
    held = [path for path in paths if path.exists()]
    if held and not overwrite:
        raise already_exists(held[0])
    where.mkdir(parents=True, exist_ok=True)
    layer = layer_of(source, one, colours)
    write_xml(raster_style(layer), paths[0])
    with replacing(paths[1]) as part:
        part.write_text(colour_table(colours), encoding="ascii")
    if source.local_file:
        group = mesh_group(source, one.best)
        write_xml(mesh_style(layer, group), paths[2])
        write_xml(project(layer, group, where), paths[3])
    return paths


def colour_table(colours: Colours) -> str:
    """Return a colour table of GMT (``.cpt``), which Panoply reads: a line a class, from value and colour to value."""
    top = _top(colours)
    if colours.edges:
        bounds, hexes = [colours.low, *colours.edges, top], colours.hexes
    else:
        count = len(colours.hexes)
        step = (top - colours.low) / count
        bounds, hexes = [colours.low + step * i for i in range(count + 1)], colours.hexes
    lines = [f"# {colours.title or 'even scale'}; scale range {colours.low:g} to {top:g}", "# COLOR_MODEL = RGB"]
    for low, high, colour in zip(bounds[:-1], bounds[1:], hexes, strict=True):
        shade = "{} {} {}".format(*(int(colour[i : i + 2], 16) for i in (1, 3, 5)))
        lines.append(f"{low:g} {shade} {high:g} {shade}")
    return "\n".join([*lines, "B 255 255 255", f"F {shade}", "N 128 128 128", ""])


def _top(colours: Colours) -> float:
    """The last class has no end; on a scale it is given as much room as the one before it."""
    if not colours.edges:
        return colours.high
    before = colours.edges[-2] if len(colours.edges) > 1 else 0.0
    return 2 * colours.edges[-1] - before
