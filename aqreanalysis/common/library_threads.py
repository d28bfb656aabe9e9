"""Threads of libraries: one each beside those of the sweep, and as many as a training was given."""

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
def library_threads(count: int) -> Iterator[None]:
    """Give torch and BLAS `count` threads each, and their own numbers back at the end.

    They start as many as there are cores, whoever else computes there, and then wait for each other at every one of a
    step's small operations: two threads on two busy cores trained eight times as slowly as one. With nobody else there
    one takes a fifth longer than two, and its sums are the same on any machine.
    """
    import torch

    before = torch.get_num_threads()
    with threadpool_limits(count, user_api="blas"):
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


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
