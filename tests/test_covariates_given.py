"""Covariates may be given opened or as paths, wherever a run takes them; anything else is one clear line."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from covariates_case import LAT
from production_case import make_observations

import aqreanalysis as aq
from aqreanalysis.configs import CovariatesConfig, DriftConfig
from aqreanalysis.covariates.given import as_covariates, as_static
from aqreanalysis.errors import CovariatesError
from aqreanalysis.evaluation import FoldOptions


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a table of two weather stations."""
    times = pd.date_range("2021-03-01 01:00", periods=3, freq="h")
    rows = [
        {"station_id": name, "time": time, "lat": lat, "lon": 6.0, "temp": 4.0, "pres": 1000.0}
        for name, lat in zip("ab", LAT[:2], strict=True)
        for time in times
    ]
    path = tmp_path_factory.mktemp("weather") / "weather.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_paths_are_opened_as_the_config_says_and_what_is_open_is_handed_on(weather: Path) -> None:
    one = CovariatesConfig(fields=["t2m"])
    chosen = as_covariates([weather], one, trained=False)
    assert chosen is not None and chosen.fields == ("t2m",)
    whole = as_covariates(str(weather), one, trained=True)  # a trained model takes its own fields
    assert whole is not None and set(whole.fields) == {"t2m", "sp"}
    assert as_covariates(chosen, one, trained=True) is chosen
    assert as_covariates(None, one, trained=True) is None


@pytest.mark.parametrize("given", [5, [], [5], {"a": 1}])
def test_anything_else_is_refused_in_one_line(given: object) -> None:
    with pytest.raises(CovariatesError, match=r"give a path, several, or what Covariates\.open returned"):
        as_covariates(given, CovariatesConfig(), trained=False)  # type: ignore[type-var]
    with pytest.raises(CovariatesError, match=r"static fields .*give a path, several"):
        as_static(given, DriftConfig(), trained=False)  # type: ignore[type-var]


def test_the_options_of_a_training_and_of_an_evaluation_open_paths(weather: Path) -> None:
    config = aq.load_config("aqnet", ["covariates.fields=[t2m]"])
    opened = aq.TrainOptions(covariates=weather).opened(config)
    assert opened.field_source is not None and opened.field_source.fields == ("t2m",)
    assert aq.TrainOptions(overwrite=True).opened(config).field_source is None
    scored = aq.EvaluationOptions(covariates=[weather]).opened(config)
    assert scored.field_source is not None and "sp" in scored.field_source.fields


def test_produce_and_load_predictor_open_paths_and_say_that_a_model_has_no_use_for_them(
    weather: Path, production_files: tuple[Path, Path], tmp_path: Path
) -> None:
    model, observations = production_files
    with pytest.raises(aq.AqreanalysisError, match="trained without covariates"):
        aq.load_predictor(model, covariates=weather)
    options = aq.ProduceOptions(covariates=[tmp_path / "none.csv"])
    with pytest.raises(CovariatesError, match=r"none\.csv"):
        aq.produce(model, observations, "116,39,117,40@0.5", "2019-01-02", "2019-01-03", tmp_path / "x.nc", options)


def test_an_evaluation_of_folds_opens_paths_as_the_config_of_the_folds_says(
    weather: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aqreanalysis.evaluation.run._evaluate", lambda asked, progress: {"options": asked.options})
    folds = FoldOptions(config=aq.load_config("aqnet"))
    options = aq.EvaluationOptions(("station-folds",), folds=folds, covariates=weather)
    opened = aq.evaluate(None, make_observations(), tmp_path / "out", options)["options"]
    assert opened.field_source.fields == ("t2m", "sp")


def test_covariates_say_what_they_hold(weather: Path) -> None:
    text = repr(aq.Covariates.open(weather))
    assert text.startswith("<Covariates of 2 hourly and 0 static fields>")
    assert "t2m     K, 3 hours 2021-03-01T01:00 .. 2021-03-01T03:00" in text
