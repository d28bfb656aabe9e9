from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from aqreanalysis.covariates.tables import numbers_of, read_table
from aqreanalysis.errors import CovariatesError


def test_parquet_is_known_by_an_ending_in_capitals_too_and_its_index_is_not_taken_for_row_numbers(
    tmp_path: Path,
) -> None:
    frame = pd.DataFrame({"value": [1.5, 2.5]}, index=[7, 7])
    frame.to_parquet(tmp_path / "some.PARQUET")
    assert read_table(tmp_path / "some.PARQUET").equals(frame.reset_index(drop=True))


def test_a_cell_that_is_no_number_is_named_by_its_row_of_the_table_when_rows_were_left_out(tmp_path: Path) -> None:
    words = pd.DataFrame({"word": [1, "b", "c"]})["word"].iloc[2:]
    with pytest.raises(CovariatesError, match=r"some.csv, row 3: 'c' in column 'word' is no number"):
        numbers_of(words, tmp_path / "some.csv")


def test_a_column_of_a_long_table_is_of_one_type_from_end_to_end(tmp_path: Path) -> None:
    names = ["001"] * 300_000 + ["A"]
    pd.DataFrame({"station": names, "value": 1.25}).to_csv(tmp_path / "long.csv", index=False)
    assert set(read_table(tmp_path / "long.csv")["station"]) == {"001", "A"}
