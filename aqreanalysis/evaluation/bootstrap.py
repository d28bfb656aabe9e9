"""How sure a ratio of two methods' scores is: a bootstrap over stations and over blocks of days.

Errors of neighbouring hours go together, and so do all errors of one station, so single readings must not be drawn.
Stations and blocks of days are, both at once (the pigeonhole bootstrap of Owen 2007, which errs on the wide side), and
each alone to show which of the two the uncertainty comes from. A score's sums by station and block are all that a draw
needs, so a thousand draws cost milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aqreanalysis.evaluation.scores import Sample

Floats = npt.NDArray[np.floating[Any]]

DRAWS = 1000
#: Days that are drawn together: weather lasts about as long.
BLOCK_DAYS = 3
#: Share of the draws inside the interval.
CONFIDENCE = 0.95
SCORES = ("mae", "rmse", "crps")

_FEWEST = 2


@dataclass(frozen=True)
class Sums:
    """A method's scores summed by block of days and station, each of shape (block, station).

    Attributes
    ----------
    mae, rmse, crps : ndarray
        Sums of absolute errors, of squared errors, of continuous ranked probability scores.
    """

    mae: Floats
    rmse: Floats
    crps: Floats

    @classmethod
    def of(cls, sample: Sample, hours: npt.NDArray[np.int64]) -> Sums:
        """Return the sums of a sample (T, station) whose rows are stamped `hours` (hours since 1970)."""
        _, block = np.unique((hours - 1) // (24 * BLOCK_DAYS), return_inverse=True)
        error = np.where(sample.known, np.asarray(sample.best, np.float64) - sample.observed, 0.0)
        crps = np.where(sample.known & np.isfinite(sample.crps), sample.crps, 0.0)
        return cls(*(_by_block(values, block) for values in (np.abs(error), error**2, crps)))


def _by_block(values: Floats, block: npt.NDArray[np.int64]) -> Floats:
    total = np.zeros((int(block.max()) + 1, values.shape[1]))
    np.add.at(total, block, values)
    return total


def ratios(sums: Mapping[str, Sums], against: Mapping[str, str], seed: int = 0) -> dict[str, dict[str, Any]]:
    """Return each method's scores as a share of another's, with the bounds of the bootstrap's intervals.

    Parameters
    ----------
    sums : mapping of str to Sums
        By method; all of one shape and of the same station-hours.
    against : mapping of str to str
        By score (of `SCORES`), the method that it is a share of. It stays the same in every draw.
    seed : int
        Of the draws.

    Returns
    -------
    dict
        By method and score: ``ratio``, ``best`` (the other method), ``low`` and ``high`` (stations and days drawn),
        ``by_station`` and ``by_day`` (one of them drawn); bounds are None with fewer than two of either.
    """
    some = next(iter(sums.values()))
    blocks, stations = some.mae.shape
    rng = np.random.default_rng(seed)
    days = rng.multinomial(blocks, np.full(blocks, 1 / blocks), DRAWS).astype(np.float64)
    places = rng.multinomial(stations, np.full(stations, 1 / stations), DRAWS).astype(np.float64)
    drawn = {(name, score): _drawn(getattr(own, score), days, places) for name, own in sums.items() for score in SCORES}
    result: dict[str, dict[str, Any]] = {}
    for name in sums:
        result[name] = {}
        for score, other in against.items():
            shares = {way: _share(drawn[name, score][way], drawn[other, score][way], score) for way in _WAYS}
            both = _bounds(shares["both"]) if min(blocks, stations) >= _FEWEST else (None, None)
            result[name][score] = {
                "ratio": float(shares["whole"][0]),
                "best": other,
                "low": both[0],
                "high": both[1],
                "by_station": _bounds(shares["stations"]) if stations >= _FEWEST else (None, None),
                "by_day": _bounds(shares["days"]) if blocks >= _FEWEST else (None, None),
            }
    return result


_WAYS = ("whole", "both", "stations", "days")


def _drawn(sums: Floats, days: Floats, places: Floats) -> dict[str, Floats]:
    by_day = days @ sums
    return {
        "whole": np.array([sums.sum()]),
        "both": np.einsum("ds,ds->d", by_day, places),
        "stations": places @ sums.sum(axis=0),
        "days": by_day.sum(axis=1),
    }


def _share(own: Floats, other: Floats, score: str) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        share = own / other
    return np.sqrt(share) if score == "rmse" else share


def _bounds(shares: Floats) -> tuple[float | None, float | None]:
    known = shares[np.isfinite(shares)]
    if not known.size:
        return None, None
    low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
