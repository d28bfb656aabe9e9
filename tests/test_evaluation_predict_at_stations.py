from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aqreanalysis.errors import ModelError
from aqreanalysis.evaluation import predict_at_stations as room
from aqreanalysis.evaluation.predict_at_stations import Estimates, Targets, estimate
from aqreanalysis.model.predictor import AnalysisPredictor
from aqreanalysis.model.protocol import load_predictor
from aqreanalysis.observations import Observations, StationPlaces

pytest_plugins = ("evaluation_case",)


@pytest.fixture(scope="module")
def model(untrained_bundle: Path) -> AnalysisPredictor:
    return load_predictor(untrained_bundle, "cpu")


def _visible(observations: Observations) -> Observations:
    return observations.select(stations=observations.stations[4:])


def _targets(observations: Observations, hours: np.ndarray) -> Targets:
    rows = hours - observations.first_hour
    observed = {k: observations.values(k)[rows][:, :4] for k in observations.species}
    return Targets(observations.lat[:4], observations.lon[:4], hours, observed)


def test_answers_have_one_row_an_hour_and_do_not_depend_on_which_others_are_asked(
    model: AnalysisPredictor, town_network: Observations
) -> None:
    hours = town_network.hours[20:120]
    whole = estimate(model, _visible(town_network), _targets(town_network, hours))
    some = estimate(model, _visible(town_network), _targets(town_network, hours[3::7]))
    for key in ("pm25", "o3"):
        assert whole[key].best.shape == (100, 4)
        assert np.array_equal(whole[key].hours, hours)
        for name in ("best", "standard_error", "lower", "upper", "crps", "pit"):
            left, right = getattr(whole[key], name)[3::7], getattr(some[key], name)
            np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-4)


def test_the_block_length_changes_nothing(
    model: AnalysisPredictor, town_network: Observations, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = _targets(town_network, town_network.hours[24:144])
    answers = []
    for days in (1, 5):
        monkeypatch.setattr(room, "BLOCK_DAYS", days)
        answers.append(estimate(model, _visible(town_network), targets)["pm25"].best)
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-5)


def test_estimates_follow_the_stations_around(model: AnalysisPredictor, town_network: Observations) -> None:
    hours = town_network.hours
    estimates = estimate(model, _visible(town_network), _targets(town_network, hours))["pm25"]
    observed = town_network.values("pm25")[:, :4]
    known = np.isfinite(observed)
    assert np.corrcoef(estimates.best[known], observed[known])[0, 1] > 0.5
    assert np.isfinite(estimates.crps[known]).all() and np.isnan(estimates.crps[~known]).all()
    assert np.isnan(estimates.pit[~known]).all() and ((estimates.pit[known] >= 0) & (estimates.pit[known] <= 1)).all()
    assert (
        (estimates.lower <= estimates.best).all()
        and (estimates.best <= estimates.upper).all()
        and (estimates.lower >= 0).all()
    )


def test_an_hour_at_the_edge_of_the_timeline_is_answered(model: AnalysisPredictor, town_network: Observations) -> None:
    targets = _targets(town_network, town_network.hours[[0, -1]])
    assert np.isfinite(estimate(model, _visible(town_network), targets)["pm25"].best).all()


def test_days_without_wanted_hours_are_not_computed(model: AnalysisPredictor, town_network: Observations) -> None:
    calls: list[tuple[int, int]] = []
    hours = town_network.hours[[5, 30, 200]]
    estimate(
        model,
        _visible(town_network),
        _targets(town_network, hours),
        progress=lambda done, total, _: calls.append((done, total)),
    )
    assert calls == [(1, 2), (2, 2)]


def test_observations_of_other_pollutants_are_refused(model: AnalysisPredictor, town_network: Observations) -> None:
    places = StationPlaces(town_network.stations, town_network.lat, town_network.lon)
    other = Observations.from_arrays(town_network.times, places, {"so2": town_network.values("pm25")})
    with pytest.raises(ModelError, match="the model reads pm25, o3 and the observations hold so2"):
        estimate(model, other, _targets(town_network, town_network.hours[:24]))


def test_a_sample_carries_the_estimates_beside_the_observed() -> None:
    ones = np.ones((2, 3), np.float32)
    estimates = Estimates(np.arange(2), ones, ones * 2, ones * 0, ones * 3, ones * 4, ones * 0.5, ones * 0, ones * 3)
    sample = estimates.sample(ones * 9)
    assert (sample.best[0, 0], sample.upper[0, 0], sample.pit[0, 0], sample.observed[0, 0]) == (1, 3, 0.5, 9)
