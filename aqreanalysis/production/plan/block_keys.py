"""Block keys: a digest of all that a block is made from, so that equal keys are equal blocks.

Whether a run goes on where it was, and what of a finished cube a longer one takes over, is one comparison: the keys
that the run wants with those that are there. A cube carries what its keys are made of, in three attributes: of which
run it is, and a checksum a day of the readings and of the covariates.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.errors import CubeError
from aqreanalysis.model.network.scaling import FieldSource, field_reach
from aqreanalysis.observations import Observations, window
from aqreanalysis.production.plan.blocks import HOURS_A_DAY, Block, Plan

if TYPE_CHECKING:
    from aqreanalysis.grids import Grid
    from aqreanalysis.model import Predictor
    from aqreanalysis.production.plan.inputs import HourSpan

# The attributes of a cube.
RUN = "aqreanalysis_run"
READINGS = "aqreanalysis_readings"
COVARIATES = "aqreanalysis_covariates"
# A day is told apart by so many bytes of its sha256: a decade takes 20 kB, and an attribute may hold 64.
CHECKSUM_BYTES = 4
KEY_BYTES = 8
# A day of which the covariates have no hour. A checksum comes out like this by chance once in four thousand million.
MISSING = bytes(CHECKSUM_BYTES)
# Days read at a time: bounds the memory of a long timeline.
_SLAB_DAYS = 30
_COVARIATE_SLAB_DAYS = 7
# Covariates are compared at the stations and at so many rows and columns of the grid, from edge to edge: files made
# anew differ everywhere, and to read all cells would take as long as the sweep does.
_ROWS = 16
# What of a run grows with its cube: it counts by the hours that it concerns.
_LAST = "last readings"

Fingerprint = dict[str, Any]
Run = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class DayChecksums:
    """Checksums of what was read of UTC days, those stamped 01:00 to 24:00.

    Attributes
    ----------
    first_day : int
        Days since 1970-01-01.
    checksums : tuple of bytes
        One a day.
    """

    first_day: int
    checksums: tuple[bytes, ...]

    @classmethod
    def from_text(cls, text: str, attribute: str = READINGS) -> DayChecksums:
        """Return what `text` wrote, which stood in an attribute.

        Raises
        ------
        CubeError
            If it is no such text.
        """
        try:
            day, packed = text.split()
            data = base64.b64decode(packed, validate=True)
            first = int(np.datetime64(day, "D").astype(np.int64))
        except (AttributeError, TypeError, ValueError, OverflowError):
            raise CubeError(f"the attribute {attribute} of the cube is damaged: {str(text)[:40]!r}") from None
        return cls(first, tuple(data[i : i + CHECKSUM_BYTES] for i in range(0, len(data), CHECKSUM_BYTES)))

    @property
    def text(self) -> str:
        """The first day and the checksums, as an attribute holds them: plain letters."""
        day = np.datetime64(self.first_day, "D")
        return f"{day} {base64.b64encode(b''.join(self.checksums)).decode('ascii')}"

    @property
    def days(self) -> range:
        """The days that have one."""
        return range(self.first_day, self.first_day + len(self.checksums))

    def get(self, day: int) -> bytes | None:
        """Return the checksum of a day; None outside of those known."""
        place = day - self.first_day
        return self.checksums[place] if 0 <= place < len(self.checksums) else None

    def with_older_days(self, older: DayChecksums, first_verifiable_day: int | None = None) -> DayChecksums:
        """Return these with some days as an older record has them: what was read then is what the cube was made from.

        Parameters
        ----------
        older : DayChecksums
            Of the cube.
        first_verifiable_day : int or None
            The days before it are older; None takes those that are `MISSING`.
        """
        days = enumerate(self.checksums, self.first_day)
        return DayChecksums(
            self.first_day,
            tuple(
                (older.get(day) or own)
                if (own == MISSING if first_verifiable_day is None else day < first_verifiable_day)
                else own
                for day, own in days
            ),
        )


@dataclass(frozen=True)
class Reach:
    """How many days before and after a day a model reads for it, of stations and of covariates."""

    readings: tuple[int, int]
    covariates: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, predictor: Predictor) -> Reach:
        """Return that of a model."""
        hours = predictor.history_hours, predictor.lookahead_hours
        beside = (0, 0) if predictor.covariates is None else field_reach(predictor.config.window)
        return cls(*((-(-before // HOURS_A_DAY), -(-after // HOURS_A_DAY)) for before, after in (hours, beside)))


def days_within_reach(day: int, reach: tuple[int, int]) -> range:
    """Return the days that are read for a day."""
    return range(day - reach[0], day + reach[1] + 1)


@dataclass(frozen=True)
class MadeFrom:
    """What a cube is made from, and says of it, so that it can grow later.

    Attributes
    ----------
    run : dict
        What a later run must share to continue the cube; see `run_of`.
    readings : DayChecksums
        Of all stations and inputs.
    covariates : DayChecksums or None
        Of a model that has any.
    """

    run: Run
    readings: DayChecksums
    covariates: DayChecksums | None = None

    @classmethod
    def from_attributes(cls, attrs: Mapping[str, Any]) -> MadeFrom:
        """Return what the attributes of a cube say, which has `RUN` and `READINGS`.

        Raises
        ------
        CubeError
            If one is damaged.
        """
        covariates = DayChecksums.from_text(attrs[COVARIATES], COVARIATES) if COVARIATES in attrs else None
        try:
            run = json.loads(attrs[RUN])
        except (TypeError, ValueError, RecursionError):
            run = None
        if not isinstance(run, dict):
            raise CubeError(f"the attribute {RUN} of the cube is damaged: {str(attrs[RUN])[:40]!r}")
        return cls(run, DayChecksums.from_text(attrs[READINGS]), covariates)

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes of a cube, in plain letters."""
        covariates = {} if self.covariates is None else {COVARIATES: self.covariates.text}
        return {RUN: _json(self.run), READINGS: self.readings.text, **covariates}

    @property
    def comparable_run(self) -> Run:
        """The run without what grows with its cube."""
        return {key: value for key, value in self.run.items() if key != _LAST}

    @cached_property
    def _run_digest(self) -> bytes:
        return hashlib.sha256(_json(self.comparable_run).encode()).digest()

    def day_key(self, day: int, reach: Reach) -> bytes:
        """Return a digest of all that the estimates of a UTC day are made from, but for the cells."""
        digest = hashlib.blake2b(self._run_digest, digest_size=KEY_BYTES)
        for checksums, days in ((self.readings, reach.readings), (self.covariates, reach.covariates)):
            if checksums is not None:
                digest.update(b"".join(checksums.get(near) or b"-" for near in days_within_reach(day, days)))
        # An hour that lies no longer after the last reading loses its flag, even where its window has gained nothing.
        begin, end = day * HOURS_A_DAY, (day + 1) * HOURS_A_DAY
        digest.update(_json({key: min(max(last, begin), end) for key, last in self.run[_LAST].items()}).encode())
        return digest.digest()


