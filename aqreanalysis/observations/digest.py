"""What is said of a whole record and made part by part: usable readings, counts of flags, levels, digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.observations.flags import USABLE, Flag
from aqreanalysis.observations.report import QualityReport

_DIGEST_VERSION = b"aqreanalysis observations 1"


def mask_unusable(readings: NDArray[np.float32], flags: NDArray[np.int8]) -> NDArray[np.float32]:
    """Return `readings` with NaN where a flag says that they are not usable."""
    fine = flags == 0
    for flag in USABLE - {0}:
        fine |= flags == flag
    return np.where(fine, readings, np.float32(np.nan))


def flag_totals(flags: NDArray[np.int8]) -> NDArray[np.int64]:
    """Return how many readings carry each flag, int64 (flag,); a third of the time of `bincount`, which widens them."""
    return np.array([np.count_nonzero(flags == flag) for flag in Flag], dtype=np.int64)


def count_flags(per_key: Mapping[str, NDArray[np.integer]], report: QualityReport) -> None:
    """Write into `report` how many readings of each pollutant carry which flag, and warn where most do.

    Parameters
    ----------
    per_key : mapping of str to ndarray
        Pollutant key -> how many readings carry each flag, (flag,).
    report : QualityReport
        Where it is written.
    """
    for key, per_flag in per_key.items():
        readings = int(per_flag.sum() - per_flag[Flag.MISSING])
        report.readings[key] = readings
        report.flagged[key] = {
            flag.name.lower(): int(per_flag[flag]) for flag in Flag if flag not in (Flag.GOOD, Flag.MISSING)
        }
        bad = readings - sum(int(per_flag[flag]) for flag in USABLE)
        if readings and bad > 0.5 * readings:
            report.warnings.append(f"{bad} of {readings} readings of {key} are flagged: is its unit right?")


class RunningStats:
    """Count, sum and maximum of readings, and who has any, taken in part by part."""

    def __init__(self, stations: int) -> None:
        self.count, self.total, self.most = 0, 0.0, -np.inf
        self.observed = np.zeros(stations, dtype=bool)

    def add(self, usable: NDArray[np.float32]) -> None:
        """Take the next hours in, float32 (time, station), NaN where missing or flagged."""
        there = np.isfinite(usable)
        self.observed |= there.any(axis=0)
        self.count += int(np.count_nonzero(there))
        self.total += float(usable.sum(where=there, dtype=np.float64))
        self.most = max(self.most, float(usable.max(where=there, initial=-np.inf)))


class IncrementalDigest:
    """The digest of observations (see `Observations.digest`), fed a pollutant after another and block by block."""

    def __init__(
        self,
        stations: Sequence[str],
        lat: NDArray[np.float64],
        lon: NDArray[np.float64],
        hours: NDArray[np.int64],
    ) -> None:
        self._sha = hashlib.sha256(_DIGEST_VERSION)
        self._sha.update("\0".join(stations).encode("utf-8"))
        for array, dtype in ((lat, "<f8"), (lon, "<f8"), (hours, "<i8")):
            self._sha.update(np.ascontiguousarray(array, dtype=dtype).tobytes())

    def begin(self, key: str) -> None:
        """Say which pollutant follows, in the order of `SPECIES`."""
        self._sha.update(key.encode())

    def add(self, usable: NDArray[np.float32]) -> None:
        """Take the next hours of it, float32 (time, station), NaN where missing or flagged."""
        # Adding zero turns -0.0 into 0.0; `usable` has one kind of NaN only.
        self._sha.update(np.ascontiguousarray(usable + np.float32(0), dtype="<f4").data)

    def hexdigest(self) -> str:
        """Return the digest of what was taken so far."""
        return self._sha.hexdigest()
