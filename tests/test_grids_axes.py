from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqreanalysis.errors import GridError
from aqreanalysis.grids.axes import cells_between, cells_holding, recognise_axis, regular_axis


@given(
    start=st.integers(-1800, 1800).map(lambda i: i / 10),
    step=st.sampled_from([0.01, 0.025, 0.05, 0.1, 0.25, 0.3, 0.5, 1.0, 2.5]),
    size=st.integers(2, 1500),
)
def test_an_axis_that_went_through_single_precision_comes_back_exactly(start: float, step: float, size: int) -> None:
    axis = regular_axis(start, step, size)
    again, descending = recognise_axis(axis.astype(np.float32), "axis")
    assert not descending
    np.testing.assert_array_equal(again, axis)


def test_a_third_of_a_degree_is_not_rounded_to_few_digits() -> None:
    axis = regular_axis(-30.0, 1 / 3, 181)
    again, _ = recognise_axis(axis.astype(np.float32), "axis")
    np.testing.assert_allclose(again, axis, rtol=0, atol=1e-9)
    assert again[-1] == 30.0


def test_a_descending_axis_is_turned_and_said_to_be() -> None:
    again, descending = recognise_axis([43.0, 42.9, 42.8], "axis")
    assert descending
    assert again.tolist() == [42.8, 42.9, 43.0]


def test_gaussian_latitudes_are_refused_with_the_way_out() -> None:
    latitudes = np.degrees(np.arcsin(np.polynomial.legendre.leggauss(64)[0]))
    with pytest.raises(GridError, match=r"not regular.*cdo remapbil"):
        recognise_axis(latitudes, "latitude")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.0], "one cell, whose size is not known"),
        ([], "no cell"),
        ([0.0, np.nan, 2.0], "1 coordinates are not finite"),
        ([[0.0, 1.0]], "2-dimensional"),
    ],
)
def test_what_is_no_axis_is_refused(values: list[float], words: str) -> None:
    with pytest.raises(GridError, match=words):
        recognise_axis(values, "latitude")


def test_repeated_coordinates_are_refused() -> None:
    with pytest.raises(GridError, match="not regular"):
        recognise_axis([5.0, 5.0, 5.0], "latitude")


def test_a_step_that_does_not_divide_the_extent_names_the_ends_that_would() -> None:
    with pytest.raises(GridError, match=r"105\.\.124\.8 or 105\.\.125\.1 would do"):
        cells_between(105, 125, 0.3, "grid g: W..E")


def test_a_rounded_third_divides_a_degree() -> None:
    assert cells_between(0, 20, 0.3333333, "grid g: W..E") == 61


def test_a_place_lies_in_the_first_cell_that_holds_it_and_longitudes_in_any_turn():
    edges = np.array([[178.0, 179.0], [179.0, 180.0], [180.0, 181.0]])
    assert cells_holding(np.array([177.9, 178.0, 179.0, 180.5, -179.5, 539.5]), edges).tolist() == [-1, 0, 0, 2, -1, -1]
    assert cells_holding(np.array([-179.5, 539.5, -180.0, 0.0]), edges, around=True).tolist() == [2, 1, 1, -1]
