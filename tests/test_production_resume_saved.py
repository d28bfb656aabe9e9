"""What a run has worked out is found again by the run that goes on, and by no other."""

from __future__ import annotations

import pickle

import numpy as np
import torch

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
