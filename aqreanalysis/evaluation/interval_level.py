"""How wide an interval must be named to cover what it should, learned at left-out visible stations.

Two methods' widths can be compared only once both cover alike. A distribution that was tuned for another score - the
spread of kriging has the least CRPS - is therefore asked for the interval of another probability: the one whose
interval held the wanted share of left-out readings (split conformal prediction on the distribution's own scale,
Chernozhukov et al. 2021). For a normal distribution that is the same as a factor on its spread.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

#: The widest interval that the model's tabled distribution can give.
WIDEST = 0.99
_FEWEST = 20


def covering_level(pit: npt.NDArray[np.floating[Any]], coverage: float) -> float | None:
    """Return the probability whose central interval holds `coverage` of the left-out readings; at most `WIDEST`.

    Parameters
    ----------
    pit : ndarray
        Distribution function at the left-out readings, NaN where there is none.
    coverage : float
        Wanted share.

    Returns
    -------
    float or None
        None with too few readings to tell.
    """
    known = np.asarray(pit, np.float64).ravel()
    known = known[np.isfinite(known)]
    if known.size < _FEWEST:
        return None
    reach = np.sort(2.0 * np.abs(known - 0.5))
    rank = min(int(np.ceil((known.size + 1) * coverage)), known.size)
    return float(min(reach[rank - 1], WIDEST))
