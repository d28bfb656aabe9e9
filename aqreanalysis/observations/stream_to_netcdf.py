"""Many files of a network -> one CF NetCDF, in two passes and by blocks of time: never all of it in memory.

Pass one reads file by file (a large one in parts) and writes the rows to disk by blocks of 90 days. Pass two takes one
block after another, merges its rows into an hourly grid, runs quality control with the blocks before and after in sight
(no test looks farther, see `reach_hours`), and appends the block to the file. The result equals, to the digest, what
`read_observations` of the same files gives.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from numpy.typing import NDArray

from aqreanalysis.common.progress import Progress
from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError, OutputError
from aqreanalysis.observations.assemble import Assembly
from aqreanalysis.observations.clock_check import check_clock
from aqreanalysis.observations.dataset import Observations
from aqreanalysis.observations.digest import IncrementalDigest
from aqreanalysis.observations.flags import USABLE, Flag
from aqreanalysis.observations.merging import Hourly, assign_stations, check_timeline, merge
from aqreanalysis.observations.netcdf import finish_file, start_file
from aqreanalysis.observations.places import StationPlaces, TwinCount
from aqreanalysis.observations.quality import check_units, count_flags, flag_readings, reach_hours
from aqreanalysis.observations.readers import (
    DiscoveredFiles,
    PathLike,
    ReadOptions,
    assembly_of,
    discover,
    read_file,
    skip_or_raise,
)
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.observations.station_identity import ResolvedStations, resolve_stations, subset_stations
from aqreanalysis.observations.time_partitions import TimePartitions
from aqreanalysis.observations.times import times_from_hours
from aqreanalysis.species import in_order

BLOCK_HOURS = 90 * 24
# Readings of a block that the check of units looks at.
SAMPLE = 20_000


def import_observations(
    path: PathLike | Sequence[PathLike],
    out: PathLike,
    columns: ColumnsConfig | None = None,
    options: ReadOptions | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> QualityReport:
    """Write the observations in the files at `path` to the NetCDF `out`, and return the report.

    Parameters
    ----------
    path, columns, options
        As `read_observations` takes them.
    out : path
        The file to write; the partitions by time are made, and removed, beside it.
    overwrite : bool
        Replace `out` if it exists.
    progress : callable, optional
        Called with steps done, all steps (files and blocks), and what is being done.

    Raises
    ------
    ObservationsError
        As `read_observations`.
    OutputError
        `out` exists, or cannot be written.
    """
    target = Path(out)
    if target.exists() and not overwrite:
        raise OutputError(f"{target} exists: choose another name, or allow overwriting")
    if not target.parent.is_dir():
        raise OutputError(f"{target}: no folder {target.parent}: make it first")
    chosen, how = columns or ColumnsConfig(), options or ReadOptions()
    found = discover(path, chosen, how)
    if found.netcdf is not None:
        raise ObservationsError(f"{found.netcdf.name} is a NetCDF file already: use it as it is")
    write_found(found, target, chosen, how, progress)
    return found.report


def write_found(
    found: DiscoveredFiles, target: Path, columns: ColumnsConfig, options: ReadOptions, progress: Progress | None = None
) -> None:
    """Write what was found to the NetCDF `target`, through partitions beside it; the report of `found` is continued.

    Raises
    ------
    ObservationsError, OutputError
        As `import_observations`.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    hours = max(BLOCK_HOURS, reach_hours(options.quality))
    try:
        with TimePartitions(target.parent, hours) as partitions:
            broken = _fill(partitions, found, columns, progress)
            _write(_Second(partitions, broken, assembly_of(found, columns, options), found.report), temporary, progress)
        temporary.replace(target)
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _fill(
    partitions: TimePartitions, found: DiscoveredFiles, columns: ColumnsConfig, progress: Progress | None
) -> set[int]:
    """Read every file into the partitions; return the numbers of those that were broken and left out."""
    broken = set()
    for number, (source, _, _) in enumerate(found.files):
        if progress is not None:
            progress(number, len(found.files) + 1, source.filename)
        before = found.report.copy()
        try:
            for records in read_file(found, number, columns):
                partitions.append(number, records)
            partitions.commit_file(number)
        except ObservationsError as error:
            found.report.restore(before)
            skip_or_raise(error, source, found.skip_broken, found.report)
            partitions.discard_file(number)
            broken.add(number)
    return broken


@dataclass
class _Second:
    """What the second pass works with."""

    partitions: TimePartitions
    broken: set[int]
    assembly: Assembly
    report: QualityReport