def block_key(days: Iterable[bytes], hours: tuple[int, int], block: Block) -> bytes:
    """Return the key of a block.

    Parameters
    ----------
    days : iterable of bytes
        Of `MadeFrom.day_key`, of the UTC days of its hours.
    hours : tuple of int
        Where it begins and ends, hours since 1970-01-01: a block that grows has another key.
    block : Block
        Its cells; the digest of their grid is that of the run.
    """
    digest = hashlib.blake2b(b"".join(days), digest_size=KEY_BYTES)
    digest.update(f"{hours} {block.rows} {block.columns}".encode())
    return digest.digest()


@dataclass(frozen=True)
class BlockKeys:
    """The keys of the blocks of a cube, by their numbers, made when they are asked for.

    Attributes
    ----------
    plan : Plan
        Of the cube.
    days : mapping
        UTC day -> its key.
    steps : int
        How many of the steps of the plan the cube has.
    """

    plan: Plan
    days: Mapping[int, bytes]
    steps: int

    def __getitem__(self, number: int) -> bytes:
        """Return the key of a block; that of one that the cube has not begun is empty."""
        block = self.plan.get_block(number)
        start, stop = block.time[0], min(block.time[1], self.steps)
        if start >= stop:
            return b""
        days = (self.days.get(day, b"") for day in days_of(self.plan, (start, stop)))
        bounds = self.plan.bounds_of((start, stop))
        return block_key(days, bounds, block)

    def time_blocks_like(self, other: BlockKeys) -> frozenset[int]:
        """Return the time blocks in which two cubes are alike; all tiles of one are made from the same."""
        firsts = ((index, index * self.plan.tiles) for index in range(self.plan.counts[0]))
        return frozenset(index for index, first in firsts if self[first] == other[first])


