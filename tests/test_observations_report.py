"""The report tells what was left out in sentences, and survives a file."""

from __future__ import annotations

import json

import pytest

from aqreanalysis.observations.report import SENTENCES, QualityReport, counted


def _report() -> QualityReport:
    report = QualityReport(source="north.csv", rows=100, readings={"pm25": 90})
    report.count("text_values", 2)
    report.count("text_values", 3)
    report.count("rows_without_time", 0)
    report.flagged["pm25"] = {"negative": 4, "stuck": 0, "spike_in_time": 1}
    report.notes.append("clock: fine")
    report.warnings.append("look at this")
    return report


def test_lines_tell_what_happened_and_nothing_else() -> None:
    lines = _report().lines()
    assert lines == [
        "north.csv: 100 rows read",
        "5 readings not a number taken as missing",
        "pm25: 5 of 90 readings flagged and not used (4 negative, 1 spike in time)",
        "clock: fine",
        "warning: look at this",
    ]


def test_every_case_has_a_sentence_with_its_number() -> None:
    assert all("{n}" in sentence for sentence in SENTENCES.values())


def test_an_unknown_case_is_an_error_of_the_programmer() -> None:
    with pytest.raises(KeyError, match="eaten"):
        QualityReport().count("eaten")


def test_a_report_comes_back_from_its_json_in_ascii() -> None:
    report = _report()
    report.warnings.append("Zürich")
    text = report.to_json()
    assert text.isascii() and "\n" not in text
    assert QualityReport.from_json(text) == report


@pytest.mark.parametrize("text", ["[]", json.dumps({"rows": 1, "other": 2}), "{"])
def test_other_json_is_no_report(text: str) -> None:
    with pytest.raises(ValueError):
        QualityReport.from_json(text)


def test_of_one_thing_the_report_speaks_in_the_singular() -> None:
    assert counted(1, SENTENCES["rows_off_hour"]).startswith("1 row not stamped")
    assert counted(2, SENTENCES["rows_off_hour"]).startswith("2 rows not stamped")
    assert all("{s}" in sentence for sentence in SENTENCES.values())
