"""The template: every attribute of a cube, rendered once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from production_case import small_grid

from aqreanalysis.configs import MetadataConfig
from aqreanalysis.errors import ConfigError
from aqreanalysis.production.layers import cube_layers
from aqreanalysis.production.plan import Plan, hours_between
from aqreanalysis.production.template import Provenance, now_text, render_template
from aqreanalysis.species import SPECIES

PROVENANCE = Provenance("m" * 64, "o" * 64, 12, "2026-01-31T12:00:00Z", "1.2.3", {"torch": "2.13.0"})


def render(metadata: MetadataConfig | None = None, provenance: Provenance = PROVENANCE):
    grid = small_grid()
    first, hours = hours_between("2019-01-07", "2019-01-08T12:00")
    plan = Plan(first, hours, *grid.shape, (24, 3, 4), 19)
    species = [SPECIES["pm25"]]
    return render_template(plan, grid, cube_layers(species, 0.9), species, metadata or MetadataConfig(), provenance)


def test_hours_after_the_last_reading_carry_their_lead_time_and_analysis_hours_need_none():
    stamps = render().plan.bounds[:, 1]
    assert "forecast_lead_time" not in render().coordinates
    assert "forecast_lead_time" not in render(provenance=replace(PROVENANCE, last_reading=int(stamps[-1]))).coordinates
    lead = render(provenance=replace(PROVENANCE, last_reading=int(stamps[20]))).coordinates["forecast_lead_time"]
    np.testing.assert_array_equal(lead.values, np.maximum(np.arange(len(stamps)) - 20, 0))
    assert lead.dims == ("time",) and lead.attrs["standard_name"] == "forecast_period" and lead.attrs["units"] == "h"


def test_extent_is_of_the_centres_and_the_edges_are_the_polygon():
    attrs = render().attrs
    assert (attrs["geospatial_lat_min"], attrs["geospatial_lat_max"]) == (39.0, 40.5)
    assert (attrs["geospatial_lon_min"], attrs["geospatial_lon_max"]) == (116.0, 118.0)
    assert attrs["geospatial_bounds"].startswith("POLYGON((38.875 115.875, 38.875 118.125, 40.625 118.125,")
    assert not [k for k in attrs if "vertical" in k]


def test_the_timeline_is_told_from_the_first_hours_begin_to_the_last_stamp():
    attrs = render().attrs
    assert attrs["time_coverage_start"] == "2019-01-07T00:00:00Z"
    assert attrs["time_coverage_end"] == "2019-01-08T12:00:00Z"
    assert attrs["time_coverage_duration"] == "PT36H" and attrs["time_coverage_resolution"] == "PT1H"


def test_time_is_float_hours_with_bounds_and_latitude_and_longitude_are_float_degrees():
    template = render()
    time = template.coordinates["time"]
    assert time.values.dtype == np.float64 and time.attrs["units"] == "hours since 1970-01-01 00:00:00"
    assert time.attrs["calendar"] == "standard" and time.attrs["units_metadata"] == "leap_seconds: none"
    bounds = template.coordinates["time_bnds"].values
    np.testing.assert_array_equal(bounds.mean(axis=1), time.values)
    np.testing.assert_array_equal(bounds[1:, 0], bounds[:-1, 1])
    for name in ("lat", "lon"):
        assert template.coordinates[name].values.dtype == np.float64
        assert template.coordinates[name].attrs["bounds"] == f"{name}_bnds"


def test_every_layer_has_the_grid_mapping_with_its_wkt():
    template = render()
    assert {x.attrs["grid_mapping"] for x in template.layers} == {"crs"}
    crs = template.coordinates["crs"].attrs
    assert crs["crs_wkt"] == crs["spatial_ref"] and 'ID["EPSG",4326]' in crs["crs_wkt"]


def test_conventions_are_split_by_a_comma_and_the_vocabulary_is_the_one_the_checker_has():
    attrs = render().attrs
    assert attrs["Conventions"] == "CF-1.11, ACDD-1.3"
    assert attrs["standard_name_vocabulary"] == "CF Standard Name Table v93"


def test_provenance_names_digests_and_versions():
    attrs = render().attrs
    for text in ("m" * 64, "o" * 64, "1.2.3", "torch 2.13.0", "12 stations"):
        assert text in attrs["source"]
    assert attrs["history"].startswith("2026-01-31T12:00:00Z aqreanalysis 1.2.3")


def test_what_the_user_gives_is_taken_and_what_is_unset_is_left_out():
    attrs = render(MetadataConfig(title="T", license="L", comment="C")).attrs
    assert (attrs["title"], attrs["license"], attrs["comment"]) == ("T", "L", "C")
    assert not {"creator_name", "institution", "id", "publisher_name"} & set(attrs)
    assert "comment" not in render().attrs


def test_a_synthetic_origin_is_in_title_summary_and_comment():
    made = Provenance(*[getattr(PROVENANCE, f) for f in ("model", "observations", "stations", "created", "version")])
    attrs = render(MetadataConfig(comment="Mine."), Provenance(**{**vars(made), "synthetic": "Made up."})).attrs
    assert attrs["title"].startswith("SYNTHETIC: ") and attrs["summary"].startswith("SYNTHETIC: ")
    assert attrs["comment"] == "Made up. Mine."


def test_an_attribute_that_is_not_ascii_is_refused_with_its_name_and_sign():
    with pytest.raises(ConfigError, match=r"metadata\.creator_name = .*is not ASCII"):
        render(MetadataConfig(creator_name="M\u00fcller"))
    assert all(v.isascii() for v in render().attrs.values() if isinstance(v, str))


@pytest.mark.parametrize("text", ["yesterday", "\u00b2", "-1e3", str(10**15)])
def test_a_moment_that_is_no_number_of_seconds_or_of_no_year_is_refused_with_the_variable(text, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    with pytest.raises(ConfigError, match=f"SOURCE_DATE_EPOCH = '{text}': give seconds since 1970"):
        now_text()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert now_text() == "2023-11-14T22:13:20Z"
