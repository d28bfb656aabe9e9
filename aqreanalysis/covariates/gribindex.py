"""Headers of GRIB messages -> time steps: what each message is, when and on which grid. Values stay in the file.

Read through cfgrib's messages, one by one, and not through its datasets: those want every message of a file to fill one
hypercube (mixed steps, step types and levels do not), skip what disagrees, and leave index files beside the data.
Nothing is written anywhere; the headers are read anew each time. Those that differ in nothing but the day are decoded
twice, not each (`_Decoded`).

What headers say wrong, and is put right here:
- ERA5-Land (class ``l5``) announces sums over one hour (step range 22-23) that in truth run from 00 UTC, as ECMWF's
  documentation of the data says. They are taken as sums from the start of the run, whatever the step range.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aqreanalysis.configs import CovariatesConfig
from aqreanalysis.covariates.curvilinear import CurvilinearGrid
from aqreanalysis.covariates.eccodes_log import capture_eccodes_log
from aqreanalysis.covariates.fields import BY_CONSTITUENT, BY_PARAM_ID, FIELDS, Field
from aqreanalysis.covariates.gribfile import Frame, walk
from aqreanalysis.covariates.interpolation import Axes, HorizontalGrid
from aqreanalysis.covariates.temporal_recipes import INSTANT, MEAN, SUM
from aqreanalysis.covariates.units import Conversion, conversion
from aqreanalysis.errors import CovariatesError, in_one_line

_KINDS = {"instant": INSTANT, "avg": MEAN, "avgua": MEAN, "accum": SUM}
#: Codes of the units of steps that are as long in every month: minutes, hours, days, seconds.
_STEADY_UNITS = {0, 1, 2, 10, 11, 12, 13, 254}
#: ECMWF class of ERA5-Land.
_ERA5_LAND = "l5"
#: expver 0005: ERA5T, issued early and replaced by 0001 after some three months.
_EARLY = "0005"
#: NCEP's height of the boundary layer (GFS, HRRR: HPBL), a local parameter of which ecCodes may know no name: edition,
#: discipline, category, number.
_NCEP_BLH = [2, 0, 3, 196]
_SURFACE = {"surface", "heightAboveGround", "entireAtmosphere", "meanSea"}


@dataclass(frozen=True)
class Entry:
    """One usable message: its field, how it is converted, on which grid and level it lies, whether it is a wind along
    the rows and columns of a grid that do not run east and north, and its time_step."""

    field: Field
    conversion: Conversion
    grid: str
    level: tuple[str, int]
    product: str
    along_grid: bool
    time_step: dict[str, Any]


@dataclass
class Headers:
    """What a file holds: usable messages, the grids they lie on, and what was left out (reason -> messages)."""

    entries: list[Entry]
    axes: dict[str, HorizontalGrid]
    left_out: dict[str, int]
    messages: int = 0


@dataclass(frozen=True)
class _Decoded:
    """What ecCodes said of a message, for those whose headers differ in nothing but the day.

    A year of hourly fields has as many kinds of header as hours in a day and fields; each is decoded twice, and where
    the second is the first moved by the days between them the others are moved too. Of 10,000 messages that takes a
    tenth of the time.
    """

    entry: Entry | str
    day: int | None
    proven: bool

    def on_day_of(self, frame: Frame) -> Entry | str | None:
        """Return what a message with the same header says; None where one of the two has no date."""
        if frame.day is None or self.day is None:
            return None
        if isinstance(self.entry, str):
            return self.entry
        hours = 24 * (frame.day - self.day)
        moved = {name: self.entry.time_step[name] + hours for name in ("run", "start", "end")}
        time_step = self.entry.time_step | moved | {"where": frame.offset, "number": frame.number}
        return replace(self.entry, time_step=time_step)

    def foretells(self, entry: Entry | str, frame: Frame) -> bool:
        """Tell whether that is what ecCodes says of a message of another day."""
        return frame.day != self.day and self.on_day_of(frame) == entry


def read_headers(path: Path, config: CovariatesConfig) -> Headers:
    """Return the headers of a file.

    Parameters
    ----------
    path : Path
    config : CovariatesConfig
        How sums are taken (auto believes the header, but for ERA5-Land), which member, and what winds are.

    Raises
    ------
    CovariatesError
        If ecCodes is missing, the file is damaged, or a field has units or a grid that cannot be used.
    """
    Message = _message_class()
    headers = Headers([], {}, {})
    known: dict[bytes, _Decoded] = {}
    with path.open("rb") as file:
        for frame in walk(path):
            where = f"{path}, message {frame.number}"
            headers.messages += 1
            like = known.get(frame.header)
            entry = like.on_day_of(frame) if like is not None and like.proven else None
            if entry is None:
                with decoding(where):
                    message = Message.from_file(file, frame.offset, errors="ignore")
                    entry = _entry(message, frame, where, config, headers)
                    steady = message.message_get("indicatorOfUnitOfTimeRange", int, -1) in _STEADY_UNITS
                if steady and (like is None or not like.proven):
                    known[frame.header] = _Decoded(entry, frame.day, like is not None and like.foretells(entry, frame))
            if isinstance(entry, str):
                headers.left_out[entry] = headers.left_out.get(entry, 0) + 1
            else:
                headers.entries.append(entry)
    return headers


def _message_class() -> Any:
    """Return cfgrib's class of a message."""
    try:
        from cfgrib.messages import Message
    except (ImportError, RuntimeError, OSError) as error:  # ecCodes raises RuntimeError where its library is not found
        reason = in_one_line(error)
        raise CovariatesError(
            f"GRIB files need cfgrib and the ecCodes library, and they do not load ({reason}): "
            "pip install cfgrib eccodes eccodeslib"
        ) from None
    return Message


