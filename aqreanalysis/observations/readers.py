"""Station files of any known format -> `Observations`: one file or several, a folder, or a zip archive of them."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from aqreanalysis.common.files import disk_errors
from aqreanalysis.common.progress import Progress
from aqreanalysis.common.sole_writer import sole_writer
from aqreanalysis.configs import ColumnsConfig, QualityConfig
from aqreanalysis.errors import ObservationsError, OutputError, already_exists, wrong_type
from aqreanalysis.observations import backing
from aqreanalysis.observations.assemble import Assembler, Assembly, assemble
from aqreanalysis.observations.dataset import Observations
from aqreanalysis.observations.files import NETCDF, PathLike, Source, expected_readings, list_sources, unreadable
from aqreanalysis.observations.formats.registry import StationFormat, find_format, guess_format
from aqreanalysis.observations.netcdf_reader import read_netcdf
from aqreanalysis.observations.netcdf_writer import BlockFile
from aqreanalysis.observations.quality import reach_hours
from aqreanalysis.observations.read_context import ReadContext, read_head
from aqreanalysis.observations.report import QualityReport
from aqreanalysis.observations.station_metadata import StationList, looks_like_list, read_station_lists
from aqreanalysis.observations.tables import from_frame
from aqreanalysis.observations.time_partitions import TimePartitions

# Hours of a block of an import.
BLOCK_HOURS = 90 * 24


@dataclass(frozen=True)
class ReadOptions:
    """How files are read beyond what their columns are.

    Attributes
    ----------
    format : str or None
        Name of the format of all files; None to guess it of each.
    stations : sequence of path
        Station lists: places of stations that the files do not give.
    skip_broken : bool
        Go on where a file cannot be read, name it in the report, and leave it out.
    quality : QualityConfig or None
        Tests of quality control; None for the built-in ones.
    span : (int, int) or None
        First and last stamp that are needed, hours since 1970-01-01. Of a NetCDF that this program wrote only these
        are read, however long it is; other files are read whole.
    """

    format: str | None = None
    stations: Sequence[PathLike] = ()
    skip_broken: bool = False
    quality: QualityConfig | None = None
    span: tuple[int, int] | None = None


def read_observations(
    path: PathLike | Sequence[PathLike] | Observations | pd.DataFrame,
    columns: ColumnsConfig | None = None,
    options: ReadOptions | None = None,
    *,
    progress: Progress | None = None,
) -> Observations:
    """Return the validated observations in a file, in several, in a folder or in a zip archive of them.

    Those of a long record (`backing.READINGS_IN_MEMORY`) stay in their NetCDF; tables that hold one are first
    imported into a temporary NetCDF, which is removed with the observations.

    Parameters
    ----------
    path : str, Path or sequence of them, Observations or DataFrame
        Files of a known format (see `formats.list_formats`), or the NetCDF that this program writes. Several are read
        as one. Among them may be station lists (ids, latitude, longitude, perhaps city and name, no times). A long
        table is taken as `from_frame` takes it; observations are returned as they are.
    columns : ColumnsConfig, optional
        Names of the columns of tables, their units and clock, and what is done with oddities.
    options : ReadOptions, optional
        Format, station lists, quality control.
    progress : callable, optional
        Called with the files that are read, their number, and the name of the file.

    Raises
    ------
    ObservationsError
        A file is missing, unreadable or truncated, of no known format, or breaks a rule of `from_frame`.

    Examples
    --------
    >>> import aqreanalysis as aq
    >>> observations = aq.read_observations("obs.parquet")
    >>> len(observations.stations), str(observations.times[0])
    (36, '2021-03-01 01:00:00')
    """
    chosen, how = columns if columns is not None else ColumnsConfig(), options if options is not None else ReadOptions()
    if not isinstance(chosen, ColumnsConfig):
        raise wrong_type("columns", chosen, "the section columns of a Config", ObservationsError)
    if not isinstance(how, ReadOptions):
        raise wrong_type("options", how, "ReadOptions(...)", ObservationsError)
    if isinstance(path, Observations):
        return path
    if isinstance(path, pd.DataFrame):
        return from_frame(path, chosen, quality=how.quality)
    discovered = discover(path, chosen, how)
    if discovered.netcdf is not None:
        return read_netcdf(discovered.netcdf.path, how.quality, how.span)
    if not _fits_memory(discovered):
        return _through_a_file(discovered, chosen, how, progress)
    return _to_memory(discovered, chosen, how, progress)


def import_observations(
    path: PathLike | Sequence[PathLike],
    out: PathLike,
    columns: ColumnsConfig | None = None,
    options: ReadOptions | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> QualityReport:
    """Write the observations in the files at `path` to the NetCDF `out`, in bounded memory, and return the report.

    Parameters
    ----------
    path, columns, options
        As `read_observations` takes them.
    out : path
        The file to write; the rows are partitioned by time in a folder beside it, which is removed.
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
        raise OutputError(f"{target} exists: choose another name, or replace it with --overwrite (overwrite=True)")
    if not target.parent.is_dir():
        raise OutputError(f"{target}: no folder {target.parent}: make it first")
    chosen, how = columns or ColumnsConfig(), options or ReadOptions()
    discovered = discover(path, chosen, how)
    if discovered.netcdf is not None:
        raise ObservationsError(f"{discovered.netcdf.name} is a NetCDF file already: use it as it is")
    with sole_writer(target):
        if target.exists() and not overwrite:
            raise already_exists(target)  # another process has written it meanwhile
        _to_file(discovered, target, chosen, how, progress)
    return discovered.report


