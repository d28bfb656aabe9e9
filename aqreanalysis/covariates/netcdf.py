"""NetCDF files as layers, through xarray: ERA5 and ERA5-Land of the CDS, CAMS global and European of the ADS, and CF.

Which variable is which field say its name, its standard name or `covariates.names` (`fields.py`); of which hours its
maps are, `netcdf_times.py`; what its sums run over, `netcdf_sums.py`; on which grid it lies, `netcdf_grids.py`. Here
files are opened, and values read.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from aqreanalysis.common.progress import Progress
from aqreanalysis.configs import CovariatesConfig
from aqreanalysis.covariates.curvilinear import CurvilinearGrid
from aqreanalysis.covariates.fields import Field, field_of_variable
from aqreanalysis.covariates.gribfile import file_state
from aqreanalysis.covariates.gridded import GriddedSource, Variable, with_hours
from aqreanalysis.covariates.interpolation import HorizontalGrid, Stencil
from aqreanalysis.covariates.netcdf_grids import Grids
from aqreanalysis.covariates.netcdf_sums import Amounts, set_sums
from aqreanalysis.covariates.netcdf_times import MapVariable, time_steps_of
from aqreanalysis.covariates.report import CovariatesReport
from aqreanalysis.covariates.temporal_recipes import COLUMNS, make_hourly_weights
from aqreanalysis.covariates.units import Conversion, conversion
from aqreanalysis.covariates.winds import turn_winds
from aqreanalysis.errors import CovariatesError, in_one_line

#: The HDF5 library is not safe for threads, and xarray's lock leaves out the attributes that opening a file reads: two
#: blocks that read at once ended the process, or found a damaged file.
_ONE_READER = threading.RLock()
#: Sine of the angle by which the rows of a grid may run beside the east, and their wind is taken as eastward.
_HARDLY_TURNED = 1e-3


@dataclass(frozen=True)
class NetcdfMaps:
    """Values of one field in NetCDF files; `names` and `indices` are by file, an index (time step, outer dimension)."""

    paths: tuple[Path, ...]
    states: tuple[tuple[int, int], ...]
    variables: dict[int, MapVariable]
    indices: dict[int, NDArray[np.int64]]

    def read(self, time_steps: pd.DataFrame, stencil: Stencil, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return values of time steps at the points, float32 (time step, point), neighbours in one go."""
        out = np.empty((len(time_steps), stencil.points.size), np.float32)
        done = 0
        for file, group in time_steps.groupby("file", sort=False):
            number = int(str(file))
            path, variable = self.paths[number], self.variables[number]
            if not path.is_file() or file_state(path) != self.states[number]:
                raise CovariatesError(f"{path} was changed or moved while it was in use; begin again")
            index = self.indices[number][group["where"].to_numpy(np.int64)]
            with _ONE_READER, _opened(path) as dataset:
                array = dataset[variable.name]
                for run in _runs(index):
                    values = _slab(array, variable, index[run], stencil, path)
                    out[done + run.start : done + run.stop] = values
            done += len(group)
        return out

    def name(self, time_step: pd.Series) -> str:
        """Return file, variable and position of a time_step."""
        file = int(time_step["file"])
        variable = self.variables[file]
        where = zip(variable.outer, self.indices[file][int(time_step["where"])], strict=True)
        return f"{self.paths[file]}, {variable.name} at {', '.join(f'{dim} {i}' for dim, i in where)}"


