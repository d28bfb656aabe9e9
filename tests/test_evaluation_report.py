"""The page: whole in itself, readable by ear, true to the scores, and not upset by scores it does not know."""

from __future__ import annotations

import base64
import copy
import io
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from aqreanalysis.errors import OutputError
from aqreanalysis.evaluation import EvaluationOptions, evaluate, protocols
from aqreanalysis.evaluation.baselines.nearby import InverseDistance, NearestStation
from aqreanalysis.evaluation.pictures import Picture
from aqreanalysis.evaluation.report import figures, table, write_report
from aqreanalysis.forecast.report import forecast_section
from aqreanalysis.observations import Observations

pytest_plugins = ("evaluation_case",)


class Page(HTMLParser):
    """What a page holds: images with their alt texts, links, ids, cells, headings, and tags left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, str]] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.fetched: list[str] = []
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        result = dict(attrs)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        if tag == "img":
            self.images.append(result)
        if tag == "a":
            self.links.append(result["href"])
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.ids |= {result["id"]} if "id" in result else set()
        self.fetched += [v for k, v in attrs if k in ("src", "srcset", "data", "action") and not v.startswith("data:")]
        self.fetched += [result["href"]] if tag == "link" else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def folder(untrained_bundle: Path, town_network: Observations, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    particles = Observations(town_network.dataset.drop_vars(["o3", "o3_flag"]), town_network.report)
    options = EvaluationOptions(protocols=("leave-city-out",), hours="unseen", every=1, device="cpu")
    with pytest.MonkeyPatch.context() as patch:  # two baselines say as much of a page as all of them
        patch.setattr(protocols, "all_baselines", lambda: [InverseDistance(), NearestStation()])
        evaluate(untrained_bundle, particles, out, options)
    return out


def _only(metrics: dict) -> dict:
    """Return what was found under the one protocol of the one pollutant."""
    (result,) = metrics["species"]["pm25"].values()
    return result


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture
def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def test_the_page_fetches_nothing_and_links_only_into_itself(page: Page, folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert page.fetched == [] and page.open == []
    assert "http:" not in text and "https:" not in text and "url(" not in text and "@import" not in text
    assert page.links and {link.removeprefix("#") for link in page.links} <= page.ids
    assert "These observations are synthetic" in page.text


def test_every_picture_is_whole_and_told_in_words_and_figures(page: Page, folder: Path) -> None:
    names = {p.stem if p.stem.startswith("network") else p.stem.split("_", 2)[2] for p in folder.glob("*.png")}
    wanted = {"reliability", "pit", "classes", "distance", "density", "errors", "cycles", "series"}
    assert names == wanted | {"network_attention", "network_neighbours_pm25", "network_neighbours_o3"}
    assert len(page.images) == len(names)
    for image in page.images:
        drawn = imread(io.BytesIO(base64.b64decode(image["src"].split(",", 1)[1])), format="png")
        assert drawn.shape[1] > 500 and drawn[..., :3].std() > 0.02
        assert len(image["alt"]) > 60 and any(c.isdigit() for c in image["alt"])


def test_the_tables_hold_the_scores_of_every_method(page: Page, metrics: dict) -> None:
    result = _only(metrics)
    for method in result["methods"].values():
        row = next(r for r in page.rows if r[:2] == [method["title"], str(method["overall"]["n"])])
        assert f"{method['overall']['mae']:.2f}" in row and f"{method['overall']['coverage']:.3f}" in row
    ratio = result["against_best_baseline"]["mae"]["ratio"]
    assert any(r[2:3] == ["MAE"] and f"{ratio:.3f}" in r for r in page.rows)


def test_the_numbers_in_the_pictures_lie_beside_the_page(folder: Path, metrics: dict) -> None:
    drawn = json.loads((folder / "report.json").read_text(encoding="utf-8"))["pictures"]
    (pictures,) = (result for name, result in drawn.items() if name != "network")
    scores = _only(metrics)["methods"]["aq-net"]
    assert pictures["distance"]["mae"]["aq-net"] == pytest.approx(
        [scores["by_distance"][n]["mae"] for n in pictures["distance"]["classes"]]
    )
    assert sum(pictures["pit"]["counts"]) == scores["overall"]["n"] == sum(pictures["errors"]["n"])
    half = pictures["reliability"]["nominal"].index(0.5)
    assert pictures["reliability"]["measured"]["aq-net"][half] == pytest.approx(scores["overall"]["coverage_50"])
    weights = np.array(drawn["network"]["attention"]["weights"])
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-3)


def test_kinds_of_scores_that_are_new_or_missing_upset_nothing(metrics: dict, tmp_path: Path) -> None:
    changed = copy.deepcopy(metrics)
    for method in _only(changed)["methods"].values():
        scores = method["overall"]
        method |= {"by_moon": {"full <moon>": scores | {"glow": 1.0}}}
        for kind in ("by_distance", "by_level"):
            del method[kind]
        del scores["crps"]
        scores["r2"] = None
    del _only(changed)["against_best_baseline"]["crps"]
    text = write_report(changed, {}, tmp_path / "report.html", ["no attention & no hope"]).read_text(encoding="utf-8")
    page = Page(text)
    assert any(r[:2] == ["full <moon>", "AQ-Net"] for r in page.rows)
    assert "Note: no attention & no hope." in page.text and page.images == []


def test_a_forecast_that_was_scored_into_the_same_folder_is_shown(metrics: dict, tmp_path: Path) -> None:
    told = {"history_hours": 336, "lead_hours": 168, "unseen_from": "2021-03-09", "every": 24}
    scores = {"n": 7, "mae": 12.34, "rmse": 20.0, "r2": 0.5}
    forecast = told | {
        "species": {
            "pm25": {"hidden": {"methods": {"aq-net": {"title": "AQ-Net", "horizons": {"24 h": scores}}}}, "notes": []}
        }
    }
    beside = tmp_path / "forecast.html"
    beside.write_text(forecast_section(forecast, tmp_path, whole_page=True), encoding="utf-8")
    page = Page(write_report(metrics, {}, tmp_path / "report.html").read_text(encoding="utf-8"))
    assert any("24 h" in r and "12.34" in r for r in page.rows)
    beside.write_text("<p>notes</p>", encoding="utf-8")
    with pytest.raises(OutputError, match=r"forecast\.html is no evaluation of a forecast"):
        write_report(metrics, {}, tmp_path / "report.html")


def test_a_folder_that_is_not_there_is_told(metrics: dict, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        write_report(metrics, {}, tmp_path / "none" / "report.html")


def test_words_are_escaped_wherever_they_come_from(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (4, 4)).save(tmp_path / "x.png")
    picture = Picture("x", "<b>caption", 'said "so" & <i>', tmp_path / "x.png")
    page = Page(figures([picture]) + table("<caption>", ["a<"], [["<script>"]]))
    assert page.images[0]["alt"] == 'said "so" & <i>' and page.rows[1] == ["<script>"]
    assert figures([]) == ""