def _to_memory(
    discovered: DiscoveredFiles, columns: ColumnsConfig, options: ReadOptions, progress: Progress | None
) -> Observations:
    with TimePartitions() as partitions:
        _gather(discovered, columns, partitions, progress, len(discovered.files))
        return assemble(partitions, _assembly(discovered, columns, options), discovered.report)


def _to_file(
    discovered: DiscoveredFiles, target: Path, columns: ColumnsConfig, options: ReadOptions, progress: Progress | None
) -> None:
    """Write the NetCDF `target` block by block, through partitions beside it."""
    hours = max(BLOCK_HOURS, reach_hours(options.quality))
    try:
        with (
            TimePartitions(target.parent, hours) as partitions,
            BlockFile(target) as file,
            disk_errors(target, file.temporary),
        ):
            _gather(discovered, columns, partitions, progress, len(discovered.files) + 1)
            assembler = Assembler(partitions, _assembly(discovered, columns, options), discovered.report)
            total = len(partitions.blocks(assembler.first, assembler.last))
            for done, block in enumerate(assembler.blocks()):
                if progress is not None:
                    progress(done, total, "quality control and writing")
                if done == 0:
                    file.begin(assembler.observations(block, QualityReport(source=discovered.report.source)))
                else:
                    file.append(block)
            file.finish(assembler.places, assembler.keys, discovered.report)
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror or error}") from None


def _through_a_file(
    discovered: DiscoveredFiles, columns: ColumnsConfig, options: ReadOptions, progress: Progress | None
) -> Observations:
    """Return the observations of tables too large for memory: imported into a temporary NetCDF, which they stay in."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="aqreanalysis-"))
    except OSError as error:
        raise OutputError(f"no temporary folder ({error.strerror or error}): set TMPDIR") from None
    try:
        _to_file(discovered, folder / "observations.nc", columns, options, progress)
        observations = read_netcdf(folder / "observations.nc", options.quality, options.span)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    observations.report.source = discovered.report.source
    weakref.finalize(observations, shutil.rmtree, folder, ignore_errors=True)
    return observations


def _assembly(discovered: DiscoveredFiles, columns: ColumnsConfig, options: ReadOptions) -> Assembly:
    """Return what assembling the records of `discovered` needs beside them."""
    return Assembly(
        columns=columns,
        quality=options.quality,
        stations=discovered.stations,
        attributes=discovered.attributes,
        repeats=discovered.format.repeats,
        moved=discovered.format.moved,
        periods_stated=discovered.format.periods_stated,
    )


def _gather(
    discovered: DiscoveredFiles,
    columns: ColumnsConfig,
    partitions: TimePartitions,
    progress: Progress | None,
    steps: int,
) -> None:
    """Read every file into the partitions, a part of it at a time; of a broken one that is skipped nothing stays."""
    for number, (source, chosen, _) in enumerate(discovered.files):
        if progress is not None:
            progress(number, steps, source.filename)
        before = discovered.report.copy()
        try:
            own = _with_defaults(columns, chosen)
            context = ReadContext(source, own, discovered.stations, discovered.report)
            for records in chosen.read(context):
                partitions.append(number, records)
            discovered.attributes.update(context.attributes)
        except (ObservationsError, UnicodeDecodeError) as error:  # Parquet's texts are decoded where they are used
            refusal = error if isinstance(error, ObservationsError) else unreadable(source.name, "table", error)
            discovered.report.restore(before)
            skip_or_raise(refusal, source, discovered.skip_broken, discovered.report)
            partitions.discard_file(number)


def _with_defaults(columns: ColumnsConfig, chosen: StationFormat) -> ColumnsConfig:
    """Return what is told of columns, with what the format's network does where nothing is."""
    if columns.temperature_celsius is not None:
        return columns
    return columns.model_copy(update={"temperature_celsius": chosen.temperature_celsius})


def _fits_memory(discovered: DiscoveredFiles) -> bool:
    return sum(expected_readings(source) for source, _, _ in discovered.files) <= backing.READINGS_IN_MEMORY


