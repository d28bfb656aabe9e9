"""Tidy tables are written piece by piece and read back as one."""

from __future__ import annotations

import pandas as pd
import pytest

from aqreanalysis.export.tidy_tables import TableWriter


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_frames_written_one_after_the_other_read_back_as_one(ending, tmp_path):
    path = tmp_path / f"t.{ending}"
    frame = pd.DataFrame({"place": ["a", "b"], "value": [1.5, 2.5], "flag": pd.array([1, None], "Int16")})
    with TableWriter(path, {"note": "n"}) as writer:
        writer.write(frame)
        writer.write(frame)
    read = pd.read_csv(path) if ending == "csv" else pd.read_parquet(path)
    assert writer.rows == len(read) == 4 and read["value"].tolist() == [1.5, 2.5] * 2
    assert read["flag"].isna().tolist() == [False, True] * 2


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+cmd", "@SUM(1)", "-2+3", "\tx"])
def test_a_name_that_a_spreadsheet_would_run_as_a_formula_is_text_in_a_csv(name, tmp_path):
    frame = pd.DataFrame({"place": [name, "plain"], "value": [-1.5, 2.0]})
    with TableWriter(tmp_path / "a.csv", {}) as writer:
        writer.write(frame)
    read = pd.read_csv(tmp_path / "a.csv")
    assert read["place"].tolist() == [f"'{name}", "plain"] and read["value"].tolist() == [-1.5, 2.0]
    with TableWriter(tmp_path / "a.parquet", {}) as writer:
        writer.write(frame)
    assert pd.read_parquet(tmp_path / "a.parquet")["place"].tolist() == [name, "plain"]
