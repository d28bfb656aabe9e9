"""What errors say: one line, whatever the library that raised them says."""

from __future__ import annotations

import pytest

from aqreanalysis.errors import in_one_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RuntimeError("HDF5 error\n  back trace:\n\tH5Dread"), "HDF5 error back trace: H5Dread"),
        (KeyError("time_bnds"), "'time_bnds'"),
        (EOFError(), "EOFError"),
    ],
)
def test_what_a_library_says_is_one_line_and_one_that_says_nothing_is_named(error, line):
    assert in_one_line(error) == line


def test_a_long_one_is_cut():
    assert in_one_line(ValueError("a" * 300), 160) == "a" * 160
