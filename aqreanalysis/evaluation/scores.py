"""What is measured at hidden stations: errors of the best estimate, and the truth of the distribution around it.

Every function takes arrays of one shape and skips the entries where one of them is NaN. Formulas as in Wilks,
*Statistical Methods in the Atmospheric Sciences* (4th ed., chapter 9), and Gneiting and Raftery (2007) for the CRPS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]

#: Edges of the classes of distance to the nearest visible station, in kilometres.
DISTANCE_EDGES_KM = (0.0, 5.0, 10.0, 25.0, 50.0, 100.0, np.inf)


def _pairs(estimate: Floats, observed: Floats) -> tuple[Floats, Floats]:
    estimate, observed = np.asarray(estimate, np.float64), np.asarray(observed, np.float64)
    if estimate.shape != observed.shape:
        raise ValueError(f"estimate {estimate.shape} and observed {observed.shape} must have one shape")
    both = np.isfinite(estimate) & np.isfinite(observed)
    return estimate[both], observed[both]


def mae(estimate: Floats, observed: Floats) -> float:
    """Return the mean absolute error, NaN without a pair."""
    e, o = _pairs(estimate, observed)
    return float(np.abs(e - o).mean()) if e.size else float("nan")


def rmse(estimate: Floats, observed: Floats) -> float:
    """Return the root of the mean squared error, NaN without a pair."""
    e, o = _pairs(estimate, observed)
    return float(np.sqrt(((e - o) ** 2).mean())) if e.size else float("nan")


def bias(estimate: Floats, observed: Floats) -> float:
    """Return the mean of estimate minus observed, NaN without a pair."""
    e, o = _pairs(estimate, observed)
    return float((e - o).mean()) if e.size else float("nan")


def r2(estimate: Floats, observed: Floats) -> float:
    """Return the coefficient of determination, 1 - SSE / SST about the observed mean; NaN if the observed are equal."""
    e, o = _pairs(estimate, observed)
    total = float(((o - o.mean()) ** 2).sum()) if o.size else 0.0
    return 1.0 - float(((e - o) ** 2).sum()) / total if total > 0 else float("nan")


def coverage(lower: Floats, upper: Floats, observed: Floats) -> float:
    """Return the share of the observed that lie in [lower, upper], NaN without a triple."""
    lo, up, ob = (np.asarray(a, np.float64) for a in (lower, upper, observed))
    known = np.isfinite(lo) & np.isfinite(up) & np.isfinite(ob)
    return float(((ob >= lo) & (ob <= up))[known].mean()) if known.any() else float("nan")


def mean_width(lower: Floats, upper: Floats, observed: Floats) -> float:
    """Return the mean of upper minus lower where something was observed, NaN elsewhere."""
    width = np.where(np.isfinite(observed), np.asarray(upper, np.float64) - np.asarray(lower, np.float64), np.nan)
    return float(np.nanmean(width)) if np.isfinite(width).any() else float("nan")


def mean_crps(crps: Floats) -> float:
    """Return the mean of the continuous ranked probability scores that are known."""
    crps = np.asarray(crps, np.float64)
    return float(np.nanmean(crps)) if np.isfinite(crps).any() else float("nan")


def central_coverage(pit: Floats, probability: float) -> float:
    """Return the share of the observed inside the central interval of `probability`, from the PIT values alone."""
    known = np.asarray(pit, np.float64)
    known = known[np.isfinite(known)]
    return float((np.abs(known - 0.5) <= probability / 2).mean()) if known.size else float("nan")


@dataclass(frozen=True)
class Sample:
    """Estimates beside what was observed, arrays of one shape; NaN where there is none.

    Attributes
    ----------
    best, standard_error, lower, upper : ndarray
        The estimate and its interval.
    crps, pit : ndarray
        CRPS and probability integral transform of the observed.
    observed : ndarray
        The readings.
    """

    best: Floats
    standard_error: Floats
    lower: Floats
    upper: Floats
    crps: Floats
    pit: Floats
    observed: Floats

    def where(self, mask: Bools) -> Sample:
        """Return the entries where `mask` (any shape that broadcasts) is True, the others as NaN."""
        return Sample(**{k: np.where(mask, getattr(self, k), np.nan) for k in self.__dataclass_fields__})

    @property
    def known(self) -> Bools:
        """Where something was observed and estimated."""
        return np.isfinite(self.observed) & np.isfinite(self.best)


def score(sample: Sample) -> dict[str, float]:
    """Return n, MAE, RMSE, R2, bias, CRPS, coverage and mean width of the interval, in units of the concentration."""
    observed = np.where(sample.known, sample.observed, np.nan)
    return {
        "n": int(sample.known.sum()),
        "mae": mae(sample.best, observed),
        "rmse": rmse(sample.best, observed),
        "r2": r2(sample.best, observed),
        "bias": bias(sample.best, observed),
        "crps": mean_crps(np.where(sample.known, sample.crps, np.nan)),
        "coverage": coverage(sample.lower, sample.upper, observed),
        "width": mean_width(sample.lower, sample.upper, observed),
        "coverage_50": central_coverage(np.where(sample.known, sample.pit, np.nan), 0.5),
        "coverage_95": central_coverage(np.where(sample.known, sample.pit, np.nan), 0.95),
    }


def score_by(sample: Sample, labels: npt.NDArray[np.integer[Any]], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the scores of each class that has an entry.

    Parameters
    ----------
    sample : Sample
        Arrays of shape (T, point).
    labels : ndarray of int
        Index into `names`, of a shape that broadcasts to (T, point); negative for none.
    names : sequence of str
        The classes.
    """
    # Flat and without the unknown: two dozen classes of millions of entries would each be gone through as a whole.
    known = sample.known
    labels = np.broadcast_to(labels, sample.observed.shape)[known]
    flat = {k: np.broadcast_to(getattr(sample, k), known.shape)[known] for k in sample.__dataclass_fields__}
    found = {}
    for i, name in enumerate(names):
        inside = labels == i
        if inside.any():
            found[name] = score(Sample(**{k: values[inside] for k, values in flat.items()}))
    return found


def distance_classes(km: Floats, edges: Sequence[float] = DISTANCE_EDGES_KM) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return the class of each distance (the last edge not included), and the names of the classes."""
    labels = np.searchsorted(np.asarray(edges), km, side="right").astype(np.int64) - 1
    names = [f"{a:g}-{b:g} km" if np.isfinite(b) else f">{a:g} km" for a, b in pairwise(edges)]
    return np.where(np.isfinite(km), labels, -1), names


def level_terciles(best: Floats) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return the tercile of each estimate (-1 where there is none), and the terciles' names with their edges.

    Terciles of the estimate, not of the observed: what is known when the interval is given. No distribution, however
    true, covers evenly across classes of the observed value itself.
    """
    names = ["low", "middle", "high"]
    known = np.isfinite(best)
    if not known.any():
        return np.full(best.shape, -1, np.int64), names
    edges = np.quantile(best[known], [1 / 3, 2 / 3])
    return np.where(known, np.searchsorted(edges, best, side="right"), -1).astype(np.int64), names
