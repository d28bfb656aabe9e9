"""GRIB files as layers: messages grouped by grid and product, and their values read when they are asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.common.cache import BoundedCache
from aqreanalysis.common.progress import Progress
from aqreanalysis.configs import CovariatesConfig
from aqreanalysis.covariates.gribfile import file_state
from aqreanalysis.covariates.gribindex import Entry, Headers, decoding, read_headers
from aqreanalysis.covariates.gridded import GriddedSource, Variable, with_hours
from aqreanalysis.covariates.interpolation import HorizontalGrid, Stencil
from aqreanalysis.covariates.report import CovariatesReport
from aqreanalysis.covariates.temporal_recipes import COLUMNS, make_hourly_weights
from aqreanalysis.covariates.winds import turn_winds
from aqreanalysis.errors import CovariatesError

#: What cfgrib puts where a bitmap says that there is no value; single precision rounds it.
_MISSING = 1e38
#: Decoded maps: the tiles of a block ask for the same ones, one tile after another. A block of a week of seven fields
#: of ERA5 takes some 5 kB a grid point, so those of a continent fit; of a larger grid as many maps are held as fit.
_MAPS: BoundedCache[NDArray[np.float32]] = BoundedCache(256 << 20, stale=4)


@dataclass(frozen=True)
class GribMaps:
    """Values of messages.

    Attributes
    ----------
    paths : tuple of Path
    states : tuple of (int, int)
        Size and time of change when the headers were read.
    """

    paths: tuple[Path, ...]
    states: tuple[tuple[int, int], ...]

    def read(self, time_steps: pd.DataFrame, stencil: Stencil, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return values of messages (in order of file and offset) at the points, float32 (time step, point)."""
        out = np.empty((len(time_steps), stencil.points.size), np.float32)
        rows, columns = np.divmod(stencil.points, stencil.columns.stop - stencil.columns.start)
        flat = (rows + stencil.rows.start) * shape[1] + columns + stencil.columns.start
        done = 0
        for file, group in time_steps.groupby("file", sort=False):
            path = self.paths[int(str(file))]
            if not path.is_file() or file_state(path) != self.states[int(str(file))]:
                raise CovariatesError(f"{path} was changed or moved while it was in use; begin again")
            for offset, number in zip(group["where"], group["number"], strict=True):
                key = str(path), self.states[int(str(file))], int(offset)
                decode = partial(_decode, path, int(offset), int(number), shape)
                out[done] = _MAPS.get(key, decode)[flat]
                done += 1
        out[out > _MISSING] = np.nan
        return out

    def name(self, time_step: pd.Series) -> str:
        """Return file and number of a message."""
        return f"{self.paths[int(time_step['file'])]}, message {int(time_step['number'])}"


def _decode(path: Path, offset: int, number: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return all values of a message, float32 (point,)."""
    from cfgrib.messages import Message

    where = f"{path}, message {number}"
    with path.open("rb") as stream, decoding(where):
        values = np.asarray(Message.from_file(stream, offset, errors="ignore")["values"], np.float32).ravel()
    if values.size != shape[0] * shape[1]:
        raise CovariatesError(
            f"{where}: holds {values.size} values, and its grid has {shape[0]} x {shape[1]} points; "
            "the file is damaged, get it again"
        )
    values.flags.writeable = False  # it is shared
    return values


def read_grib(
    paths: Sequence[Path], config: CovariatesConfig, report: CovariatesReport, progress: Progress | None = None
) -> list[GriddedSource]:
    """Return the layers of GRIB files; only headers are read.

    Raises
    ------
    CovariatesError
        As `read_headers`; with ``skip_broken`` such a file is left out and told.
    """
    axes: dict[str, HorizontalGrid] = {}
    groups: dict[tuple[str, str], dict[str, list[tuple[int, Entry]]]] = defaultdict(lambda: defaultdict(list))
    for number, path in enumerate(paths):
        with report.skipping(path, config.skip_broken):
            headers = read_headers(path, config)
            _count(headers, path, report)
            axes |= headers.axes
            for entry in headers.entries:
                groups[entry.product, entry.grid][entry.field.key].append((number, entry))
        if progress is not None:
            progress(number + 1, len(paths), "headers of GRIB files")
    maps = GribMaps(tuple(paths), tuple(file_state(path) for path in paths))
    layers = []
    for (product, grid), fields in groups.items():
        variables = {key: _quantity(entries, maps, config, report) for key, entries in fields.items()}
        variables = with_hours(variables, product, report)
        if any(entry.along_grid for key in variables for _, entry in fields[key]):
            variables = turn_winds(variables, axes[grid], product)
        layers.append(GriddedSource(product, axes[grid], variables))
    return layers


def _count(headers: Headers, path: Path, report: CovariatesReport) -> None:
    report.add("messages", headers.messages)
    for reason, count in headers.left_out.items():
        report.leave_out(reason, count)
    if not headers.entries:
        report.warnings.append(f"{path} holds no field that is known here")


def _quantity(
    entries: list[tuple[int, Entry]], maps: GribMaps, config: CovariatesConfig, report: CovariatesReport
) -> Variable:
    one = entries[0][1]
    levels = {entry.level for _, entry in entries}
    level = _lowest(levels)
    if one.field.key in config.levels:
        wanted = config.levels[one.field.key]
        level = next((entry for entry in sorted(levels) if entry[1] == wanted), level)
        if level[1] != wanted:
            known = ", ".join(f"{kind} {number}" for kind, number in sorted(levels))
            raise CovariatesError(
                f"{one.field.key} is on no level {wanted:g}, but on {known}; "
                f"set covariates.levels.{one.field.key} to one"
            )
    note = "" if level[0] in {"surface", "heightAboveGround"} else f"on {level[0]} {level[1]}"
    chosen = [(file, entry) for file, entry in entries if entry.level == level]
    if len(chosen) < len(entries):
        report.leave_out(f"{one.field.key} on other levels than {level[0]} {level[1]}", len(entries) - len(chosen))
    conversions = {entry.conversion for _, entry in chosen}
    if len(conversions) > 1:
        names = sorted({maps.paths[file].name for file, _ in chosen})
        raise CovariatesError(f"{one.field.key} comes in different units in {', '.join(names[:3])}; make them alike")
    time_steps = pd.DataFrame([{**entry.time_step, "file": file} for file, entry in chosen], columns=list(COLUMNS))
    hourly_weights = make_hourly_weights(time_steps, config.max_step_hours)
    report.tell(one.field, hourly_weights)
    return Variable(one.field, time_steps, hourly_weights, one.conversion, maps, note)


def _lowest(levels: set[tuple[str, int]]) -> tuple[str, int]:
    """Return the level nearest the ground: the surface, else the lowest height, else the highest-numbered level."""

    def above_ground(level: tuple[str, int]) -> tuple[int, float]:
        kind, number = level
        if kind == "surface":
            return 0, 0.0
        # Model levels and pressures count downwards.
        return (1, float(number)) if kind.startswith("heightAbove") else (2, -float(number))

    return min(levels, key=above_ground)
