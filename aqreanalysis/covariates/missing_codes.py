"""Values that mean none although a raster does not say so: -9999, the largest number of its type, and the like."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: What is beyond this is no quantity that anybody maps: the smallest and largest numbers of single precision.
BEYOND = 1e30
_LOW = (-200.0, -999.0, -9999.0, -99999.0, -999999.0, -32767.0, -32768.0, -2147483647.0, -2147483648.0)
_HIGH = (9999.0, 99999.0, 32767.0, 65535.0, 2147483647.0, 4294967295.0, 1e20, float(np.float32(1e20)))
#: A code above this one, as GHSL's -200, may be a value: it is met as often as one above zero.
_SURE = -999.0
#: The largest number of a byte, too: but not of a raster that holds hardly any other, as a mask of 0 and 255 does.
_HIGHEST_BYTE, _OTHERS = 255.0, 3
#: A code above zero is met at least so often, and any lies off all other values by such a share of itself.
_REPEATED, _OFF = 5, 0.1


def usual_codes(values: NDArray[np.floating], byte: bool = False) -> list[float]:
    """Return which values are codes for missing ones: usual numbers at the end of the range, far off all others.

    Parameters
    ----------
    values : ndarray
        Of a raster or some of it, NaN where that it declares as missing.
    byte : bool
        Whether they are stored in a byte without sign.

    Examples
    --------
    >>> usual_codes(np.array([-9999.0] * 6 + [12.0, 30.0, 200.0]))
    [-9999.0]
    >>> usual_codes(np.arange(-10_500.0, 9_000.0))
    []
    """
    left = values[np.isfinite(values) & (np.abs(values) < BEYOND)]
    codes: list[float] = []
    while left.size:
        ends = [(float(left.min()), _LOW), (float(left.max()), (*_HIGH, *((_HIGHEST_BYTE,) if byte else ())))]
        code = next((end for end, usual in ends if end in usual), None)
        if code is None:
            break
        others = left[left != code]
        lonely = not others.size or np.abs(others - code).min() > _OFF * abs(code)
        if code == _HIGHEST_BYTE and np.unique(others).size < _OTHERS:
            lonely = False
        if code > _SURE and (left.size - others.size < _REPEATED or not others.size):
            lonely = False  # a count of just so many
        if not lonely:
            break
        codes.append(code)
        left = others
    return codes
