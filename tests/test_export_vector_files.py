"""Vector files as users have them: ids kept, layers chosen, and what is no area left out by name."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pandas as pd
import pytest

from aqreanalysis.errors import OutputError
from aqreanalysis.export.vector_files import AREAS, POINTS, read_features

geopandas = pytest.importorskip("geopandas", reason="no geopandas: pip install 'aqreanalysis[vector]'")
from shapely.geometry import GeometryCollection, LineString, MultiPolygon, Point, Polygon, box  # noqa: E402

SQUARE = box(11.1, 47.1, 11.6, 47.6)


def geojson(path, *features):
    path.write_text("\ufeff" + json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def feature(shape, properties=None, **more):
    geometry = None if shape is None else shape.__geo_interface__
    return {"type": "Feature", "properties": properties or {}, "geometry": geometry, **more}


def write(path, shapes, crs=4326, layer=None, **columns):
    geopandas.GeoDataFrame(columns, geometry=shapes, crs=crs).to_file(path, layer=layer)
    return path


def test_features_without_a_usable_area_are_left_out_by_name_and_the_others_stay(tmp_path):
    shapes = {
        "a": SQUARE,
        "none": None,
        "empty": Polygon(),
        "point": Point(11, 47),
        "line": LineString([(11, 47), (12, 48)]),
        "flat": Polygon([(11, 47), (12, 47), (11, 47)]),
        "two": MultiPolygon([SQUARE, box(12, 47, 13, 48)]),
        "mixed": GeometryCollection([SQUARE, Point(11, 47)]),
    }
    path = geojson(tmp_path / "v.geojson", *(feature(shape, {"id": name}) for name, shape in shapes.items()))
    held = read_features(path, AREAS, "id")
    assert held.frame["place"].tolist() == ["a", "two", "mixed"]
    assert [shape.area for shape in held.frame.geometry] == pytest.approx([0.25, 1.25, 0.25])
    assert held.left_out == [
        "none has no geometry",
        "empty has an empty geometry",
        "point is a Point",
        "line is a LineString",
        "flat has no area",
    ]


def test_rings_that_cross_themselves_are_mended_and_heights_dropped(tmp_path):
    bow = Polygon([(11, 47), (12, 48), (12, 47), (11, 48)])
    high = Polygon([(11, 47, 5), (12, 47, 5), (12, 48, 5), (11, 48, 5)])
    held = read_features(write(tmp_path / "v.gpkg", [bow, high]), AREAS).frame
    assert [shape.area for shape in held.geometry] == pytest.approx([0.5, 1.0]) and not held.has_z.any()


@pytest.mark.parametrize("column", ["id", "fid"])
def test_ids_at_the_level_of_features_of_geojson_are_ids(column, tmp_path):
    path = geojson(tmp_path / "v.geojson", feature(SQUARE, {"n": 1}, id=17), feature(SQUARE, {"n": 2}, id=4))
    assert read_features(path, AREAS, column).frame["place"].tolist() == ["17", "4"]


def test_texts_at_the_level_of_features_are_ids_too(tmp_path):
    path = geojson(tmp_path / "v.geojson", feature(SQUARE, id="DE-1"), feature(SQUARE, id="DE-2"))
    assert read_features(path, AREAS, "id").frame["place"].tolist() == ["DE-1", "DE-2"]


@pytest.mark.parametrize("ending", ["gpkg", "shp", "geojson", "fgb"])
def test_every_usual_kind_of_file_keeps_the_column_of_ids(ending, tmp_path):
    path = write(tmp_path / f"v.{ending}", [SQUARE, SQUARE], crs=4326, code=[7, 9], name=["x", "ÿ"])
    held = read_features(path, AREAS, "code").frame
    assert held["place"].tolist() == ["7", "9"] and held["code"].tolist() == [7, 9]
    assert read_features(path, AREAS, "name").frame["name"].tolist() == ["x", "ÿ"]


def zipped(path, *files, folder=""):
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            archive.write(file, f"{folder}{file.name}")
    return path


@pytest.mark.parametrize("folder", ["", "Boundaries 2023/", "a/b/"])
def test_a_zip_is_read_whether_its_files_lie_in_a_folder_or_not(folder, tmp_path):
    write(tmp_path / "v.shp", [SQUARE], code=["007"])
    (tmp_path / "metadata.json").write_text("{}")
    parts = (*sorted(tmp_path.glob("v.*")), tmp_path / "metadata.json")
    held = read_features(zipped(tmp_path / "s.zip", *parts, folder=folder), AREAS, "code").frame
    assert held["place"].tolist() == ["007"]
    package = write(tmp_path / "w.gpkg", [SQUARE], code=["008"])
    held = read_features(zipped(tmp_path / "g.zip", package, folder=folder), AREAS, "code").frame
    assert held["place"].tolist() == ["008"]


def test_a_zip_without_a_vector_file_or_with_several_is_refused(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("id,lat,lon\n1,2,3\n")
    with pytest.raises(OutputError, match=r"holds no vector file \(t.csv\); unpack it"):
        read_features(zipped(tmp_path / "t.zip", table), POINTS)
    two = (write(tmp_path / "a.gpkg", [SQUARE]), write(tmp_path / "b.gpkg", [SQUARE]))
    with pytest.raises(OutputError, match=r"holds a.gpkg, b.gpkg, and one vector file is read"):
        read_features(zipped(tmp_path / "u.zip", *two), AREAS)
    table.rename(tmp_path / "none.zip")
    with pytest.raises(OutputError, match="cannot be read as a zip archive"):
        read_features(tmp_path / "none.zip", AREAS)


def test_the_first_layer_that_fits_is_taken_in_words_and_another_by_name(tmp_path):
    path = write(tmp_path / "v.gpkg", [Point(11, 47)], layer="towns", code=["t"])
    write(path, [SQUARE], layer="one", code=["x"])
    write(path, [SQUARE], layer="two", code=["y"])
    held = read_features(path, AREAS, "code")
    assert held.frame["place"].tolist() == ["x"]
    assert held.remarks == [f"{path} has layers towns, one, two: one is taken; choose with --layer"]
    assert read_features(path, AREAS, "code", "two").frame["place"].tolist() == ["y"]
    assert read_features(path, POINTS, "code").frame["place"].tolist() == ["t"]
    with pytest.raises(OutputError, match=r"no layer 'tow'.* it has towns, one, two"):
        read_features(path, AREAS, layer="tow")
    with pytest.raises(OutputError, match="holds a Point and polygons are needed"):
        read_features(path, AREAS, layer="towns")


def test_numbered_features_are_said_to_be_so(tmp_path):
    held = read_features(write(tmp_path / "v.gpkg", [SQUARE, SQUARE], name=["a", "b"]), AREAS)
    assert held.frame["place"].tolist() == ["1", "2"] and "--id-column names them (name)" in held.remarks[0]


def test_missing_and_repeated_ids_are_refused_with_the_feature(tmp_path):
    path = write(tmp_path / "v.gpkg", [SQUARE, SQUARE], name=["a", None], kind=["x", "x"])
    with pytest.raises(OutputError, match="feature 2 has no id in column 'name'"):
        read_features(path, AREAS, "name")
    with pytest.raises(OutputError, match="feature 'x' stands twice"):
        read_features(path, AREAS, "kind")
    with pytest.raises(OutputError, match=r"no column 'nam'; did you mean 'name'.; there are name, kind"):
        read_features(path, AREAS, "nam")


def test_a_polygon_that_another_system_cut_at_the_antimeridian_goes_on_past_it(tmp_path):
    shape = geopandas.GeoSeries([box(177, -19, 183, -16)], crs=4326).to_crs(3832)  # centred on 150 E
    held = read_features(write(tmp_path / "v.gpkg", list(shape), crs=3832), AREAS).frame
    np.testing.assert_allclose(held.total_bounds, [177, -19, 183, -16], atol=1e-6)


def test_an_edge_over_half_the_earth_is_taken_as_it_is_and_said(tmp_path):
    crossing = Polygon([(179.5, -17), (-179.5, -17), (-179.5, -16), (179.5, -16)])
    path = write(tmp_path / "v.gpkg", [crossing, SQUARE, box(-180, -90, 180, 90)], code=["fiji", "b", "world"])
    held = read_features(path, AREAS, "code")
    assert held.frame.geometry[0].area == pytest.approx(359)
    assert len(held.remarks) == 1 and held.remarks[0].startswith("fiji: an edge goes more than half around")


def test_a_file_without_areas_system_or_degrees_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(OutputError, match="no vector file"):
        read_features(tmp_path / "absent.gpkg", AREAS)
    (tmp_path / "t.gpkg").write_text("hello")
    with pytest.raises(OutputError, match=r"cannot be read as a vector file: [^;]*; give a GeoPackage, Shapefile"):
        read_features(tmp_path / "t.gpkg", AREAS)
    pd.DataFrame({"a": [1]}).to_csv(tmp_path / "t.csv")
    with pytest.raises(OutputError, match="a table without geometries"):
        read_features(tmp_path / "t.csv", AREAS)
    with pytest.raises(OutputError, match="holds features without geometry"):
        read_features(geojson(tmp_path / "n.geojson", feature(None, {"id": 1})), AREAS)
    with pytest.raises(OutputError, match="holds nothing"):
        read_features(geojson(tmp_path / "e.geojson"), AREAS)
    metres = geojson(tmp_path / "m.geojson", feature(box(600000, 5200000, 610000, 5210000)))
    with pytest.raises(OutputError, match=r"coordinates up to 5\.21e\+06, which are no degrees"):
        read_features(metres, AREAS)
    with pytest.raises(OutputError, match="no coordinate reference system"):
        read_features(write(tmp_path / "v.shp", [SQUARE], crs=None), AREAS)
