"""Observations and a config in, a model bundle out."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from model_case import DAYS, STATIONS, make_observations, make_readings, small_config

from aqreanalysis.background_air.groups import background_only
from aqreanalysis.errors import ConfigError, ObservationsError, OutputError
from aqreanalysis.grids import load_grid
from aqreanalysis.model import load_predictor, read_bundle
from aqreanalysis.observations import Observations
from aqreanalysis.production import ProduceOptions
from aqreanalysis.production.plan.prepare import prepare
from aqreanalysis.splits import Split
from aqreanalysis.training import TrainOptions, train

DAYS_SEEN = 5  # of six, with the last fifth unseen


@pytest.fixture(scope="module")
def observations():
    return make_observations(make_readings())


@pytest.fixture(scope="module")
def bundle_path(observations, tmp_path_factory):
    return train(observations, small_config(), tmp_path_factory.mktemp("models") / "whole", "cpu")


def same_weights(one, other):
    one, other = (read_bundle(p).members[0] for p in (one, other))
    return all(torch.equal(one[k], other[k]) for k in one)


def same_calibration(one, other):
    return (one / "calibration.json").read_bytes() == (other / "calibration.json").read_bytes()


def test_a_training_leaves_a_whole_bundle_and_nothing_else(bundle_path, observations):
    assert [p.name for p in bundle_path.parent.iterdir()] == ["whole"]
    bundle = read_bundle(bundle_path)
    assert bundle.config.species == ["pm25"] and bundle.config.inputs == ["pm25", "o3"]
    assert bundle.provenance["observations_digest"] == observations.digest()
    assert Split.of_bundle(bundle).counts() == bundle.provenance["stations_by_role"]
    assert sum(bundle.provenance["stations_by_role"].values()) == STATIONS
    assert len(bundle.metrics["training"]["history"]) == 3
    assert bundle.card.startswith("# Model card") and "minutes on 1 thread;" in bundle.card
    whole = bundle.metrics["starting_covariances"]["whole"]
    assert f"ranges {whole['short_km']:.0f} and {whole['long_km']:.0f} km" in bundle.card
    assert bundle.metrics["training"]["departure"] == {"pm25": 0.0}  # two calibration stations bear nothing out
    assert load_predictor(bundle_path, "cpu").species == ("pm25",)


def test_of_a_record_with_kerbs_background_is_learned_and_what_the_kerbs_differ_by_and_a_cube_is_made_of_both(
    observations, tmp_path
):
    kinds = np.array(["traffic" if i < 3 else "" for i in range(STATIONS)], dtype=object)
    record = Observations(observations.dataset.assign_coords(kind=("station", kinds)))
    bundle = read_bundle(train(record, small_config("training.epochs=1"), tmp_path / "model", "cpu"))
    assert set(bundle.stations["station"]) == set(record.stations[3:])
    assert bundle.provenance["observations_digest"] == background_only(record).digest()
    assert bundle.groups is not None and set(bundle.groups.groups["pm25"]) == {"traffic"}
    assert set(bundle.groups.offsets["pm25"]) == set(record.stations[:3])
    west, south = record.lon.min(), record.lat.min()
    where = load_grid(f"{west:.1f},{south:.1f},{west + 0.4:.1f},{south + 0.4:.1f}@0.1")
    span = str(record.times[30]), str(record.times[54])
    prepared = prepare(tmp_path / "model", record, where, span, ProduceOptions())
    there = prepared.observations
    helps = bundle.groups.groups["pm25"]["traffic"].helps
    assert set(there.stations) == set(record.stations[0 if helps else 3 :]) and not there.tells_kinds
    kept = [there.stations.index(s) for s in record.stations[3:]]
    assert np.array_equal(there.values("pm25")[:, kept], record.values("pm25")[:, 3:], equal_nan=True)


def test_nothing_that_training_writes_is_a_pickle(bundle_path):
    for file in bundle_path.rglob("*"):
        assert file.suffix in {".yaml", ".json", ".safetensors", ".parquet", ".md"}, file.name
        head = file.read_bytes()[:9]
        # The weights begin with the length of their header, which may be any byte; then comes the header.
        pickled = head[8:] != b"{" if file.suffix == ".safetensors" else head[:1] == b"\x80" or head[:2] == b"PK"
        assert not pickled, file.name


def interrupt(observations, config, out, epoch=2, member=""):
    def progress(done, total, note):
        if f"epoch {epoch}," in note and note.startswith(member):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(observations, config, out, "cpu", progress)
    assert not out.exists() and out.with_name(out.name + ".part").is_dir()


def test_an_interrupted_training_ends_with_the_same_model(observations, bundle_path, tmp_path):
    out = tmp_path / "model"
    interrupt(observations, small_config(), out)
    for file in (p for p in (tmp_path / "model.part").rglob("*") if p.is_file()):
        assert file.suffix in {".json", ".safetensors"}
    train(observations, small_config(), out, "cpu")
    assert same_weights(out, bundle_path) and same_calibration(out, bundle_path)
    assert read_bundle(out).digest == read_bundle(bundle_path).digest
    assert not (tmp_path / "model.part").exists()


def test_members_are_trained_apart_from_their_own_seeds_and_an_interrupted_one_is_gone_on_with(observations, tmp_path):
    config, out, calls = small_config("training.members=2"), tmp_path / "two", []
    interrupt(observations, config, out, member="member 2 of 2")
    train(observations, config, out, "cpu", lambda *a: calls.append(a))
    whole = train(observations, config, tmp_path / "whole", "cpu")
    assert read_bundle(out).digest == read_bundle(whole).digest
    first, second = read_bundle(out).members
    assert not any(torch.equal(first[k], second[k]) for k in ("own.weight", "head_inner.0.weight"))
    assert {c[1] for c in calls} == {18} and all(c[2].startswith("member 2 of 2: epoch") for c in calls)
    alone = train(observations, small_config("training.seed=1"), tmp_path / "alone", "cpu")
    assert all(torch.equal(v, second[k]) for k, v in read_bundle(alone).members[0].items())


def test_an_interrupted_training_with_another_config_is_refused_with_both(observations, tmp_path):
    out = tmp_path / "model"
    interrupt(observations, small_config(), out)
    graph_step = json.loads((tmp_path / "model.part" / "fingerprint.json").read_text())
    with pytest.raises(
        OutputError, match=r"interrupted training with other config \((\w+) there, (\w+) here\)"
    ) as error:
        train(observations, small_config("training.learning_rate=0.01"), out, "cpu")
    assert graph_step["config"][:12] in str(error.value) and "--fresh" in str(error.value)
    other = make_observations(make_readings(seed=4))
    with pytest.raises(OutputError, match="with other observations"):
        train(other, small_config(), out, "cpu")


@pytest.mark.parametrize("torn", ["fingerprint.json", "member-0/state.json"])
def test_a_torn_working_folder_is_one_clear_line_and_can_be_thrown_away(observations, bundle_path, tmp_path, torn):
    out, part = tmp_path / "model", tmp_path / "model.part"
    interrupt(observations, small_config(), out)
    (part / torn).write_text((part / torn).read_text()[:9])
    with pytest.raises(OutputError, match=r"cannot be read .*begin anew with --fresh") as caught:
        train(observations, small_config(), out, "cpu")
    assert "\n" not in str(caught.value)
    train(observations, small_config(), out, "cpu", options=TrainOptions(resume=False))
    assert same_weights(out, bundle_path)


def test_an_interrupted_training_can_be_thrown_away(observations, bundle_path, tmp_path):
    out = tmp_path / "model"
    interrupt(observations, small_config("training.learning_rate=0.01"), out)
    train(observations, small_config(), out, "cpu", options=TrainOptions(resume=False))
    assert same_weights(out, bundle_path)


def test_what_does_not_bear_on_training_may_change_before_it_goes_on(observations, bundle_path, tmp_path):
    out = tmp_path / "model"
    interrupt(observations, small_config(), out)
    train(observations, small_config("production.tile_rows=8", "metadata.title=A field"), out, "cpu")
    assert same_weights(out, bundle_path)


def test_hours_held_back_never_reach_training(observations, bundle_path, tmp_path):
    readings = make_readings()
    values = readings.values.copy()
    unseen = np.datetime64(read_bundle(bundle_path).provenance["unseen_from"], "h").astype(np.int64) - readings.hours[0]
    assert unseen == 24 * DAYS_SEEN < 24 * DAYS
    noise = np.random.default_rng(8).uniform(5, 90, values[unseen:].shape)
    values[unseen:] = noise
    out = train(make_observations(dataclasses.replace(readings, values=values)), small_config(), tmp_path / "m", "cpu")
    assert same_weights(out, bundle_path) and same_calibration(out, bundle_path)


def test_hidden_stations_never_reach_training(observations, bundle_path, tmp_path):
    readings = make_readings()
    values = readings.values.copy()
    split = Split.of_bundle(read_bundle(bundle_path))
    hidden = split.where("hidden-tenth", "hidden-city")
    assert 2 <= hidden.sum() < STATIONS / 2
    values[:, hidden] = np.random.default_rng(8).uniform(5, 90, values[:, hidden].shape)
    out = train(make_observations(dataclasses.replace(readings, values=values)), small_config(), tmp_path / "m", "cpu")
    assert same_weights(out, bundle_path) and same_calibration(out, bundle_path)


def test_readings_that_training_sees_do_reach_it(bundle_path, tmp_path):
    """The control of the two tests above: one reading at one training station changes the weights."""
    readings = make_readings()
    values = readings.values.copy()
    station = int(np.flatnonzero(Split.of_bundle(read_bundle(bundle_path)).where("training"))[0])
    values[30:60, station, 0] *= 1.5
    out = train(make_observations(dataclasses.replace(readings, values=values)), small_config(), tmp_path / "m", "cpu")
    assert not same_weights(out, bundle_path)


def test_an_output_that_exists_is_refused_before_anything_is_done(observations, tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(OutputError, match=r"model exists: choose another --out, or replace it with --overwrite"):
        train(observations, small_config(), tmp_path / "model", "cpu")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_an_output_is_replaced_when_told(observations, bundle_path, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").write_text("old")
    out = train(observations, small_config(), tmp_path / "model", "cpu", options=TrainOptions(overwrite=True))
    assert same_weights(out, bundle_path) and not (out / "old").exists()


def test_an_output_that_cannot_be_made_is_one_clear_line(observations, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputError, match=r"cannot be written"):
        train(observations, small_config(), tmp_path / "file" / "model", "cpu")


@pytest.mark.parametrize("override", ["species=[no2]", "inputs=[pm25, so2]"])
def test_a_pollutant_that_nobody_measured_is_refused(observations, tmp_path, override):
    with pytest.raises(ObservationsError, match=r"in the observations, which hold pm25, o3"):
        train(observations, small_config(override), tmp_path / "model", "cpu")
    assert list(tmp_path.iterdir()) == []


def test_too_few_days_are_refused_with_the_number_needed(tmp_path):
    with pytest.raises(ObservationsError, match=r"hold 2 whole UTC days, and at least 3 are needed"):
        train(make_observations(make_readings(days=3)), small_config(), tmp_path / "model", "cpu")
    assert list(tmp_path.iterdir()) == []


def test_a_pollutant_without_readings_is_refused(tmp_path):
    readings = make_readings()
    values = readings.values.copy()
    values[:, :, 1] = np.nan
    with pytest.raises(ObservationsError, match=r"O3 has no two different readings .* leave it out of 'inputs'"):
        train(make_observations(dataclasses.replace(readings, values=values)), small_config(), tmp_path / "m", "cpu")


def test_a_split_without_calibration_stations_is_refused(observations, tmp_path):
    with pytest.raises(ConfigError, match=r"split\.calibration_stations = 0.*early stopping"):
        train(observations, small_config("split.calibration_stations=0"), tmp_path / "model", "cpu")


def test_calibration_stations_that_never_report_are_refused(observations, bundle_path, tmp_path):
    readings = make_readings()
    values = readings.values.copy()
    values[:, Split.of_bundle(read_bundle(bundle_path)).where("calibration"), 0] = np.nan
    with pytest.raises(ObservationsError, match=r"no reading of PM2\.5 at the \d+ calibration stations"):
        train(make_observations(dataclasses.replace(readings, values=values)), small_config(), tmp_path / "m", "cpu")


def test_a_pollutant_of_too_few_stations_is_refused_with_the_way_to_leave_it_out(bundle_path, tmp_path):
    readings = make_readings()
    values = readings.values.copy()
    seen = np.flatnonzero(Split.of_bundle(read_bundle(bundle_path)).where("training"))
    values[:, np.arange(values.shape[1]) != seen[0], 1] = np.nan
    config = small_config("species=[pm25, o3]")
    with pytest.raises(ObservationsError, match=r"at 1 of all \d+ stations: leave it out with --set species=\[pm25\]"):
        train(make_observations(dataclasses.replace(readings, values=values)), config, tmp_path / "m", "cpu")


def test_a_timeline_that_begins_in_the_middle_of_a_day_is_trained_on_its_whole_days(tmp_path):
    readings = make_readings()
    late = dataclasses.replace(readings, values=readings.values[5:], hours=readings.hours[5:])
    out = train(make_observations(late), small_config("training.epochs=1"), tmp_path / "model", "cpu")
    assert read_bundle(out).provenance["time_coverage_start"] == "2019-01-01 06:00:00"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_is_refused_where_there_is_none(observations, tmp_path):
    with pytest.raises(ConfigError, match="torch sees no CUDA device here"):
        train(observations, small_config(), tmp_path / "model", "cuda")
