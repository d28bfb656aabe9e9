"""Statistics over periods are cubes of their own: same grid, right stamps, clean under the project's rules."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from aqreanalysis.errors import OutputError
from aqreanalysis.export import AggregateOptions, CubeSource, Limit, aggregate
from aqreanalysis.validation import ValidateOptions, validate

# What the rules of hourly cubes say of these files and is right: see each.
STATISTICS = {
    "mean": AggregateOptions(),
    "mda8": AggregateOptions("mda8"),
    "aqi": AggregateOptions("aqi", index="cn"),
    "exceedance": AggregateOptions("exceedance", limits=(Limit("o3", 60.0), Limit("pm25", 35.0, "day"))),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_a_statistic_is_written_with_a_stamp_a_day_and_every_layer_described(name, cubes, tmp_path):
    out = tmp_path / "a.nc"
    with CubeSource(cubes.two) as two:
        aggregate(two, out, STATISTICS[name])
        grid = {a: two.dataset[a].values for a in ("lat", "lon", "lat_bnds")}
    with xr.open_dataset(out, decode_coords="all") as made:
        assert [str(t)[:13] for t in made.time.values] == ["2019-01-02T12", "2019-01-03T12", "2019-01-04T12"]
        for axis, values in grid.items():
            np.testing.assert_array_equal(made[axis].values, values)
        names = [v.attrs["long_name"] for v in made.data_vars.values()]
        assert len(set(names)) == len(names) and all(v.rio.crs.to_epsg() == 4326 for v in made.data_vars.values())
        assert "aqreanalysis" in made.attrs["history"].splitlines()[0] and len(made.attrs["model_digest"]) == 64
        assert made.attrs["time_coverage_resolution"] == "P1D"
    with xr.open_dataset(out, mask_and_scale=False) as raw:
        assert all(v.attrs.get("_FillValue", -1) in (-9999, -1) for v in raw.data_vars.values())


def test_daily_means_pass_the_projects_own_rules(cubes, tmp_path):
    with CubeSource(cubes.two) as two:
        aggregate(two, tmp_path / "a.nc", STATISTICS["mean"])
    report = validate(tmp_path / "a.nc", ValidateOptions(checker=False))
    assert report.clean, report.lines()


def test_months_of_a_daily_cube_are_means_of_its_days(cubes, tmp_path):
    with CubeSource(cubes.one) as one:
        aggregate(one, tmp_path / "daily.nc")
        wanted = one.read("pm2p5", slice(None)).mean(axis=0)
    with CubeSource(tmp_path / "daily.nc") as daily:
        assert daily.step_hours == 24
        aggregate(daily, tmp_path / "month.nc", AggregateOptions(period="month", min_share=0.05))
    with xr.open_dataset(tmp_path / "month.nc") as month:
        np.testing.assert_allclose(month.pm2p5.values[0], wanted, rtol=1e-4)
        assert str(month.time_bnds.values[0, 1])[:10] == "2019-02-01"


def test_a_local_day_is_stamped_in_utc(cubes, tmp_path):
    with CubeSource(cubes.one) as one:
        aggregate(one, tmp_path / "a.nc", AggregateOptions(utc_offset=8))
    with xr.open_dataset(tmp_path / "a.nc") as made:
        assert str(made.time.values[0])[:13] == "2019-01-02T04"
        assert [str(t)[:13] for t in made.time_bnds.values[0]] == ["2019-01-01T16", "2019-01-02T16"]


def test_an_output_that_exists_is_kept(cubes, tmp_path):
    (tmp_path / "a.nc").write_text("mine")
    with CubeSource(cubes.one) as one, pytest.raises(OutputError, match="--overwrite"):
        aggregate(one, tmp_path / "a.nc")
    assert (tmp_path / "a.nc").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"statistic": "median"}, "give mean"),
        ({"statistic": "mda8", "period": "month"}, "is of a day"),
        ({"statistic": "exceedance"}, "needs a limit"),
        ({"limits": (Limit("o3", 1.0),)}, "no effect"),
        ({"min_share": 0.0}, "share above 0"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(OutputError, match=message):
        AggregateOptions(**options)


def test_a_limit_of_another_pollutant_is_refused(cubes, tmp_path):
    with CubeSource(cubes.one) as one, pytest.raises(OutputError, match="a limit is given for o3"):
        aggregate(one, tmp_path / "a.nc", AggregateOptions("exceedance", limits=(Limit("o3", 60.0),)))
