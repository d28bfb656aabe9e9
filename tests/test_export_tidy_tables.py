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
