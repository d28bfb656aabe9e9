"""YAML of strangers: no bomb, no depth, and a message that fills no screen."""

from __future__ import annotations

import time

import pytest
import yaml

from aqreanalysis import load_config
from aqreanalysis.common.yaml_text import MOST_CHARACTERS, read_yaml, shown
from aqreanalysis.errors import AqreanalysisError
from aqreanalysis.grids import load_grid

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "holds an alias"),
        ("[" * 5000, "nested"),
        ("x: " + "y" * MOST_CHARACTERS, "characters"),
        ("a: 2001-99-99", "month|day"),
    ],
)
@pytest.mark.parametrize("read", [load_config, load_grid])
def test_a_bomb_is_refused_in_one_line_at_once(text, reason, read, tmp_path):
    (tmp_path / "x.yaml").write_text(text)
    begun = time.perf_counter()
    with pytest.raises(AqreanalysisError, match=reason) as caught:
        read(tmp_path / "x.yaml" if read is load_config else str(tmp_path / "x.yaml"))
    assert time.perf_counter() - begun < 5
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


def test_plain_yaml_is_read_as_ever():
    assert read_yaml("a: [1, {b: 2.5}]\nc: 2019-01-01T00:00:00\n")["a"] == [1, {"b": 2.5}]
    with pytest.raises(yaml.YAMLError):
        read_yaml("!!python/object/apply:os.system [echo]")


def test_a_value_in_a_message_is_cut():
    assert shown("x") == "'x'" and len(shown(list(range(10_000)))) < 100


def test_a_clock_is_a_text_and_no_number_to_base_60() -> None:
    assert read_yaml("{a: +12:00, b: -10:30, c: 7, d: -3, e: 1.5}") == {
        "a": "+12:00",
        "b": "-10:30",
        "c": 7,
        "d": -3,
        "e": 1.5,
    }
