"""A grid from what people have: a name, a YAML, a CDO griddes text, a NetCDF file, or ``W,S,E,N@step``."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from aqreanalysis.common.yaml_text import read_yaml, shown
from aqreanalysis.errors import GridError, in_one_line, nearest_hint, wrong_type
from aqreanalysis.grids.files import grid_from_griddes, grid_from_netcdf
from aqreanalysis.grids.grid import Grid

FORMS = (
    "a name (aqreanalysis grids list), a .yaml, a CDO griddes text, a NetCDF file with lat and lon, or W,S,E,N@step "
    "with the centres of the outermost cells (105,33,125,43@0.1 is 201 x 101 cells), or CDO's name of a global grid "
    "(r360x180)"
)
_KEYS = ("title", "reason", "west", "south", "east", "north", "step", "step_lat", "step_lon")
#: Columns and rows of a global grid of latitudes and longitudes, as CDO calls it.
_CDO_GLOBAL = re.compile(r"r(\d+)x(\d+)")
_HDF5, _CLASSIC = b"\x89HDF", b"CDF"


def list_grids() -> list[str]:
    """Return the names of the grids that the package carries, sorted.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> "north-china-0.1" in aq.list_grids()
    True
    """
    files = resources.files("aqreanalysis.grids").iterdir()
    return sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml"))


def load_grid(spec: str | Path | Grid) -> Grid:
    """Return the grid that `spec` means.

    Parameters
    ----------
    spec : str, Path or Grid
        - a name of `list_grids`;
        - a YAML file with ``west, south, east, north`` (centres of the outermost cells, degrees) and ``step``, or
          ``step_lon`` and ``step_lat``;
        - a CDO grid description (``cdo griddes``) of type lonlat;
        - a NetCDF file or Zarr store with one-dimensional latitude and longitude. A variable ``mask`` over the two is
          taken for the mask; ``file.nc#name`` takes another one (wanted where it is above 0.5);
        - a name that CDO gives a global grid, ``r360x180``;
        - ``W,S,E,N@step`` or ``W,S,E,N@dx,dy``, again the centres of the outermost cells;
        - a `Grid`, returned as it is.

    Raises
    ------
    GridError
        If there is no such grid or file, if it cannot be read, or if it breaks a rule of `Grid`.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> grid = aq.load_grid("110,35,111,36@0.25")
    >>> grid.shape, float(grid.lat[0]), float(grid.lon[-1])
    ((5, 5), 35.0, 111.0)
    """
    if isinstance(spec, Grid):
        return spec
    if not isinstance(spec, str | Path):
        raise wrong_type("grid", spec, f"a Grid, or write {FORMS}", GridError)
    text = str(spec).strip()
    if not text:
        raise GridError(f"empty grid: write {FORMS}")
    path, _, variable = text.partition("#")
    if Path(text).exists():
        return _from_file(Path(text), None)
    if variable and Path(path).exists():
        return _from_file(Path(path), variable)
    if "@" in text or text.count(",") == 3:
        return _from_box(text)
    if _CDO_GLOBAL.fullmatch(text):
        return _from_cdo_name(text)
    if text in list_grids():
        return _from_yaml((resources.files("aqreanalysis.grids") / f"{text}.yaml").read_text("utf-8"), text, text)
    if isinstance(spec, Path) or Path(path).suffix in {".yaml", ".yml", ".nc", ".nc4", ".txt", ".zarr"} or "/" in path:
        raise GridError(f"no grid file {path!r}; --grid takes {FORMS}")
    raise GridError(f"no grid named {text!r}; there are {', '.join(list_grids())}{nearest_hint(text, list_grids())}")


def holds_netcdf(path: Path) -> bool:
    """Return whether a plain file begins as NetCDF does.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(4).startswith((_HDF5, _CLASSIC))


