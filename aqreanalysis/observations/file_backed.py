"""`Observations` of a long record that stay in their file: read by blocks of hours, never all of them in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from aqreanalysis.common.large_arrays import zeros_mapped
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.dataset import PART_HOURS, Observations
from aqreanalysis.observations.digest import IncrementalDigest, mask_unusable
from aqreanalysis.observations.flags import Flag
from aqreanalysis.observations.quality import count_flags
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.observations.schema import check_readings, described
from aqreanalysis.species import SPECIES

# Records of more readings (cells of all pollutants) stay in their file: a year of 467 stations and six pollutants, 25
# million, is read at once, which is faster.
READINGS_IN_MEMORY = 30_000_000


@dataclass(frozen=True)
class StationFile:
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

    def read(self, key: str, first: int, end: int) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        """Return readings and flags of the rows `first` to ``end - 1`` counted from `begin`, (time, station).

        Raises
        ------
        ObservationsError
            The file is damaged there.
        """
        rows = slice(self.begin + first, min(self.begin + end, self.end))
        try:
            part = self.opened[[key, f"{key}_flag"]].isel(time=rows).transpose("time", "station")
            readings = np.ascontiguousarray(part[key].values, dtype=np.float32)
            return readings, np.ascontiguousarray(part[f"{key}_flag"].values)
        except Exception as error:  # a damaged file makes netCDF4 and xarray raise almost anything
            reason = " ".join(str(error).split())[:120]
            raise ObservationsError(
                f"{self.path} is no readable NetCDF file from hour {rows.start} on ({reason}): is it truncated?"
            ) from None


class FileBackedObservations(Observations):
    """Observations whose readings stay in a file; they are looked through once, where this is built.

    `hours_slice`, `iter_blocks` and what is made of them (`digest`, `summary`, `window`) read what they need. `values`,
    `flags`, `to_array` and `dataset` give all hours at once, in files that the system maps where they are large (see
    `zeros_mapped`).

    Parameters
    ----------
    file : StationFile
        The readings.
    axes : Dataset
        Coordinates and attributes as `Observations.dataset` has them, for the rows that count.
    report : QualityReport
        Of the reading.

    Raises
    ------
    ObservationsError
        A flag is none, or a reading that is not there is flagged good.
    """

    def __init__(self, file: StationFile, axes: xr.Dataset, report: QualityReport) -> None:
        self._begin(axes, report)
        self._file = file
        self._keys = tuple(key for key in SPECIES if key in file.opened)
        self._observed_span: dict[str, tuple[int, int]] = {}
        self._look_through()

    @cached_property
    def dataset(self) -> xr.Dataset:  # type: ignore[override]
        """All readings and flags; see the class."""
        variables: dict[str, Any] = {}
        shape = len(self.times), len(self.stations)
        for key in self.species:
            readings, flags = zeros_mapped(shape, np.float32), zeros_mapped(shape, np.int8)
            for begin in range(0, len(readings), PART_HOURS):
                end = begin + PART_HOURS
                readings[begin:end], flags[begin:end] = self._file.read(key, begin, end)
            variables |= {key: (("time", "station"), readings), f"{key}_flag": (("time", "station"), flags)}
        return described(self._axes.assign(variables), self.species)

    @property
    def species(self) -> tuple[str, ...]:
        """Keys of the pollutants, in the order of `SPECIES`."""
        return self._keys

    def values(self, key: str) -> NDArray[np.float32]:
        """Return usable readings, float32 (time, station); see `Observations.values`."""
        self._require(key)
        if key not in self._usable:
            out = zeros_mapped((len(self.times), len(self.stations)), np.float32)
            begin = 0
            for usable, _ in self.iter_blocks(key):
                out[begin : begin + len(usable)] = usable
                begin += len(usable)
            out.flags.writeable = False
            self._usable[key] = out
        return self._usable[key]

    def hours_slice(self, inputs: Sequence[str], begin: int, end: int) -> NDArray[np.float32]:
        """Return usable readings of the hours ``begin`` to ``end - 1``, float32 (hours, station, input)."""
        out = np.full((end - begin, len(self.stations), len(inputs)), np.nan, np.float32)
        for i, key in enumerate(inputs):
            if key in self.species:
                out[:, :, i] = mask_unusable(*self._file.read(key, begin, end))
        return out

    def iter_blocks(self, key: str) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int8]]]:
        """Yield usable readings and flags of a pollutant, `PART_HOURS` at a time; see `Observations.iter_blocks`."""
        self._require(key)
        for begin in range(0, len(self.times), PART_HOURS):
            readings, flags = self._file.read(key, begin, begin + PART_HOURS)
            yield mask_unusable(readings, flags), flags

    def held_bytes(self) -> int:
        """Return 0: the readings stay in the file."""
        return 0

    def observed_span(self) -> dict[str, tuple[int, int]]:
        """Return pollutant -> first and last stamp with a usable reading; see `Observations.observed_span`."""
        return dict(self._observed_span if self.full_span is None else self.full_span)

    def _look_through(self) -> None:
        """Check, count and digest all readings in one pass."""
        digest = IncrementalDigest(self.stations, self.lat, self.lon, self.hours)
        counts = {}
        for key in self.species:
            digest.begin(key)
            counts[key] = np.zeros(len(Flag), np.int64)
            for begin in range(0, len(self.times), PART_HOURS):
                readings, flags = self._file.read(key, begin, begin + PART_HOURS)
                check_readings(key, readings, flags)
                counts[key] += np.bincount(flags.ravel(), minlength=len(Flag))
                usable = mask_unusable(readings, flags)
                digest.add(usable)
                at = self.first_hour + begin + np.flatnonzero(np.isfinite(usable).any(axis=1))
                if at.size:
                    self._observed_span[key] = (self._observed_span.get(key, (int(at[0]), 0))[0], int(at[-1]))
        self._digest = digest.hexdigest()
        count_flags(counts, self.report)


def count_values(opened: xr.Dataset, rows: slice | None) -> int:
    """Return how many readings the rows of a file could hold."""
    hours = opened.sizes["time"] if rows is None else rows.stop - rows.start
    return hours * opened.sizes["station"] * sum(key in opened for key in SPECIES)
