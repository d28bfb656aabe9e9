"""A trained model made that of another network: the weights stay, everything else is measured there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from model_case import make_bundle, make_observations, make_readings, small_config

from aqreanalysis.errors import ModelError, ObservationsError, OutputError
from aqreanalysis.evaluation import EvaluationOptions, evaluate
from aqreanalysis.model import load_predictor, read_bundle, write_bundle
from aqreanalysis.observations import Observations, StationPlaces
from aqreanalysis.splits import Split
from aqreanalysis.training import TrainOptions, train
from aqreanalysis.training.recalibrate import recalibrate

KNN = {f"knn.{name}" for name in ("log_short", "log_long", "long_share", "log_nugget")}


def network(
    stations: int = 20, days: int = 8, lat: float = -33.0, lon: float = 151.0, level: float = 0.3, species=("pm25",)
) -> Observations:
    """Return a network elsewhere, with another level."""
    readings = make_readings(days, seed=5)
    some = np.arange(stations)
    places = StationPlaces(
        [f"x{i}" for i in some], lat + readings.lat[some] - 39.9, (lon + readings.lon[some] - 116.7 + 180) % 360 - 180
    )
    values = {"pm25": level * readings.values[:, some, 0], "o3": readings.values[:, some, 1]}
    times = pd.DatetimeIndex(readings.hours.astype("datetime64[h]"))
    return Observations.from_arrays(times, places, {key: values[key] for key in species})


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    config = small_config("species=[pm25, o3]", "training.epochs=1")
    return train(make_observations(make_readings()), config, tmp_path_factory.mktemp("models") / "north", "cpu")


@pytest.fixture(scope="module")
def mine(model, tmp_path_factory):
    return recalibrate(model, network(species=("pm25", "o3")), tmp_path_factory.mktemp("models") / "mine", "cpu")


def test_all_weights_stay_but_the_covariance_models(model, mine):
    before, after = (read_bundle(path).members[0] for path in (model, mine))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert KNN <= changed <= KNN | {f"head_out.{p}.{name}" for p in (0, 1) for name in ("weight", "bias")}
    shares = read_bundle(mine).metrics["training"]["departure"].values()
    for target, share in enumerate(shares):
        name = f"head_out.{target}.weight"
        torch.testing.assert_close(after[name][:-1], share * before[name][:-1])
    fitted = read_bundle(mine).metrics["training"]["spread_fitted"].values()
    for target, here in enumerate(fitted):
        name = f"head_out.{target}.weight"
        assert torch.equal(after[name][-1], before[name][-1]) != here


def test_scaling_and_stations_are_those_of_the_network(model, mine):
    before, after = read_bundle(model), read_bundle(mine)
    assert after.scaling["pm25"].typical_error < 0.5 * before.scaling["pm25"].typical_error
    assert set(after.stations["station"]) == {f"x{i}" for i in range(20)}
    assert after.provenance["calibrated_from"]["model_digest"] == before.digest
    assert after.digest != before.digest and "evaluation" not in after.metrics
    assert set(after.calibration_means) == {"pm25", "o3"}


def test_the_card_says_what_was_calibrated_on_what(model, mine):
    card = read_bundle(mine).card
    assert f"weights of the model are those of model {read_bundle(model).digest[:12]}" in card
    assert "20 stations" in card and "not seen in calibration" in card


def test_the_outcome_is_scored_at_the_stations_that_it_did_not_look_at(mine, tmp_path):
    observations = network(species=("pm25", "o3"))
    metrics = evaluate(mine, observations, tmp_path / "scores", EvaluationOptions(every=2, device="cpu"))
    assert "network" not in metrics  # its own
    hidden = Split.of_bundle(read_bundle(mine)).where("hidden-tenth")
    changed = network(species=("pm25", "o3"))
    values = {key: changed.values(key).copy() for key in changed.species}
    for key in values:
        values[key][:, hidden] *= 3
    places = StationPlaces(changed.stations, changed.lat, changed.lon)
    other = Observations.from_arrays(changed.times, places, values)
    again = recalibrate(read_bundle(mine), other, tmp_path / "again", "cpu")
    once = recalibrate(read_bundle(mine), observations, tmp_path / "once", "cpu")
    assert read_bundle(again).digest == read_bundle(once).digest


def test_a_pollutant_that_nobody_measures_leaves_the_model(model, tmp_path):
    made = read_bundle(recalibrate(model, network(), tmp_path / "particles", "cpu"))
    assert made.config.species == made.config.inputs == ["pm25"]
    assert set(made.scaling) == set(made.calibration) == {"pm25"}
    assert load_predictor(tmp_path / "particles", "cpu").species == ("pm25",)


def test_a_pollutant_of_a_single_station_leaves_the_model(model, tmp_path):
    whole = network(species=("pm25", "o3"))
    alone = np.where(np.arange(len(whole.stations)) == 0, whole.values("o3"), np.nan).astype(np.float32)
    places = StationPlaces(whole.stations, whole.lat, whole.lon)
    lonely = Observations.from_arrays(whole.times, places, {"pm25": whole.values("pm25"), "o3": alone})
    made = read_bundle(recalibrate(model, lonely, tmp_path / "lonely", "cpu"))
    assert made.config.species == ["pm25"]


def test_five_stations_are_calibrated_on_and_none_is_hidden(model, tmp_path):
    made = read_bundle(recalibrate(model, network(stations=5), tmp_path / "few", "cpu"))
    assert set(made.stations["role"]) == {"training"}
    assert np.isfinite(made.calibration["pm25"].quantiles).all()
    assert "5 stations are too few to hide any of them from the calibration" in made.card


def test_a_calibration_that_hides_stations_says_nothing_of_hiding_none(mine):
    assert "too few to hide" not in read_bundle(mine).card


def test_few_stations_leave_the_tables_near_those_of_the_model(tmp_path):
    known = make_bundle(("pm25",))
    write_bundle(known, tmp_path / "known")
    tables = []
    for count in (6, 20):
        made = read_bundle(recalibrate(tmp_path / "known", network(stations=count), tmp_path / f"own-{count}", "cpu"))
        mine = made.calibration["pm25"]
        assert np.array_equal(mine.distance_km, known.calibration["pm25"].distance_km.round(6))
        # Whatever the size of the errors, the shape at each node is the model's, the more so the fewer the stations.
        size = mine.quantiles.std(axis=-1, keepdims=True) / known.calibration["pm25"].quantiles.std(
            axis=-1, keepdims=True
        )
        tables.append(np.abs(mine.quantiles / size - known.calibration["pm25"].quantiles).max())
    assert tables[0] < tables[1]


@pytest.mark.parametrize(
    ("stations", "days", "species", "message"),
    [
        (4, 8, ("pm25",), "4 stations are too few to calibrate"),
        (20, 3, ("pm25",), "whole UTC days, and at least 3"),
    ],
)
def test_what_says_too_little_is_refused(model, tmp_path, stations, days, species, message):
    with pytest.raises(ObservationsError, match=message):
        recalibrate(model, network(stations, days, species=species), tmp_path / "no", "cpu")


def test_a_network_without_a_common_pollutant_is_refused(tmp_path):
    write_bundle(make_bundle(("pm25",)), tmp_path / "particles")
    with pytest.raises(ModelError, match="no common pollutant: the model estimates pm25"):
        recalibrate(tmp_path / "particles", network(species=("o3",)), tmp_path / "no", "cpu")


def test_the_checkpoints_of_an_unfinished_training_stay(model, tmp_path):
    part = tmp_path / "m.part"
    part.mkdir()
    (part / "fingerprint.json").write_text("{}")
    with pytest.raises(OutputError, match=r"m.part holds an unfinished training of .*m: go on with it"):
        recalibrate(model, network(), tmp_path / "m", "cpu")
    assert (part / "fingerprint.json").exists()


def test_a_bundle_that_is_there_is_not_replaced_unless_asked(model, mine):
    with pytest.raises(OutputError, match="exists"):
        recalibrate(model, network(), mine, "cpu")
    before = read_bundle(mine).digest
    recalibrate(model, network(species=("pm25", "o3")), mine, "cpu", options=TrainOptions(overwrite=True))
    assert read_bundle(mine).digest == before