def _from_file(path: Path, variable: str | None) -> Grid:
    if path.is_dir():
        if not any((path / marker).exists() for marker in (".zgroup", "zarr.json")):
            raise GridError(f"grid {str(path)!r} is a folder and no Zarr store; --grid takes {FORMS}")
        return grid_from_netcdf(path, variable)
    if not path.is_file():
        raise GridError(f"grid {str(path)!r} is no plain file; --grid takes {FORMS}")
    try:
        if holds_netcdf(path):
            return grid_from_netcdf(path, variable)
        # A description of 200 million cells' mask would be larger; a binary given by mistake is not read whole.
        if path.stat().st_size > 500_000_000:
            raise GridError(f"grid file {str(path)!r}: {path.stat().st_size:,} bytes and not NetCDF")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "neither NetCDF nor text" if isinstance(error, UnicodeDecodeError) else error.strerror or str(error)
        raise GridError(f"grid file {str(path)!r} cannot be read: {reason}") from None
    if variable is not None:
        raise GridError(f"grid file {str(path)!r} is a text: a mask variable (#{variable}) is taken from NetCDF only")
    if path.suffix in {".yaml", ".yml"}:
        return _from_yaml(text, path.stem, str(path))
    return grid_from_griddes(text, path.stem, str(path))


def _from_cdo_name(text: str) -> Grid:
    """Return the global grid that CDO gives this name: columns from 0 E, rows between the poles."""
    columns, rows = (int(number) for number in text[1:].split("x"))
    if columns < 2 or rows < 2:
        raise GridError(f"grid {text!r}: at least 2 columns and 2 rows are needed, for example r360x180")
    across, down = 360.0 / columns, 180.0 / rows
    box = (0.0, -90.0 + down / 2, 360.0 - across, 90.0 - down / 2)
    return Grid.from_bounds(text, box, (across, down), title=f"CDO's {text}")


def _from_box(text: str) -> Grid:
    box_text, at, step_text = text.partition("@")
    example = "write W,S,E,N@step, for example 105,33,125,43@0.1"
    if not at:
        raise GridError(f"grid {text!r}: the step is missing; {example}")
    try:
        box = [float(part) for part in box_text.split(",")]
        step = [float(part) for part in step_text.split(",")]
    except ValueError:
        raise GridError(f"grid {text!r}: not all numbers; {example}") from None
    if len(box) != 4 or len(step) not in (1, 2):
        raise GridError(f"grid {text!r}: {len(box)} ends and {len(step)} steps; {example}, or @dx,dy")
    return Grid.from_bounds(text, (box[0], box[1], box[2], box[3]), (step[0], step[-1]))


def _from_yaml(text: str, name: str, where: str) -> Grid:
    try:
        raw = read_yaml(text)
    except yaml.YAMLError as error:
        raise GridError(f"grid {where}: not YAML: {in_one_line(error)}") from None
    if not isinstance(raw, dict):
        raise GridError(f"grid {where}: expected keys and values, found {type(raw).__name__}")
    for key in raw:
        if key not in _KEYS:
            raise GridError(f"grid {where}: unknown key {shown(key)}{nearest_hint(str(key)[:60], _KEYS)}")
    west, south, east, north = (_number(raw, key, where) for key in ("west", "south", "east", "north"))
    if "step" in raw and ("step_lat" in raw or "step_lon" in raw):
        raise GridError(f"grid {where}: give either step or step_lon and step_lat, not both")
    step = tuple(_number(raw, "step" if "step" in raw else key, where) for key in ("step_lon", "step_lat"))
    title, reason = (" ".join(str(raw.get(key, "")).split()) for key in ("title", "reason"))
    return Grid.from_bounds(name, (west, south, east, north), (step[0], step[1]), title, reason)


def _number(raw: dict[Any, Any], key: str, where: str) -> float:
    if key not in raw:
        raise GridError(f"grid {where}: key {key!r} is missing; wanted are west, south, east, north and step")
    value = raw[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise GridError(f"grid {where}: {key} = {shown(value)} is not a number")
    return float(value)
