"""Where the readings of `Observations` lie: in memory, or in the file of a long record, read by blocks of hours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aqreanalysis.common.memory import zeros_mapped
from aqreanalysis.errors import ObservationsError, in_one_line
from aqreanalysis.observations.schema import described
from aqreanalysis.species import SPECIES

# Records of more readings (cells of all pollutants) stay in their file: a year of 467 stations and six pollutants, 25
# million, is read at once, which is faster.
READINGS_IN_MEMORY = 30_000_000
# Hours that are looked at together: some 60 MB of 2000 stations.
BLOCK_HOURS = 8 * 744


@dataclass(frozen=True)
class HourlyBlock:
    """Some hours of a record, screened.

    Attributes
    ----------
    first_hour : int
        Stamp of the first, hours since 1970-01-01 UTC.
    values, usable : dict of str to ndarray
        Pollutant key -> float32 (time, station), NaN where missing; in `usable` where flagged as not usable too.
    flags : dict of str to ndarray
        Pollutant key -> int8 (time, station), see `Flag`.
    """

    first_hour: int
    values: dict[str, NDArray[np.float32]]
    usable: dict[str, NDArray[np.float32]]
    flags: dict[str, NDArray[np.int8]]

    @property
    def hours(self) -> NDArray[np.int64]:
        """Stamps, int64 (time,), hours since 1970-01-01 UTC."""
        length = len(next(iter(self.values.values())))
        return np.arange(self.first_hour, self.first_hour + length, dtype=np.int64)


class Backing(Protocol):
    """Readings and flags over hours and stations, wherever they lie."""

    @property
    def in_memory(self) -> bool:
        """Whether reading costs nothing."""

    @property
    def species(self) -> tuple[str, ...]:
        """Keys of the pollutants, in the order of `SPECIES`."""

    def read(self, key: str, begin: int, end: int) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        """Return readings and flags of the rows ``begin`` to ``end - 1``, (time, station); no more than there are."""

    def whole(self, axes: xr.Dataset) -> xr.Dataset:
        """Return `axes` with all readings and flags; long ones lie in files that the system maps."""


@dataclass(frozen=True)
class MemoryBacking:
    """Readings in a validated dataset; see `Observations.dataset`."""

    dataset: xr.Dataset
    in_memory: bool = True

    @property
    def species(self) -> tuple[str, ...]:
        """Keys of the pollutants, in the order of `SPECIES`."""
        return keys_in(self.dataset)

    def read(self, key: str, begin: int, end: int) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        """Return views of the rows ``begin`` to ``end - 1``."""
        return self.dataset[key].values[begin:end], self.dataset[f"{key}_flag"].values[begin:end]

    def whole(self, axes: xr.Dataset) -> xr.Dataset:
        """Return the dataset itself."""
        return self.dataset


@dataclass(frozen=True)
class FileBacking:
    """An open NetCDF of station records, and the rows of it that count.

    Attributes
    ----------
    path : Path
        Its name, for messages.
    opened : Dataset
        The file, opened without decoding times; readings and flags over ``time`` and ``station``.
    begin, end : int
        The rows: the first, and the one after the last.
    """

    path: Path
    opened: xr.Dataset
    begin: int
    end: int
    in_memory: bool = False

    @property
    def species(self) -> tuple[str, ...]:
        """Keys of the pollutants, in the order of `SPECIES`."""
        return keys_in(self.opened)

    def read(self, key: str, begin: int, end: int) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        """Return readings and flags of the rows ``begin`` to ``end - 1`` counted from the first, (time, station).

        Raises
        ------
        ObservationsError
            The file is damaged there.
        """
        rows = slice(self.begin + begin, min(self.begin + end, self.end))
        try:
            part = self.opened[[key, f"{key}_flag"]].isel(time=rows).transpose("time", "station")
            readings = np.ascontiguousarray(part[key].values, dtype=np.float32)
            return readings, np.ascontiguousarray(part[f"{key}_flag"].values)
        except Exception as error:  # a damaged file makes netCDF4 and xarray raise almost anything
            reason = in_one_line(error, 120)
            raise ObservationsError(
                f"{self.path} is no readable NetCDF file from hour {rows.start} on ({reason}): is it truncated?"
            ) from None

    def whole(self, axes: xr.Dataset) -> xr.Dataset:
        """Return all readings and flags, in files that the system maps where they are large (see `zeros_mapped`)."""
        variables: dict[str, tuple[tuple[str, str], NDArray]] = {}
        shape = self.end - self.begin, axes.sizes["station"]
        for key in self.species:
            readings, flags = zeros_mapped(shape, np.float32), zeros_mapped(shape, np.int8)
            for begin in range(0, len(readings), BLOCK_HOURS):
                rows = slice(begin, begin + BLOCK_HOURS)
                readings[rows], flags[rows] = self.read(key, rows.start, rows.stop)
            variables |= {key: (("time", "station"), readings), f"{key}_flag": (("time", "station"), flags)}
        return described(axes.assign(variables), self.species)


def keys_in(dataset: xr.Dataset) -> tuple[str, ...]:
    """Return the pollutants of a dataset or a file, in the order of `SPECIES`."""
    return tuple(key for key in SPECIES if key in dataset.data_vars)


def count_values(opened: xr.Dataset, rows: slice | None) -> int:
    """Return how many readings the rows of a file could hold."""
    hours = opened.sizes["time"] if rows is None else rows.stop - rows.start
    return hours * opened.sizes["station"] * len(keys_in(opened))
