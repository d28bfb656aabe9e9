"""How far a trained network may leave the kriging that it started from: as far as left-out stations bear it out.

What moves the location in the head is learned at the training stations. With twenty of them it is their own lasting
oddities that are learned, and at places without a station it does harm. The calibration stations, which nothing was
fitted to, say how much of it is to stay; where they are too few to say anything, none of it does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Shares of the departure that are tried, the start itself first.
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
# Fewer towns cannot say how far they agree.
_FEWEST_TOWNS = 4


def choose_share(scores: NDArray[np.float64], town: NDArray[np.str_]) -> float:
    """Return the share of the departure that is surest to gain: the start's 0 where none is.

    Parameters
    ----------
    scores : float64 (share, station)
        As of `surest`, of each of `SHARES`.
    town : str (station,)
        Where each stands.
    """
    return SHARES[surest(scores, town)]


def surest(scores: NDArray[np.float64], town: NDArray[np.str_]) -> int:
    """Return the number of the way that is surest to gain on the first: 0 where none is.

    By town, since the stations of one err together. A way must gain more on average than the standard error of that
    average, and the one with the largest rest is taken.

    Parameters
    ----------
    scores : float64 (way, station)
        Mean score at the stations left out, NaN at those without a truth; less is better.
    town : str (station,)
        Where each stands.
    """
    known = np.isfinite(scores).all(axis=0)
    names = np.unique(town[known])
    if len(names) < _FEWEST_TOWNS:
        return 0
    by_town = np.stack([scores[:, known & (town == name)].mean(axis=1) for name in names], axis=1)
    gain = by_town[0] - by_town
    surely = gain.mean(axis=1) - gain.std(axis=1, ddof=1) / np.sqrt(len(names))
    surely[0] = 0.0
    return int(surely.argmax())
