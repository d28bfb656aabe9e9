"""A source of gridded fields says what it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from aqreanalysis.covariates.gridded import GriddedSource


@pytest.mark.parametrize(
    ("product", "title"),
    [
        ("ecmf/ea/oper", "ecmf/ea/oper: a grid"),
        ("255//", "a model that is not named: a grid"),
        ("cams//", "cams: a grid"),
    ],
)
def test_what_a_header_leaves_open_is_not_shown_as_a_number(product: str, title: str) -> None:
    axes: Any = SimpleNamespace(describe=lambda: "a grid")
    assert GriddedSource(product, axes, {}).title() == title
