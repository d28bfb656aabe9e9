"""The Zarr store: created from the template, written block by block, the same bytes each time."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace

import numpy as np
import pytest
import zarr
from production_case import block_values, make_template, small_grid

from aqreanalysis.production.stores.zarr import ShardedChunks, ZarrLayout, ZarrStore, discard_partial_files


@pytest.fixture
def template():
    return make_template()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_is_written_is_read_back_in_any_order(template, zarr_format, tmp_path):
    store = ZarrStore((), tmp_path / "s.zarr", ZarrLayout(zarr_format))
    store.create(template)
    blocks = [template.plan.get_block(n) for n in range(template.plan.blocks)]
    for block in reversed(blocks):
        values = block_values(template, block)
        written = store.write(block, values)
        assert written.raw_bytes == sum(v.nbytes for v in values.values()) and set(written.layers) == set(values)
        stored = {zlib.crc32(f.read_bytes()) for f in store.path.rglob("*") if f.is_file()}
        assert {one for layer in written.layers.values() for one in layer.checksums} <= stored, "of the very bytes"
        assert {name: store.read_checksums(name, block) for name in values} == {
            name: layer.checksums for name, layer in written.layers.items()
        }
    group = zarr.open_group(store.path, mode="r")
    for block in blocks:
        wanted = block_values(template, block)
        for layer in template.layers:
            if layer.name in wanted:
                found = group[layer.name][block.region[3 - len(layer.dims) :]]
                np.testing.assert_array_equal(found, wanted[layer.name])


def test_zarr_2_has_consolidated_metadata_nan_fill_and_the_attribute_gdal_reads(template, tmp_path):
    path = tmp_path / "s.zarr"
    ZarrStore((), path).create(template)
    metadata = json.loads((path / ".zmetadata").read_text())["metadata"]
    assert metadata["pm2p5/.zarray"]["fill_value"] == "NaN" and metadata["pm2p5/.zarray"]["zarr_format"] == 2
    assert metadata["pm2p5/.zarray"]["chunks"] == [24, 3, 4]
    assert metadata["quality_flag/.zarray"]["fill_value"] is None and metadata["lat/.zarray"]["fill_value"] is None
    assert metadata["observations_used/.zarray"]["fill_value"] == -1
    assert metadata["pm2p5/.zattrs"]["_ARRAY_DIMENSIONS"] == ["time", "lat", "lon"]
    assert "EPSG" in metadata["pm2p5/.zattrs"]["_CRS"]["wkt"]
    assert "_FillValue" not in metadata["pm2p5/.zattrs"]


def test_chunks_that_hold_only_the_fill_are_written_too(template, tmp_path):
    path = tmp_path / "s.zarr"
    ZarrStore((), path).create(template)
    block = template.plan.get_block(0)
    ZarrStore((), path).write(block, {"pm2p5": np.full((24, 3, 4), np.nan, dtype=np.float32)})
    assert (path / "pm2p5" / "0.0.0").exists() and (path / "crs" / "0").exists()


def test_leftovers_of_a_killed_writer_are_deleted_and_chunks_are_kept(template, tmp_path):
    path = tmp_path / "s.zarr"
    ZarrStore((), path).create(template)
    before = sorted(p.name for p in path.rglob("*"))
    (path / "pm2p5" / "0.0.1a2b.partial").write_bytes(b"half")
    (path / "x.partial").write_bytes(b"half")
    deep = path / "pm2p5" / "c" / "0"
    deep.mkdir(parents=True)
    (deep / "0.1a2b.partial").write_bytes(b"half")
    assert discard_partial_files(path) == 3
    deep.rmdir(), deep.parent.rmdir()
    assert sorted(p.name for p in path.rglob("*")) == before


def test_the_store_opens_with_zarr_alone(template, tmp_path):
    ZarrStore((), tmp_path / "s.zarr", ZarrLayout(level=0)).create(template)
    group = zarr.open_group(tmp_path / "s.zarr", mode="r")
    np.testing.assert_array_equal(group["lat"][:], small_grid().lat)
    assert group.attrs["Conventions"] == "CF-1.11, ACDD-1.3"


@pytest.mark.parametrize(
    ("shape", "block", "chunks", "shard"),
    [
        ((8760, 201, 401), (168, 64, 64), (24, 32, 32), (168, 64, 64)),
        ((168, 41, 61), (168, 41, 61), (24, 21, 31), (168, 42, 62)),  # one block: the shard may reach beyond the end
        ((100, 90, 90), (24, 37, 37), (24, 37, 37), (24, 37, 37)),  # a prime tile is not cut into slices
        ((30, 7, 9), (24, 3, 4), (24, 3, 4), (24, 3, 4)),
        ((201, 401), (64, 64), (32, 32), (64, 64)),
    ],
)
def test_a_shard_is_the_block_of_one_task_and_its_chunks_divide_it(shape, block, chunks, shard):
    found = ShardedChunks.of(shape, block)
    assert (tuple(found), found.shard) == (chunks, shard)


def test_a_store_in_shards_has_one_file_a_block_and_reads_the_same(tmp_path):
    template = make_template()
    wide = replace(template, plan=replace(template.plan, block=(24, 7, 9)))
    path = tmp_path / "s.zarr"
    store = ZarrStore((), path, ZarrLayout(3, shards=True))
    store.create(wide)
    for number in range(wide.plan.blocks):
        store.write(wide.plan.get_block(number), block_values(wide, wide.plan.get_block(number)))
    array = zarr.open_group(path, mode="r")["pm2p5"]
    assert array.shards == (24, 7, 9) and array.chunks == (24, 7, 9)
    assert sum(1 for p in (path / "pm2p5").rglob("*") if p.is_file() and p.name != "zarr.json") == wide.plan.blocks
    for number in range(wide.plan.blocks):
        block = wide.plan.get_block(number)
        np.testing.assert_array_equal(array[block.region], block_values(wide, block)["pm2p5"])
