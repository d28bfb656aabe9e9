"""Places as users have them: every usual table and vector file is read, and what cannot be used is named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from aqreanalysis.errors import OutputError
from aqreanalysis.export import CubeSource, export_points, read_places


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("columns", ["place,lat,lon", "id,latitude,longitude", "Name,Lat,Lon", "station,Lat,lng"])
def test_usual_column_names_are_understood(columns, tmp_path):
    read = read_places(write(tmp_path / "p.csv", f"{columns}\n007,39.1,116.2\nb,-5,178.5\n")).frame
    assert read["place"].tolist() == ["007", "b"] and read["lon"].tolist() == [116.2, 178.5]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(
    "text",
    [
        "sensor;lat;lon;note\n007;39,10;116,2;a, b\n8;-5,0;178,5;\n",
        "sensor\tlat\tlon\n007\t39.1\t116.2\n8\t-5\t178,5\n",
        'sensor,note,lat,lon\n007,"a, b",39.1,116.2\n8,,-5,178.5\n',
        "note|lon|lat|sensor\r\n|116.2|39.1|007\r\n|178.5|-5|8\r\n",
    ],
)
def test_semicolons_decimal_commas_and_marks_are_read_as_in_observations_and_the_id_column_is_kept(
    text, mark, tmp_path
):
    read = read_places(write(tmp_path / "p.csv", mark + text), "sensor").frame
    assert read.columns.tolist() == ["place", "sensor", "lat", "lon"]
    assert read["place"].tolist() == read["sensor"].tolist() == ["007", "8"]
    assert read["lat"].tolist() == [39.1, -5.0] and read["lon"].tolist() == [116.2, 178.5]


def test_a_table_of_spreadsheets_in_utf_16_is_read(tmp_path):
    read = read_places(write(tmp_path / "p.txt", "name\tlat\tlon\nKöln\t50.9\t6.9\n", "utf-16")).frame
    assert read["place"].tolist() == ["Köln"]


def test_ids_of_parquet_keep_their_kind_and_whole_numbers_have_no_point(tmp_path):
    frame = pd.DataFrame({"code": [7.0, 8.0], "lat": np.float32([39.1, 40.2]), "lon": np.float32([116.2, 117.0])})
    frame.to_parquet(tmp_path / "p.parquet")
    read = read_places(tmp_path / "p.parquet", "code").frame
    assert read["place"].tolist() == ["7", "8"] and read["code"].tolist() == [7.0, 8.0]
    assert read["lat"].tolist() == [39.1, 40.2]


def test_a_place_without_coordinates_is_left_out_by_name_and_unnamed_places_are_numbered_in_words(tmp_path):
    read = read_places(write(tmp_path / "p.csv", "place,lat,lon\na,39.1,116.2\nb,,\nc,40,\n"))
    assert read.frame["place"].tolist() == ["a"]
    assert read.left_out == ["b has no coordinates", "c has no coordinates"]
    read = read_places(write(tmp_path / "q.csv", "sensor,lat,lon\nx,39.1,116.2\n"))
    assert read.frame["place"].tolist() == ["1"]
    assert "numbered by row; --id-column names them (sensor, lat, lon)" in read.remarks[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("place,lat\na,1\n", "no column lon"),
        ("place,lat,lon\na,95,3\n", "lat of row 1, 95, is no coordinate"),
        ("place,lat,lon\na,116.4,39.9\n", "116.4, is no coordinate .* are lat and lon exchanged"),
        ("place,lat,lon\na,4710000,600000\n", "is no coordinate in degrees.* vector file of points"),
        ("place,lat,lon\na,1,1\n,,\n,2,2\n", "row 3 has no id in column 'place'"),
        ("place,lat,lon\na,1,x\n", "line 2: column 'lon' holds 'x'"),
        ("place,lat,lon\na,1,1\na,2,2\n", "stands twice"),
        ("place,lat,lon\na,1,1\n,2,2\n", "row 2 has no id in column 'place'"),
        ("place,lat,lon\na,,\n", "no place with coordinates"),
        ("place,lat,lon\n", "holds no place"),
        ("", "empty"),
        ("place,lat,lon\na,47,5,11,5\n", "fields"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_the_row(text, message, tmp_path):
    with pytest.raises(OutputError, match=message):
        read_places(write(tmp_path / "p.csv", text))


def test_a_missing_file_a_missing_column_a_layer_of_a_table_and_another_encoding_are_refused(tmp_path):
    with pytest.raises(OutputError, match="no places file"):
        read_places(tmp_path / "p.csv")
    path = write(tmp_path / "p.csv", "sensor_id,lat,lon\na,1,1\n")
    with pytest.raises(OutputError, match="no column 'sensor'; did you mean 'sensor_id'"):
        read_places(path, "sensor")
    with pytest.raises(OutputError, match="leave --layer x out"):
        read_places(path, layer="x")
    with pytest.raises(OutputError, match="save it as UTF-8; it is perhaps"):
        read_places(write(tmp_path / "q.csv", "place,lat,lon\nKöln,50,6\n", "cp1252"))


def test_points_of_a_vector_file_in_any_system_are_places_and_others_are_left_out_by_name(tmp_path):
    geopandas = pytest.importorskip("geopandas", reason="no geopandas: pip install 'aqreanalysis[vector]'")
    from shapely.geometry import MultiPoint, Point, box

    shapes = [Point(116.5, 39.5), MultiPoint([(117, 40)]), None, box(116, 39, 117, 40), MultiPoint([(1, 1), (2, 2)])]
    frame = geopandas.GeoDataFrame({"nr": [11, 12, 13, 14, 15]}, geometry=shapes, crs=4326)
    frame.to_crs(32650).to_file(tmp_path / "p.gpkg")
    read = read_places(tmp_path / "p.gpkg", "nr")
    assert read.frame["nr"].tolist() == [11, 12] and read.frame["place"].tolist() == ["11", "12"]
    np.testing.assert_allclose(read.frame[["lat", "lon"]], [[39.5, 116.5], [40, 117]], atol=1e-6)
    assert read.left_out == ["13 has no geometry", "14 is a Polygon", "15 is 2 points"]


def test_the_table_carries_the_users_ids_under_their_own_name(cubes, tmp_path):
    path = write(tmp_path / "p.csv", "sensor;lat;lon\n007;39,5;117\n009;40;116,5\n")
    with CubeSource(cubes.one) as one:
        report = export_points(one, read_places(path, "sensor"), tmp_path / "t.csv")
        with pytest.raises(OutputError, match="the table has a column of that name"):
            export_points(
                one, pd.DataFrame({"place": ["a"], "lat": [39.5], "lon": [117.0], "value": [1]}), tmp_path / "u.csv"
            )
    table = pd.read_csv(tmp_path / "t.csv", dtype=str)
    assert table["sensor"].unique().tolist() == table["place"].unique().tolist() == ["007", "009"]
    assert "decimal commas read as decimal points" in report.remarks[0]


def test_rows_that_are_wholly_empty_are_left_out_as_spreadsheets_save_them(tmp_path):
    read = read_places(write(tmp_path / "p.csv", "place;lat;lon\n007;39,1;116,2\n;;\n008;39,2;116,3\n;;\n"))
    assert read.frame["place"].tolist() == ["007", "008"] and read.frame["lat"].tolist() == [39.1, 39.2]
    assert any("2 empty rows left out" in remark for remark in read.remarks) and not read.left_out


def test_places_whose_coordinates_are_exchanged_are_told_to_be_so(cubes, tmp_path):
    frame = pd.DataFrame({"place": ["a"], "lat": [117.0], "lon": [39.5]})
    with CubeSource(cubes.one) as one:
        with pytest.raises(OutputError, match="lat and lon are exchanged"):
            export_points(one, frame, tmp_path / "t.csv")
        with pytest.raises(OutputError, match="give places of that region"):
            export_points(one, frame.assign(lat=10.0), tmp_path / "t.csv")
