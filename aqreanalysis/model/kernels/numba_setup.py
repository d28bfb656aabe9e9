"""How the loops are compiled, and the arithmetic that the compiler lacks in vector form.

Numba keeps what it compiled until the file of the function itself changes: after a change of this one, delete the
`__pycache__` folders beside it.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import scipy.linalg.cython_blas  # noqa: F401  numba's products call it: loaded here, who limits BLAS' threads finds it
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

Array = NDArray[np.float32]

# Reordered sums and fused multiply-adds, but neither "no NaN" nor "no infinity".
_RULES: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "arcp", "nsz"}}
# Sums in their order and true divisions: what a loop does to a value is then the same in its vectors and in its rest.
_IN_ORDER: dict[str, Any] = {**_RULES, "fastmath": {"contract", "nsz"}}
# A plain 1.0 would be float64 in compiled code, and everything that it meets with it.
ZERO, HALF, ONE, TWO, THREE = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(2.0), np.float32(3.0)

_LOW, _HIGH = np.float32(-87.0), np.float32(88.0)
_LOG2_E = np.float32(1.4426950408889634)
# The logarithm of two in two parts, of which the first has so few digits that its multiples are exact.
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_P5, _P4, _P3 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
# Of the arc tangent; pi / 4, and the tangent of its half.
_A3, _A2 = np.float32(8.05374449538e-2), np.float32(-1.38776856032e-1)
_A1, _A0 = np.float32(1.99777106478e-1), np.float32(-3.33329491539e-1)
_QUARTER, _TAN_EIGHTH = np.float32(np.pi / 4), np.float32(np.sqrt(2) - 1)
# Columns of a product that are worked on together: eight rows of them stay in a processor's nearest cache.
_COLUMNS_AT_ONCE = 512
_P2, _P1, _P0 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)


def open_to_others(folder: Path) -> Path | None:
    """Return the folder, of this one and those above it, in which another user than root may put files; None if none.

    What numba keeps is code, which it runs unseen. A folder with the sticky bit (``/tmp``) may stand above: what is in
    it belongs to who made it. A group that bears the user's own name has no other members.
    """
    if not hasattr(os, "geteuid"):
        return None
    import grp
    import pwd

    here = folder.resolve()
    for one in (here, *here.parents):
        try:
            facts = one.stat()
        except OSError:
            continue  # it is not there yet, and this process will make it
        writable = facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if writable == stat.S_IWGRP:
            try:
                writable = grp.getgrgid(facts.st_gid).gr_name != pwd.getpwuid(os.geteuid()).pw_name
            except KeyError:  # a container knows neither
                writable = facts.st_gid != os.getegid()
        if facts.st_uid not in (0, os.geteuid()) or (writable and (one == here or not facts.st_mode & stat.S_ISVTX)):
            return one
    return None


# Before anything is compiled: where others may write, ``NUMBA_CACHE_DIR`` is not used.
if (_asked := os.environ.get("NUMBA_CACHE_DIR")) and (_writable := open_to_others(Path(_asked))) is not None:
    logging.getLogger("aqreanalysis").warning(
        "NUMBA_CACHE_DIR=%s is not used: others may write in %s, and what lies there is run; chmod it, or name a "
        "folder of your own",
        _asked,
        _writable,
    )
    # Then it is kept beside the package, or in the user's own cache; by processes that this one starts, too.
    del os.environ["NUMBA_CACHE_DIR"]
    numba.config.CACHE_DIR = ""  # type: ignore[attr-defined]  # numba makes it from the environment


def compiled(function: Callable[..., Any]) -> Any:
    """Return a function that is compiled when first called, for good where there is a folder to keep it in.

    A loop that sums must not store into an array as well: the compiler then makes it twice, in vectors and one by one
    for arrays less than a vector apart, and which of the two runs, and so the last digit of the sum, is chance.
    """
    return _compile(function, _RULES)


def compiled_in_order(function: Callable[..., Any]) -> Any:
    """Return a compiled function of which no value depends on how many others are computed with it.

    For loops whose length is that of a tile or of a time block.
    """
    return _compile(function, _IN_ORDER)


def _compile(function: Callable[..., Any], rules: dict[str, Any]) -> Any:
    try:
        return njit(cache=True, **rules)(function)
    except RuntimeError:  # neither the package's folder nor the user's can be written: compiled anew in each process
        return njit(**rules)(function)


def _spell(context: Any, bits: Any) -> Any:
    """Return how numba is to build `_as_float`: the float32 that an int32's bits spell."""
    del context, bits

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), build


