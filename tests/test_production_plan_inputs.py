"""The readings that a run uses: staged once, and the same as the observations give."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from production_case import make_observations

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations import window
from aqreanalysis.production.plan import inputs
from aqreanalysis.production.plan.inputs import HourSpan, holds_readings, observed_hours, stage_readings

KEYS = ("pm25", "o3")


@pytest.fixture(scope="module")
def observations():
    return make_observations()


@pytest.fixture
def span(observations):
    return HourSpan(observations.first_hour - 30, 24 * 8 + 60)


def test_staged_readings_are_those_of_the_observations_whatever_the_slab(observations, span, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "SLAB_HOURS", 7)
    staged = stage_readings(observations, KEYS, span, tmp_path / "r.npy")
    wanted, _ = window(observations, KEYS, span.first_hour, span.hours)
    np.testing.assert_array_equal(staged(span.first_hour, span.hours), wanted)
    again = pickle.loads(pickle.dumps(staged))
    np.testing.assert_array_equal(again(span.first_hour + 5, 9), wanted[5:14])
    assert np.isnan(wanted[:30]).all() and np.isfinite(wanted).any()
    with pytest.raises(ValueError, match="are not in"):
        staged(span.first_hour - 1, 5)


@pytest.mark.parametrize("place", [0, 7, 9, 30, 128, 129, -1])
def test_a_file_that_was_cut_or_in_which_a_bit_flipped_does_not_hold_the_readings_any_more(
    place, observations, span, tmp_path
):
    path = tmp_path / "r.npy"
    staged = stage_readings(observations, KEYS, span, path)
    assert holds_readings(path, staged.checksum) and [p.name for p in tmp_path.iterdir()] == ["r.npy"]
    whole = bytearray(path.read_bytes())
    path.write_bytes(whole[:-8])
    assert not holds_readings(path, staged.checksum)
    whole[place] ^= 4
    path.write_bytes(whole)
    assert not holds_readings(path, staged.checksum)
    path.unlink()
    assert not holds_readings(path, staged.checksum)


def test_the_first_and_last_hour_with_a_reading_are_found_by_species(observations):
    found = observed_hours(observations, ("pm25", "o3", "so2"))
    first = observations.first_hour
    assert found == {"pm25": (first, first + 191), "o3": (first, first + 191)}
    with pytest.raises(ObservationsError, match="no usable reading of so2"):
        observed_hours(observations, ("so2",))
