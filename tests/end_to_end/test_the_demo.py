"""The demo: the main job on a short synthetic region, twice, and what it will not touch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aqreanalysis.demo import Demo, run_demo
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
    assert "at every cell and hour" in demo.table


def test_every_method_is_scored_at_every_cell_by_distance_in_town_and_country_and_by_people(demo: Demo) -> None:
    methods = demo.scores["truth"]["pm25"]["methods"]
    assert set(methods) == {"aq-net", "log-kriging", "residual-kriging", "aqnet-stations-alone"}
    for scores in methods.values():
        assert {"0-5 km", "10-25 km", "25-50 km", "50-100 km"} <= set(scores["by_distance"])
        assert set(scores["by_settlement"]) == {"town", "country"}
        assert 0 < scores["overall"]["crps"] < scores["overall"]["mae"]
        assert 0 < scores["by_people"]["mae"] < 50
        assert scores["title"] in demo.table
    assert [path.name for path in demo.written if "side_by_side" in path.name] == ["pm2p5_side_by_side.png"]


def test_the_model_reads_background_weather_and_static_fields_from_the_files_that_were_written(demo: Demo) -> None:
    read = json.loads((demo.out / "model" / "covariates.json").read_text())
    text = json.dumps(read)
    for name in ("pm25_background", "u10", "v10", "blh", "population", "roads", "works"):
        assert name in text
    assert not (demo.out / "model_stations_alone" / "covariates.json").exists()


def test_an_earlier_demo_is_left_alone_until_told(demo: Demo) -> None:
    with pytest.raises(OutputError, match=r"holds an earlier demo.*--overwrite"):
        run_demo(demo.out, config=SMALL, days=12)


@pytest.mark.slow
def test_an_earlier_demo_is_replaced_when_told_and_what_a_user_put_beside_it_stays(demo: Demo) -> None:
    mine = demo.out / "notes.txt"
    mine.write_text("mine")
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
