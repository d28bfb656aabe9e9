"""Cloud-optimised GeoTIFFs hold the cube's numbers, north-up, with names, units, nodata and time."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
import rasterio
import rioxarray

from aqreanalysis.errors import OutputError
from aqreanalysis.export import CogOptions, CubeSource, TimeSpan, export_cogs

DAY = TimeSpan(datetime(2019, 1, 2), datetime(2019, 1, 2, 5))


@pytest.fixture(scope="module")
def cogs(cubes, tmp_path_factory):
    noted = []
    with CubeSource(cubes.two, span=DAY) as source:
        paths = export_cogs(source, tmp_path_factory.mktemp("x") / "cogs", None, lambda *said: noted.append(said[:2]))
    assert noted[-1] == (5, 5)
    return paths


def test_a_file_a_step_holds_every_layer_north_up_with_nodata(cogs, cubes):
    assert [p.name for p in cogs][:2] == ["pm2p5_o3_20190102T0030.tif", "pm2p5_o3_20190102T0130.tif"]
    with CubeSource(cubes.two, span=DAY) as source, rasterio.open(cogs[3]) as file:
        assert list(file.descriptions) == [*source.layers, *source.maps]
        for number, name in enumerate(file.descriptions):
            wanted = source.read(name, slice(3, 4)).reshape(-1, 7, 9)[0][::-1].astype(np.float32)
            np.testing.assert_array_equal(file.read(number + 1, masked=True).filled(np.nan), wanted)
        assert file.nodata == -9999 and file.crs.to_epsg() == 4326 and file.transform.e < 0
        assert np.isnan(file.read(1, masked=True).filled(np.nan)).any()


def test_units_names_and_time_travel_in_the_file(cogs):
    with rasterio.open(cogs[0]) as file:
        assert file.units[:2] == ("ug m-3", "ug m-3") and file.tags(1)["long_name"] == "PM2.5 mass concentration"
        number = file.descriptions.index("pm2p5_quality_flag") + 1
        assert file.tags(number)["flag_masks"] == "1 2 4 8 16" and "masked" in file.tags(number)["flag_meanings"]
        tags = file.tags()
    assert tags["time"] == "2019-01-02T00:30:00Z" and tags["TIFFTAG_DATETIME"] == "2019:01:02 00:30:00"
    assert tags["time_bounds"] == "2019-01-02T00:00:00Z/2019-01-02T01:00:00Z" and len(tags["model_digest"]) == 64


def test_the_file_is_laid_out_for_the_cloud_and_opens_in_rioxarray(cogs):
    with rasterio.open(cogs[0]) as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG" and file.profile["tiled"]
    with rioxarray.open_rasterio(cogs[0], masked=True) as opened:
        assert opened.rio.crs.to_epsg() == 4326 and opened.y[0] > opened.y[-1]


def test_a_file_a_day_holds_its_mean(cubes, tmp_path):
    with CubeSource(cubes.one) as source:
        paths = export_cogs(source, tmp_path / "days", CogOptions(period="day"))
        mean = source.read("pm2p5", slice(24, 48)).mean(axis=0)
    assert [p.name for p in paths] == ["pm2p5_20190102.tif", "pm2p5_20190103.tif", "pm2p5_20190104.tif"]
    with rasterio.open(paths[1]) as file:
        np.testing.assert_allclose(file.read(1)[::-1], mean, rtol=1e-5)
        assert file.tags()["time_bounds"] == "2019-01-03T00:00:00Z/2019-01-04T00:00:00Z"


def test_a_reprojected_file_covers_the_region_and_keeps_its_values(cubes, tmp_path):
    with CubeSource(cubes.one, span=DAY) as source:
        (path, *_) = export_cogs(source, tmp_path / "metres", CogOptions(epsg=32650))
        wanted = source.read("pm2p5", slice(0, 1))[0]
    with rasterio.open(path) as file:
        assert file.crs.to_epsg() == 32650
        values = file.read(1, masked=True)
        lon, lat = 117.0, 39.75
        ((x, y),) = zip(*rasterio.warp.transform("EPSG:4326", file.crs, [lon], [lat]), strict=True)
        assert next(file.sample([(x, y)]))[0] == pytest.approx(wanted[3, 4], rel=0.1)
        assert wanted.min() <= values.min() and values.max() <= wanted.max()


def test_what_cannot_be_is_refused_before_anything_is_written(cubes, tmp_path):
    with pytest.raises(OutputError, match="give step, day"):
        CogOptions(period="week")
    with pytest.raises(OutputError, match="give nearest"):
        CogOptions(resampling="cubic")
    with CubeSource(cubes.one, span=DAY) as source, pytest.raises(OutputError, match="covers no day by 75%"):
        export_cogs(source, tmp_path / "few", CogOptions(period="day"))
    assert list(tmp_path.iterdir()) == []