@dataclass
class DiscoveredFiles:
    """What was found at the paths: files of readings with their formats, the station lists, and one report.

    Attributes
    ----------
    files : list of (Source, StationFormat, str)
        A file, its format, and why it is taken for that.
    stations : StationList
        All station lists together.
    report : QualityReport
        The report of the reading.
    skip_broken : bool
        Whether a file that cannot be read is left out.
    netcdf : Source or None
        The one NetCDF file, if it is that.
    attributes : dict
        Attributes of the source, collected while reading.
    """

    files: list[tuple[Source, StationFormat, str]]
    stations: StationList
    report: QualityReport
    skip_broken: bool = False
    netcdf: Source | None = None
    attributes: dict[str, object] = field(default_factory=dict)

    @property
    def format(self) -> StationFormat:
        """The format of the first file, whose rules hold for all."""
        return self.files[0][1]


def discover(path: PathLike | Sequence[PathLike], columns: ColumnsConfig, options: ReadOptions) -> DiscoveredFiles:
    """Return the files at `path` with their formats; nothing but their beginnings is read.

    Raises
    ------
    ObservationsError
        A file is missing, damaged at its beginning, or of no known format; or NetCDF stands among tables.
    """
    sources = list_sources(path)
    name = sources[0].path.name if len(sources) == 1 else f"{sources[0].path.name} and {len(sources) - 1} more"
    report = QualityReport(source=name)
    cubes = [source for source in sources if source.has_suffix(NETCDF)]
    if cubes and options.format is None:
        if len(cubes) == len(sources) > 1:
            raise ObservationsError(f"{len(cubes)} NetCDF files, the first {cubes[0].name}: give one, or tables")
        if len(sources) > 1:
            raise ObservationsError(
                f"{cubes[0].name}: a NetCDF file cannot be read together with tables: give one or the other"
            )
        return DiscoveredFiles([], StationList(), report, netcdf=cubes[0])
    listed = read_station_lists(options.stations, columns, report)
    files, lists = _sort_out(sources, columns, options, report, frozenset(listed.keys()))
    stations = listed.joined(read_station_lists((), columns, report, lists))
    if not files:
        what = "only station lists, no readings: give the table of readings too" if lists else "no file can be read"
        raise ObservationsError(f"{report.source}: {what}")
    first = files[0][1]
    other = next((file for file in files if file[1].name != first.name), None)
    if other is not None:
        raise ObservationsError(
            f"{other[0].name} looks like {other[1].name} ({other[2]}), and {files[0][0].name} like {first.name}: files "
            "read together need one format; import each by itself, or name the format with --format"
        )
    if first.needs_stations and not stations and columns.place is None:
        raise ObservationsError(
            f"{files[0][0].name}: files of format {first.name} give no coordinates: give a station list (a CSV with "
            "station_id, lat, lon) with --stations"
        )
    return DiscoveredFiles(files, stations, report, options.skip_broken)


def _sort_out(
    sources: Sequence[Source],
    columns: ColumnsConfig,
    options: ReadOptions,
    report: QualityReport,
    known: frozenset[str],
) -> tuple[list[tuple[Source, StationFormat, str]], list[Source]]:
    """Return the files of readings, each with its format and the reason, and the station lists among them."""
    given = None if options.format is None else find_format(options.format)
    files: list[tuple[Source, StationFormat, str]] = []
    lists: list[Source] = []
    unknown: list[tuple[int, Source, ObservationsError]] = []
    for source in sources:
        width = 0
        try:
            head = read_head(source, columns, known)
            width = len(head.names)
            if len(sources) > 1 and looks_like_list(head.names, head.text, columns):
                lists.append(source)
            elif given is not None:
                files.append((source, given, "it was told"))
            else:
                files.append((source, *guess_format(head, columns)))
        except ObservationsError as error:
            if source.sheet is None:
                skip_or_raise(error, source, options.skip_broken, report)
            unknown.append((width, source, error))
    _tell_of_sheets(
        unknown, {source.path for source, _, _ in files} | {source.path for source in lists}, options, report
    )
    return files, lists


def _tell_of_sheets(
    unknown: Sequence[tuple[int, Source, ObservationsError]],
    read: set[Path],
    options: ReadOptions,
    report: QualityReport,
) -> None:
    """Note the sheets of no known format beside others of their workbook; where no sheet of it is known, refuse.

    Each with its number of columns and what was said of it: the widest first, since what a cover sheet lacks helps
    nobody.
    """
    for _, source, error in sorted(unknown, key=lambda each: -each[0]):
        if source.sheet is None:
            continue
        if source.path not in read:
            skip_or_raise(error, source, options.skip_broken, report)
        else:
            report.note(f"{source.path}: sheet {source.sheet!r} holds no readings of a known format: left out")


def skip_or_raise(error: ObservationsError, source: Source, skip: bool, report: QualityReport) -> None:
    """Count and name a file that cannot be read, or raise its error if broken files are not skipped."""
    if not skip:
        raise error
    report.count("files_skipped")
    report.warnings.append(f"left out {source.name}: {error}")
