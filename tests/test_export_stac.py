"""The STAC item describes the cube and its GeoTIFFs, and finds both from where it lies."""

from __future__ import annotations

import json
from datetime import datetime

import numpy as np
import pytest
import xarray as xr

from aqreanalysis.errors import OutputError
from aqreanalysis.export import (
    AggregateOptions,
    CogOptions,
    CubeSource,
    TimeSpan,
    export_cogs,
    export_stac,
    export_stac_collection,
    export_statistic_cogs,
)

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


def validated(path):
    """Return an item or a collection that is valid by the schema that comes with pystac, which needs no network."""
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    import referencing
    from pystac.validation.local_validator import get_local_schema_cache

    held = json.loads(path.read_text())
    schemas = get_local_schema_cache()
    registry = referencing.Registry().with_resources(
        (uri, referencing.Resource.from_contents(schema)) for uri, schema in schemas.items()
    )
    kind = "item" if held["type"] == "Feature" else "collection"
    schema = schemas[f"https://schemas.stacspec.org/v1.1.0/{kind}-spec/json-schema/{kind}.json"]
    jsonschema.Draft7Validator(
        schema, registry=registry, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER
    ).validate(held)
    return held


@pytest.mark.parametrize("license", [None, "CC-BY-4.0", "free for all, as long as we are named"])
def test_a_collection_has_an_item_a_step_and_one_of_the_cube_all_valid_by_the_schema(license, cubes, tmp_path):
    with CubeSource(cubes.two, span=TimeSpan(None, datetime(2019, 1, 2, 3))) as source:
        export_cogs(source, tmp_path / "cogs", CogOptions())
    with CubeSource(cubes.two) as source:
        source.dataset.attrs |= {} if license is None else {"license": license}
        written = export_stac_collection(source, tmp_path / "stac", tmp_path / "cogs")
    assert len(written) == 1 + 1 + 3
    collection, cube, *steps = map(validated, written)
    assert collection["license"] == (license if license == "CC-BY-4.0" else "other")
    assert collection["extent"]["temporal"]["interval"] == [["2019-01-02T00:00:00Z", "2019-01-05T00:00:00Z"]]
    links = [link["href"] for link in collection["links"] if link["rel"] == "item"]
    assert [tmp_path / "stac" / link for link in links] == written[1:]
    assert "cube:variables" in cube["properties"] and set(cube["assets"]) == {"cube"}
    first = steps[0]["properties"]
    assert first["datetime"] == "2019-01-02T00:30:00Z"
    assert (first["start_datetime"], first["end_datetime"]) == ("2019-01-02T00:00:00Z", "2019-01-02T01:00:00Z")
    for item in (cube, *steps):
        assert item["collection"] == collection["id"]
        for asset in item["assets"].values():
            assert (tmp_path / "stac" / asset["href"]).resolve().exists()
    read = pystac.Collection.from_file(str(written[0]))
    assert [item.id for item in read.get_items()] == [item["id"] for item in (cube, *steps)]


def test_without_geotiffs_every_step_of_the_cube_is_an_item_and_a_folder_is_replaced_only_when_told(cubes, tmp_path):
    with CubeSource(cubes.one) as source:
        written = export_stac_collection(source, tmp_path / "stac")
        with pytest.raises(OutputError, match="--overwrite"):
            export_stac_collection(source, tmp_path / "stac")
        export_stac_collection(source, tmp_path / "stac", overwrite=True)
    assert len(written) == len(list((tmp_path / "stac").iterdir())) == 2 + 72
    assert set(validated(written[-1])["assets"]) == {"cube"}


def test_days_of_an_index_are_steps_with_their_values_and_their_classes(cubes, tmp_path):
    with CubeSource(cubes.two) as source:
        export_statistic_cogs(source, tmp_path / "cogs", AggregateOptions("aqi"))
        _, _, first, *_ = export_stac_collection(source, tmp_path / "stac", tmp_path / "cogs")
    item = validated(first)
    assert set(item["assets"]) == {"aqi_20190102", "aqi_class_20190102"}
    assert item["properties"]["datetime"] == "2019-01-02T12:00:00Z"
