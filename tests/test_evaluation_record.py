from __future__ import annotations

import json
from pathlib import Path

import pytest

from aqreanalysis.evaluation import EvaluationOptions, evaluate
from aqreanalysis.evaluation.record import measured_coverage, record_in_bundle
from aqreanalysis.model import read_bundle
from aqreanalysis.observations import Observations

pytest_plugins = ("evaluation_case",)


@pytest.fixture(scope="module")
def scored(untrained_bundle: Path, town_network: Observations, tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = EvaluationOptions(protocols=("hidden-tenth",), every=7, device="cpu")
    evaluate(untrained_bundle, town_network, tmp_path_factory.mktemp("scored"), options)
    return untrained_bundle


def test_the_bundle_carries_the_scores_and_keeps_its_digest(scored: Path) -> None:
    bundle = read_bundle(scored)
    assert set(bundle.metrics["evaluation"]["species"]) == {"pm25", "o3"}
    assert bundle.metrics["evaluation"]["model_digest"] == bundle.digest


def test_the_card_shows_each_method_once_however_often_it_is_evaluated(scored: Path) -> None:
    bundle = read_bundle(scored)
    record_in_bundle(bundle, scored, bundle.metrics["evaluation"])
    card = (scored / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert card.count("## Measured at hidden stations") == 1
    assert card.count("| inverse distance |") == 2  # two pollutants, one protocol


def test_the_coverage_for_the_cube_names_figure_split_and_hours(scored: Path) -> None:
    metrics = json.loads((scored / "metrics.json").read_text(encoding="utf-8"))
    found = metrics["evaluation"]["species"]["pm25"]["hidden-tenth"]
    said = measured_coverage(metrics)
    assert said.isascii()
    assert f"PM2.5 {found['methods']['aq-net']['overall']['coverage']:.3f} (hidden-tenth, " in said
    assert metrics["evaluation"]["hours"]["first"] in said


def test_a_model_that_was_never_evaluated_says_nothing_of_coverage() -> None:
    assert measured_coverage({}) == ""
