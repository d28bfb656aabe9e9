"""No digit of an estimate depends on where in memory its arrays lie, which is chance."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from aqreanalysis.model.kernels import Array, mix_kernels

DRAW = np.random.default_rng(0)

# In a process of its own: how MKL multiplies is settled at its first product. Torch is imported first, as users may.
_PRODUCTS = """
import os
import numpy as np
import torch
import aqreanalysis.model

def lay(array, offset):
    room = np.empty(array.nbytes + 128, np.uint8)
    begin = -room.ctypes.data % 64 + offset
    laid = room[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
    laid[:] = array
    return torch.from_numpy(laid)

rng = np.random.default_rng(0)
torch.set_num_threads(1)
differing = 0
for shape in ((3, 6, 40), (32, 7, 9), (24, 6, 8), (40, 40, 168)) * 50:
    rows, inner, columns = shape
    left, right = (rng.standard_normal(s, np.float32) for s in ((rows, inner), (columns, inner)))
    found = [torch.nn.functional.linear(lay(left, at), lay(right, 0)) for at in (0, 4, 16, 32, 48)]
    found += [torch.nn.functional.linear(lay(left, 0), lay(right, at)) for at in (4, 16, 32, 48)]
    columns = [lay(left, at) @ lay(right[0], 0) for at in (0, 16)]
    differing += sum(not torch.equal(found[0], other) for other in found[1:]) + (not torch.equal(*columns))
print(os.environ["MKL_CBWR"], differing)
"""


def _multiply(**environment: str) -> list[str]:
    environ = {name: value for name, value in os.environ.items() if name != "MKL_CBWR"}
    command = [sys.executable, "-c", _PRODUCTS]
    return subprocess.run(command, env=environ | environment, capture_output=True, text=True, check=True).stdout.split()


def test_products_of_torch_do_not_depend_on_where_their_factors_lie():
    assert _multiply() == ["AUTO", "0"]


def test_a_mode_of_mkl_that_the_user_has_chosen_stays():
    assert _multiply(MKL_CBWR="COMPATIBLE") == ["COMPATIBLE", "0"]


def _some(*shape: int) -> Array:
    return DRAW.standard_normal(shape, np.float32)


@pytest.mark.parametrize(("places", "neighbours"), [(1, 24), (2, 13)])
def test_shares_of_the_neighbours_do_not_depend_on_where_the_room_for_them_is_found(places, neighbours):
    # The room is taken inside: holes of its size are left beside the kernels, of one size after the other.
    kernels, mixture, fields = _some(2, places, neighbours), _some(6, 2), _some(6, neighbours, 3)
    given = mixture, 1, np.arange(neighbours), fields, np.empty(fields.size, np.float32)
    apart = mix_kernels(kernels, *given)[1].copy()
    for more in list(range(0, 240, 8)) * 5:
        room = [np.empty(kernels.nbytes if i % 2 else apart.nbytes + more, np.uint8) for i in range(40)]
        for at in range(1, 39, 2):
            laid = room[at].view(np.float32).reshape(kernels.shape)
            laid[:] = kernels
            room[at + 1] = None
            assert np.array_equal(mix_kernels(laid, *given)[1], apart), (more, at)
