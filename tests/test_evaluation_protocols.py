from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fields_case import MadeUp, network, trained

from aqreanalysis.background_air.groups import background_only
from aqreanalysis.background_air.learning import learn_groups
from aqreanalysis.errors import ModelError, ObservationsError
from aqreanalysis.evaluation import baselines
from aqreanalysis.evaluation.baselines import (
    InverseDistance,
    NearestStation,
    all_baselines,
    covariate_baselines,
    register_baseline,
)
from aqreanalysis.evaluation.options import PROTOCOLS, EvaluationOptions
from aqreanalysis.evaluation.protocols import TaskResult, build_task, hours_of, run_protocol
from aqreanalysis.model.bundle import MODEL
from aqreanalysis.model.predictor import AnalysisPredictor
from aqreanalysis.model.protocol import load_predictor
from aqreanalysis.observations import Observations, StationPlaces
from aqreanalysis.splits import CALIBRATION, HIDDEN_CITY, HIDDEN_TENTH, Split

pytest_plugins = ("evaluation_case",)

OPTIONS = EvaluationOptions(every=2)
TENTH = PROTOCOLS["unseen-time-hidden-tenth"]
CITIES = PROTOCOLS["unseen-time-leave-city-out"]


@pytest.fixture(scope="module")
def model(untrained_bundle: Path) -> AnalysisPredictor:
    return load_predictor(untrained_bundle, "cpu")


@pytest.fixture(scope="module")
def split(model: AnalysisPredictor) -> Split:
    return Split.of_bundle(model.bundle)


@pytest.fixture(scope="module")
def particles(town_network: Observations) -> Observations:
    """The network without its ozone: one pollutant to interpolate, half the time."""
    return _with(town_network, {"pm25": town_network.values("pm25")})


def _with(observations: Observations, values: dict[str, np.ndarray]) -> Observations:
    places = StationPlaces(observations.stations, observations.lat, observations.lon, observations.city)
    return Observations.from_arrays(observations.times, places, values)


@pytest.fixture(scope="module")
def tenth(model: AnalysisPredictor, split: Split, particles: Observations) -> TaskResult:
    return run_protocol(model, build_task(particles, split, TENTH, OPTIONS))[0]


@pytest.fixture(scope="module")
def results(model: AnalysisPredictor, split: Split, town_network: Observations) -> list[TaskResult]:
    return run_protocol(model, build_task(town_network, split, CITIES, OPTIONS))


def test_every_method_answers_for_the_same_hours_and_stations(results: list[TaskResult], split: Split) -> None:
    assert [o.species for o in results] == ["pm25", "o3"]
    for result in results:
        assert list(result.estimates) == [MODEL, *(b.name for b in all_baselines())]
        assert result.stations == [s for s, r in zip(split.stations, split.role, strict=True) if r == HIDDEN_CITY]
        shapes = {e.best.shape for e in result.estimates.values()}
        assert shapes == {(len(result.hours), len(result.stations))} == {result.observed.shape}
        scored = {int(result.sample(m).known.sum()) for m in result.estimates}
        assert len(scored) == 1 and scored.pop() > 50


def test_only_unseen_hours_count_and_every_second_of_them(results: list[TaskResult], split: Split) -> None:
    hours = results[0].hours
    assert hours.min() >= split.unseen_from.astype("datetime64[h]").astype(int)
    assert (np.diff(hours) == 2).all() and (hours % 2 == 0).all()


def test_hidden_stations_are_far_when_their_city_is_hidden(
    results: list[TaskResult], tenth: TaskResult, town_network: Observations
) -> None:
    assert results[0].nearest_km.min() > 10
    assert np.median(tenth.nearest_km) < 10
    assert len(tenth.visible_lat) == len(town_network.stations) - len(tenth.stations)


def test_replacing_hidden_readings_by_noise_changes_no_estimate_and_no_tuning(
    model: AnalysisPredictor, split: Split, particles: Observations, tenth: TaskResult
) -> None:
    rng = np.random.default_rng(0)
    hidden = split.where(HIDDEN_TENTH)
    values = particles.values("pm25").copy()
    values[:, hidden] = rng.uniform(1, 200, values[:, hidden].shape).astype(np.float32)
    noisy = run_protocol(model, build_task(_with(particles, {"pm25": values}), split, TENTH, OPTIONS))[0]
    assert not np.array_equal(tenth.observed, noisy.observed, equal_nan=True)
    assert tenth.tuned == noisy.tuned
    for name in tenth.estimates:
        for layer in ("best", "standard_error", "lower", "upper"):
            left, right = (getattr(o.estimates[name], layer) for o in (tenth, noisy))
            assert np.array_equal(left, right, equal_nan=True), (name, layer)


def test_visible_readings_do_reach_every_method(
    model: AnalysisPredictor, split: Split, particles: Observations, tenth: TaskResult
) -> None:
    larger = _with(particles, {"pm25": particles.values("pm25") * np.float32(1.5)})
    other = run_protocol(model, build_task(larger, split, TENTH, OPTIONS))[0]
    for name in tenth.estimates:
        assert np.nanmean(other.estimates[name].best) > 1.2 * np.nanmean(tenth.estimates[name].best), name


def test_a_station_that_the_split_does_not_know_is_visible(split: Split, particles: Observations) -> None:
    places = StationPlaces(
        [*particles.stations, "new"], np.append(particles.lat, 36.0), np.append(particles.lon, 111.0)
    )
    values = particles.values("pm25")
    grown = Observations.from_arrays(
        particles.times, places, {"pm25": np.column_stack([values, values[:, 0] + np.float32(1)])}
    )
    task = build_task(grown, split, TENTH, OPTIONS)
    assert "new" in task.visible.stations and not set(task.stations) & set(task.visible.stations)


