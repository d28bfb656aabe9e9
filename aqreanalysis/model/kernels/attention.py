"""Attention of a few queries to the steps of a short window.

Heads of eight numbers and windows of some seventy steps are too small for the blocks of a library: here the steps of a
window lie side by side and are passed as one run. All in one function: cut into several, whose arrays the compiler
cannot tell apart, it takes half as long again.
"""

from __future__ import annotations

import numpy as np

from aqreanalysis.model.kernels.numba_setup import ONE, ZERO, Array, compiled, exp

# Steps are filled up to a multiple of what the compiler puts into one turn of a loop: its rest goes one by one.
_TURN = 32
_HALF = _TURN // 2


@compiled
def attention(query: Array, key_value: Array, heads: int, out: Array) -> None:
    """Fill what each query takes from the values of its window, weighted by the softmax of its products with the keys.

    Parameters
    ----------
    query : float32 (window, query, width)
    key_value : float32 (window, step, 2 * width)
        Keys, then values.
    heads : int
        Divides the width.
    out : float32 (window, query, width)
    """
    windows, queries, width = query.shape
    steps, each = key_value.shape[1], width // heads
    padded = (steps + _TURN - 1) // _TURN * _TURN
    pairs = each - each % 2
    scale = ONE / np.sqrt(np.float32(each))
    turned = np.zeros((2 * width, padded), np.float32)
    share, workspace = np.empty((queries, padded), np.float32), np.empty(_TURN, np.float32)
    flat = share.reshape(queries * padded)
    for w in range(windows):
        for step in range(steps):
            for d in range(2 * width):
                turned[d, step] = key_value[w, step, d]
        for step in range(steps, padded):  # the first key fills up, so that the largest product stays what it is
            for d in range(width):
                turned[d, step] = turned[d, 0]
        for first in range(0, width, each):
            for q in range(queries):
                for step in range(padded):
                    share[q, step] = ZERO
                for d in range(first, first + pairs, 2):
                    a, b = query[w, q, d] * scale, query[w, q, d + 1] * scale
                    for step in range(padded):
                        share[q, step] += a * turned[d, step] + b * turned[d + 1, step]
                for d in range(first + pairs, first + each):
                    a = query[w, q, d] * scale
                    for step in range(padded):
                        share[q, step] += a * turned[d, step]
                # The compiler has no vectors for one running maximum: many run side by side.
                for step in range(_TURN):
                    workspace[step] = share[q, step]
                for begin in range(_TURN, padded, _TURN):
                    for step in range(_TURN):
                        workspace[step] = max(workspace[step], share[q, begin + step])
                for step in range(_HALF):
                    workspace[step] = max(workspace[step], workspace[step + _HALF])
                highest = workspace[0]
                for step in range(1, _HALF):
                    highest = max(highest, workspace[step])
                for step in range(padded):
                    share[q, step] -= highest
            for i in range(flat.size):
                flat[i] = exp(flat[i])
            for q in range(queries):
                total = ZERO
                for step in range(steps):
                    total += share[q, step]
                for step in range(steps, padded):
                    share[q, step] = ZERO
                for d in range(first, first + pairs, 2):
                    a, b = ZERO, ZERO
                    for step in range(padded):
                        a += share[q, step] * turned[width + d, step]
                        b += share[q, step] * turned[width + d + 1, step]
                    out[w, q, d], out[w, q, d + 1] = a / total, b / total
                for d in range(first + pairs, first + each):
                    a = ZERO
                    for step in range(padded):
                        a += share[q, step] * turned[width + d, step]
                    out[w, q, d] = a / total
