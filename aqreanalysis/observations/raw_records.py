"""`RawRecords`: what a reader of a format hands on, readings of a part of a file in the project's units and clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aqreanalysis.observations.averaging_periods import NO_TIME
from aqreanalysis.observations.report import QualityReport

# First minute of a place at which no row stands.
NEVER = np.iinfo(np.int32).max
Repeats = Literal["refuse", "last", "first", "mean"]


@dataclass
class RawRecords:
    """Readings of a file or a part of it.

    Attributes
    ----------
    source : str
        Name of the file, for messages.
    places : DataFrame
        One row a station code: ``station`` (the id), ``lat``, ``lon`` (degrees, NaN where the file gives none) and
        perhaps ``city`` and ``name``. An id may have several codes, if it stands at several places.
    station : ndarray
        int32 (row,), code of the station: the row of `places`.
    end : ndarray
        int32 (row,), minutes since 1970-01-01 UTC at the END of the averaging period.
    minutes : int
        Length of the averaging period, at most 60.
    values : dict of str to ndarray
        Pollutant key -> float32 (row,), in the units of `SPECIES`, NaN where missing.
    flags : dict of str to ndarray
        Pollutant key -> int8 (row,), what the network itself says of a reading (`Flag.INVALID_AT_SOURCE`,
        `Flag.BELOW_DETECTION_LIMIT`), else `Flag.GOOD`; a pollutant that is not there has nothing said of it.
    instrument : ndarray or None
        int64 (row,), rank of the instrument at its site, the first one lowest; None if there is but one.
    """

    source: str
    places: pd.DataFrame
    station: NDArray[np.int32]
    end: NDArray[np.int32]
    minutes: int
    values: dict[str, NDArray[np.float32]]
    flags: dict[str, NDArray[np.int8]] = field(default_factory=dict)
    instrument: NDArray[np.int64] | None = None

    @property
    def hours(self) -> NDArray[np.int32]:
        """Hour at whose end each row counts, int32 (row,), hours since 1970-01-01 UTC."""
        return -(-self.end // np.int32(60))

    def where(self, mask: NDArray[np.bool_]) -> RawRecords:
        """Return the rows where `mask` is true."""
        if mask.all():
            return self
        return RawRecords(
            self.source,
            self.places,
            self.station[mask],
            self.end[mask],
            self.minutes,
            {key: values[mask] for key, values in self.values.items()},
            {key: flags[mask] for key, flags in self.flags.items()},
            None if self.instrument is None else self.instrument[mask],
        )


def station_table(ids: Sequence[str]) -> pd.DataFrame:
    """Return the places of stations of which a file gives only the ids."""
    return pd.DataFrame({"station": list(ids), "lat": np.nan, "lon": np.nan})


def drop_incomplete(records: RawRecords, report: QualityReport) -> RawRecords:
    """Return the rows that have a time and a station; rows without a station are counted (those without time were)."""
    named = records.station >= 0
    report.count("rows_without_station", int(np.count_nonzero(~named)))
    return records.where(named & (records.end != NO_TIME))


def assign_stations(records: RawRecords, index: NDArray[np.int32]) -> RawRecords:
    """Return `records` with its codes put through `index`; rows whose code comes out as -1 are left out."""
    station = index[records.station].astype(np.int32, copy=False)
    return replace(records, station=station).where(station >= 0)


def as_float32(values: NDArray[np.floating], factor: float = 1.0) -> NDArray[np.float32]:
    """Return `values` times `factor` as float32; what overflows becomes infinite, and quality control flags it."""
    with np.errstate(over="ignore"):
        return (values if factor == 1.0 else values.astype(np.float64) * factor).astype(np.float32)