def _runs(index: NDArray[np.int64]) -> list[slice]:
    """Return slices of rows whose last index goes up by one and whose others are equal."""
    if not len(index):
        return []
    step = np.diff(index, axis=0)
    breaks = np.flatnonzero((step[:, -1] != 1) | (step[:, :-1] != 0).any(axis=1)) + 1
    edges = [0, *breaks.tolist(), len(index)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def _slab(
    array: xr.DataArray, variable: MapVariable, index: NDArray[np.int64], stencil: Stencil, path: Path
) -> NDArray[np.float32]:
    picked: dict[Hashable, Any] = dict(zip(variable.outer[:-1], index[0, :-1].tolist(), strict=True))
    if variable.outer:
        picked[variable.outer[-1]] = slice(int(index[0, -1]), int(index[-1, -1]) + 1)
    picked |= dict(zip(variable.place, (stencil.rows, stencil.columns), strict=True))
    try:
        read = array.isel(picked).load().transpose(..., *variable.place)
        block = np.asarray(read.values, np.float32)
    except (OSError, RuntimeError, ValueError, MemoryError) as error:
        reason = in_one_line(error)
        raise CovariatesError(
            f"{path}: the values of {variable.name} cannot be read ({reason}); get it again"
        ) from None
    return block.reshape(len(index), -1)[:, stencil.points]


def _opened(path: Path) -> xr.Dataset:
    try:
        return xr.open_dataset(path, engine="netcdf4", decode_times=False, chunks=None, cache=False)
    except Exception as error:  # the engines raise whatever their libraries do
        reason = in_one_line(error)
        raise CovariatesError(f"{path} is no NetCDF file that can be read ({reason}); get it again") from None


def read_netcdf(
    paths: Sequence[Path], config: CovariatesConfig, report: CovariatesReport, progress: Progress | None = None
) -> list[GriddedSource]:
    """Return the layers of NetCDF files; only coordinates are read, and for sums a few values.

    Raises
    ------
    CovariatesError
        As the module says; with ``skip_broken`` such a file is left out and told.
    """
    grids: dict[str, _OnGrid] = {}
    for number, path in enumerate(paths):
        with report.skipping(path, config.skip_broken):
            _scan(path, number, config, report, grids)
        if progress is not None:
            progress(number + 1, len(paths), "coordinates of NetCDF files")
    states = tuple(file_state(path) for path in paths)
    layers = []
    for on_grid in grids.values():
        variables = {}
        for key, parts in on_grid.parts.items():
            time_steps = pd.concat([part.time_steps for part in parts], ignore_index=True)
            hourly_weights = make_hourly_weights(time_steps, config.max_step_hours)
            report.tell(parts[0].field, hourly_weights)
            maps = NetcdfMaps(
                tuple(paths),
                states,
                {part.file: part.variable for part in parts},
                {part.file: part.index for part in parts},
            )
            if len({part.conversion for part in parts}) > 1:
                raise CovariatesError(f"{key} comes in different units in {paths[parts[0].file].name} and other files")
            variables[key] = Variable(parts[0].field, time_steps, hourly_weights, parts[0].conversion, maps)
        variables = with_hours(variables, "NetCDF", report)
        if any(part.along_grid for key in variables for part in on_grid.parts[key]):
            variables = turn_winds(variables, on_grid.grid, "NetCDF")
        layers.append(GriddedSource("NetCDF", on_grid.grid, variables))
    return layers


@dataclass
class _Part:
    """A field in one file; `along_grid`: a wind that blows along the rows and columns."""

    file: int
    field: Field
    variable: MapVariable
    time_steps: pd.DataFrame
    index: NDArray[np.int64]
    conversion: Conversion
    along_grid: bool


@dataclass
class _OnGrid:
    """What lies on one grid: by field its parts in the files."""

    grid: HorizontalGrid
    parts: dict[str, list[_Part]]


def _scan(
    path: Path, number: int, config: CovariatesConfig, report: CovariatesReport, grids: dict[str, _OnGrid]
) -> None:
    with _ONE_READER, _opened(path) as dataset:
        of_file = Grids(dataset, str(path))
        reasons, chosen = _fields_of(dataset, config)
        used = False
        for name, field in chosen.items():
            lies = of_file.of(name)
            if isinstance(lies, str):
                reasons.append(f"variable {name} {lies}")
                continue
            place, grid = lies
            variable = MapVariable(name, tuple(dim for dim in dataset[name].dims if dim not in place), place)
            part = _part(dataset, variable, field, (path, number), config, report)
            part.along_grid = _along_grid(dataset, part, grid, config, f"{path}, {name}")
            grids.setdefault(grid.digest(), _OnGrid(grid, {})).parts.setdefault(field.key, []).append(part)
            report.add("maps", len(part.time_steps))
            used = True
        for reason in reasons:
            report.leave_out(reason)
        if not used:
            if chosen and not of_file.any:
                raise CovariatesError(
                    f"{path}: no latitude and longitude, and no projection with its axes "
                    f"(there are {', '.join(str(v) for v in list(dataset.variables)[:8]) or 'no variables'})"
                )
            report.warnings.append(f"{path} holds no field that is known here")


def _fields_of(dataset: xr.Dataset, config: CovariatesConfig) -> tuple[list[str], dict[str, Field]]:
    """Return in words why variables are not taken, and the field of each that is: of several for one field that whose
    name is the more usual."""
    reasons: list[str] = []
    best: dict[str, tuple[int, str, Field]] = {}
    for name in _maps_of(dataset):
        field = field_of_variable(name, dataset[name].attrs, config.names)
        if field is None:
            reasons.append(f"variable {name} is no known field")
            continue
        rank = field.names.index(name.lower()) if name.lower() in field.names else len(field.names)
        candidate = (rank, name, field)
        one, other = sorted((candidate, best.get(field.key, candidate)), key=lambda entry: entry[:2])
        best[field.key] = one
        if one is not other:
            reasons.append(f"variable {other[1]} is {field.key}, which is taken from {one[1]}")
    return reasons, {name: field for _, name, field in best.values()}


def _maps_of(dataset: xr.Dataset) -> list[str]:
    """Return the variables that may be maps: of two dimensions or more, and none that describes another."""
    roles = ("bounds", "grid_mapping", "coordinates", "ancillary_variables")
    attributes = [variable.attrs for variable in dataset.variables.values()]
    serving = {name for attrs in attributes for role in roles for name in str(attrs.get(role)).split()}
    return [str(name) for name, array in dataset.data_vars.items() if array.ndim >= 2 and name not in serving]


def _part(
    dataset: xr.Dataset,
    variable: MapVariable,
    field: Field,
    file: tuple[Path, int],
    config: CovariatesConfig,
    report: CovariatesReport,
) -> _Part:
    path, number = file
    where = f"{path}, {variable.name}"
    time_steps, index = time_steps_of(dataset, variable, field, config, report, where)
    array = dataset[variable.name]
    converted = conversion(str(array.attrs.get("units", "")), field, where)
    if field.accumulated and not converted.rate:
        set_sums(time_steps, Amounts(array, index, variable, converted), config, report, where)
    time_steps["file"] = number
    return _Part(number, field, variable, time_steps[list(COLUMNS)], index, converted, False)


def _along_grid(dataset: xr.Dataset, part: _Part, grid: HorizontalGrid, config: CovariatesConfig, where: str) -> bool:
    """Return whether a variable is a wind along the rows and columns of a grid that do not run east and north.

    Raises
    ------
    CovariatesError
        If neither file nor config tells.
    """
    if part.field.key not in {"u10", "v10"} or not isinstance(grid, CurvilinearGrid):
        return False
    if config.wind_along_grid is not None:
        return config.wind_along_grid
    standard_name = str(dataset[part.variable.name].attrs.get("standard_name", ""))
    if standard_name in {"eastward_wind", "northward_wind"} or np.abs(grid.turned()[1]).max() < _HARDLY_TURNED:
        return False
    if standard_name in {"x_wind", "y_wind", "grid_eastward_wind", "grid_northward_wind"}:
        return True
    if "WRF" in str(dataset.attrs.get("TITLE", "")):
        return True
    raise CovariatesError(
        f"{where}: its grid does not run east and north, and the file does not tell whether this wind runs along it: "
        "set covariates.wind_along_grid=true, or false for winds to the east and north"
    )
