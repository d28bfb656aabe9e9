"""Unfinished work is gone on with by the run that it belongs to, and by no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aqreanalysis.common.fingerprint import check_fingerprint, json_digest
from aqreanalysis.errors import OutputError

MINE = {"config": "a" * 64, "observations": "b" * 64}


def check(record: Path) -> None:
    check_fingerprint(record, MINE, "unfinished work", "begin anew with --fresh")


def test_the_same_run_may_go_on(tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    record.write_text(json.dumps(MINE))
    check(record)
    assert json.loads(record.read_text()) == MINE  # looked at, and left as it was


@pytest.mark.parametrize("other", [{**MINE, "config": "c" * 64}, {**MINE, "config": None}, MINE | {"extra": "c" * 64}])
def test_another_run_is_refused_with_what_differs(tmp_path: Path, other: dict[str, str]) -> None:
    (tmp_path / "record.json").write_text(json.dumps(other))
    with pytest.raises(OutputError, match=r"unfinished work with other (config|extra) \(\w+ there, \w+ here\): go on"):
        check(tmp_path / "record.json")


@pytest.mark.parametrize("torn", ["", '{"config": "aaa', "[1, 2]"])
def test_a_torn_record_is_one_line_with_the_way_out(tmp_path: Path, torn: str) -> None:
    (tmp_path / "record.json").write_text(torn)
    with pytest.raises(OutputError, match=r"record\.json cannot be read .* begin anew with --fresh") as caught:
        check(tmp_path / "record.json")
    assert "\n" not in str(caught.value)


def test_the_digest_of_a_mapping_does_not_know_the_order_of_its_keys() -> None:
    assert json_digest({"a": 1, "b": [2.5, None]}) == json_digest({"b": [2.5, None], "a": 1})
    assert json_digest({"a": 1}) != json_digest({"a": 2})
