"""A cube opened for export: layers by pollutant, hours with bounds, cells of places, pieces that fit into memory."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from aqreanalysis.common.hours import decimal_hours
from aqreanalysis.errors import CubeError, ObservationsError
from aqreanalysis.export import CubeSource, TimeSpan, source


def test_layers_are_known_by_pollutant_in_both_formats(cubes):
    with CubeSource(cubes.two) as two, CubeSource(cubes.one) as one:
        assert list(two.species) == ["pm25", "o3"] and list(one.species) == ["pm25"]
        o3 = two.species["o3"]
        assert (o3.flag, o3.used, dict(o3.exceedance)) == (
            "o3_quality_flag",
            "o3_observations_used",
            {60.0: "o3_exceedance_60"},
        )
        assert one.species["pm25"].flag == "quality_flag" and one.step_hours == two.step_hours == 1.0
        assert (one.bounds[:, 1] - one.times == np.timedelta64(30, "m")).all() and one.stamp == "middle"
        assert two.maps == []
        assert (
            one.species["pm25"].distance == "nearest_station_distance" and o3.distance == "o3_nearest_station_distance"
        )


def test_a_part_of_the_timeline_holds_the_hours_that_lie_in_it(cubes):
    with (
        CubeSource(cubes.two, span=TimeSpan(datetime(2019, 1, 3), datetime(2019, 1, 4))) as part,
        CubeSource(cubes.two) as whole,
    ):
        assert len(part.times) == 24 and str(part.times[0])[:13] == "2019-01-03T00"
        np.testing.assert_array_equal(part.read("o3", slice(0, 2)), whole.read("o3", slice(24, 26)))
    with pytest.raises(CubeError, match="no step between 2018-01-01T00:00"):
        CubeSource(cubes.two, span=TimeSpan(datetime(2018, 1, 1), datetime(2018, 1, 2)))


def test_slabs_cover_every_step_once_whatever_their_size(cubes, monkeypatch):
    for values in (63, 63 * 7, 63 * 30, 10**9):
        monkeypatch.setattr(source, "SLAB_VALUES", values)
        with CubeSource(cubes.one) as one:
            slabs = list(one.slabs())
        assert [i for s in slabs for i in range(s.start, s.stop)] == list(range(72))


def test_a_place_belongs_to_the_cell_whose_bounds_hold_it(cubes):
    with CubeSource(cubes.one) as one:
        assert one.cell_of("lat", np.array([38.87, 38.88, 39.2, 40.62, 40.63])).tolist() == [-1, 0, 1, 6, -1]


@settings(deadline=None)
@given(st.floats(178.9, 181.1))
def test_a_grid_across_the_antimeridian_finds_longitudes_of_both_signs(lon):
    centres = np.arange(179.0, 181.01, 0.25)
    held = xr.Dataset(coords={"lon": ("lon", centres)})
    grid = CubeSource.__new__(CubeSource)
    grid.dataset, grid.path = held, None
    turned = lon - 360 if lon > 180 else lon
    assert grid.cell_of("lon", np.array([turned]))[0] == grid.cell_of("lon", np.array([lon]))[0] >= 0


def test_what_the_cube_does_not_hold_is_refused(cubes, tmp_path):
    with pytest.raises(CubeError, match="has no o3; it holds pm25"):
        CubeSource(cubes.one, ["o3"])
    with pytest.raises(ObservationsError, match="unknown pollutant"):
        CubeSource(cubes.one, ["pm3"])
    xr.Dataset({"t2m": (("time",), [1.0])}).to_netcdf(tmp_path / "other.nc")
    with pytest.raises(CubeError, match="no coordinate time"):
        CubeSource(tmp_path / "other.nc")


def test_hours_are_counted_from_1970():
    assert decimal_hours(np.array(["1970-01-02T06:00"], "datetime64[ns]")).tolist() == [30.0]
