"""Users' own points, lines and polygons lie over the map where they are, in any reference system."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
from matplotlib.figure import Figure
from picture_case import write_cube
from shapely.geometry import LineString, MultiPolygon, Point, Polygon

from aqreanalysis.errors import OutputError
from aqreanalysis.export import CubeSource
from aqreanalysis.pictures import MapOptions, draw_map
from aqreanalysis.pictures.overlays import draw_overlays, read_overlay

BOX = (10.0, 46.0, 12.0, 48.0)


def written(path: Path, *shapes, crs: int = 4326) -> Path:
    geopandas.GeoDataFrame(geometry=list(shapes), crs=4326).to_crs(crs).to_file(path)
    return path


def square(west: float, south: float, side: float = 0.4) -> Polygon:
    return Polygon([(west, south), (west + side, south), (west + side, south + side), (west, south + side)])


def test_points_lines_and_areas_with_holes_become_what_is_drawn(tmp_path: Path) -> None:
    holed = Polygon(square(10.5, 46.5, 1.0).exterior.coords, [square(10.8, 46.8).exterior.coords])
    areas = read_overlay(written(tmp_path / "boroughs.gpkg", MultiPolygon([holed, square(11.6, 47.0)]), crs=32632))
    assert areas.name == "boroughs" and len(areas.lines) == 3 and not len(areas.points)
    assert np.concatenate(areas.lines)[:, 0].min() == pytest.approx(10.5, abs=1e-6)
    roads = read_overlay(written(tmp_path / "roads.geojson", LineString([(10, 46), (11, 47), (12, 46)])))
    assert [line.shape for line in roads.lines] == [(3, 2)]
    schools = read_overlay(written(tmp_path / "schools.shp", Point(11.0, 47.0), Point(11.5, 47.5)))
    assert schools.points.tolist() == [[11.0, 47.0], [11.5, 47.5]] and not schools.lines


def test_the_map_carries_them_and_its_legend_names_them(tmp_path: Path) -> None:
    files = (
        written(tmp_path / "boroughs.geojson", square(10.5, 46.5), square(11.0, 47.0)),
        written(tmp_path / "schools.geojson", Point(11.1, 47.2)),
    )
    with CubeSource(write_cube(tmp_path / "cube.nc", np.full((2, 8, 8), 20.0))) as source:
        plain = draw_map(source, tmp_path / "a.svg", MapOptions(borders=False)).read_text()
        laid = draw_map(source, tmp_path / "b.svg", MapOptions(borders=False, overlays=files)).read_text()
    assert "boroughs" not in plain and "boroughs" in laid and "schools" in laid


def test_what_lies_across_the_antimeridian_is_moved_to_the_map(tmp_path: Path) -> None:
    fiji = read_overlay(written(tmp_path / "islands.geojson", Point(178.5, -18.0), Point(-179.5, -17.0)))
    assert fiji.inside((176.0, -20.0, 186.0, -10.0)).points.tolist() == [[178.5, -18.0], [180.5, -17.0]]


def test_a_file_outside_the_map_is_refused_and_not_drawn_unseen(tmp_path: Path) -> None:
    far = read_overlay(written(tmp_path / "far.geojson", square(100.0, 10.0)))
    with pytest.raises(OutputError, match="lies outside the map"):
        draw_overlays(Figure().subplots(), [far], BOX)
    with pytest.raises(OutputError, match="no vector file"):
        read_overlay(tmp_path / "none.gpkg")
