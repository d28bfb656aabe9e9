"""The model that comes with the package: what it is, that it can be made again, and the networks it learns from."""

from __future__ import annotations

import numpy as np
import pytest

from aqreanalysis.model import read_bundle
from aqreanalysis.pretrained import FOLDER
from aqreanalysis.pretrained.make import Recipe, make
from aqreanalysis.pretrained.networks import Kind, all_seen, changed, draw_networks
from aqreanalysis.species import SPECIES

DIGEST = "3631ad63d4b52aca9364440983260e706127634672a98a08bc532abc69e8b970"


def test_the_bundle_is_the_one_that_was_made_and_small() -> None:
    bundle = read_bundle(FOLDER)
    assert bundle.digest == DIGEST
    assert bundle.config.species == bundle.config.inputs == list(SPECIES)
    assert all(file.stat().st_size < 1_000_000 for file in FOLDER.iterdir())


def test_its_card_says_from_what_it_learned() -> None:
    card = read_bundle(FOLDER).card
    recipe = Recipe()
    assert f"nature runs of {recipe.learned} seeds from {recipe.seed} on" in card and "none of them measured" in card
    assert "**It learned from synthetic records, not from measurements.**" in card


def test_what_it_learned_is_better_at_networks_kept_back_than_where_it_began() -> None:
    state = read_bundle(FOLDER).metrics["training"]
    # Where it began is kriging by the likeliest covariance models of each network: 3 % are what is left to learn.
    assert state["best_score"] < 0.98 * state["start_score"]


def test_seeds_of_the_benchmark_are_none_of_those_that_it_learns_from() -> None:
    recipe = Recipe()
    assert recipe.seed > 100 and recipe.seed + recipe.learned <= recipe.seed_kept_back


@pytest.mark.slow
def test_a_recipe_makes_the_same_bundle_each_time() -> None:
    recipe = Recipe(9000, 9100, 1, 1, 6, 6, ("training.epochs=1", "training.steps_per_epoch=3"))
    one, other = make(recipe), make(recipe)
    assert all((one.members[0][name] == value).all() for name, value in other.members[0].items())
    assert one.calibration["pm25"].to_dict() == other.calibration["pm25"].to_dict()


def test_a_run_gives_networks_of_several_kinds() -> None:
    networks = draw_networks(9001, 5)
    assert len({len(one.stations) for one in networks}) > 1
    assert len({round(float(np.ptp(one.lat)), 2) for one in networks}) == len(networks)
    assert all(np.abs(one.lat).max() < 90 for one in networks)


def test_a_network_keeps_its_shape_and_changes_its_size_place_and_clock() -> None:
    record = draw_networks(9001, 5)[0]
    kind = Kind(12, 0.1, 50.0, 179.9, 30, ("pm25",) if "pm25" in record.species else record.species[:1])
    one = changed(record, kind, np.random.default_rng(0))
    assert len(one.stations) == 12 and list(one.species) == list(kind.measured)
    some = [list(record.stations).index(s) for s in one.stations]
    assert np.ptp(one.lat) == pytest.approx(0.1 * np.ptp(np.asarray(record.lat)[some]))
    assert (one.times[0] - record.times[0]) == np.timedelta64(30, "h")
    assert np.abs(one.lon).max() <= 180
    key = kind.measured[0]
    np.testing.assert_array_equal(one.values(key), record.values(key)[:, some])


def test_networks_to_score_by_keep_stations_back_and_others_none() -> None:
    record, config = draw_networks(9001, 5)[0], Recipe().config
    assert all_seen(record, config, False).counts()["calibration"] == 0
    scored = all_seen(record, config, True)
    assert scored.counts()["calibration"] == max(2, round(0.25 * len(record.stations)))
    assert scored.unseen_from > record.times[-1]
