"""The demo: the main job on a short synthetic region, twice, and what it will not touch."""

from __future__ import annotations

from pathlib import Path

import pytest

from aqreanalysis.demo import Demo, format_truth, run_demo
from aqreanalysis.errors import OutputError

SMALL = {
    "species": ["pm25"],
    "inputs": ["pm25"],
    "model": {"neighbours": 8, "state_width": 8, "head_width": 16},
    "training": {"epochs": 1, "steps_per_epoch": 4},
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Run the demo on 12 days with a small network."""
    return run_demo(tmp_path_factory.mktemp("demo") / "out", config=SMALL, days=12)


def test_the_demo_writes_what_it_says_and_scores_it(demo: Demo) -> None:
    assert all(path.exists() for path in demo.written)
    assert {path.suffix for path in demo.written} >= {".nc", ".zarr", ".png", ".html", ".json"}
    overall = demo.scores["truth"]["pm25"]["overall"]
    assert overall["n"] == 7 * 24 * 41 * 61
    assert 0 < overall["mae"] < 50
    asked = {"unseen-time-hidden-tenth", "unseen-time-leave-city-out"}
    assert set(demo.scores["hidden_stations"]["species"]["pm25"]) == asked
    assert "against the truth" in demo.table
    assert "AQ-Net" in demo.table


def test_an_earlier_demo_is_replaced_only_when_told_and_what_a_user_put_beside_it_stays(demo: Demo) -> None:
    mine = demo.out / "notes.txt"
    mine.write_text("mine")
    with pytest.raises(OutputError, match=r"holds an earlier demo.*--overwrite"):
        run_demo(demo.out, config=SMALL, days=12)
    again = run_demo(demo.out, config=SMALL, days=12, overwrite=True)
    assert again.scores == demo.scores, "the demo is seeded"
    assert mine.read_text() == "mine"


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(OutputError, match=r"holds 'thesis\.tex', which is of no demo"):
        run_demo(tmp_path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(OutputError, match="is a file"):
        run_demo(tmp_path / "thesis.tex")


def test_the_table_of_scores_by_the_truth_has_a_row_for_each_distance() -> None:
    scores = {"n": 10, "mae": 1.234, "rmse": 2.0, "r2": None, "bias": -0.5, "coverage": 0.91}
    text = format_truth({"pm25": {"units": "ug m-3", "overall": scores, "by_distance": {"0-5 km": scores}}})
    rows = [line.split() for line in text.splitlines() if line.startswith("PM2.5")]
    assert [row[-6:] for row in rows] == [["10", "1.23", "2.00", "-", "-0.50", "0.910"]] * 2
