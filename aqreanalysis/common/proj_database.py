"""The database of reference systems: the one that fits, where the environment points to that of another PROJ."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

#: Variables by which PROJ is told where its database lies, as of 9.1 and before.
VARIABLES = ("PROJ_DATA", "PROJ_LIB")


def use_fitting_database() -> None:
    """Let rasterio read the database that came with it, where `VARIABLES` point to one of another layout.

    A variable that another program has set (a database server, a second Python) would otherwise make every reference
    system unknown. One of the same layout stays: it may have grids beside it. The environment of this process changes,
    since rasterio asks it at every step.
    """
    given = next((os.environ[name] for name in VARIABLES if os.environ.get(name)), None)
    if given is None:
        return
    from rasterio.env import PROJDataFinder

    own = PROJDataFinder().search()
    if own and _layout(Path(given)) != _layout(Path(own)):
        os.environ[VARIABLES[0]] = own


def foreign_database() -> str:
    """Return ``"; PROJ_LIB points to another installation (...): unset it"`` where that is why a system is unknown.

    It is where one of `VARIABLES` is set and not even Web Mercator is known; empty otherwise.
    """
    name = next((name for name in VARIABLES if os.environ.get(name)), None)
    if name is None or (_rasterio_works() and _pyproj_works()):
        return ""
    return f"; {name} points to another installation of PROJ ({os.environ[name]}): unset it"


def _layout(folder: Path) -> dict[str, str]:
    """Return the version of the layout of the database in a folder; nothing if there is none that can be read."""
    wanted = "select key, value from metadata where key like 'DATABASE.LAYOUT.VERSION.%'"
    try:
        with closing(sqlite3.connect(f"file:{folder / 'proj.db'}?mode=ro&immutable=1", uri=True)) as database:
            return {str(key): str(value) for key, value in database.execute(wanted)}
    except sqlite3.Error:
        return {}


def _rasterio_works() -> bool:
    from rasterio import Env
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        with Env():
            CRS.from_epsg(3857)
    except CRSError:
        return False
    return True


def _pyproj_works() -> bool:
    from pyproj import CRS
    from pyproj.exceptions import ProjError

    try:
        CRS.from_epsg(3857)
    except ProjError:
        return False
    return True
