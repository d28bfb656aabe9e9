"""What a run has worked out is found again by the run that goes on, and by no other."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from production_case import make_bundle, make_observations

from aqreanalysis.model.protocol import load_predictor
from aqreanalysis.observations import window
from aqreanalysis.production.resume.saved import SavedResults


def test_what_was_saved_is_found_and_not_made_again(tmp_path):
    saved = SavedResults(tmp_path, "run")
    made = {"tensor": torch.arange(6.0).reshape(2, 3), "array": np.array([1.5, np.nan]), "none": None}
    assert saved.get("states-0", "a", lambda: made) is made
    again = SavedResults(tmp_path, "run").get("states-0", "a", dict)
    assert torch.equal(again["tensor"], made["tensor"]) and again["none"] is None
    np.testing.assert_array_equal(again["array"], made["array"])
    again["tensor"][0, 0] = 7.0  # its own memory, and not the file's
    assert SavedResults(tmp_path, "run").get("states-0", "a", dict)["tensor"][0, 0] == 0.0


def test_another_key_takes_the_place_of_the_first(tmp_path):
    saved = SavedResults(tmp_path, "run")
    assert saved.get("states-0", "a", lambda: 1) == 1
    assert saved.get("states-0", "b", lambda: 2) == 2 and saved.get("states-0", "b", lambda: 3) == 2
    assert saved.get("states-0", "a", lambda: 4) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["states-0.pickle"]


def test_what_another_run_saved_or_one_before_the_machine_failed_is_made_anew(tmp_path):
    assert SavedResults(tmp_path, "run, boot 1").get("geometry-0-0", "", lambda: 1) == 1
    assert SavedResults(tmp_path, "run, boot 2").get("geometry-0-0", "", lambda: 2) == 2


def test_a_tensor_that_shares_an_array_is_written_with_its_own_values_alone(tmp_path):
    whole = torch.zeros(1_000_000)
    SavedResults(tmp_path, "run").get("part", "", lambda: whole[:10])
    assert (tmp_path / "part.pickle").stat().st_size < 1000
    with (tmp_path / "part.pickle").open("rb") as file:
        assert pickle.load(file) == ("run", "")
        assert torch.equal(pickle.load(file), whole[:10])


def test_a_file_that_names_a_function_to_be_called_is_not_obeyed_and_a_damaged_one_is_made_anew(tmp_path):
    class Harm:
        def __reduce__(self):
            return (tmp_path / "harm").touch, ()

    path = tmp_path / "states-0.pickle"
    path.write_bytes(pickle.dumps(("run", "a")) + pickle.dumps(Harm()))
    assert SavedResults(tmp_path, "run").get("states-0", "a", lambda: 1) == 1
    assert not (tmp_path / "harm").exists()
    path.write_bytes(path.read_bytes()[:-3])
    assert SavedResults(tmp_path, "run").get("states-0", "a", lambda: 2) == 2


def never():
    raise AssertionError("made again")


@pytest.mark.parametrize("step", [0.25, 0.02], ids=["wide cells", "dense cells"])
def test_states_and_geometry_of_a_model_are_read_back(tmp_path, step):
    predictor = load_predictor(make_bundle(tmp_path / "model"), "cpu")
    readings = make_observations()
    span = predictor.history_hours + 24 + predictor.lookahead_hours
    first = int(readings.hours[0]) + (1 - int(readings.hours[0])) % 24
    values, hours = window(readings, predictor.inputs, first - predictor.history_hours, span)
    lat, lon = (a.ravel() for a in np.meshgrid(39 + step * np.arange(6), 116 + step * np.arange(6), indexing="ij"))
    made = {
        "states": predictor.encode(values, hours, readings.lat, readings.lon),
        "geometry": predictor.geometry(readings.lat, readings.lon, lat, lon, (step, step)),
    }
    saved = SavedResults(tmp_path, "run")
    for name, thing in made.items():
        saved.get(name, "", lambda thing=thing: thing)
    again = {name: saved.get(name, "", never) for name in made}
    there, here = (predictor.predict(pair["states"], pair["geometry"])["pm25"].best for pair in (made, again))
    np.testing.assert_array_equal(there, here)
