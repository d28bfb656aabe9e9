"""Outlines come from the installed file and only where they are wanted."""

import numpy as np

from aqreanalysis.pictures.borders import _near, outlines


def test_the_coast_of_north_china_is_fine_and_stays_near_the_box():
    lines = outlines(117, 36, 123, 41)
    assert sum(map(len, lines)) > 500
    points = np.concatenate(lines)
    # Dalian lies on the coast at 121.6 E, 38.9 N.
    assert np.hypot(points[:, 0] - 121.6, points[:, 1] - 38.9).min() < 0.15


def test_a_grid_across_the_antimeridian_gets_the_outlines_of_both_sides():
    points = np.concatenate(outlines(176, -20, 186, -10))
    assert (points[:, 0] > 180.5).any() and (points[:, 0] < 179.9).any()


def test_a_ring_is_cut_to_the_runs_that_may_cross_the_box():
    ring = np.array([[0.0, 0], [1, 0], [5, 0], [5, 5], [0, 5], [0, 0]])
    (line,) = _near(ring, (-0.5, -0.5, 0.5, 0.5))[:1]
    assert line.tolist() == [[0, 0], [1, 0]]


def test_the_cut_of_a_polygon_at_the_antimeridian_is_no_border():
    ring = np.array([[180.0, 60], [180.0, 61], [179, 61]])
    assert [line.tolist() for line in _near(ring, (170, 50, 190, 70))] == [[[180, 61], [179, 61]]]