@dataclass
class _Block:
    """One block of hours: readings and flags (time, station), as they go into the file."""

    first_hour: int
    values: dict[str, NDArray[np.float32]]
    flags: dict[str, NDArray[np.int8]]


def _write(second: _Second, path: Path, progress: Progress | None) -> None:
    """Write the file block by block, then what only the whole tells: checks, digest, report."""
    report, partitions = second.report, second.partitions
    if report.rows == 0 or len(partitions.hours) == 0:
        raise ObservationsError(f"{report.source}: holds no rows: give a file with readings")
    resolved, index = _resolve(second)
    check_timeline(partitions.hours, report)
    first, last = int(partitions.hours[0]), int(partitions.hours[-1])
    report.count("hours_without_rows", last - first + 1 - len(partitions.hours))
    keys = in_order(partitions.keys)
    whole = _Whole(resolved.places, keys, second.assembly.columns, report)
    blocks = list(range(first // partitions.block_hours, last // partitions.block_hours + 1))
    file: netCDF4.Dataset | None = None
    try:
        for done, block in enumerate(_blocks(second, resolved.places, index, blocks, (first, last))):
            if progress is not None:
                progress(done, len(blocks), "quality control and writing")
            whole.add(block)
            if file is None:
                template = _observations(block, resolved.places, second)
                file = start_file(template, path)
            at = block.first_hour - first
            for key in keys:
                file[key][:, at : at + len(block.values[key])] = block.values[key].T
                file[f"{key}_flag"][:, at : at + len(block.values[key])] = block.flags[key].T
            hours = np.arange(block.first_hour, block.first_hour + len(block.values[keys[0]]), dtype=np.float64)
            file["time"][at : at + len(hours)] = hours
            file["time_bounds"][at : at + len(hours)] = np.stack([hours - 1, hours], axis=1)
        assert file is not None
        whole.judge()
        finish_file(file, (first, last), whole.digest(file, first), report)
    finally:
        if file is not None:
            file.close()


def _resolve(second: _Second) -> tuple[ResolvedStations, NDArray[np.int32]]:
    table = second.partitions.place_table()
    resolved = resolve_stations([table], second.assembly.stations, second.assembly.station_rules, second.report)
    # A row -1, without a place, finds the last.
    index = np.append(resolved.index[0], -1).astype(np.int32)
    used = np.unique(index[:-1][(index[:-1] >= 0) & (table["since"] < np.iinfo(np.int32).max).to_numpy()])
    if len(used) == 0:
        raise ObservationsError(f"{second.report.source}: no row has a station, a place and a time")
    second.report.count("listed_without_rows", len(resolved.places.ids) - len(used))
    renumber = np.full(len(resolved.places.ids) + 1, -1, np.int32)
    renumber[used] = np.arange(len(used), dtype=np.int32)
    return ResolvedStations(subset_stations(resolved.places, used), resolved.index), renumber[index]


def _blocks(
    second: _Second, places: StationPlaces, index: NDArray[np.int32], blocks: list[int], ends: tuple[int, int]
) -> Iterator[_Block]:
    """Yield every block with its flags; each is merged once, and kept while its neighbours are looked at."""
    merged: dict[int, Hourly] = {}
    for block in blocks:
        for near in (block - 1, block, block + 1):
            if near in blocks and near not in merged:
                merged[near] = _merged(second, places, index, near, ends)
        merged.pop(block - 2, None)
        around = [merged[near] for near in (block - 1, block, block + 1) if near in merged]
        values = {key: np.concatenate([part.values[key] for part in around]) for key in around[0].values}
        said = {key: np.concatenate([part.flags[key] for part in around]) for key in around[0].flags}
        flags = flag_readings(values, places.lat, places.lon, second.assembly.quality, said)
        skip = len(next(iter(merged[block - 1].values.values()))) if block - 1 in merged else 0
        own = merged[block]
        length = len(next(iter(own.values.values())))
        yield _Block(own.first_hour, own.values, {key: flags[key][skip : skip + length] for key in own.values})


def _merged(
    second: _Second, places: StationPlaces, index: NDArray[np.int32], block: int, ends: tuple[int, int]
) -> Hourly:
    """Return the hourly grid of one block, with every pollutant of the whole, and flags for all of them."""
    hours = second.partitions.block_hours
    first, last = max(block * hours, ends[0]), min((block + 1) * hours - 1, ends[1])
    batches = []
    for records in second.partitions.read_block(block, second.broken):
        here = assign_stations(records, index)
        second.report.count("rows_without_place", len(records.end) - len(here.end))
        if len(here.end):
            batches.append(here)
    shape = (last - first + 1, len(places.ids))
    hourly = merge(batches, places.ids, (first, shape[0]), second.assembly.rules, second.report) if batches else None
    out = Hourly(first, {}, {})
    for key in in_order(second.partitions.keys):
        there = hourly is not None and key in hourly.values
        out.values[key] = hourly.values[key] if there and hourly is not None else np.full(shape, np.nan, np.float32)
        said = hourly.flags.get(key) if hourly is not None else None
        out.flags[key] = np.zeros(shape, np.int8) if said is None else said
    return out


def _observations(block: _Block, places: StationPlaces, second: _Second) -> Observations:
    """Return the first block as observations, from which the file takes its shape and its attributes."""
    length = len(next(iter(block.values.values())))
    times = times_from_hours(np.arange(block.first_hour, block.first_hour + length, dtype=np.int64))
    scratch = QualityReport(source=second.report.source)
    return Observations.from_arrays(times, places, block.values, second.assembly.attributes, scratch)


class _Whole:
    """What can only be said of the whole record, gathered block by block."""

    def __init__(
        self, places: StationPlaces, keys: Sequence[str], columns: ColumnsConfig, report: QualityReport
    ) -> None:
        self._places, self._keys, self._columns, self._report = places, keys, columns, report
        self._twins = TwinCount(places)
        self._sample: dict[str, list[NDArray[np.float32]]] = {key: [] for key in keys}
        self._seen = np.zeros(len(places.ids), dtype=bool)
        self._counts = {key: np.zeros(len(Flag), dtype=np.int64) for key in keys}
        self._clock: list[str] = []

    def add(self, block: _Block) -> None:
        """Take a block in; a clock that is wrong in any block is refused."""
        usable = {}
        for key in self._keys:
            values, flags = block.values[key], block.flags[key]
            usable[key] = np.where(np.isin(flags, list(USABLE)), values, np.float32(np.nan))
            self._counts[key] += np.bincount(flags.ravel(), minlength=len(Flag))
            self._sample[key].append(values.ravel()[:: max(values.size // SAMPLE, 1)].copy())
            self._seen |= np.isfinite(usable[key]).any(axis=0)
        self._twins.add(usable)
        if self._columns.check_clock:
            scratch = QualityReport(source=self._report.source)
            length = len(usable[self._keys[0]])
            hours = np.arange(block.first_hour, block.first_hour + length, dtype=np.int64)
            check_clock(usable, hours, self._places.lon, scratch)
            self._clock = self._clock or scratch.notes
            self._report.warnings += [text for text in scratch.warnings if text not in self._report.warnings]

    def judge(self) -> None:
        """Run the checks of the whole and write into the report what was found.

        Raises
        ------
        ObservationsError
            Not one reading is there, a unit is wrong, or one station stands under two names.
        """
        sample = {key: np.concatenate(parts) for key, parts in self._sample.items()}
        if not any(int(counts.sum() - counts[Flag.MISSING]) for counts in self._counts.values()):
            keys = ", ".join(self._keys)
            raise ObservationsError(f"{self._report.source}: not one reading of {keys}: the columns are empty")
        check_units(sample, self._report)
        self._twins.judge(self._report)
        for note in self._clock or ["clock: not checked (columns.check_clock=false)"]:
            self._report.note(note)
        self._report.count("stations_without_readings", int((~self._seen).sum()))
        count_flags(self._counts, self._report)

    def digest(self, file: netCDF4.Dataset, first_hour: int) -> str:
        """Return the digest of what stands in `file`, read back in blocks."""
        length = file.dimensions["time"].size
        hours = np.arange(first_hour, first_hour + length, dtype=np.int64)
        digest = IncrementalDigest(self._places.ids, self._places.lat, self._places.lon, hours)
        for key in self._keys:
            digest.begin(key)
            for at in range(0, length, BLOCK_HOURS):
                values: Any = np.ma.filled(file[key][:, at : at + BLOCK_HOURS], np.nan)
                flags = np.asarray(file[f"{key}_flag"][:, at : at + BLOCK_HOURS])
                digest.add(np.where(np.isin(flags, list(USABLE)), values, np.float32(np.nan)).T)
        return digest.hexdigest()
