"""Threads of libraries: as many as asked for, and their own numbers back."""

from __future__ import annotations

import pytest
import torch
from threadpoolctl import threadpool_info

from aqreanalysis.common.library_threads import library_threads


@pytest.mark.parametrize("count", [1, 2])
def test_a_training_has_the_threads_it_was_given_and_others_get_theirs_back(count: int) -> None:
    before = torch.get_num_threads()
    with library_threads(count):
        assert torch.get_num_threads() == count
        assert all(pool["num_threads"] <= count for pool in threadpool_info() if pool["user_api"] == "blas")
    assert torch.get_num_threads() == before


def test_threads_come_back_after_an_error_too() -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="stop"), library_threads(before + 1):
        raise RuntimeError("stop")
    assert torch.get_num_threads() == before
