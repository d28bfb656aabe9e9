from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aqreanalysis.common.sole_writer import sole_writer
from aqreanalysis.errors import ObservationsError, OutputError
from aqreanalysis.evaluation import EvaluationOptions, evaluate, format_table
from aqreanalysis.evaluation.report import write_report
from aqreanalysis.evaluation.tables import card_section, table_rows
from aqreanalysis.model.bundle import read_bundle
from aqreanalysis.observations import Observations, StationPlaces
from aqreanalysis.splits import HIDDEN_CITY, HIDDEN_TENTH, Split, draw_split

pytest_plugins = ("evaluation_case",)

OPTIONS = EvaluationOptions(every=3, device="cpu")


@pytest.fixture(scope="module")
def written(untrained_bundle: Path, town_network: Observations, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluation")
    calls: list[tuple[int, int]] = []
    evaluate(untrained_bundle, town_network, out, OPTIONS, progress=lambda d, t, _: calls.append((d, t)))
    assert [d for d, _ in calls] == sorted(d for d, _ in calls)
    assert calls[-1][0] == calls[-1][1]
    return out


def _metrics(out: Path) -> dict:
    return json.loads((out / "metrics.json").read_text())


def test_scores_of_every_method_pollutant_and_protocol_are_written(written: Path) -> None:
    metrics = _metrics(written)
    assert set(metrics["species"]) == {"pm25", "o3"}
    for protocols in metrics["species"].values():
        assert set(protocols) == {"unseen-time-hidden-tenth", "unseen-time-leave-city-out"}
        for scores in protocols.values():
            for method in scores["methods"].values():
                overall = method["overall"]
                assert overall["n"] == scores["station_hours_scored"] > 0
                assert 0 < overall["mae"] <= overall["rmse"]
                assert 0 < overall["crps"] < 2 * overall["mae"]
                parts = method["by_distance"].values()
                assert sum(p["n"] for p in parts) == overall["n"]
                whole = sum(p["n"] * p["mae"] for p in parts) / overall["n"]
                assert whole == pytest.approx(overall["mae"])


def test_the_ratio_to_the_best_baseline_is_that_of_the_table(written: Path) -> None:
    scores = _metrics(written)["species"]["pm25"]["unseen-time-hidden-tenth"]
    ratio = scores["against_best_baseline"]["mae"]
    others = {n: m["overall"]["mae"] for n, m in scores["methods"].items() if n != "aq-net"}
    assert ratio["best"] == min(others, key=lambda n: others[n])
    assert ratio["ratio"] == pytest.approx(scores["methods"]["aq-net"]["overall"]["mae"] / min(others.values()))


def test_the_table_has_a_row_a_method_and_says_what_it_rests_on(written: Path) -> None:
    metrics = _metrics(written)
    header, rows = table_rows(metrics)
    assert len(rows) == 2 * 2 * 7 and {len(r) for r in rows} == {len(header)}
    text = format_table(metrics)
    assert "unseen hours, one hour in 3" in text and "90 % interval" in text
    assert "AQ-Net over the best baseline" in text


def test_an_earlier_evaluation_is_not_overwritten_unless_told(
    written: Path, untrained_bundle: Path, town_network: Observations
) -> None:
    before = (written / "metrics.json").read_bytes()
    with pytest.raises(OutputError, match="holds an evaluation already"):
        evaluate(untrained_bundle, town_network, written, OPTIONS)
    assert (written / "metrics.json").read_bytes() == before


def test_two_evaluations_into_one_folder_the_second_is_refused(
    untrained_bundle: Path, town_network: Observations, tmp_path: Path
) -> None:
    with (
        sole_writer(tmp_path, tmp_path / ".lock"),
        pytest.raises(OutputError, match="is being written by process"),
    ):
        evaluate(untrained_bundle, town_network, tmp_path, OPTIONS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_same_evaluation_gives_the_same_numbers(
    written: Path, untrained_bundle: Path, town_network: Observations, tmp_path: Path
) -> None:
    options = EvaluationOptions(protocols=("hidden-tenth",), hours="unseen", every=3, device="cpu")
    again = evaluate(untrained_bundle, town_network, tmp_path / "again", options)
    name = "unseen-time-hidden-tenth"
    assert again["species"]["pm25"][name] == _metrics(written)["species"]["pm25"][name]


def test_a_file_in_the_place_of_the_folder_is_refused(
    untrained_bundle: Path, town_network: Observations, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("x")
    with pytest.raises(OutputError, match="cannot write into"):
        evaluate(untrained_bundle, town_network, tmp_path / "taken", OPTIONS)


def test_table_and_card_end_with_the_verdict(written: Path, untrained_bundle: Path) -> None:
    metrics = _metrics(written)
    assert metrics["verdict"].startswith("Verdict by MAE: ")
    assert format_table(metrics).splitlines()[-1] == metrics["verdict"]
    page = (written / "report.html").read_text(encoding="utf-8")
    assert "Verdict by MAE: " in page
    card = (untrained_bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert card.rstrip().splitlines()[-1].startswith("Verdict by MAE: ")


def test_skill_beside_the_instruments_floor_is_said_where_the_floor_is_known(written: Path, tmp_path: Path) -> None:
    metrics = _metrics(written)
    scores = metrics["species"]["pm25"]["unseen-time-hidden-tenth"]
    # Sixteen hours of a pair are too few to know it.
    assert scores["instrument_floor"] is None and "two instruments" not in format_table(metrics)
    scores["instrument_floor"] = {"mae": 1.5, "pairs": 9, "skill": 0.75, "best": "kriging"}
    text = (
        "two instruments side by side differ by 1.5 ug m-3 each (9 pairs); beside this floor MAE is 0.750 of kriging's"
    )
    assert f"pm25 unseen-time-hidden-tenth: {text}" in format_table(metrics)
    assert f"  Readings: {text}." in card_section(metrics)
    page = write_report(metrics, {}, tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.replace("'", "&#x27;") in page


def test_on_another_network_a_split_is_drawn_and_the_bundle_keeps_its_own_scores(
    untrained_bundle: Path, town_network: Observations, tmp_path: Path
) -> None:
    southern = StationPlaces(town_network.stations, -town_network.lat, town_network.lon, town_network.city)
    other = Observations.from_arrays(town_network.times, southern, {"pm25": town_network.values("pm25")})
    card = (untrained_bundle / "MODEL_CARD.md").read_bytes()
    metrics = evaluate(untrained_bundle, other, tmp_path / "there", OPTIONS)
    assert (untrained_bundle / "MODEL_CARD.md").read_bytes() == card
    assert metrics["network"].startswith("another than that of the training")
    assert metrics["network"] in format_table(metrics)
    split = draw_split(other, read_bundle(untrained_bundle).config.split)
    scores = metrics["species"]["pm25"]["unseen-time-hidden-tenth"]
    assert scores["stations"] == split.counts()["hidden-tenth"]
    assert metrics["hours"]["first"] >= str(split.unseen_from)


def test_what_no_hidden_station_read_is_left_out_and_told(
    untrained_bundle: Path, town_network: Observations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aqreanalysis.evaluation.run.draw_pictures", lambda *_, **__: {})
    split = Split.of_bundle(read_bundle(untrained_bundle))
    roles = split.roles_of(town_network.stations)
    o3 = town_network.values("o3").copy()
    o3[:, roles == HIDDEN_TENTH] = np.nan
    # No city is hidden among these stations, and no hidden one read ozone: as in a London whose NO2 is read in towns.
    some = roles != HIDDEN_CITY
    places = StationPlaces(
        [name for name, taken in zip(town_network.stations, some, strict=True) if taken],
        town_network.lat[some],
        town_network.lon[some],
    )
    values = {"pm25": town_network.values("pm25")[:, some], "o3": o3[:, some]}
    fewer = Observations.from_arrays(town_network.times, places, values)
    metrics = evaluate(untrained_bundle, fewer, tmp_path / "out", EvaluationOptions(every=12, device="cpu"))
    assert {key: list(protocols) for key, protocols in metrics["species"].items()} == {
        "pm25": ["unseen-time-hidden-tenth"]
    }
    text = format_table(metrics)
    assert "not scored: O3, unseen-time-hidden-tenth: none of the" in text
    assert "not scored: protocol unseen-time-leave-city-out: none of the stations" in text
    assert "None" not in text and "nan" not in text
    only = Observations.from_arrays(town_network.times, places, {"o3": values["o3"]})
    with pytest.raises(ObservationsError, match="nothing can be scored: O3, unseen-time-hidden-tenth"):
        evaluate(untrained_bundle, only, tmp_path / "none", EvaluationOptions(every=12, device="cpu"))
