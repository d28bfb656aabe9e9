"""Values survive the way into a page and back, to the step they are rounded to."""

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aqreanalysis.errors import OutputError
from aqreanalysis.pictures.page_encoding import Packer, rounded


def unpack(halves: tuple[str, str], shape: tuple[int, ...]) -> np.ndarray:
    """Return what the page's script makes of packed numbers, written a second time and another way."""
    low, high = (np.frombuffer(zlib.decompress(base64.b64decode(h)), np.uint8).astype(np.int64) for h in halves)
    codes = (low + 256 * high).reshape(shape)
    signed = np.where(codes % 2, -(codes + 1) // 2, codes // 2)
    return signed.cumsum(axis=2).cumsum(axis=0) % 65536


@given(arrays(np.uint16, (5, 3, 4), elements=st.integers(0, 65535)), st.integers(1, 4))
def test_numbers_come_back_whatever_the_blocks(numbers: np.ndarray, cut: int) -> None:
    packer = Packer()
    packer.add(numbers[:cut])
    packer.add(numbers[cut:])
    assert np.array_equal(unpack(packer.finish(), numbers.shape), numbers)


@given(arrays(np.float32, (2, 3, 4), elements=st.floats(0, 3000, width=32)), st.sampled_from([0.1, 0.5, 2.0]))
def test_a_value_moves_by_half_a_step_at_most(values: np.ndarray, step: float) -> None:
    back = (rounded(values, step).astype(float) - 1) * step
    assert np.abs(back - values).max() <= step / 2 * (1 + 1e-6)


def test_a_missing_value_stays_missing_and_a_zero_does_not() -> None:
    assert rounded(np.array([np.nan, 0.0, 1.0]), 0.5).tolist() == [0, 1, 3]


@pytest.mark.parametrize("value", [-1.0, 70000.0])
def test_a_value_that_16_bits_cannot_hold_is_refused_by_name(value: float) -> None:
    with pytest.raises(OutputError, match=f"{value:g}"):
        rounded(np.array([value, 1.0]), 1.0)