@dataclass(frozen=True)
class RunKeys:
    """The keys of all blocks of a run, numbered as its ledger numbers them: those of the sweep, then of each mean.

    Attributes
    ----------
    sweep : BlockKeys
        Hour by hour.
    cubes : dict
        Frequency of means -> their keys.
    """

    sweep: BlockKeys
    cubes: dict[str, BlockKeys]

    def __getitem__(self, number: int) -> bytes:
        """Return the key of a block."""
        for keys in (self.sweep, *self.cubes.values()):
            if number < keys.plan.blocks:
                return keys[number]
            number -= keys.plan.blocks
        raise IndexError(number)

    def locate(self, number: int) -> tuple[str, Block]:
        """Return the frequency of a block, that of the sweep for one of it, and the block as its plan numbers it."""
        for frequency, keys in ((self.sweep.plan.frequency, self.sweep), *self.cubes.items()):
            if number < keys.plan.blocks:
                return frequency, keys.plan.get_block(number)
            number -= keys.plan.blocks
        raise IndexError(number)

    def of_cube(self, frequency: str, noted: Mapping[int, T]) -> dict[int, T]:
        """Return what was noted of the blocks of one cube, by their numbers in its own plan."""
        first = 0
        for name, keys in ((self.sweep.plan.frequency, self.sweep), *self.cubes.items()):
            if name == frequency:
                return {n: noted[first + n] for n in range(keys.plan.blocks) if first + n in noted}
            first += keys.plan.blocks
        raise KeyError(frequency)

    def describe(self, number: int) -> str:
        """Return in words which block that is."""
        frequency, block = self.locate(number)
        return f"block {number} ({self.cubes.get(frequency, self.sweep).plan.describe(block)})"


