"""What errors say: one line, whatever the library that raised them says."""

from __future__ import annotations

import pytest

from aqreanalysis.errors import in_one_line, nearest_hint


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


def test_the_nearest_name_is_found_in_any_case():
    assert nearest_hint("URN", ["name", "urn", "Lat"]) == "; did you mean 'urn'?"
    assert nearest_hint("urn", ["URN"]) == "; did you mean 'URN'?"
    assert nearest_hint("height", ["urn"]) == ""
