"""The forecast protocol: nothing hidden and nothing later reaches a method, and all are scored on the same hours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from forecast_case import FIRST_HOUR, STATIONS, forecast_observations, forecast_values, small_forecast_config

from aqreanalysis.cli import main
from aqreanalysis.errors import ConfigError, ModelError, ObservationsError, OutputError
from aqreanalysis.forecast import evaluate as protocol
from aqreanalysis.forecast.baselines import (
    DailyPersistence,
    Persistence,
    PointForecast,
    Ridge,
    SeasonalClimatology,
    idw_weights,
)
from aqreanalysis.forecast.evaluate import (
    MODEL,
    ForecastEvaluationOptions,
    evaluate_forecast,
    forecast_table,
)
from aqreanalysis.forecast.predictor import ForecastPredictor, load_forecaster
from aqreanalysis.forecast.protocol import (
    IntervalScores,
    build_task,
    predict_baseline,
    predict_baseline_once,
    predict_model,
)
from aqreanalysis.forecast.train import train_forecast
from aqreanalysis.observations import Observations
from aqreanalysis.splits import HIDDEN_TENTH, Split

QUICK = (Persistence, DailyPersistence, SeasonalClimatology, Ridge)


pytestmark = pytest.mark.usefixtures("quick_looks")


@pytest.fixture(scope="module")
def observations() -> Observations:
    return forecast_observations(forecast_values())


@pytest.fixture(scope="module")
def bundle(observations: Observations, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_forecast(observations, small_forecast_config(), tmp_path_factory.mktemp("models") / "week", "cpu")


@pytest.fixture(scope="module")
def model(bundle: Path) -> ForecastPredictor:
    return load_forecaster(bundle, "cpu")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "all_forecast_baselines", lambda: ([b() for b in QUICK], []))


def altered(model: ForecastPredictor, what: str) -> tuple[Observations, int]:
    """Return observations whose hidden stations, or whose hours after the first origin, are noise; and that origin."""
    values = forecast_values()
    split = Split.of_bundle(model.bundle)
    unseen = int(split.unseen_from.astype("datetime64[h]").astype(np.int64)) - FIRST_HOUR
    noise = np.random.default_rng(9).uniform(1, 300, values.shape).astype(np.float32)
    if what == "hidden":
        hidden = split.where(HIDDEN_TENTH)
        values[:, hidden] = noise[:, hidden]
    else:
        values[unseen:] = noise[unseen:]
    return forecast_observations(values), unseen - 1


def test_a_hidden_stations_readings_reach_no_method(model: ForecastPredictor, observations: Observations) -> None:
    split = Split.of_bundle(model.bundle)
    asked = [build_task(model, o, split, "pm25", 48) for o in (observations, altered(model, "hidden")[0])]
    assert np.nanmax(np.abs(asked[0].truth["hidden"] - asked[1].truth["hidden"])) > 10
    for where in ("visible", "hidden"):
        first, second = (predict_model(model, q, "pm25", where)[0] for q in asked)
        np.testing.assert_array_equal(first.median, second.median)
    for kind in QUICK:
        answers = []
        for task in asked:
            method = kind()
            method.fit(task.records)
            weights, _ = idw_weights(task.records, task.visible, task.hidden)
            answers.append(predict_baseline(method, task, weights)["hidden"].median)
        np.testing.assert_array_equal(*answers)


def test_nothing_after_the_origin_reaches_a_method(model: ForecastPredictor, observations: Observations) -> None:
    split = Split.of_bundle(model.bundle)
    later, origin = altered(model, "later")
    answers = []
    for o in (observations, later):
        task = build_task(model, o, split, "pm25", 1)
        assert task.origins[0] == origin
        first = task.records.histories(task.origins[:1])
        stamps = task.records.stamps(task.origins[:1])
        scores = [model.forecast(first[..., task.order], stamps, *task.visible)["pm25"].best]
        for kind in QUICK:
            method = kind()
            method.fit(task.records)
            scores.append(method.predict(first, stamps).mean)
        answers.append(scores)
    for one, other in zip(*answers, strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_method_is_scored_on_the_same_hours(
    quick: None, bundle: Path, observations: Observations, tmp_path: Path
) -> None:
    metrics = evaluate_forecast(bundle, observations, tmp_path, ForecastEvaluationOptions(every=24, device="cpu"))
    scores = metrics["species"]["pm25"]
    assert scores["visible"]["stations"] + scores["hidden"]["stations"] == STATIONS
    for where in ("visible", "hidden"):
        methods = scores[where]["methods"]
        assert list(methods) == [MODEL, *(b.name for b in QUICK)]
        for horizon in ("6 h", "12 h", "24 h", "2 d"):
            assert len({m["horizons"][horizon]["n"] for m in methods.values()}) == 1
            ratio = scores[where]["against_best_baseline"][horizon]["mae"]
            best = min(m["horizons"][horizon]["mae"] for n, m in methods.items() if n != MODEL)
            assert ratio["ratio"] == pytest.approx(methods[MODEL]["horizons"][horizon]["mae"] / best)
    assert json.loads((tmp_path / "forecast.json").read_text()) == metrics
    page = (tmp_path / "forecast.html").read_text()
    assert "<section id='forecast'>" in page and "data:image/png;base64," in page
    assert np.shape(scores["history"]["elasticity"])[0] == metrics["lead_hours"] // 24
    assert "persistence of the last day" in forecast_table(metrics).text()


def test_scores_are_those_of_the_constructed_errors() -> None:
    truth = np.zeros((4, 2, 50), np.float32)
    truth[::2] = 10.0
    truth[0, 0, 3] = np.nan
    right, off = PointForecast(truth, truth), PointForecast(truth + 2, truth - 4)
    spread = IntervalScores(np.ones_like(truth), np.ones_like(truth))
    result = protocol._scored(truth, {MODEL: off, "right": right}, spread, {MODEL: "m", "right": "r"})
    scores = result["methods"][MODEL]["horizons"]["6 h"]
    assert scores["n"] == 4 * 2 * 6 - 1 and result["unanswered"] == 0
    assert scores["mae"] == pytest.approx(2) and scores["rmse"] == pytest.approx(4)
    assert result["methods"]["right"]["horizons"]["2 d"]["r2"] == pytest.approx(1)


def test_an_earlier_evaluation_is_not_replaced_unasked(
    bundle: Path, observations: Observations, tmp_path: Path
) -> None:
    (tmp_path / "forecast.json").write_text("{}")
    with pytest.raises(OutputError, match="--overwrite"):
        evaluate_forecast(bundle, observations, tmp_path)


def test_hours_too_few_after_training_are_said(model: ForecastPredictor, observations: Observations) -> None:
    split = Split.of_bundle(model.bundle)
    with pytest.raises(ObservationsError, match="48 h after 72 h"):
        build_task(model, observations.select(end=str(split.unseen_from)), split, "pm25", 6)


def test_origins_every_no_hour_are_refused() -> None:
    with pytest.raises(ConfigError, match="every = 0"):
        ForecastEvaluationOptions(every=0)


def test_an_altered_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in bundle.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    scaling = copy / "scaling.json"
    scaling.write_text(scaling.read_text().replace("mean", "mean "))
    with pytest.raises(ModelError, match=r"scaling\.json was altered"):
        load_forecaster(copy, "cpu")


def test_the_command_trains_a_forecast_and_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    short = forecast_observations(forecast_values(days=100))
    path = short.to_netcdf(tmp_path / "short.nc")
    arguments = ["train", "--observations", str(path), "--config", "forecast", "--out", str(tmp_path / "m")]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert len(errors) == 1 and "at least 120" in errors[0]
    assert not (tmp_path / "m").exists()


def test_the_command_refuses_an_unknown_key_of_the_forecast(tmp_path: Path) -> None:
    path = forecast_observations(forecast_values(days=5)).to_netcdf(tmp_path / "obs.nc")
    arguments = ["train", "--observations", str(path), "--config", "forecast", "--out", str(tmp_path / "m")]
    done = CliRunner().invoke(main, [*arguments, "--set", "forecast.patch=6"])
    assert done.exit_code == 2 and "forecast.patch" in done.stderr


def test_a_baseline_is_asked_once_and_its_answer_kept_for_the_same_question_alone(
    model: ForecastPredictor, observations: Observations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = build_task(model, observations, Split.of_bundle(model.bundle), "pm25", 24)
    weights, _ = idw_weights(task.records, task.visible, task.hidden)
    first = predict_baseline_once(Ridge(), task, weights, lambda *told: None, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Ridge, "fit", lambda *args: pytest.fail("asked again"))
        folder_of = predict_baseline_once(Ridge(), task, weights, lambda *told: None, tmp_path)
    assert folder_of[0] == json.loads(json.dumps(first[0]))
    for where in ("visible", "hidden"):
        np.testing.assert_array_equal(folder_of[1][where].median, first[1][where].median)
        np.testing.assert_array_equal(folder_of[1][where].mean, first[1][where].mean)
    other = build_task(model, altered(model, "later")[0], Split.of_bundle(model.bundle), "pm25", 24)
    predict_baseline_once(Ridge(), other, weights, lambda *told: None, tmp_path)
    assert len(list(tmp_path.glob("ridge-*.npz"))) == 2
