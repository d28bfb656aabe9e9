"""What commands print is text that people and scripts can read."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from aqreanalysis.cli.printing import human_size, print_json, print_pairs, print_table, size_on_disk
from aqreanalysis.evaluation.tables import Table

TABLE = Table(["method", "n [h]"], [["AQ-Net", "12"], ["kriging", "7"]], 1, ["2 [of 3] stations"])


def test_json_holds_numpy_values_paths_and_times_and_null_for_what_is_not_finite(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_json(
        {
            "mae": np.float32(1.5),
            "r2": float("nan"),
            "rmse": np.float64("inf"),
            "hours": np.arange(2),
            "file": Path("a/b.nc"),
            "when": datetime(2019, 1, 1, 5),
            "species": ("pm25",),
            1: None,
        }
    )
    assert json.loads(capsys.readouterr().out) == {
        "mae": 1.5,
        "r2": None,
        "rmse": None,
        "hours": [0, 1],
        "file": "a/b.nc",
        "when": "2019-01-01T05:00:00",
        "species": ["pm25"],
        "1": None,
    }


def test_pairs_stand_in_two_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_pairs([("a", "1"), ("long name", "2")])
    assert capsys.readouterr().out == "a          1\nlong name  2\n"


def test_a_table_is_plain_text_where_no_terminal_reads_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(TABLE)
    assert capsys.readouterr().out.splitlines() == [
        "method   n [h]",
        "-------  -----",
        "AQ-Net      12",
        "kriging      7",
        "2 [of 3] stations",
    ]


def test_a_terminal_gets_its_tables_from_rich(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")
    print_table(TABLE)
    shown = capsys.readouterr().out
    # Brackets are not taken for markup, the rule under the header is a drawn one.
    assert "n [h]" in shown and "2 [of 3] stations" in shown and "\u2500\u2500" in shown
    print_pairs([("name", "value " * 20)])
    assert all(len(line) <= 40 for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(("size", "text"), [(999, "999 B"), (25_400_000, "25.4 MB"), (3.2e15, "3200.0 TB")])
def test_sizes_are_written_in_powers_of_a_thousand(size: float, text: str) -> None:
    assert human_size(size) == text


def test_the_size_of_a_folder_is_that_of_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "a").write_bytes(b"123")
    (tmp_path / "in" / "b").write_bytes(b"45")
    assert (size_on_disk(tmp_path), size_on_disk(tmp_path / "a")) == (5, 3)
