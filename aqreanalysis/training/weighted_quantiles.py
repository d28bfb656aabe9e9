"""Quantiles of weighted residuals, and how many independent ones stand behind many that go together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aqreanalysis.model import PROBABILITIES


def weighted_quantiles(
    ordered: NDArray[np.float64], weight: NDArray[np.float64], probability: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return weighted quantiles of values given in increasing order."""
    cumulated = (np.cumsum(weight) - weight / 2) / weight.sum()
    return np.asarray(np.interp(probability, cumulated, ordered))


def recentred(quantiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return quantiles moved to a median of zero, widened so that their mean square is what it was.

    A shift that is taken out becomes spread on both sides. The tail it came from may still be covered a little less.
    """
    own = np.interp(0.5, PROBABILITIES, quantiles)
    centred = quantiles - own
    spread = np.sqrt(centred.std() ** 2 + own**2) / max(centred.std(), 1e-9)
    return np.asarray(centred * spread)


def equal_shares(station: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return weights of mean one by which every station counts the same, those seldom asked somewhat less.

    A calibration station is left out every day and a training station now and then, and readings of one station err
    together: a few would decide alone.
    """
    if len(station) == 0:
        return np.empty(0)
    count = np.bincount(station)
    share = 1.0 / np.maximum(count, np.median(count[count > 0]))[station]
    return np.asarray(share / share.mean())


def widening(learnt: NDArray[np.float64], unseen: NDArray[np.float64], doubt: float = 2.0) -> float:
    """Return by how much errors at training stations are to be widened, from mean squares of places of either kind.

    A network that knows its stations by heart would look surer than it is. Only what cannot be chance counts: less
    `doubt` standard errors, over places, of the ratio of the mean squares.
    """
    if min(len(learnt), len(unseen)) < 2:
        return 1.0
    ratio = unseen.mean() / learnt.mean()
    error = np.sqrt(sum((x.std(ddof=1) / x.mean()) ** 2 / len(x) for x in (learnt, unseen)))
    return float(np.sqrt(max(1.0, ratio * (1 - doubt * error))))


def independent_means(standard: NDArray[np.float64], group: NDArray[np.int64], weight: NDArray[np.float64]) -> float:
    """Return how many independent errors carry as much as these, which go together in a group (design effect)."""
    _, which = np.unique(group, return_inverse=True)
    mass = np.bincount(which, weight)
    mean = np.bincount(which, weight * standard) / mass
    overall = float((weight * standard).sum() / weight.sum())
    between = float((mass * (mean - overall) ** 2).sum() / mass.sum())
    total = float((weight * (standard - overall) ** 2).sum() / weight.sum())
    shared = between / total if total > 0 else 1.0
    effective = float(weight.sum() ** 2 / (weight**2).sum())
    stations = float(mass.sum() ** 2 / (mass**2).sum())
    return max(1.0, effective / (1 + max(0.0, effective / stations - 1) * shared))
