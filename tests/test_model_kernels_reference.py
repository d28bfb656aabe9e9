"""Every compiled loop gives what its plain form gives, and no digit of it hangs on where its arrays lie."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, permutations, product

import numpy as np
import pytest

from aqreanalysis.model import kernels
from aqreanalysis.model.kernels import reference
from aqreanalysis.model.kernels.reference import KERNELS, Kernel, Outputs, Values

# One alone; few of a multiple of nothing; more places than are worked on at once, and not a multiple of them.
SHAPES = [(1, 24), (9, 7), (83, 24)]
ANY_ORDER = 7  # every so many of the permutations of the arguments

each_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)


def test_every_compiled_loop_has_its_plain_form():
    loops = set(kernels.__all__) - {"Array", "warm_up"}
    assert {kernel.name for kernel in KERNELS} == loops


@each_kernel
@pytest.mark.parametrize("shape", SHAPES)
def test_a_compiled_loop_gives_what_its_plain_form_gives(kernel: Kernel, shape: tuple[int, int]):
    given = kernel.draw(np.random.default_rng(0), *shape)
    results, expected = kernel.loop(*given), kernel.plain(*given)
    assert len(results) == len(expected)
    for one, other in zip(results, expected, strict=True):
        assert one.shape == other.shape and np.isfinite(other).all()
        assert np.abs(one - other).max() <= kernel.tolerance * max(1.0, np.abs(other).max())


# What the outputs of a loop need at most.
ROOM = 1 << 19


class Memory:
    """One piece of memory in which the arrays of a loop follow each other with a gap of so many bytes."""

    def __init__(self, arrays: Outputs, gap: int, order: Iterable[int], outputs_first: bool) -> None:
        self.room = np.zeros(sum(a.nbytes + gap + 8 for a in arrays) + 64 + 2 * ROOM, np.uint8)
        self.gap, self.outputs_first = gap, outputs_first
        self.begin = self.end = ROOM + (-self.room.ctypes.data - ROOM) % 64
        self.inputs = list(arrays)
        for which in order:
            array = arrays[which]
            self.end += -(self.room.ctypes.data + self.end) % array.itemsize
            self.inputs[which] = self._view(self.end, array.shape, array.dtype)
            self.inputs[which][...] = array
            self.end += array.nbytes + gap

    def empty(self, *shape: int) -> Values:
        """Return room for an output beside the inputs."""
        size = 4 * int(np.prod(shape))
        if self.outputs_first:
            self.begin -= size + self.gap
            return self._view(self.begin, shape, np.dtype(np.float32))
        self.end += -self.end % 4 + size + self.gap
        return self._view(self.end - size - self.gap, shape, np.dtype(np.float32))

    def _view(self, at: int, shape: tuple[int, ...], dtype: np.dtype) -> Values:
        return self.room[at : at + dtype.itemsize * int(np.prod(shape))].view(dtype).reshape(shape)


@each_kernel
@pytest.mark.parametrize("shape", [(1, 24), (9, 24), (3, 8)])
def test_a_compiled_loop_does_not_depend_on_how_near_to_each_other_its_arrays_lie(
    kernel: Kernel, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
):
    arrays = kernel.draw(np.random.default_rng(0), *shape)
    apart = kernel.loop(*arrays)
    for gap, outputs_first in product((0, 16, 48, 8192), (False, True)):
        for order in islice(permutations(range(len(arrays))), 0, 30 * ANY_ORDER, ANY_ORDER):
            memory = Memory(arrays, gap, order, outputs_first)
            monkeypatch.setattr(reference, "_empty", memory.empty)
            near = kernel.loop(*memory.inputs)
            assert all(np.array_equal(a, b) for a, b in zip(near, apart, strict=True)), (gap, order)
