"""The classes of an air quality index as GeoTIFF: colours inside, names beside, both read back by GDAL."""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import rasterio

from aqreanalysis.errors import OutputError
from aqreanalysis.export import AggregateOptions, CogOptions, CubeSource, aggregate, export_cogs, export_statistic_cogs
from aqreanalysis.export.aqi_scales import INDICES
from aqreanalysis.export.class_rasters import class_texts


def test_a_value_at_the_end_of_a_class_belongs_to_it_and_an_unknown_one_to_none():
    values = np.array([0, 50, 51, 100, 101, 150, 200, 201, 300, 301, 500, np.nan])
    for index in INDICES.values():
        assert index.class_of(values).tolist() == [1, 1, 2, 2, 3, 3, 4, 5, 5, 6, 6, 0]
    assert class_texts(INDICES["us"])[0] == "good (0 to 50)"
    assert class_texts(INDICES["cn"])[-1] == "severely polluted (above 300)"


@pytest.fixture(scope="module")
def days(cubes, tmp_path_factory):
    """Write the GeoTIFFs of the Chinese index of the small cube by the calendar of China, in one step."""
    folder = tmp_path_factory.mktemp("aqi") / "cogs"
    with CubeSource(cubes.two) as source:
        paths = export_statistic_cogs(source, folder, AggregateOptions("aqi", index="cn", utc_offset=8))
    return folder, paths


def test_values_and_classes_of_each_local_day_stand_in_files_of_its_date(days, cubes, tmp_path):
    folder, paths = days
    names = [f"aqi{kind}_201901{day:02d}.tif" for kind in ("", "_class") for day in (2, 3, 4, 5)]
    assert [path.name for path in paths] == sorted(names)
    with CubeSource(cubes.two) as source:
        aggregate(source, tmp_path / "aqi.nc", AggregateOptions("aqi", index="cn", utc_offset=8))
    with CubeSource(tmp_path / "aqi.nc") as daily:
        index = daily.read("aqi", slice(1, 2))[0][::-1]
    with rasterio.open(folder / "aqi_20190103.tif") as file:
        assert file.descriptions == ("aqi", "aqi_lower", "aqi_upper", "aqi_leading_pollutant")
        np.testing.assert_array_equal(file.read(1, masked=True).filled(np.nan), index)
    with rasterio.open(folder / "aqi_class_20190103.tif") as file:
        assert file.dtypes == ("uint8",) and file.nodata == 0
        classes, colours = file.read(1), file.colormap(1)
        assert file.tags(1)["class_3"] == "lightly polluted (101 to 150)"
    np.testing.assert_array_equal(classes, INDICES["cn"].class_of(index))
    assert np.isfinite(index).any() and colours[1] == (0, 228, 0, 255) and colours[6] == (126, 0, 35, 255)
    table = ET.parse(folder / "aqi_class_20190103.tif.aux.xml").getroot()
    legend = ET.parse(folder / "aqi_class_20190103.qml").getroot()
    assert [entry.get("label") for entry in legend.iter("paletteEntry")] == class_texts(INDICES["cn"])
    assert [c.text for c in table.iter("Category")] == ["unknown", *class_texts(INDICES["cn"])]


def test_gdal_reads_the_names_of_the_classes(days):
    if not shutil.which("gdalinfo"):
        pytest.skip("no gdalinfo here: apt-get install gdal-bin")
    said = subprocess.run(["gdalinfo", days[0] / "aqi_class_20190103.tif"], capture_output=True, text=True).stdout
    assert "ColorInterp=Palette" in said and "1: excellent (0 to 50)" in said and "6: 126,0,35,255" in said
    assert "<F>severely polluted (above 300)</F>" in said


def test_a_file_of_an_index_gives_the_same_classes_also_reprojected(cubes, tmp_path):
    with CubeSource(cubes.two) as source:
        aggregate(source, tmp_path / "aqi.nc", AggregateOptions("aqi"))
    with CubeSource(tmp_path / "aqi.nc") as daily:
        plain = export_cogs(daily, tmp_path / "plain")
        turned = export_cogs(daily, tmp_path / "turned", CogOptions(epsg=32650))
        with pytest.raises(OutputError, match="--overwrite"):
            export_cogs(daily, tmp_path / "plain")
        export_cogs(daily, tmp_path / "plain", CogOptions(overwrite=True))
    found = []
    for paths in (plain, turned):
        with rasterio.open(next(p for p in paths if "class" in p.name)) as file:
            found.append((file.crs.to_epsg(), set(np.unique(file.read(1)).tolist()) - {0}))
    assert [crs for crs, _ in found] == [4326, 32650] and found[1][1] <= found[0][1] != set()


def test_daily_maxima_go_straight_to_geotiffs_too(cubes, tmp_path):
    with CubeSource(cubes.two, ["o3"]) as source:
        paths = export_statistic_cogs(source, tmp_path / "cogs", AggregateOptions("mda8"))
        with pytest.raises(OutputError, match="holds 3 files"):
            export_statistic_cogs(source, tmp_path / "cogs", AggregateOptions("mda8"))
    assert [path.name for path in paths] == [f"o3_mda8_2019010{day}.tif" for day in (2, 3, 4)]
