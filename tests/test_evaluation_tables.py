from __future__ import annotations

import json
from pathlib import Path

import pytest

from aqreanalysis.evaluation import EvaluationOptions, evaluate
from aqreanalysis.evaluation.tables import ratio_texts, record_in_bundle
from aqreanalysis.model import read_bundle
from aqreanalysis.model.bundle import measured_coverage, write_bundle
from aqreanalysis.observations import Observations
from aqreanalysis.species import SPECIES
from aqreanalysis.training.model_card import model_card

pytest_plugins = ("evaluation_case",)


@pytest.fixture(scope="module")
def scored(untrained_bundle: Path, town_network: Observations, tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = EvaluationOptions(protocols=("unseen-time-hidden-tenth",), every=7, device="cpu")
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


def test_what_a_new_card_lacks_gives_way_to_what_was_measured(
    scored: Path, town_network: Observations, tmp_path: Path
) -> None:
    bundle = read_bundle(scored)
    digest, metrics = bundle.digest, bundle.metrics["evaluation"]
    bundle.metrics["training"] = {"epoch": 1, "best_epoch": 1, "best_score": 0.5, "seconds": 1.0}
    known = {"program": "aqreanalysis", "torch": "2", "device": "cpu", "stations_by_role": {"training": 30}}
    bundle.provenance |= known | {"time_coverage_start": "2021-03-01", "time_coverage_end": "2021-03-10"}
    bundle.card = model_card(bundle, town_network)
    folder = write_bundle(bundle, tmp_path / "model")
    assert "Not yet" in bundle.card
    record_in_bundle(bundle, folder, metrics)
    card = read_bundle(folder).card
    assert "Not yet" not in card and card.isascii() and "## Not for" in card
    assert read_bundle(folder).digest == digest
    for key, protocols in metrics["species"].items():
        for task_scores in protocols.values():
            own = task_scores["methods"]["aq-net"]["overall"]
            rows = [r for r in card.splitlines() if "| AQ-Net |" in r and SPECIES[key].title in r]
            assert any(f"| {own['coverage']:.3f} |" in r and f"| {own['n']} |" in r for r in rows)
            assert f"{task_scores['stations']} hidden stations" in card
            assert f"MAE {task_scores['against_best_baseline']['mae']['ratio']:.3f}" in card


def test_the_coverage_for_the_cube_names_figure_split_and_hours(scored: Path) -> None:
    metrics = json.loads((scored / "metrics.json").read_text(encoding="utf-8"))
    task_scores = metrics["evaluation"]["species"]["pm25"]["unseen-time-hidden-tenth"]
    said = measured_coverage(metrics)
    assert said.isascii()
    assert f"PM2.5 {task_scores['methods']['aq-net']['overall']['coverage']:.3f} (unseen-time-hidden-tenth, " in said
    assert metrics["evaluation"]["hours"]["first"] in said


def test_a_model_that_was_never_evaluated_says_nothing_of_coverage() -> None:
    assert measured_coverage({}) == ""


def test_a_score_that_is_none_never_reaches_text() -> None:
    nothing = {"methods": {"aq-net": {"overall": {"coverage": None}}}, "stations": 2}
    something = {"methods": {"aq-net": {"overall": {"coverage": 0.9}}}, "stations": 3}
    hours = {"choice": "unseen", "first": "2019-01-01T01:00Z", "last": "2019-01-02T00:00Z"}
    metrics = {"evaluation": {"coverage": 0.9, "hours": hours, "species": {"no2": {"leave-city-out": nothing}}}}
    assert measured_coverage(metrics) == ""
    metrics["evaluation"]["species"]["pm25"] = {"hidden-tenth": something}
    assert measured_coverage(metrics).endswith(": PM2.5 0.900 (hidden-tenth, 3 stations)")
    assert ratio_texts({"mae": {"ratio": None, "low": None, "high": None, "best": "kriging"}}) == []
