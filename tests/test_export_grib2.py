"""GRIB2 reads back, in cfgrib and in CDO, as the numbers, hours and parameters that were written."""

from __future__ import annotations

import shutil
import subprocess

import cfgrib
import eccodes
import numpy as np
import pytest
import xarray as xr

from aqreanalysis.errors import OutputError
from aqreanalysis.export import CubeSource, export_grib
from aqreanalysis.export.grib2 import BITS, PARAMETERS, _message


@pytest.fixture(scope="module")
def messages(cubes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("grib")
    for key in ("pm25", "o3"):
        with CubeSource(cubes.two, [key]) as source:
            export_grib(source, folder / f"{key}.grib2")
    return folder


@pytest.mark.parametrize("key", ["pm25", "o3"])
def test_cfgrib_reads_the_values_times_and_places_of_the_cube(key, messages, cubes):
    keys = {"indexpath": "", "read_keys": ["constituentType", "aerosolType"]}
    read = cfgrib.open_dataset(str(messages / f"{key}.grib2"), **keys)
    (name,) = read.data_vars
    with CubeSource(cubes.two, [key]) as source:
        wanted = source.read(source.species[key].best, slice(None)).astype(np.float64) * 1e-9
        np.testing.assert_array_equal(read.valid_time.values, source.times)
        np.testing.assert_allclose(read.latitude.values[::-1], source.dataset.lat.values)
        np.testing.assert_allclose(read.longitude.values, source.dataset.lon.values)
    values = read[name].values[:, ::-1].astype(np.float64)
    np.testing.assert_array_equal(np.isnan(values), np.isnan(wanted))
    step = np.nanmax(wanted, axis=(1, 2)) - np.nanmin(wanted, axis=(1, 2))
    assert (np.nanmax(np.abs(values - wanted), axis=(1, 2)) <= step / (2**BITS - 1) * 1.01 + 1e-15).all()
    attrs = read[name].attrs
    assert attrs["GRIB_stepType"] == "instant"
    if key == "pm25":
        assert (name, attrs["GRIB_paramId"], attrs["units"]) == ("pm2p5", 210073, "kg m**-3")
    else:
        assert attrs["GRIB_constituentType"] == 0


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("pm25", (48, 62026)),
        ("pm10", (48, 62026)),
        ("so2", (40, 8)),
        ("no2", (40, 5)),
        ("o3", (40, 0)),
        ("co", (40, 4)),
    ],
)
def test_each_pollutant_has_its_constituent_of_the_wmo_tables(key, wanted, cubes):
    with CubeSource(cubes.one) as source:
        handle = _message(source, PARAMETERS[key])
    try:
        kind = "aerosolType" if wanted[0] == 48 else "constituentType"
        assert (eccodes.codes_get(handle, "productDefinitionTemplateNumber"), eccodes.codes_get(handle, kind)) == wanted
        codes = [eccodes.codes_get(handle, k) for k in ("discipline", "parameterCategory", "parameterNumber")]
        assert codes == [0, 20, 0]
        known = {"pm25": 210073, "pm10": 210074}
        assert eccodes.codes_get(handle, "paramId") == known.get(key, 0)
    finally:
        eccodes.codes_release(handle)


@pytest.mark.skipif(shutil.which("cdo") is None, reason="no cdo: run tests/clients/install.sh")
def test_cdo_reads_the_same_field(messages, cubes):
    command = ["cdo", "-s", "outputf,%.9g,1", "-seltimestep,30", str(messages / "pm25.grib2")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    values = np.array(done.stdout.split(), dtype=np.float64).reshape(7, 9)[::-1]
    with CubeSource(cubes.two, ["pm25"]) as source:
        wanted = source.read("pm2p5", slice(29, 30))[0] * 1e-9
    known = np.isfinite(wanted)
    np.testing.assert_allclose(values[known], wanted[known], atol=1e-11)
    codes = subprocess.run(["cdo", "-s", "showtimestamp", str(messages / "pm25.grib2")], capture_output=True, text=True)
    assert codes.stdout.split()[0] == "2019-01-02T00:30:00" and len(codes.stdout.split()) == 72


@pytest.mark.skipif(shutil.which("cdo") is None, reason="no cdo: run tests/clients/install.sh")
def test_cdo_averages_whole_days(messages, cubes, tmp_path):
    days = tmp_path / "days.nc"
    subprocess.run(["cdo", "-s", "-f", "nc", "daymean", str(messages / "pm25.grib2"), str(days)], check=True)
    with CubeSource(cubes.two, ["pm25"]) as source, xr.open_dataset(days) as means:
        wanted = source.read("pm2p5", slice(None)).reshape(3, 24, 7, 9).mean(axis=1) * 1e-9
        (name,) = (name for name in means.data_vars if name != "time_bnds")
        assert list(means["time"].dt.day.values) == [2, 3, 4]
        np.testing.assert_allclose(means[name].values[:, ::-1], wanted, rtol=1e-3)


def test_a_cube_stamped_at_the_end_becomes_averages_dated_there(cubes, tmp_path):
    with xr.open_dataset(cubes.two) as cube:
        ends = cube.load().assign_coords(time=("time", cube["time_bnds"].values[:, 1], cube["time"].attrs))
        ends["time"].encoding = cube["time"].encoding
        ends.to_netcdf(tmp_path / "ends.nc")
    with CubeSource(tmp_path / "ends.nc", ["pm25"]) as source:
        export_grib(source, tmp_path / "ends.grib2")
        read = cfgrib.open_dataset(str(tmp_path / "ends.grib2"), indexpath="")
        np.testing.assert_array_equal(read.valid_time.values, source.bounds[:, 1])
        np.testing.assert_array_equal(read.time.values, source.bounds[:, 0])
    assert read["pm2p5"].attrs["GRIB_stepType"] == "avg"


def test_several_pollutants_are_refused(cubes, tmp_path):
    with CubeSource(cubes.two) as two, pytest.raises(OutputError, match="choose one with --species"):
        export_grib(two, tmp_path / "a.grib2")
    assert list(tmp_path.iterdir()) == []
