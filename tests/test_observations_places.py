"""A station stands at one place, in range and the right way round; pairs at one place are counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.places import (
    StationPlaces,
    TwinCount,
    colocated_pairs,
    exact_degrees,
    places_of_rows,
)
from aqreanalysis.observations.report import QualityReport


def _rows(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["station", "lat", "lon", "city"][: len(rows[0])])


def test_stations_come_sorted_with_their_city() -> None:
    places = places_of_rows(
        _rows(("b", 40.0, 116.0, "Y"), ("a", 41.0, 117.0, "X"), ("a", 41.0, 117.0, None)), QualityReport()
    )
    assert places.ids == ["a", "b"] and places.city == ["X", "Y"]
    np.testing.assert_array_equal(places.lat, [41.0, 40.0])


def test_swapped_coordinates_are_called_swapped() -> None:
    with pytest.raises(ObservationsError, match=r"'a' stands at lat 116.4, lon 39.9 .*look swapped"):
        places_of_rows(_rows(("a", 116.4, 39.9), ("b", 116.1, 40.2)), QualityReport())


@pytest.mark.parametrize(
    ("lat", "lon"), [(91.0, 200.0), (40.0, 400.0), (40.0, -181.0), (np.inf, 10.0), (-999.0, -999.0)]
)
def test_coordinates_out_of_range_are_refused_with_the_range(lat: float, lon: float) -> None:
    with pytest.raises(ObservationsError, match=r"'a'.*latitude must lie in -90..90"):
        places_of_rows(_rows(("a", lat, lon), ("b", 40.0, 10.0)), QualityReport())


def test_longitudes_up_to_360_are_brought_west_and_counted() -> None:
    report = QualityReport()
    places = places_of_rows(_rows(("a", 40.0, 270.5), ("b", 40.0, 179.0)), report)
    np.testing.assert_array_equal(places.lon, [-89.5, 179.0])
    assert report.counts == {"longitudes_wrapped": 1}


def test_a_station_that_moves_is_named_with_both_places_and_the_way_out() -> None:
    rows = _rows(("a", 40.0, 116.0), ("a", 40.0, 116.5), ("b", 41.0, 116.0))
    with pytest.raises(ObservationsError, match=r"'a'.*lon 116 .*lon 116.5, 42.6 km apart.*'a-2'"):
        places_of_rows(rows, QualityReport())


def test_rounding_of_coordinates_is_no_move() -> None:
    report = QualityReport()
    rows = _rows(("a", 40.0001, 116.0), ("a", 40.0, 116.0), ("a", 40.0002, 116.0))
    assert places_of_rows(rows, report).lat[0] == 40.0001
    assert report.counts == {"stations_jittered": 1}


def test_a_station_with_coordinates_in_some_rows_only_has_a_place() -> None:
    places = places_of_rows(_rows(("a", np.nan, np.nan), ("a", 40.0, 116.0), ("b", 0.0, 0.0)), QualityReport())
    assert places.ids == ["a"]


def test_no_coordinates_at_all_are_refused() -> None:
    with pytest.raises(ObservationsError, match="no station has coordinates"):
        places_of_rows(_rows(("a", np.nan, 10.0)), QualityReport())


def test_float32_degrees_become_the_decimal_that_was_meant() -> None:
    written = np.array([116.3621, 39.8784, -0.1, 179.99])
    np.testing.assert_array_equal(exact_degrees(written.astype(np.float32)), written)
    np.testing.assert_array_equal(exact_degrees(written), written)


def _pair(lon: float) -> StationPlaces:
    return StationPlaces(ids=["a", "b"], lat=np.array([40.0, 40.0]), lon=np.array([116.0, lon]))


def _check(places: StationPlaces, values: dict[str, np.ndarray], report: QualityReport) -> None:
    twins = TwinCount(places)
    twins.add(values)
    twins.judge(report)


def test_pairs_within_a_hundred_metres_are_counted_and_kept() -> None:
    readings = np.random.default_rng(0).gamma(3, 10, (100, 2)).astype(np.float32)
    for lon, pairs in ((116.0, 1), (116.001, 1), (116.01, 0)):
        report = QualityReport()
        _check(_pair(lon), {"pm25": readings}, report)
        assert report.counts.get("colocated_pairs", 0) == pairs == len(colocated_pairs(_pair(lon)))


def test_one_station_under_two_names_is_refused() -> None:
    one = np.random.default_rng(0).gamma(3, 10, (100, 1)).astype(np.float32)
    with pytest.raises(ObservationsError, match=r"'a' and 'b' stand at one place.*100 of their 100"):
        _check(_pair(116.0), {"pm25": np.hstack([one, one])}, QualityReport())
