"""Places in, tidy tables out."""

from __future__ import annotations

import pandas as pd
import pytest

from aqreanalysis.errors import OutputError
from aqreanalysis.export.tidy_tables import TableWriter, read_places


@pytest.mark.parametrize("columns", ["place,lat,lon", "id,latitude,longitude", "Name,Lat,Lon"])
def test_usual_column_names_are_understood(columns, tmp_path):
    (tmp_path / "p.csv").write_text(f"{columns}\n007,39.1,116.2\nb,-5,178.5\n")
    read = read_places(tmp_path / "p.csv")
    assert read["place"].tolist() == ["007", "b"] and read["lon"].tolist() == [116.2, 178.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("place,lat\na,1\n", "no column lon"),
        ("place,lat,lon\na,95,3\n", "lat of row 1 is no coordinate"),
        ("place,lat,lon\na,1,x\n", "lon of row 1"),
        ("place,lat,lon\na,1,1\na,2,2\n", "stands twice"),
        ("place,lat,lon\n", "holds no place"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_the_row(text, message, tmp_path):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(OutputError, match=message):
        read_places(tmp_path / "p.csv")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(OutputError, match="no places file"):
        read_places(tmp_path / "p.csv")


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