@contextmanager
def decoding(where: str) -> Iterator[None]:
    """Turn what ecCodes raises (or prints) inside the block into one line that names file and message."""
    with capture_eccodes_log() as log:
        try:
            yield
        except CovariatesError:
            raise
        except Exception as error:
            reason = in_one_line(error)
            detail = f"; ecCodes: {log[-1]}" if log else ""
            kind = type(error).__name__
            raise CovariatesError(
                f"{where}: cannot be decoded ({kind}: {reason}{detail}); the file is damaged, get it again"
            ) from None


def _entry(message: Any, frame: Frame, where: str, config: CovariatesConfig, headers: Headers) -> Entry | str:
    """Return the entry of a message, or in words why it is not used."""
    field = _field(message)
    if field is None:
        return f"{message.message_get('shortName', str, 'unknown')} (parameter {message['paramId']}) is no known field"
    number = message.message_get("number", int, 0) or 0
    if number != (config.member or 0):
        other = "another member than" if config.member is not None else "an ensemble member, not"
        return f"{field.key} of {other} {config.member or 0} (covariates.member)"
    level = str(message["typeOfLevel"]), int(message.message_get("level", int, 0))
    if level[0] not in _SURFACE and not field.key.endswith("_background"):
        return f"{field.key} on {level[0]} {level[1]}, not at the surface"
    time_step = _slot(message, where, config.accumulation)
    if isinstance(time_step, str):
        return f"{field.key} {time_step}"
    units = _units(message)
    grid = str(message["md5GridSection"])
    if grid not in headers.axes:
        headers.axes[grid] = _axes(message, where)
    product = "/".join(str(message.message_get(key, str, "")) for key in ("centre", "class", "stream"))
    time_step |= {"where": frame.offset, "number": frame.number}
    along_grid = _along_grid(message, headers.axes[grid], field, config)
    return Entry(field, conversion(units, field, where), grid, level, product, along_grid, time_step)


def _field(message: Any) -> Field | None:
    known = BY_PARAM_ID.get(int(message["paramId"]))
    if known is not None:
        return known
    keys = [
        message.message_get(key, int, -1) for key in ("edition", "discipline", "parameterCategory", "parameterNumber")
    ]
    if keys == _NCEP_BLH and str(message.message_get("centre", str, "")) == "kwbc":
        return FIELDS["blh"]
    if keys != [2, 0, 20, 0]:
        return None
    for key in ("constituentType", "aerosolType"):
        constituent = BY_CONSTITUENT.get(int(message.message_get(key, int, -1)))
        if constituent is not None:
            return constituent
    return None


def _units(message: Any) -> str:
    """Return the units of a message; ecCodes knows none for a constituent, whose number 0 of category 20 is kg m-3, nor
    for NCEP's height of the boundary layer."""
    units = str(message["units"])
    if units != "unknown":
        return units
    category, number = (int(message.message_get(key, int, -1)) for key in ("parameterCategory", "parameterNumber"))
    if [category, number] == _NCEP_BLH[2:]:
        return "m"
    return "kg m-3" if category == 20 else units


