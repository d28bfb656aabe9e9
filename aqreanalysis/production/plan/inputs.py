"""The readings that a run uses, laid out once for all workers: a file they map instead of a message they get."""

from __future__ import annotations

import io
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import Observations, window
from aqreanalysis.production.plan import HOURS_A_DAY, Moment, Plan, hours_between

if TYPE_CHECKING:
    from aqreanalysis.model import Predictor

# NumPy reads a header as a Python literal, and until 3.12 the parser fails now and then where two threads parse at once
# (CPython issue 106905).
_ONE_HEADER = threading.Lock()
# Hours read at a time: bounds the memory of a long timeline.
SLAB_HOURS = 30 * HOURS_A_DAY
_CHECKED_BYTES = 1 << 22


@dataclass(frozen=True)
class HourSpan:
    """Hours that a run reads: its days with the model's history before and lookahead after them."""

    first_hour: int
    hours: int


@dataclass
class StagedWindow:
    """Readings of any hours out of a staged file, NaN outside of it; picklable, opened where it is used.

    Attributes
    ----------
    path : str
        A .npy file, float32 (hours, station, input).
    first_hour : int
        Stamp of its first row.
    checksum : int
        CRC-32 of the file.
    """

    path: str
    first_hour: int
    checksum: int = 0

    def __call__(self, first_hour: int, hours: int) -> NDArray[np.float32]:
        """Return the readings from `first_hour` on, float32 (hours, station, input)."""
        with _ONE_HEADER:
            values = np.load(self.path, mmap_mode="r")
        start = first_hour - self.first_hour
        if start < 0 or start + hours > len(values):
            raise ValueError(f"hours {first_hour}..{first_hour + hours} are not in {self.path}")
        return np.array(values[start : start + hours])


def span_of(plan: Plan, predictor: Predictor, last_reading: int, time: tuple[int, int] | None = None) -> HourSpan:
    """Return the hours that the sweep of `plan` will ask for, or of its steps `time` alone."""
    read = predictor.window(plan.stamps_of(time or (0, plan.hours)), last_reading).read
    return HourSpan(read.start, len(read))


def required_span(timeline: tuple[Moment | None, Moment], reach: tuple[int, int]) -> tuple[int, int]:
    """Return the first and last stamp (hours since 1970) that a run over a timeline may read; see `span_of`.

    `reach` are the hours before and after the timeline's UTC days, of `Config.reach`.
    """
    first, count = hours_between(*timeline)
    first_day, end_day = (first - 1) // HOURS_A_DAY, (first + count - 2) // HOURS_A_DAY + 1
    return first_day * HOURS_A_DAY + 1 - reach[0], end_day * HOURS_A_DAY + reach[1]


def stage_readings(observations: Observations, inputs: tuple[str, ...], span: HourSpan, path: Path) -> StagedWindow:
    """Write the readings of the span to `path` and return the window on them."""
    temporary, head = path.with_suffix(".partial"), io.BytesIO()
    shape = (span.hours, len(observations.stations), len(inputs))
    header = {"descr": np.dtype("<f4").str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(head, header)
    checksum = isal_zlib.crc32(head.getvalue())
    with temporary.open("wb") as file:  # written and not mapped: mapped pages would count as memory of this process
        file.write(head.getvalue())
        end = span.first_hour + span.hours
        for begin in range(span.first_hour, end, SLAB_HOURS):
            part = window(observations, inputs, begin, min(SLAB_HOURS, end - begin))[0]
            data = np.ascontiguousarray(part, dtype="<f4").data
            checksum = isal_zlib.crc32(data, checksum)
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return StagedWindow(str(path), span.first_hour, checksum)


def holds_readings(path: Path, checksum: int) -> bool:
    """Tell whether a staged file is still the one whose CRC-32 was noted when it was written."""
    current = 0
    try:
        with path.open("rb") as file:
            while part := file.read(_CHECKED_BYTES):
                current = isal_zlib.crc32(part, current)
    except OSError:
        return False
    return current == checksum


def observed_hours(observations: Observations, keys: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    """Return pollutant -> first and last stamp (hours since 1970) at which any station has a usable reading.

    Raises
    ------
    ObservationsError
        If none of `keys` has a reading at all.
    """
    spans = {key: span for key, span in observations.observed_span().items() if key in keys}
    if not spans:
        raise ObservationsError(f"the observations hold no usable reading of {', '.join(keys)}")
    return spans
