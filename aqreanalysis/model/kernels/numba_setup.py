"""How the loops are compiled, and the arithmetic that the compiler lacks in vector form.

Numba keeps what it compiled until the file of the function itself changes: after a change of this one, delete the
`__pycache__` folders beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg.cython_blas  # noqa: F401  numba's products call it: loaded here, who limits BLAS' threads finds it
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

Array = NDArray[np.float32]

# Reordered sums and fused multiply-adds, but neither "no NaN" nor "no infinity".
_RULES: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "arcp", "nsz"}}
# A plain 1.0 would be float64 in compiled code, and everything that it meets with it.
ZERO, HALF, ONE, TWO, THREE = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(2.0), np.float32(3.0)

_LOW, _HIGH = np.float32(-87.0), np.float32(88.0)
_LOG2_E = np.float32(1.4426950408889634)
# The logarithm of two in two parts, of which the first has so few digits that its multiples are exact.
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_P5, _P4, _P3 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
_P2, _P1, _P0 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)


def compiled(function: Callable[..., Any]) -> Any:
    """Return a function that is compiled when first called, for good where there is a folder to keep it in.

    A loop that sums must not store into an array as well: the compiler then makes it twice, in vectors and one by one
    for arrays less than a vector apart, and which of the two runs, and so the last digit of the sum, is chance.
    """
    try:
        return njit(cache=True, **_RULES)(function)
    except RuntimeError:  # neither the package's folder nor the user's can be written: compiled anew in each process
        return njit(**_RULES)(function)


def _spell(context: Any, bits: Any) -> Any:
    """Return how numba is to build `_as_float`: the float32 that an int32's bits spell."""
    del context, bits

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), build


_as_float: Any = intrinsic(_spell)


@compiled
def exp(x: np.float32) -> np.float32:
    """Return the exponential to two units of the last place (Cephes' polynomial), in steps that vectorise.

    The compiler has no vector form of its own exponential without a library of Intel's; called value by value it would
    take most of a sweep.
    """
    x = _LOW if x < _LOW else (_HIGH if x > _HIGH else x)
    whole = np.floor(x * _LOG2_E + HALF)
    rest = x - whole * _LN2_HIGH - whole * _LN2_LOW
    series = ((((_P5 * rest + _P4) * rest + _P3) * rest + _P2) * rest + _P1) * rest + _P0
    return (series * rest * rest + rest + ONE) * _as_float((np.int32(whole) + np.int32(127)) << np.int32(23))


@compiled
def sigmoid(x: np.float32) -> np.float32:
    return ONE / (ONE + exp(-x))
