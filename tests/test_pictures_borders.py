"""Coasts and borders come from the file in the package, lie where they are, and only where they are wanted."""

import numpy as np
import pytest

from aqreanalysis.errors import ConfigError
from aqreanalysis.pictures.borders import KINDS, UNITS, _near, outlines
from aqreanalysis.pictures.make_natural_earth import pack_lines, read_lines


def near(lines, lon, lat):
    """Return how far (degrees) the nearest point of some lines is from a place."""
    points = np.concatenate(lines)
    return float(np.hypot((points[:, 0] - lon) * np.cos(np.radians(lat)), points[:, 1] - lat).min())


def test_the_coast_of_north_china_is_fine_and_stays_near_the_box():
    coast = outlines(117, 36, 123, 41)["coast"]
    assert sum(map(len, coast)) > 500
    # Dalian lies on the coast at 121.6 E, 38.9 N.
    assert near(coast, 121.6, 38.9) < 0.1
    points = np.concatenate(coast)
    assert points.min() > 30 and points[:, 0].max() < 125


def test_something_shows_at_the_extent_of_a_city():
    # Hong Kong's coast, Geneva's border and lake, the border of Beijing with Hebei: half a degree around each.
    for kind, lon, lat in (
        ("coast", 114.15, 22.29),
        ("border", 6.1, 46.2),
        ("lake", 6.2, 46.25),
        ("province", 116.4, 39.9),
    ):
        lines = outlines(lon - 0.5, lat - 0.5, lon + 0.5, lat + 0.5)[kind]
        assert sum(map(len, lines)) > 20, kind


def test_rivers_run_by_their_towns_where_a_region_is_neither_a_city_nor_a_continent():
    # The Rhine at Cologne, the Danube at Budapest, the Yangtze at Wuhan, the Thames in London.
    for lon, lat in ((6.963, 50.94), (19.045, 47.497), (114.29, 30.55), (-0.075, 51.506)):
        rivers = outlines(lon - 1, lat - 1, lon + 1, lat + 1)["river"]
        assert near(rivers, lon, lat) < 0.04, (lon, lat)
    assert "river" not in outlines(6.7, 50.7, 7.2, 51.2) and "river" not in outlines(-10, 35, 30, 60)


def test_provinces_are_left_out_of_a_continent():
    assert "province" not in outlines(-10, 35, 30, 60) and "border" in outlines(-10, 35, 30, 60)


def test_a_grid_across_the_antimeridian_gets_the_lines_of_both_sides():
    points = np.concatenate(outlines(176, -20, 186, -10)["coast"])
    assert (points[:, 0] > 180.5).any() and (points[:, 0] < 179.9).any()
    west = np.concatenate(outlines(-184, -20, -174, -10)["coast"])
    np.testing.assert_allclose(np.sort(west[:, 0] + 360), np.sort(points[:, 0]))


def test_a_line_is_cut_to_the_runs_that_may_cross_the_box_and_two_lines_are_not_joined():
    points = np.array([[0.0, 0], [1, 0], [5, 0], [0.2, 0.2], [0.3, 0.3]])
    runs = _near((points, np.array([0, 3])), (-0.5, -0.5, 0.5, 0.5))
    assert [run.tolist() for run in runs] == [[[0, 0], [1, 0]], [[0.2, 0.2], [0.3, 0.3]]]


def test_the_cut_of_a_map_at_the_antimeridian_is_no_line():
    points = np.array([[180.0, 60], [180.0, 61], [179, 61]])
    assert [run.tolist() for run in _near((points, np.array([0])), (170, 50, 190, 70))] == [[[180, 61], [179, 61]]]


def test_lines_are_packed_to_a_thousandth_of_a_degree_and_parted_where_they_leap(tmp_path):
    lines = [
        np.array([[10.0, 50.0], [10.0004, 50.0], [10.1, 50.1]]),
        np.array([[0.0, 0.0], [0.1, 0.0], [90.0, 0.0], [90.1, 0.0]]),
    ]
    packed = pack_lines(lines)
    assert packed["lengths"].tolist() == [2, 2, 2]
    assert packed["first"].tolist() == [[10000, 50000], [0, 0], [90000, 0]]
    assert packed["steps"].tolist() == [[100, 100], [100, 0], [100, 0]] and UNITS == 1000 and len(KINDS) == 5
    with pytest.raises(ConfigError, match="naturalearthdata"):
        read_lines(tmp_path / "ne_10m_coastline.shp")
