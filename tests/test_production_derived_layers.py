"""What `export aggregate` writes is a cube again: every command that reads cubes takes it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from aqreanalysis.cli import main
from aqreanalysis.errors import CubeError
from aqreanalysis.export import AggregateOptions, CubeSource, Limit, aggregate
from aqreanalysis.pictures.colours import classes_of
from aqreanalysis.production.derived_layers import COUNT, INDEX, derived_quantities, derived_quantity

KINDS = {
    "aqi": AggregateOptions("aqi", index="cn"),
    "mda8": AggregateOptions("mda8"),
    "exceedance": AggregateOptions("exceedance", limits=(Limit("o3", 60.0, "mda8"), Limit("pm25", 7.5)), rule="cn"),
    "mean": AggregateOptions("mean"),
}


@pytest.fixture(scope="module")
def files(cubes, tmp_path_factory):
    """Write one file of each statistic of the small cube."""
    folder = tmp_path_factory.mktemp("statistics")
    with CubeSource(cubes.two) as source:
        return {name: aggregate(source, folder / f"{name}.nc", options) for name, options in KINDS.items()}


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_names_tell_an_index_a_daily_maximum_and_a_count_from_a_pollutant():
    assert derived_quantity("aqi", {}).kind == INDEX
    assert derived_quantity("o3_mda8", {}).of == "o3"
    count = derived_quantity("pm2p5_hours_above_7p5", {"long_name": "number of hours, by the best estimate"})
    assert (count.kind, count.of, count.species.title) == (COUNT, "pm25", "number of hours")
    assert derived_quantity("o3_mda8_days_above_60", {}).of == "o3"
    for name in ("pm2p5", "o3_mda8_lower", "x_mda8", "x_days_above_3", "aqi_lower", "pm2p5_hours_above_75_expected"):
        assert derived_quantity(name, {}) is None


def test_a_source_finds_the_layers_of_each_and_takes_the_pollutants_name_for_them(files):
    with CubeSource(files["aqi"]) as source:
        assert source.species["aqi"].names == ["aqi", "aqi_lower", "aqi_upper", "aqi_leading_pollutant"]
        assert set(source.layers) == set(source.dataset.data_vars)
    with CubeSource(files["mda8"], ["o3"]) as source:
        assert list(source.species) == ["o3_mda8"] and source.species["o3_mda8"].standard_error
    with CubeSource(files["exceedance"], ["pm2p5_hours_above_7p5"]) as source:
        assert source.species["pm2p5_hours_above_7p5"].beside == (
            "pm2p5_hours_above_7p5_expected",
            "pm2p5_hours_above_7p5_probability",
        )
    with CubeSource(files["mean"]) as source:
        assert source.species["o3"].beside == ("o3_valid_share",)
    with pytest.raises(CubeError, match="has no co; it holds pm2p5_mda8, o3_mda8"):
        CubeSource(files["mda8"], ["co"])
    with pytest.raises(CubeError, match="has no aqi; it holds"):
        CubeSource(files["mda8"], ["aqi"])


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_that_reads_cubes_takes_what_aggregate_writes(kind, files, tmp_path):
    cube, day = files[kind], "2019-01-03T12:00"
    facts = json.loads(run("info", cube, "--json").stdout)
    assert facts["frequency"] == "daily" and facts["steps"] == 3 and facts["species"]
    report = run("validate", cube, "--no-checker", "--json")
    assert report.exit_code == 0 and json.loads(report.stdout)["clean"], report.stdout
    (tmp_path / "p.csv").write_text("id,lat,lon\na,39.75,117\n")
    asked = {
        "map.png": ("plot", cube, "--time", day),
        "mean.svg": ("plot", cube, "--mean"),
        "series.png": ("plot", cube, "--place", "39.75,117"),
        "page.html": ("view", cube),
        "cogs": ("export", "cog", cube),
        "t.csv": ("export", "points", cube, "--places", tmp_path / "p.csv"),
        "copy.nc": ("export", "netcdf", cube, "--split", "none"),
        "styles": ("style", cube),
    }
    for name, command in asked.items():
        done = run(*command, "--out", tmp_path / name)
        assert done.exit_code == 0, (name, done.output)
    with xr.open_dataset(cube) as own, xr.open_dataset(tmp_path / "copy.nc") as copy:
        assert set(copy.data_vars) == set(own.data_vars)


def test_an_index_keeps_its_own_classes_whatever_the_palette_and_a_count_has_none(files):
    with CubeSource(files["aqi"]) as source:
        one, attrs = source.species["aqi"], source.dataset["aqi"].attrs
        colours = classes_of(one, attrs, "even")
        assert colours == classes_of(one, attrs, "us") and colours.title == "Chinese AQI (HJ 633)"
        assert colours.names[0] == "excellent" and colours.ranges[1] == "51 to 100"
        classes = colours.norm(np.array([0.0, 50.0, 51.0, 100.0, 300.0, 301.0, 500.0]))
        assert classes.tolist() == [0, 0, 1, 1, 4, 5, 5]
    with CubeSource(files["mda8"], ["o3"]) as source:
        (one,) = source.species.values()
        assert classes_of(one, {}, "who").title == "WHO 2021 levels of the maximum 8-hour mean"
    assert run("plot", files["exceedance"], "--mean", "--colours", "who", "--out", "x.png").exit_code == 2


def test_what_readings_are_not_of_is_refused_in_one_line(files, tmp_path, production_files):
    done = run("compare", files["aqi"], "--observations", production_files[1])
    assert done.exit_code == 2 and "no concentration of a pollutant" in done.stderr
    done = run("export", "grib", files["aqi"], "--out", tmp_path / "a.grib2")
    assert done.exit_code == 2 and "GRIB2 has no code for" in done.stderr


def test_a_single_month_is_a_month(cubes, tmp_path):
    with CubeSource(cubes.two) as source:
        path = aggregate(source, tmp_path / "m.nc", AggregateOptions("mean", period="month", min_share=0.01))
    assert json.loads(run("info", path, "--json").stdout)["frequency"] == "monthly"
    with xr.open_dataset(path) as month:
        assert derived_quantities(month) == {}