def _slot(message: Any, where: str, accumulation: str) -> dict[str, Any] | str:
    """Return run, start, end (hours since 1970) and kind of a message, or in words why it has none."""
    kind = _KINDS.get(str(message["stepType"]))
    if kind is None:
        return f"with step type {message['stepType']} (maximum, minimum, ...)"
    end, odd_end = _hour(message["validityDate"], message["validityTime"], where)
    run, odd_run = _hour(message["dataDate"], message["dataTime"], where)
    if odd_end or odd_run:
        return "valid between two full hours"
    message["stepUnits"] = 1
    length = int(message["endStep:int"]) - int(message["startStep:int"])
    start = end - length
    if kind == SUM:
        land = message.message_get("class", str, "") == _ERA5_LAND
        if accumulation == "from-start" or (accumulation == "auto" and land):
            # 00 UTC closes the day before: its run is that of the day before even where a file calls it step 0.
            start = run if end > run else run - 24
            run = start
        elif accumulation == "hourly":
            start = end - 1
    if start > end or (kind != INSTANT and start == end):
        return "over a period of no length"
    if kind == INSTANT:
        start = end
    early = str(message.message_get("expver", str, "")) == _EARLY
    forecast = end > run or str(message.message_get("dataType", str, "")) == "fc"
    return {"run": run, "start": start, "end": end, "kind": kind, "early": early, "forecast": forecast}


def _hour(date: Any, time: Any, where: str) -> tuple[int, bool]:
    """Return hours since 1970-01-01 of ``YYYYMMDD`` and ``HHMM``, and whether there are minutes beside."""
    date, time = int(date), int(time)
    try:
        day = np.datetime64(f"{date // 10000:04d}-{date // 100 % 100:02d}-{date % 100:02d}", "h")
    except ValueError:
        raise CovariatesError(f"{where}: {date} is no date; the file is damaged, get it again") from None
    if not (0 <= time < 2400 and time % 100 < 60):
        raise CovariatesError(f"{where}: {time} is no time of day (HHMM); the file is damaged, get it again")
    return int(day.astype(np.int64)) + time // 100, bool(time % 100)


def _along_grid(message: Any, grid: HorizontalGrid, field: Field, config: CovariatesConfig) -> bool:
    if field.key not in {"u10", "v10"} or not isinstance(grid, CurvilinearGrid):
        return False
    chosen = config.wind_along_grid
    return bool(message.message_get("uvRelativeToGrid", int, 0)) if chosen is None else chosen


def _axes(message: Any, where: str) -> HorizontalGrid:
    kind = str(message["gridType"])
    rows, columns = (int(message.message_get(key, int, 0)) for key in ("Nj", "Ni"))
    if rows < 2 or columns < 2:
        raise CovariatesError(
            f"{where}: lies on a grid {kind!r}, not of rows and columns; ask for a regular one when downloading, or "
            "'cdo -f grb2 remapbil,<grid>'"
        )
    if message["jPointsAreConsecutive"] or message.message_get("alternativeRowScanning", int, 0):
        raise CovariatesError(f"{where}: scans its grid column by column or in turns; 'cdo copy' makes it row by row")
    if rows * columns != int(message["numberOfPoints"]):
        raise CovariatesError(f"{where}: {message['numberOfPoints']} points on a grid of {rows} x {columns}")
    if kind not in {"regular_ll", "regular_gg"}:
        if message["iScansNegatively"]:
            raise CovariatesError(f"{where}: scans a grid {kind!r} backwards; 'cdo copy' turns it round")
        lat, lon = (np.asarray(message[key], np.float64).reshape(rows, columns) for key in ("latitudes", "longitudes"))
        return CurvilinearGrid.checked(lat, lon, where)
    first, last = (float(message[f"latitudeOf{end}GridPointInDegrees"]) for end in ("First", "Last"))
    west, east = (float(message[f"longitudeOf{end}GridPointInDegrees"]) for end in ("First", "Last"))
    if message["iScansNegatively"]:
        west += 360.0 if west <= east else 0.0
    else:
        east += 360.0 if east <= west else 0.0
    if kind == "regular_ll":
        lat = np.round(np.linspace(first, last, rows), 9)
    else:
        lat = np.sort(np.asarray(message["distinctLatitudes"], np.float64))
        lat = lat if first < last else lat[::-1]
    return Axes.checked(lat, np.round(np.linspace(west, east, columns), 9), where)
