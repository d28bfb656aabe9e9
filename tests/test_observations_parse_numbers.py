"""Cells as numbers: signs between thousands, words of loggers, and what no number can be made of."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.parse_numbers import CellRules, to_numbers
from aqreanalysis.observations.report import QualityReport, Where


def _numbers(texts: list[str], decimal_comma: bool = False) -> tuple[list[float], QualityReport]:
    report = QualityReport()
    column = pa.array(texts, pa.string())
    return to_numbers(column, "column 'a'", Where("t.csv"), report, CellRules(decimal_comma)).tolist(), report


@pytest.mark.parametrize(
    ("texts", "right"),
    [(["1,234.5", "12,345,678", "937.5"], [1234.5, 12345678.0, 937.5]), (["-1,234.0", "3"], [-1234.0, 3.0])],
)
def test_commas_between_thousands_are_left_out_where_decimals_show_them(texts: list[str], right: list[float]) -> None:
    numbers, report = _numbers(texts)
    assert numbers == right and "between thousands" in " ".join(report.lines())


@pytest.mark.parametrize(("text", "decimal_comma"), [("1,234", False), ("1.234,5", True)])
def test_what_may_be_thousands_or_decimals_is_refused_with_both_ways_out(text: str, decimal_comma: bool) -> None:
    with pytest.raises(ObservationsError, match=rf"'{text}'.*write a decimal point and nothing between thousands"):
        _numbers([text, "5"], decimal_comma)


def test_words_of_loggers_are_missing_readings() -> None:
    numbers, _ = _numbers(["<Samp", "Calib", "NoData", "InVld", "Down", "7"])
    assert np.isnan(numbers[:5]).all() and numbers[5] == 7
