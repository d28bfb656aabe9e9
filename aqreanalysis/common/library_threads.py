"""Threads of libraries beside those of the sweep: one each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


def one_thread() -> None:
    """Keep torch to one thread in this thread: blocks run side by side, and sums keep their order."""
    import torch

    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@contextmanager
def threads_restored() -> Iterator[None]:
    """Keep BLAS to one thread, and give torch its own number back at the end.

    Threads of BLAS beside those of blocks wait for each other: they made a sweep twenty times as slow.
    """
    import torch

    before = torch.get_num_threads()
    with threadpool_limits(1, user_api="blas"):
        try:
            yield
        finally:
            torch.set_num_threads(before)
