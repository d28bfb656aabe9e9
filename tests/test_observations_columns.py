"""Columns are found by configured and by usual names; what is missing is named with the nearest."""

from __future__ import annotations

import pytest

from aqreanalysis.configs import ColumnsConfig
from aqreanalysis.errors import ObservationsError
from aqreanalysis.observations.columns import find_columns

FIXED = ["station_id", "time", "lat", "lon"]


def test_pollutants_are_found_by_key_layer_and_alias_in_the_order_of_species() -> None:
    roles = find_columns([*FIXED, "CO", "Ozone", "PM2.5", "pm10", "rain"], ColumnsConfig(), "t")
    assert dict(roles.species) == {"pm25": "PM2.5", "pm10": "pm10", "o3": "Ozone", "co": "CO"}
    assert list(roles.species) == ["pm25", "pm10", "o3", "co"]
    assert roles.needed() == [*FIXED, "PM2.5", "pm10", "Ozone", "CO"]


def test_a_configured_column_wins_over_the_usual_name() -> None:
    columns = ColumnsConfig(species={"pm25": "raw"})
    assert dict(find_columns([*FIXED, "pm25", "raw"], columns, "t").species) == {"pm25": "raw"}


def test_city_and_name_are_taken_where_they_are() -> None:
    roles = find_columns([*FIXED, "pm25", "town", "name"], ColumnsConfig(city="town"), "t")
    assert roles.labels == {"city": "town", "name": "name"}
    assert find_columns([*FIXED, "pm25", "city"], ColumnsConfig(), "t").labels == {"city": "city"}
    assert find_columns([*FIXED, "pm25"], ColumnsConfig(), "t").labels == {}


@pytest.mark.parametrize(
    ("names", "columns", "message"),
    [
        (["station_id", "timee", "lat", "lon", "pm25"], ColumnsConfig(), "no column 'time'.*did you mean 'timee'"),
        (["station_id", "time", "latit", "lon", "pm25"], ColumnsConfig(), "no column 'lat' .*set columns.lat"),
        (["Station", "Datum", "Breite", "lon", "pm25"], ColumnsConfig(), "no column 'lat' for lat \\(there are"),
        (
            ["a", "b", "lat", "lon", "pm25"],
            ColumnsConfig(),
            "'time' for time.*'station_id' for station.*columns.place",
        ),
        (["Site", *FIXED[1:], "pm25"], ColumnsConfig(station="site_id"), "no column 'site_id' for station"),
        ([*FIXED, "pm25"], ColumnsConfig(city="town"), "no column 'town' for city"),
        ([*FIXED, "pm2_5_mean"], ColumnsConfig(species={"pm25": "pm2_5_men"}), "did you mean 'pm2_5_mean'"),
        ([*FIXED, "temp"], ColumnsConfig(), "none of the columns .* is a known pollutant"),
        ([*FIXED, "pm25", "PM2.5"], ColumnsConfig(), "'pm25' and 'PM2.5' are both pm25"),
        ([*FIXED, "x"], ColumnsConfig(species={"pm26": "x"}), "unknown pollutant 'pm26'"),
    ],
)
def test_what_is_missing_is_named_with_the_way_out(names: list[str], columns: ColumnsConfig, message: str) -> None:
    with pytest.raises(ObservationsError, match=message):
        find_columns(names, columns, "t")


def test_places_may_come_from_a_list() -> None:
    roles = find_columns(["station_id", "time", "pm25"], ColumnsConfig(), "t", places_given=True)
    assert (roles.lat, roles.lon) == (None, None)
    with pytest.raises(ObservationsError, match="'lat'"):
        find_columns(["station_id", "time", "pm25"], ColumnsConfig(), "t")