_as_float: Any = intrinsic(_spell)


@compiled_in_order
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


@compiled_in_order
def sigmoid(x: np.float32) -> np.float32:
    return ONE / (ONE + exp(-x))


@compiled_in_order
def arc(across: np.float32, up: np.float32) -> np.float32:
    """Return the angle from 0 to pi whose sine is `across` and whose cosine is `up`, one length for both (Cephes)."""
    flat = abs(up)
    low, high = min(across, flat), max(across, flat)
    steep = low > _TAN_EIGHTH * high
    slope = ((low - high) if steep else low) / ((low + high) if steep else high)
    square = slope * slope
    series = (((_A3 * square + _A2) * square + _A1) * square + _A0) * square * slope + slope
    angle = series + _QUARTER if steep else series
    angle = TWO * _QUARTER - angle if across > flat else angle
    return TWO * TWO * _QUARTER - angle if up < ZERO else angle


@compiled_in_order
def multiply(left: Array, right: Array, product: Array) -> None:
    """Fill the product (row, column) of two matrices of one type, each number summed in the order of the inner index.

    The products of a BLAS library depend in their last digit on the shape of the whole and on where in it a number
    stands. Here it does not, nor do zeros on the way change it; four rows and four steps at once are on small matrices
    nearly as fast (0.8 to 1.9 times on those of a sweep).
    """
    rows, inner = left.shape
    whole = inner - inner % 4
    for begin in range(0, right.shape[1], _COLUMNS_AT_ONCE):
        for first in range(0, rows, 4):
            # The last four rows may overlap those before: they become what they are already.
            i = max(min(first, rows - 4), 0)
            if rows < 4:
                for row in range(rows):
                    into, by = product[row, begin : begin + _COLUMNS_AT_ONCE], left[row]
                    into[:] = ZERO
                    for n in range(inner):
                        other, x = right[n, begin : begin + _COLUMNS_AT_ONCE], by[n]
                        for column in range(into.size):
                            into[column] += x * other[column]
                continue
            a, b, c, d = left[i], left[i + 1], left[i + 2], left[i + 3]
            end = begin + _COLUMNS_AT_ONCE
            one, two = product[i, begin:end], product[i + 1, begin:end]
            three, four = product[i + 2, begin:end], product[i + 3, begin:end]
            one[:] = ZERO
            two[:] = ZERO
            three[:] = ZERO
            four[:] = ZERO
            for n in range(0, whole, 4):
                r0, r1 = right[n, begin : begin + _COLUMNS_AT_ONCE], right[n + 1, begin : begin + _COLUMNS_AT_ONCE]
                r2, r3 = right[n + 2, begin : begin + _COLUMNS_AT_ONCE], right[n + 3, begin : begin + _COLUMNS_AT_ONCE]
                a0, a1, a2, a3 = a[n], a[n + 1], a[n + 2], a[n + 3]
                b0, b1, b2, b3 = b[n], b[n + 1], b[n + 2], b[n + 3]
                c0, c1, c2, c3 = c[n], c[n + 1], c[n + 2], c[n + 3]
                d0, d1, d2, d3 = d[n], d[n + 1], d[n + 2], d[n + 3]
                for column in range(one.size):
                    w, x, y, z = r0[column], r1[column], r2[column], r3[column]
                    one[column] = (((one[column] + a0 * w) + a1 * x) + a2 * y) + a3 * z
                    two[column] = (((two[column] + b0 * w) + b1 * x) + b2 * y) + b3 * z
                    three[column] = (((three[column] + c0 * w) + c1 * x) + c2 * y) + c3 * z
                    four[column] = (((four[column] + d0 * w) + d1 * x) + d2 * y) + d3 * z
            for n in range(whole, inner):
                last, a0, b0, c0, d0 = right[n, begin : begin + _COLUMNS_AT_ONCE], a[n], b[n], c[n], d[n]
                for column in range(one.size):
                    w = last[column]
                    one[column] += a0 * w
                    two[column] += b0 * w
                    three[column] += c0 * w
                    four[column] += d0 * w
