from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aqreanalysis.errors import ModelError, ObservationsError
from aqreanalysis.evaluation.baselines import all_baselines
from aqreanalysis.evaluation.options import PROTOCOLS, EvaluationOptions
from aqreanalysis.evaluation.protocols import MODEL, Outcome, ask, hours_of, run_protocol
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
def tenth(model: AnalysisPredictor, split: Split, particles: Observations) -> Outcome:
    return run_protocol(model, ask(particles, split, TENTH, OPTIONS))[0]


@pytest.fixture(scope="module")
def outcomes(model: AnalysisPredictor, split: Split, town_network: Observations) -> list[Outcome]:
    return run_protocol(model, ask(town_network, split, CITIES, OPTIONS))


def test_every_method_answers_for_the_same_hours_and_stations(outcomes: list[Outcome], split: Split) -> None:
    assert [o.species for o in outcomes] == ["pm25", "o3"]
    for outcome in outcomes:
        assert list(outcome.estimates) == [MODEL, *(b.name for b in all_baselines())]
        assert outcome.stations == [s for s, r in zip(split.stations, split.role, strict=True) if r == HIDDEN_CITY]
        shapes = {e.best.shape for e in outcome.estimates.values()}
        assert shapes == {(len(outcome.hours), len(outcome.stations))} == {outcome.observed.shape}
        scored = {int(outcome.sample(m).known.sum()) for m in outcome.estimates}
        assert len(scored) == 1 and scored.pop() > 50


def test_only_unseen_hours_count_and_every_second_of_them(outcomes: list[Outcome], split: Split) -> None:
    hours = outcomes[0].hours
    assert hours.min() >= split.unseen_from.astype("datetime64[h]").astype(int)
    assert (np.diff(hours) == 2).all() and (hours % 2 == 0).all()


def test_hidden_stations_are_far_when_their_city_is_hidden(
    outcomes: list[Outcome], tenth: Outcome, town_network: Observations
) -> None:
    assert outcomes[0].nearest_km.min() > 10
    assert np.median(tenth.nearest_km) < 10
    assert len(tenth.visible_lat) == len(town_network.stations) - len(tenth.stations)


def test_replacing_hidden_readings_by_noise_changes_no_estimate_and_no_tuning(
    model: AnalysisPredictor, split: Split, particles: Observations, tenth: Outcome
) -> None:
    rng = np.random.default_rng(0)
    hidden = split.where(HIDDEN_TENTH)
    values = particles.values("pm25").copy()
    values[:, hidden] = rng.uniform(1, 200, values[:, hidden].shape).astype(np.float32)
    noisy = run_protocol(model, ask(_with(particles, {"pm25": values}), split, TENTH, OPTIONS))[0]
    assert not np.array_equal(tenth.observed, noisy.observed, equal_nan=True)
    assert tenth.tuned == noisy.tuned
    for name in tenth.estimates:
        for layer in ("best", "standard_error", "lower", "upper"):
            left, right = (getattr(o.estimates[name], layer) for o in (tenth, noisy))
            assert np.array_equal(left, right, equal_nan=True), (name, layer)


def test_visible_readings_do_reach_every_method(
    model: AnalysisPredictor, split: Split, particles: Observations, tenth: Outcome
) -> None:
    larger = _with(particles, {"pm25": particles.values("pm25") * np.float32(1.5)})
    other = run_protocol(model, ask(larger, split, TENTH, OPTIONS))[0]
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
    question = ask(grown, split, TENTH, OPTIONS)
    assert "new" in question.visible.stations and not set(question.stations) & set(question.visible.stations)


def test_the_model_is_told_its_level_at_calibration_stations_that_are_visible(
    split: Split, particles: Observations, tenth: Outcome, outcomes: list[Outcome]
) -> None:
    for protocol in (TENTH, CITIES):
        question = ask(particles, split, protocol, OPTIONS)
        told = np.array(question.visible.stations)[question.calibration]
        assert set(split.roles_of(told.tolist())) == {CALIBRATION}
    for outcome in (tenth, *outcomes):
        assert all(level is not None and 0.5 < level <= 0.99 for level in outcome.levels.values())
        for found in outcome.estimates.values():
            answered = np.isfinite(found.best)
            assert (found.calibrated_lower <= found.best)[answered].all()
            assert (found.calibrated_upper >= found.best)[answered].all()


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
    kept = [s for s, r in zip(split.stations, split.role, strict=True) if r != HIDDEN_TENTH]
    with pytest.raises(ModelError, match="none of the stations that the model's split hides"):
        run_protocol(model, ask(town_network.select(stations=kept), split, TENTH, OPTIONS))
