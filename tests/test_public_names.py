"""The public names take paths or objects, names or configs alike; anything else is one clear line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from production_case import END, GRID, START, make_frame, make_observations

import aqreanalysis as aq

#: A call with something that is neither a path nor an object, by what is wrong in it.
WRONG: dict[str, Callable[[Path, Path], object]] = {
    "a model": lambda model, out: aq.produce(5, make_observations(), GRID, START, END, out),
    "observations": lambda model, out: aq.produce(model, 5, GRID, START, END, out),
    "a grid": lambda model, out: aq.produce(model, make_observations(), 5, START, END, out),
    "a start": lambda model, out: aq.produce(model, make_observations(), GRID, object(), END, out),
    "an output": lambda model, out: aq.produce(model, make_observations(), GRID, START, END, 5),
    "a lazy grid": lambda model, out: aq.estimate(model, make_observations(), None, START, END),
    "records to train on": lambda model, out: aq.train(5, "aqnet", out),
    "a config": lambda model, out: aq.train(make_observations(), 5, out),
    "a config's name": lambda model, out: aq.train(make_observations(), "aqnett", out),
    "a bundle's folder": lambda model, out: aq.train(make_observations(), "aqnet", 5),
    "records to score with": lambda model, out: aq.evaluate(model, 5, out),
    "a model to score": lambda model, out: aq.evaluate(5, make_observations(), out),
    "a report's folder": lambda model, out: aq.evaluate(model, make_observations(), 5),
    "a cube to score": lambda model, out: aq.compare(5, make_observations()),
    "a cube": lambda model, out: aq.open_cube(5),
    "files": lambda model, out: aq.read_observations(5),
    "a frame": lambda model, out: aq.from_frame(5),
    "a named config": lambda model, out: aq.load_config(5),
    "covariates": lambda model, out: aq.Covariates.open(5),
    "a predictor": lambda model, out: aq.load_predictor(5),
    "a table for a grid": lambda model, out: aq.load_grid(make_frame()),
    "a table for a date": lambda model, out: aq.estimate(model, make_observations(), GRID, START, make_frame()),
    "a pollutant alone": lambda model, out: aq.estimate(model, make_observations(), GRID, START, END, species="pm25"),
    "pollutants": lambda model, out: aq.nature_run(1, 1, 13, species=5),
    "options of a cube": lambda model, out: aq.produce(model, make_observations(), GRID, START, END, out, "daily"),
    "options of scores": lambda model, out: aq.evaluate(model, make_observations(), out, {"every": 5}),
    "options of a training": lambda model, out: aq.train(make_observations(), "aqnet", out, options=5),
    "an empty output": lambda model, out: aq.train(make_observations(), "aqnet", ""),
    "columns": lambda model, out: aq.read_observations(make_frame(), {"lat": "y"}),
    "options of reading": lambda model, out: aq.read_observations(make_frame(), None, 5),
    "columns of a frame": lambda model, out: aq.from_frame(make_frame(), "lat"),
    "a device": lambda model, out: aq.load_predictor(model, 5),
    "one override": lambda model, out: aq.load_config("aqnet", "training.epochs=5"),
    "a limit": lambda model, out: aq.exceedance(make_frame(), make_frame()),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_type_is_one_line_that_says_what_to_give(
    what: str, production_files: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(aq.AqreanalysisError) as error:
        WRONG[what](production_files[0], tmp_path / "out.nc")
    text = str(error.value)
    assert "\n" not in text and len(text) > 15 and "Traceback" not in text


def test_observations_are_taken_as_they_are_and_a_frame_as_a_table() -> None:
    observations = make_observations()
    assert aq.read_observations(observations) is observations
    assert aq.read_observations(make_frame()).digest() == aq.from_frame(make_frame()).digest()


def test_a_config_may_be_given_again_and_changed() -> None:
    config = aq.load_config("aqnet", ["training.epochs=3"])
    assert aq.load_config(config) == config
    assert aq.load_config(config, ["training.epochs=5"]).training.epochs == 5 and config.training.epochs == 3


def test_a_training_takes_a_path_and_a_name(production_files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(aq.AqreanalysisError, match="aqnet"):
        aq.train(production_files[1], "aqnett", tmp_path / "model")
    with pytest.raises(aq.AqreanalysisError, match=r"none\.parquet"):
        aq.train(tmp_path / "none.parquet", "aqnet", tmp_path / "model")


def test_a_cube_is_scored_at_the_stations_of_a_path(cubes, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    make_frame().to_parquet(tmp_path / "obs.parquet")
    assert aq.compare(cubes.one, tmp_path / "obs.parquet") == aq.compare(cubes.one, make_observations())
