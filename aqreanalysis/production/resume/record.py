"""What a cube says of its making, so that it can grow later: of which run it is, and the readings of each day."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.errors import CubeError
from aqreanalysis.observations import Observations, window
from aqreanalysis.production.plan import HOURS_A_DAY
from aqreanalysis.production.plan.inputs import Span

RUN = "aqreanalysis_run"
READINGS = "aqreanalysis_readings"
# A day's readings are told apart by so many bytes of their sha256: a decade takes 20 kB, and an attribute may hold 64.
CHECKSUM_BYTES = 4
# Days read at a time: bounds the memory of a long timeline.
_SLAB_DAYS = 30

Run = dict[str, Any]


@dataclass(frozen=True)
class Readings:
    """Checksums of the readings of UTC days, those stamped 01:00 to 24:00, over all stations and inputs; or of the
    covariates of those days.

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
    def of(cls, observations: Observations, inputs: tuple[str, ...], span: Span) -> Readings:
        """Return those of every day that the hours `span` touch, whole days, so that they depend on no span."""
        first, end = days_touched(span)
        return cls(first, tuple(_checksums(observations, inputs, (first, end))))

    @classmethod
    def from_text(cls, text: str, attribute: str = READINGS) -> Readings:
        """Return what `text` wrote, which was found in an attribute.

        Raises
        ------
        CubeError
            If it is no such text.
        """
        try:
            day, packed = text.split()
            data = base64.b64decode(packed, validate=True)
            first = int(np.datetime64(day, "D").astype(np.int64))
        except ValueError:
            raise CubeError(f"the attribute {attribute} of the cube is damaged: {text[:40]!r}") from None
        return cls(first, tuple(data[i : i + CHECKSUM_BYTES] for i in range(0, len(data), CHECKSUM_BYTES)))

    @property
    def text(self) -> str:
        """The first day and the checksums, as an attribute holds them: plain letters."""
        day = np.datetime64(self.first_day, "D")
        return f"{day} {base64.b64encode(b''.join(self.checksums)).decode('ascii')}"

    @property
    def end_day(self) -> int:
        """The day after the last."""
        return self.first_day + len(self.checksums)

    def get(self, day: int) -> bytes | None:
        """Return the checksum of a day; None outside of those known."""
        return self.checksums[day - self.first_day] if self.first_day <= day < self.end_day else None

    def backed_by(self, older: Readings, known_from: int) -> Readings:
        """Return these with the days before `known_from` as `older` has them.

        Newer observations may begin later than the cube: what was read before them is what the cube was made from.
        """
        kept = [
            older.get(day) or own if day < known_from else own for day, own in enumerate(self.checksums, self.first_day)
        ]
        return Readings(self.first_day, tuple(kept))


def days_touched(span: Span) -> tuple[int, int]:
    """Return the half-open range of UTC days that the hours of a span touch; a day holds the stamps 01:00 to 24:00."""
    return (span.first_hour - 1) // HOURS_A_DAY, (span.first_hour + span.hours - 2) // HOURS_A_DAY + 1


def empty_checksum(stations: int, inputs: int) -> bytes:
    """Return the checksum of a day without any reading."""
    return _checksum(np.full((HOURS_A_DAY, stations, inputs), np.nan, dtype=np.float32))


def first_whole_day(observations: Observations) -> int:
    """Return the first day of whose every hour the observations could tell."""
    return -(-(observations.first_hour - 1) // HOURS_A_DAY)


def run_of(
    fingerprint: Mapping[str, Any], observations: Observations, utc_offset_hours: int, fields: Sequence[str] = ()
) -> Run:
    """Return what of a run a later one must share to continue its cube; `fields` are the names of its covariates.

    Not in it: the versions of libraries, which change over the years that a cube grows, and the discovery metadata.
    """
    keys = ("model", "grid", "species", "coverage", "thresholds", "production config", "device", "last readings")
    return {
        **{key: fingerprint[key] for key in keys},
        "stations": _stations(observations),
        "numerics": fingerprint["software"]["numerics"],
        "utc offset": utc_offset_hours,
        **({"covariates": list(fields)} if fields else {}),
    }


def run_text(run: Run) -> str:
    """Return a run as an attribute holds it: JSON in plain letters."""
    return json.dumps(run, sort_keys=True, separators=(",", ":"))


def _stations(observations: Observations) -> str:
    digest = hashlib.sha256("\n".join(observations.stations).encode())
    for part in (observations.lat, observations.lon):
        digest.update(np.asarray(part, dtype="<f8").tobytes())
    return f"{len(observations.stations)} ({digest.hexdigest()[:12]})"


def _checksums(observations: Observations, inputs: tuple[str, ...], days: tuple[int, int]) -> list[bytes]:
    found = []
    for begin in range(*days, _SLAB_DAYS):
        count = min(_SLAB_DAYS, days[1] - begin)
        values = window(observations, inputs, begin * HOURS_A_DAY + 1, count * HOURS_A_DAY)[0]
        found += [_checksum(day) for day in values.reshape(count, HOURS_A_DAY, *values.shape[1:])]
    return found


def _checksum(values: NDArray[np.float32]) -> bytes:
    # One NaN for all: files bring several.
    plain = np.where(np.isnan(values), np.float32(np.nan), values).astype("<f4")
    return hashlib.sha256(np.ascontiguousarray(plain).tobytes()).digest()[:CHECKSUM_BYTES]
