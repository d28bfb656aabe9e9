"""A training that goes on from a model, and the model of fewer pollutants that it goes on from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from model_case import make_bundle, make_observations, make_readings, small_config

from aqreanalysis.errors import ModelError
from aqreanalysis.model import read_bundle
from aqreanalysis.model.network.aqnet import hold_back
from aqreanalysis.training import TrainOptions, train
from aqreanalysis.training.departure import surest
from aqreanalysis.training.recalibrate import recalibrate
from aqreanalysis.training.transfer import of_these_pollutants


@pytest.fixture(scope="module")
def observations():
    return make_observations(make_readings(seed=3))


@pytest.fixture(scope="module")
def went_on(observations, tmp_path_factory):
    start = make_bundle(("pm25",))
    options = TrainOptions(start=start)
    config = small_config("training.epochs=1", "training.learning_rate=1e-6")
    return start, read_bundle(
        train(observations, config, tmp_path_factory.mktemp("on") / "model", "cpu", None, options)
    )


def test_what_left_out_stations_are_not_sure_of_is_not_kept_and_the_model_is_calibrated_here(
    went_on, observations, tmp_path
):
    start, made = went_on
    # Two calibration stations stand in too few towns to be sure of anything.
    assert made.metrics["training"]["went_on"] == "what it began with"
    assert "and kept what it began with" in made.card
    own = start.config.model_copy(update={"split": made.config.split})
    calibrated = read_bundle(recalibrate(replace(start, config=own), observations, tmp_path / "model", "cpu"))
    assert all(torch.equal(value, made.members[0][name]) for name, value in calibrated.members[0].items())
    assert made.calibration["pm25"].to_dict() == calibrated.calibration["pm25"].to_dict()
    assert made.metrics["training"]["departure"] == calibrated.metrics["training"]["departure"]
    assert made.provenance["went_on_from"] == start.digest and made.metrics["training"]["epoch"] == 1


def test_what_left_out_stations_are_sure_of_is_kept(observations, tmp_path, monkeypatch):
    monkeypatch.setattr("aqreanalysis.training.trainer.surest", lambda scores, town: 1)
    start = make_bundle(("pm25",))
    config = small_config("training.epochs=1")
    made = read_bundle(train(observations, config, tmp_path / "model", "cpu", None, TrainOptions(start=start)))
    assert "and kept what was learned here" in made.card
    assert not torch.equal(made.members[0]["head_out.0.weight"], start.members[0]["head_out.0.weight"])
    assert "departure" not in made.metrics["training"]


def test_a_way_is_taken_only_where_towns_agree_on_it():
    towns = np.array([f"t{i}" for i in range(6)])
    start = np.ones(6)
    assert surest(np.stack((start, start - 0.1)), towns) == 1
    assert surest(np.stack((start, start + np.array([-0.5, 0.4, -0.5, 0.4, 0.1, 0.1]))), towns) == 0
    assert surest(np.stack((start, start - 0.1))[:, :3], towns[:3]) == 0


def test_a_model_of_other_sizes_is_refused(observations, tmp_path):
    config = small_config("training.epochs=1", "model.state_width=16")
    options = TrainOptions(start=make_bundle(("pm25",)))
    with pytest.raises(ModelError, match="has other sizes"):
        train(observations, config, tmp_path / "no", "cpu", None, options)


def test_a_model_goes_on_with_the_pollutants_that_the_observations_hold(tmp_path):
    readings = make_readings(seed=3)
    bundle = make_bundle(("pm25", "o3"))
    small = of_these_pollutants(bundle, ("pm25",))
    assert small.config.inputs == ["pm25"] and set(small.calibration) == {"pm25"}
    assert of_these_pollutants(bundle, ("pm25", "o3", "no2")) is bundle
    assert of_these_pollutants(bundle, ("pm25",), ("pm25", "o3")).config.inputs == ["pm25", "o3"]
    with pytest.raises(ModelError, match="no common pollutant"):
        of_these_pollutants(bundle, ("co",))
    particles = make_observations(replace(readings, values=readings.values[..., :1]))
    options = TrainOptions(start=bundle)
    config = bundle.config.model_copy(update={"training": small_config("training.epochs=1").training})
    made = read_bundle(train(particles, config, tmp_path / "model", "cpu", None, options))
    assert made.config.species == made.config.inputs == ["pm25"]


def test_held_back_to_nothing_the_head_moves_nothing_but_the_scale():
    weights = make_bundle(("pm25",)).members[0]
    none = hold_back(weights, 0, 0.0)
    assert not none["head_out.0.weight"][:-1].any() and not none["head_out.0.bias"][:-1].any()
    assert torch.equal(none["head_out.0.weight"][-1], weights["head_out.0.weight"][-1])