def days_of(plan: Plan, steps: tuple[int, int]) -> range:
    """Return the UTC days of some steps of a plan."""
    begin, end = plan.bounds_of(steps)
    return range(begin // HOURS_A_DAY, (end - 1) // HOURS_A_DAY + 1)


def record_readings(observations: Observations, inputs: tuple[str, ...], span: HourSpan) -> tuple[str, DayChecksums]:
    """Return what tells apart the readings of a run, from one walk through them.

    Returns
    -------
    digest : str
        The sha256 of what is read: station names and places, and the readings of the span.
    checksums : DayChecksums
        Of every day that the span touches, whole days, so that they depend on no span.
    """
    digest = hashlib.sha256()
    digest.update("\n".join(observations.stations).encode())
    for part in (observations.lat, observations.lon):
        digest.update(np.asarray(part, dtype="<f8").tobytes())
    digest.update(f"{inputs} {span.first_hour} {span.hours}".encode())
    first, end = (span.first_hour - 1) // HOURS_A_DAY, (span.first_hour + span.hours - 2) // HOURS_A_DAY + 1
    checksums: list[bytes] = []
    for begin in range(first, end, _SLAB_DAYS):
        count = min(_SLAB_DAYS, end - begin)
        hour = begin * HOURS_A_DAY + 1
        values = window(observations, inputs, hour, count * HOURS_A_DAY)[0]
        read = values[max(span.first_hour - hour, 0) : span.first_hour + span.hours - hour]
        digest.update(np.ascontiguousarray(read, dtype="<f4").tobytes())
        checksums += [_checksum(day) for day in values.reshape(count, HOURS_A_DAY, *values.shape[1:])]
    return digest.hexdigest(), DayChecksums(first, tuple(checksums))


def empty_checksum(stations: int, inputs: int) -> bytes:
    """Return the checksum of a day without any reading."""
    return _checksum(np.full((HOURS_A_DAY, stations, inputs), np.nan, dtype=np.float32))


def first_verifiable_day(observations: Observations, older: DayChecksums, empty: bytes) -> int:
    """Return the first day of whose readings `observations` can tell; of days before it the older ones are true.

    A first day that begins after 01:00 tells of itself only where nothing was read before it either: there `older` has
    the checksum `empty`.
    """
    began, hours = divmod(observations.first_hour - 1, HOURS_A_DAY)
    return began if hours == 0 or older.get(began - 1) == empty else began + 1


def record_covariates(predictor: Predictor, observations: Observations, grid: Grid, plan: Plan) -> DayChecksums | None:
    """Return a checksum of the covariates of each UTC day that a run reads; None for a model without covariates."""
    source = predictor.covariates
    if source is None:
        return None
    from aqreanalysis.covariates import Covariates  # not loaded by a run without any

    if isinstance(source, Covariates):
        source = source.as_read()
    before, after = Reach.of(predictor).covariates
    first, end = plan.days((0, plan.hours))
    first, end = first - before, end + after
    lat, lon = _places(observations, grid)
    checksums = []
    for begin in range(first, end, _COVARIATE_SLAB_DAYS):
        count = min(_COVARIATE_SLAB_DAYS, end - begin)
        hours = np.arange(begin * HOURS_A_DAY + 1, (begin + count) * HOURS_A_DAY + 1, dtype=np.int64)
        there = _hours_there(source, hours)
        values = source.at(lat, lon, hours)
        for day in range(count):
            span = slice(day * HOURS_A_DAY, (day + 1) * HOURS_A_DAY)
            checksums.append(_checksum(values[span]) if there[span].any() else MISSING)
    return DayChecksums(first, tuple(checksums))


def _hours_there(source: FieldSource, hours: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return at which hours any field that changes by the hour has values; at all where none changes."""
    if not source.hourly:
        return np.ones(len(hours), dtype=bool)
    return np.any([np.isin(hours, source.hours(key)) for key in source.hourly], axis=0)


def _places(observations: Observations, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows, columns = (
        axis[np.unique(np.linspace(0, len(axis) - 1, _ROWS).round().astype(int))] for axis in (grid.lat, grid.lon)
    )
    lat, lon = (part.ravel() for part in np.meshgrid(rows, columns, indexing="ij"))
    return np.concatenate([observations.lat, lat]), np.concatenate([observations.lon, lon])


def run_of(
    fingerprint: Mapping[str, Any], observations: Observations, utc_offset_hours: int, fields: Sequence[str] = ()
) -> Run:
    """Return what of a run a later one must share to continue its cube; `fields` are the names of its covariates.

    Not in it: the versions of libraries, which change over the years that a cube grows, and the discovery metadata.
    """
    digest = hashlib.sha256("\n".join(observations.stations).encode())
    for part in (observations.lat, observations.lon):
        digest.update(np.asarray(part, dtype="<f8").tobytes())
    keys = ("model", "grid", "species", "coverage", "thresholds", "production config", "device", "stamp", _LAST)
    return {
        **{key: fingerprint[key] for key in keys},
        "stations": f"{len(observations.stations)} ({digest.hexdigest()[:12]})",
        "numerics": fingerprint["software"]["numerics"],
        "utc offset": utc_offset_hours,
        **({"layers": fingerprint["layers"]} if "layers" in fingerprint else {}),
        **({"covariates": list(fields)} if fields else {}),
    }


def as_stored(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a fingerprint as it reads back from the ledger, so that the two compare equal."""
    result: dict[str, Any] = json.loads(json.dumps(value))
    return result


def differences(ours: Fingerprint, theirs: Fingerprint) -> list[str]:
    """Return ``key: theirs there, ours here`` for each entry in which two fingerprints differ."""
    return [
        f"{key} is {_short(theirs.get(key))} there and {_short(ours.get(key))} here"
        for key in dict.fromkeys([*ours, *theirs])
        if ours.get(key) != theirs.get(key)
    ]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:16] if len(text) == 64 and text.isalnum() else text


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _checksum(values: NDArray[np.float32]) -> bytes:
    # One NaN for all: files bring several.
    plain = np.where(np.isnan(values), np.float32(np.nan), values).astype("<f4")
    return hashlib.sha256(np.ascontiguousarray(plain).tobytes()).digest()[:CHECKSUM_BYTES]
