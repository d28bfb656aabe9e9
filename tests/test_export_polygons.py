"""Means over polygons: exact coverage fractions, area and population weights, the widest error bars there can be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import rasterio
from rasterio.transform import from_bounds

from aqreanalysis.errors import OutputError
from aqreanalysis.export import CubeSource, PolygonOptions, export_polygons
from aqreanalysis.export.polygons import area_weights, population_weights, read_polygons, weighted_mean

geopandas = pytest.importorskip("geopandas", reason="no geopandas: pip install 'aqreanalysis[vector]'")
pytest.importorskip("exactextract", reason="no exactextract: pip install 'aqreanalysis[vector]'")
from shapely.geometry import Point, Polygon, box  # noqa: E402


def vector(folder, shapes, crs=4326, **columns):
    frame = geopandas.GeoDataFrame(columns, geometry=shapes, crs=crs)
    frame.to_file(folder / "v.gpkg")
    return folder / "v.gpkg"


def test_coverage_fractions_are_exact_and_areas_those_of_the_sphere(cubes, tmp_path):
    # Half of one cell, a quarter of its neighbour to the east; and the whole grid.
    half = box(116.375, 39.375, 116.625, 39.5).union(box(116.625, 39.375, 116.6875, 39.625))
    path = vector(tmp_path, [half, box(115.875, 38.875, 118.125, 40.625)])
    with CubeSource(cubes.one) as one:
        weights = area_weights(one, read_polygons(path).frame)
        edges = np.radians(one.edges("lat"))
    cell = 6371.0088**2 * np.radians(0.25) * (np.sin(edges[:, 1]) - np.sin(edges[:, 0]))
    dense = weights.matrix.toarray()
    row = dict(zip(weights.cells.tolist(), dense[0], strict=True))
    assert row[2 * 9 + 2] == pytest.approx(cell[2] / 2, rel=1e-6)
    assert row[2 * 9 + 3] == pytest.approx(cell[2] / 4, rel=1e-6)
    assert (dense[0] > 0).sum() == 2 and dense[1].sum() == pytest.approx(9 * cell.sum(), rel=1e-9)
    assert weights.covered == pytest.approx([1, 1])


def test_a_mean_is_weighted_by_area_and_a_missing_cell_is_told(cubes, tmp_path):
    path = vector(tmp_path, [box(115.875, 38.875, 118.125, 40.625)])
    with CubeSource(cubes.two) as two:
        weights = area_weights(two, read_polygons(path).frame)
        values = two.read("o3", slice(0, 4))
        lat = np.cos(np.radians(two.dataset.lat.values))[:, None]
    mean, known = weighted_mean(weights, values)
    held = np.isfinite(values[0])
    wanted = (np.where(held, values, 0) * lat).sum(axis=(1, 2)) / (held * lat).sum()
    np.testing.assert_allclose(mean[:, 0], wanted, rtol=1e-4)
    assert known[0, 0] == pytest.approx((held * lat).sum() / (9 * lat.sum()), rel=1e-3)


def test_people_are_summed_into_cells_and_weigh_the_mean(cubes, tmp_path):
    people = np.zeros((40, 60), np.float32)
    people[:, 20:24] = 100.0  # 116.5 to 116.7 E
    with rasterio.open(tmp_path / "p.tif", "w", driver="GTiff", height=40, width=60, count=1, dtype="float32",
                       crs="EPSG:4326", transform=from_bounds(115.5, 38.8, 118.5, 40.8, 60, 40)) as file:  # fmt: skip
        file.write(people, 1)
    path = vector(tmp_path, [box(116.0, 39.0, 117.5, 40.5), box(117.5, 39.0, 118.0, 40.5)])
    with CubeSource(cubes.one) as one:
        area = area_weights(one, read_polygons(path).frame)
        with pytest.raises(OutputError, match="cannot be used"):
            population_weights(one, area, tmp_path / "absent.tif")
        weights = population_weights(one, area, tmp_path / "p.tif")
    # 30 rows of pixels from 39.0 to 40.5; nobody in the second polygon.
    assert np.asarray(weights.matrix.sum(axis=1)).ravel() == pytest.approx([30 * 4 * 100, 0], rel=0.02)
    columns = set((weights.cells[weights.matrix.indices[weights.matrix.data > 0]] % 9).tolist())
    assert columns == {2, 3}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_holds_a_row_a_polygon_hour_and_pollutant(ending, cubes, tmp_path):
    shapes = [box(116.4, 39.4, 117.1, 40.1), box(117.9, 40, 119, 41), box(0, 0, 1, 1)]
    path = vector(tmp_path, shapes, name=["in", "partly", "out"])
    out = tmp_path / f"t.{ending}"
    with CubeSource(cubes.two) as two:
        report = export_polygons(two, path, out, PolygonOptions("name"))
        error = two.read("o3_standard_error", slice(0, 1))
    assert (report.rows, report.places, report.outside) == (2 * 2 * 72, 2, ["out"]) and "upper bound" in report.note
    table = pd.read_csv(out) if ending == "csv" else pd.read_parquet(out)
    first = table[(table["species"] == "o3") & (table["place"] == "in")].iloc[0]
    assert first["lower"] < first["value"] < first["upper"] and first["covered"] == pytest.approx(1)
    # Not divided by the number of cells: between those of the cells it covers.
    assert np.nanmin(error[0, 2:6, 2:6]) <= first["standard_error"] <= np.nanmax(error[0, 2:6, 2:6])
    partly = table[table["place"] == "partly"].iloc[0]
    assert partly["covered"] == pytest.approx(0.225 * 0.625 / 1.1, rel=0.02)


def test_another_reference_system_is_turned_into_the_cubes(cubes, tmp_path):
    frame = geopandas.GeoDataFrame(geometry=[box(116.4, 39.4, 117.1, 40.1)], crs=4326).to_crs(32650)
    frame.to_file(tmp_path / "utm.gpkg")
    with CubeSource(cubes.one) as one:
        turned = area_weights(one, read_polygons(tmp_path / "utm.gpkg").frame)
        own = area_weights(one, read_polygons(vector(tmp_path, [box(116.4, 39.4, 117.1, 40.1)])).frame)
    assert turned.matrix.sum() == pytest.approx(own.matrix.sum(), rel=1e-3)


def test_what_is_no_layer_of_polygons_is_refused(tmp_path, cubes):
    with pytest.raises(OutputError, match="no vector file"):
        read_polygons(tmp_path / "absent.gpkg")
    (tmp_path / "t.gpkg").write_text("hello")
    with pytest.raises(OutputError, match="cannot be read as a vector file"):
        read_polygons(tmp_path / "t.gpkg")
    with pytest.raises(OutputError, match="holds a Point"):
        read_polygons(vector(tmp_path, [Point(116, 39)]))
    squares = [box(116, 39, 117, 40), Polygon([(116, 39), (117, 39), (117, 40)])]
    path = vector(tmp_path, squares, name=["a", "a"])
    with pytest.raises(OutputError, match="stands twice"):
        read_polygons(path, "name")
    with pytest.raises(OutputError, match="no column 'id'"):
        read_polygons(path, "id")
    with CubeSource(cubes.one) as one, pytest.raises(OutputError, match="no polygon touches the cube"):
        area_weights(one, read_polygons(vector(tmp_path, [box(0, 0, 1, 1)])).frame)


def test_a_polygon_says_which_share_of_it_is_extrapolated_and_how_far_its_stations_are(cubes, tmp_path):
    path = vector(tmp_path, [box(115.875, 38.875, 118.125, 40.625)])
    with CubeSource(cubes.far) as far:
        export_polygons(far, path, tmp_path / "t.parquet")
        km = far.read("nearest_station_distance", slice(None))
        area = np.broadcast_to(np.cos(np.radians(far.dataset.lat.values))[:, None], km.shape[1:])
    table = pd.read_parquet(tmp_path / "t.parquet").sort_values("time")
    wanted = ((km > 15.0) * area).sum(axis=(1, 2)) / area.sum()
    np.testing.assert_allclose(table["extrapolated_share"], wanted, rtol=1e-3)
    np.testing.assert_allclose(table["nearest_station_km"], (km * area).sum(axis=(1, 2)) / area.sum(), rtol=1e-3)
    np.testing.assert_allclose(table["known"], ((km <= 25.0) * area).sum(axis=(1, 2)) / area.sum(), rtol=1e-3)
    assert (table["extrapolation_km"] == 15.0).all() and table["value"].notna().all()


@pytest.mark.parametrize("west", [179.0, -181.0])
def test_a_polygon_on_the_other_side_of_the_antimeridian_meets_a_grid_that_goes_past_it(west, cubes, tmp_path):
    with CubeSource(cubes.one) as one:
        own = area_weights(one, read_polygons(vector(tmp_path, [box(116.0, 39.0, 117.5, 40.0)])).frame)
        one.dataset = one.dataset.assign_coords(lon=one.dataset.lon + 63, lon_bnds=one.dataset.lon_bnds + 63)
        weights = area_weights(one, read_polygons(vector(tmp_path, [box(west, 39.0, west + 1.5, 40.0)])).frame)
    assert weights.covered == pytest.approx([1.0])
    np.testing.assert_allclose(weights.matrix.toarray(), own.matrix.toarray(), rtol=1e-6)
