"""`Grid`, its loader, and the named grids as YAML beside this file."""

from aqreanalysis.grids.grid import MAX_CELLS, Grid
from aqreanalysis.grids.loader import list_grids, load_grid

__all__ = ["MAX_CELLS", "Grid", "list_grids", "load_grid"]
