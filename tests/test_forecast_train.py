"""Training of the long forecast: reproducible, better than where it began, whole on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from forecast_case import (
    FIRST_HOUR,
    forecast_observations,
    forecast_values,
    small_forecast_config,
    station_places,
)

from aqreanalysis.configs import load_config
from aqreanalysis.errors import ConfigError, CovariatesError, ModelError, OutputError
from aqreanalysis.forecast.distribution import lead_ranges, range_key
from aqreanalysis.forecast.linear_paths import carried
from aqreanalysis.forecast.predictor import ForecastPredictor, load_forecaster
from aqreanalysis.forecast.train import train_forecast
from aqreanalysis.forecast.windows import Windows
from aqreanalysis.model import read_bundle
from aqreanalysis.model.predictor import load_analysis
from aqreanalysis.observations import Observations
from aqreanalysis.training import TrainOptions

pytestmark = pytest.mark.usefixtures("quick_looks")


@pytest.fixture(scope="module")
def observations() -> Observations:
    return forecast_observations(forecast_values())


@pytest.fixture(scope="module")
def bundle(observations: Observations, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_forecast(observations, small_forecast_config(), tmp_path_factory.mktemp("models") / "week", "cpu")


def test_the_same_seed_gives_the_same_model(bundle: Path, observations: Observations, tmp_path: Path) -> None:
    again = train_forecast(observations, small_forecast_config(), tmp_path / "again", "cpu")
    assert read_bundle(bundle).digest == read_bundle(again).digest


def test_unseen_hours_and_hidden_stations_change_no_weight(bundle: Path, tmp_path: Path) -> None:
    frame = read_bundle(bundle)
    values = forecast_values()
    noise = np.random.default_rng(5).uniform(1, 200, values.shape).astype(np.float32)
    hidden = (frame.stations["role"] == "hidden-tenth").to_numpy()
    unseen = int(np.datetime64(frame.provenance["unseen_from"], "h").astype(np.int64)) - FIRST_HOUR
    assert hidden.any()
    values[:, hidden], values[unseen:] = noise[:, hidden], noise[unseen:]
    other = train_forecast(forecast_observations(values), small_forecast_config(), tmp_path / "other", "cpu")
    for one, two in zip(frame.members, read_bundle(other).members, strict=True):
        assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_bundle_read_back_forecasts_what_it_forecast_before(bundle: Path) -> None:
    loaded = load_forecaster(bundle, "cpu")
    assert (loaded.species, loaded.history_hours, loaded.lead_hours) == (("pm25",), 72, 48)
    values = forecast_values(days=4)[None, :72]
    origin = np.array([FIRST_HOUR + 71])
    first = loaded.forecast(values, origin, *station_places())["pm25"]
    second = ForecastPredictor(read_bundle(bundle), "cpu").forecast(values, origin, *station_places())["pm25"]
    np.testing.assert_array_equal(first.best, second.best)
    lower, upper = first.interval(0.9)
    assert first.best.shape == (50, values.shape[2])
    assert (lower >= 0).all() and (lower <= first.best).all() and (first.best <= upper).all()


def test_two_members_forecast_two_pollutants_each_by_one_set_of_weights(
    observations: Observations, tmp_path: Path
) -> None:
    config = small_forecast_config("species=[pm25, o3]", "forecast.members=2")
    predictor = load_forecaster(train_forecast(observations, config, tmp_path / "both", "cpu"), "cpu")
    values = forecast_values(days=4)[None, :72]
    both = predictor.forecast(values, np.array([FIRST_HOUR + 71]), *station_places())
    assert set(both) == {"pm25", "o3"}


def test_the_network_betters_the_straight_paths_at_the_weeks_it_sees(
    observations: Observations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Windows.held_out
    monkeypatch.setattr(Windows, "held_out", lambda self, *which: (whole(self, *which)[0],) * 2)
    config = small_forecast_config("forecast.steps=60", "forecast.validate_every=20", "forecast.learning_rate=0.01")
    state = read_bundle(train_forecast(observations, config, tmp_path / "longer", "cpu")).metrics["training"]
    (member,) = state["members"]
    scores = {look["step"]: look["validation"] for look in member["history"]}
    assert member["best_score"] == min(scores.values()) < scores[0]
    assert member["settled_score"] <= member["best_score"]


_TWO = ("forecast.members=2", "forecast.validate_every=2")


def _interrupt(observations: Observations, out: Path, at: str) -> None:
    def progress(done: int, total: int, note: str) -> None:
        if note.startswith(at):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_forecast(observations, small_forecast_config(*_TWO), out, "cpu", progress)
    assert not out.exists()


def test_an_interrupted_training_goes_on_with_its_members_and_ends_with_the_same_model(
    observations: Observations, tmp_path: Path
) -> None:
    out, result = tmp_path / "two", []
    _interrupt(observations, out, "member 2, step 4")
    again = train_forecast(observations, small_forecast_config(*_TWO), out, "cpu", lambda *call: result.append(call))
    assert result == [(12, 12, result[0][2])]  # one look was left: the first member is whole, the second goes on
    whole = train_forecast(observations, small_forecast_config(*_TWO), tmp_path / "whole", "cpu")
    assert read_bundle(again).digest == read_bundle(whole).digest
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".part"] == []


def test_an_interrupted_training_of_something_else_is_refused_and_begun_anew_with_fresh(
    observations: Observations, tmp_path: Path
) -> None:
    out = tmp_path / "two"
    _interrupt(observations, out, "member 1, step 2")
    other = small_forecast_config("forecast.learning_rate=0.01")
    with pytest.raises(OutputError, match=r"an interrupted training with other config .*--fresh"):
        train_forecast(observations, other, out, "cpu")
    with pytest.raises(OutputError, match=r"an interrupted training with other observations"):
        train_forecast(forecast_observations(forecast_values(seed=1)), small_forecast_config(*_TWO), out, "cpu")
    fresh = train_forecast(observations, other, out, "cpu", options=TrainOptions(resume=False))
    assert len(read_bundle(fresh).members) == 1


class Weather:
    """Wind at every place and hour, as `Covariates` would offer it."""

    fields = hourly = ("u10", "v10")
    units = ("m s-1", "m s-1")

    def at(self, lat: np.ndarray, lon: np.ndarray, hours: np.ndarray) -> np.ndarray:
        wind = np.stack((np.sin(hours / 31), np.cos(hours / 17)), axis=-1).astype(np.float32)
        return np.repeat(wind[:, None], len(lat), axis=1)

    def select(self, fields: tuple[str, ...]) -> Weather:
        assert tuple(fields) == self.fields
        return self

    def digest(self) -> str:
        return "wind"


def test_a_forecast_trained_with_weather_reads_it_and_does_not_run_without(
    observations: Observations, tmp_path: Path
) -> None:
    options = TrainOptions(covariates=Weather())  # type: ignore[arg-type]
    windy = train_forecast(observations, small_forecast_config(), tmp_path / "windy", "cpu", options=options)
    assert read_bundle(windy).provenance["covariates_digest"] == "wind"
    with pytest.raises(ModelError, match="does not run without them: u10, v10 are missing"):
        load_forecaster(windy, "cpu")
    values, origin = forecast_values(days=4)[None, :72], np.array([FIRST_HOUR + 71])
    calm = Weather()
    calm.at = lambda lat, lon, hours: np.zeros((len(hours), len(lat), 2), np.float32)  # type: ignore[method-assign]
    result = [
        load_forecaster(windy, "cpu", source).forecast(values, origin, *station_places())["pm25"].best
        for source in (Weather(), calm)
    ]
    assert np.abs(result[0] - result[1]).max() > 1e-3


def test_covariates_that_do_not_change_by_the_hour_are_refused(observations: Observations, tmp_path: Path) -> None:
    still = Weather()
    still.fields, still.hourly = ("elevation",), ()  # type: ignore[assignment]
    options = TrainOptions(covariates=still)  # type: ignore[arg-type]
    with pytest.raises(CovariatesError, match=r"none of elevation changes by the hour.*leave --covariates out"):
        train_forecast(observations, small_forecast_config(), tmp_path / "still", "cpu", options=options)


def test_each_range_of_leads_has_a_calibration_and_the_whole_distribution_agrees(bundle: Path) -> None:
    predictor = load_forecaster(bundle, "cpu")
    ranges = lead_ranges(48)
    assert sorted(predictor.bundle.calibration) == sorted(range_key("pm25", label) for label in ranges)
    covered = np.concatenate([np.arange(50)[leads] for leads in ranges.values()])
    assert covered.tolist() == list(range(50))
    result = predictor.forecast(forecast_values(days=4)[None, :72], np.array([FIRST_HOUR + 71]), *station_places())[
        "pm25"
    ]
    lower, upper = result.interval(0.9)
    np.testing.assert_allclose(result.cdf(result.best), 0.5, atol=0.01)
    np.testing.assert_allclose(result.cdf(upper) - result.cdf(lower), 0.9, atol=0.02)
    assert result.crps(result.best).shape == result.mean.shape == result.standard_error.shape == result.best.shape
    assert ((result.exceedance(50.0) > 0.5) == (result.best > 50.0)).mean() > 0.99


def test_a_gap_is_carried_from_the_value_before_it() -> None:
    series = torch.tensor([[torch.nan, 1.0, torch.nan, torch.nan, 4.0], [2.0, torch.nan, 3.0, torch.nan, torch.nan]])
    expected = torch.tensor([[torch.nan, 1.0, 1.0, 1.0, 4.0], [2.0, 2.0, 3.0, 3.0, 3.0]])
    torch.testing.assert_close(carried(series), expected, equal_nan=True)


def test_an_analysis_config_is_refused(observations: Observations, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--config forecast"):
        train_forecast(observations, load_config("aqnet"), tmp_path / "m")


def test_a_bundle_that_is_there_is_kept(bundle: Path, observations: Observations) -> None:
    with pytest.raises(OutputError, match="--overwrite"):
        train_forecast(observations, small_forecast_config(), bundle)


def test_a_forecast_bundle_analyses_nothing_and_says_what_it_is_for(bundle: Path) -> None:
    with pytest.raises(ModelError, match=r"long forecast.*--protocol forecast") as caught:
        load_analysis(bundle, "cpu")
    assert "\n" not in str(caught.value)


def test_an_analysis_bundle_is_no_forecast() -> None:
    from model_case import make_bundle

    with pytest.raises(ModelError, match="no long forecast"):
        ForecastPredictor(make_bundle(), "cpu")