def test_the_model_is_told_its_level_at_calibration_stations_that_are_visible(
    split: Split, particles: Observations, tenth: TaskResult, results: list[TaskResult]
) -> None:
    for protocol in (TENTH, CITIES):
        task = build_task(particles, split, protocol, OPTIONS)
        calibrating = np.array(task.visible.stations)[task.calibration]
        assert set(split.roles_of(calibrating.tolist())) == {CALIBRATION}
    for result in (tenth, *results):
        assert all(level is not None and 0.5 < level <= 0.99 for level in result.levels.values())
        for estimates in result.estimates.values():
            answered = np.isfinite(estimates.best)
            assert (estimates.calibrated_lower <= estimates.best)[answered].all()
            assert (estimates.calibrated_upper >= estimates.best)[answered].all()


def test_hours_are_anchored_to_the_clock_and_not_to_the_file(split: Split, town_network: Observations) -> None:
    whole = hours_of(town_network, split, "all", 5)
    later = hours_of(town_network.select(start="2021-03-02T04:00"), split, "all", 5)
    assert set(later) <= set(whole)


def test_observations_before_the_unseen_hours_are_refused_with_a_way_out(
    split: Split, town_network: Observations
) -> None:
    with pytest.raises(ObservationsError, match="hours=seen"):
        hours_of(town_network.select(end="2021-03-05"), split, "unseen", 2)
    with pytest.raises(ObservationsError, match="unseen-time"):
        hours_of(town_network.select(start="2021-03-10"), split, "seen", 2)


def test_a_network_without_the_hidden_stations_is_refused(
    model: AnalysisPredictor, split: Split, town_network: Observations
) -> None:
    visible = [s for s, r in zip(split.stations, split.role, strict=True) if r != HIDDEN_TENTH]
    with pytest.raises(ModelError, match="none of the stations that the model's split hides"):
        run_protocol(model, build_task(town_network.select(stations=visible), split, TENTH, OPTIONS))


def test_a_model_with_covariates_stands_beside_baselines_that_are_given_the_same(tmp_path: Path) -> None:
    model = load_predictor(trained(tmp_path / "windy", MadeUp()), "cpu", MadeUp())
    task = build_task(network(), Split.of_bundle(model.bundle), TENTH, OPTIONS)
    results = run_protocol(model, task)
    readers = ["external-drift-kriging", "residual-kriging"]
    assert [b.name for b in covariate_baselines()] == readers
    for result in results:
        assert list(result.estimates) == list(result.titles) == [MODEL, *(b.name for b in all_baselines()), *readers]
        ground = {"altitude (built-in)", "population (built-in)"} if model.config.model.geography else set()
        assert set(result.tuned["residual-kriging"]["slopes"]) == {"u10", "v10", "blh", "wind speed"} | ground
        assert all(np.isfinite(result.estimates[name].best).all() for name in readers)


class Halved(NearestStation):
    """A baseline of somebody else's, in one class."""

    name, title = "halved", "half of the nearest station's spread"


def test_a_baseline_that_is_registered_stands_beside_the_others(
    model: AnalysisPredictor, split: Split, particles: Observations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baselines, "STANDARD", [NearestStation])
    register_baseline(Halved)
    (result,) = run_protocol(model, build_task(particles, split, TENTH, OPTIONS))
    assert list(result.estimates) == [MODEL, "nearest", "halved"]
    assert result.titles["halved"] == Halved.title and set(result.tuned) == {"nearest", "halved"}


def test_a_registered_baseline_that_needs_covariates_runs_where_there_are_some_alone(
    model: AnalysisPredictor, split: Split, particles: Observations, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Reader(InverseDistance):
        name, title, needs_covariates = "reader", "reader of covariates", True

    monkeypatch.setattr(baselines, "STANDARD", [NearestStation])
    monkeypatch.setattr(baselines, "WITH_COVARIATES", [])
    register_baseline(Reader)
    task = build_task(particles, split, TENTH, OPTIONS)
    assert [b.name for b in task.baselines()] == ["nearest"]
    assert [b.name for b in task.with_covariates(MadeUp()).baselines()] == ["nearest", "reader"]
    (result,) = run_protocol(model, task)
    assert list(result.estimates) == [MODEL, "nearest"]


def test_kerbs_inform_the_model_and_neither_baselines_nor_scores_and_are_hidden_with_their_city(
    model: AnalysisPredictor, split: Split, particles: Observations
) -> None:
    roles = dict(zip(split.stations, split.role, strict=True))
    seen = [s for s, role in roles.items() if role == "training"][:5]
    gone = [s for s, role in roles.items() if role == HIDDEN_CITY][:1]
    kinds = ["traffic" if s in (*seen, *gone) else "" for s in particles.stations]
    record = Observations(particles.dataset.assign_coords(kind=("station", np.array(kinds, dtype=object))))
    background = background_only(record)
    known = learn_groups(background_only(record), model.bundle.scaling)
    assert known.groups == {}
    bundle = replace(model.bundle, groups=learn_groups(record, model.bundle.scaling))
    helping = {k: {n: replace(g, helps=True) for n, g in some.items()} for k, some in bundle.groups.groups.items()}
    bundle.groups.groups.update(helping)
    for protocol, expected in ((TENTH, {*seen, *gone}), (CITIES, set(seen))):
        task = build_task(background, split, protocol, OPTIONS)
        informed = task.informed_by(record, bundle)
        assert set(informed.informed.stations) - set(task.visible.stations) == expected
        assert informed.visible is task.visible and not set(task.stations) & {*seen, *gone}
        assert "not of background air" in informed.notes[-1]
    assert task.informed_by(background, bundle) is task
