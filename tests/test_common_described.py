"""Objects say what they are in a few lines, and as a table in notebooks."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from production_case import make_bundle, make_observations, small_grid

import aqreanalysis as aq
from aqreanalysis.common.described import Described, few


class Named(Described):
    def facts(self):
        return "Thing <b>", [("a", "1 & 2"), ("longer", "x")]


def test_the_repr_is_a_line_a_fact_and_the_html_a_table_with_nothing_of_it_obeyed():
    assert repr(Named()) == "<Thing <b>>\n  a       1 & 2\n  longer  x"
    table = ET.fromstring(Named()._repr_html_())
    assert [cell.text for cell in table.iter("td")] == ["1 & 2", "x"]
    assert table.find("caption").text == "Thing <b>"


def test_of_many_names_the_first_are_shown_and_the_rest_counted():
    assert few(["a", "b"], 2) == "a, b"
    assert few(["a", "b", "c", "d"], 2) == "a, b and 2 more"


def predictor(tmp_path):
    return aq.load_predictor(make_bundle(tmp_path / "model"), device="cpu")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: make_observations(), ("Observations pm25", "stations", "readings in ug m-3", "stamped")),
        (lambda path: small_grid(mask=True), ("Grid ", "7 rows of 0.25 degree", "9 columns", "wanted")),
        (predictor, ("analysis", "estimates", "pm25", "digest")),
    ],
    ids=["observations", "grid", "predictor"],
)
def test_what_is_handed_about_has_a_repr_of_some_lines_and_html(make, words, tmp_path):
    thing = make(tmp_path)
    text, html = repr(thing), thing._repr_html_()
    assert 3 < len(text.splitlines()) < 15 and max(map(len, text.splitlines())) < 150
    for word in words:
        assert word in text and word in html
