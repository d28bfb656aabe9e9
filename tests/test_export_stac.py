"""The STAC item describes the cube and its GeoTIFFs, and finds both from where it lies."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
import xarray as xr

from aqreanalysis.errors import OutputError
from aqreanalysis.export import CogOptions, CubeSource, TimeSpan, export_cogs, export_stac

pystac = pytest.importorskip("pystac", reason="pystac is not installed: pip install 'aqreanalysis[stac]'")


def test_an_item_reads_back_with_extent_layers_and_assets(cubes, tmp_path):
    with CubeSource(cubes.two, span=TimeSpan(None, datetime(2019, 1, 2, 2))) as source:
        export_cogs(source, tmp_path / "cogs", CogOptions())
    with CubeSource(cubes.two) as source:
        path = export_stac(source, tmp_path / "item.json", tmp_path / "cogs")
    item = pystac.Item.from_file(str(path))
    assert item.bbox == [115.875, 38.875, 118.125, 40.625]
    assert item.common_metadata.start_datetime.isoformat() == "2019-01-02T00:00:00+00:00"
    assert item.common_metadata.end_datetime.isoformat() == "2019-01-05T00:00:00+00:00"
    cube = pystac.extensions.datacube.DatacubeExtension.ext(item)
    assert cube.dimensions["lon"].extent == [116.0, 118.0] and cube.dimensions["time"].to_dict()["step"] == "PT1H"
    assert cube.variables["o3_upper"].unit == "ug m-3" and set(cube.dimensions) == {"time", "lat", "lon"}
    assert len(item.assets) == 3
    cog = item.assets["pm2p5_o3_20190102T0030"]
    assert cog.extra_fields["datetime"] == "2019-01-02T00:30:00Z" and cog.extra_fields["bands"][0]["unit"] == "ug m-3"
    for asset in item.assets.values():
        assert (tmp_path / asset.href).resolve().exists()
    assert "license" not in item.properties and len(item.properties["aqreanalysis:model_digest"]) == 64


def test_an_item_across_the_antimeridian_is_cut_there(cubes, tmp_path):
    with CubeSource(cubes.one) as source:
        moved = source.dataset.assign_coords(
            lon=("lon", source.dataset.lon.values + 63), lon_bnds=source.dataset.lon_bnds + 63
        )
        source.dataset = moved.drop_encoding() if isinstance(moved, xr.Dataset) else moved
        export_stac(source, tmp_path / "item.json")
    item = pystac.Item.from_file(str(tmp_path / "item.json"))
    assert item.bbox == [178.875, 38.875, -178.875, 40.625] and item.geometry["type"] == "MultiPolygon"
    lons = np.array([p[0] for part in item.geometry["coordinates"] for p in part[0]])
    assert np.abs(lons).max() == 180


def test_a_folder_without_geotiffs_is_refused(cubes, tmp_path):
    with CubeSource(cubes.one) as source, pytest.raises(OutputError, match="no COG in"):
        export_stac(source, tmp_path / "item.json", tmp_path)
