"""The Zarr store: created from the template, written block by block, the same bytes each time."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr
from production_case import block_values, make_template, small_grid

from aqreanalysis.production.store import create_store, discard_partial_files, forget, read_region, write_block


@pytest.fixture
def template():
    return make_template()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_is_written_is_read_back_in_any_order(template, zarr_format, tmp_path):
    path = tmp_path / "s.zarr"
    create_store(path, template, 1, zarr_format)
    blocks = [template.plan.get_block(n) for n in range(template.plan.blocks)]
    for block in reversed(blocks):
        assert write_block(path, block, block_values(template, block)) > 0
    for block in blocks:
        wanted = block_values(template, block)
        for layer in template.layers:
            if layer.name in wanted:
                np.testing.assert_array_equal(read_region(path, layer, block), wanted[layer.name])
    forget()


def test_zarr_2_has_consolidated_metadata_nan_fill_and_the_attribute_gdal_reads(template, tmp_path):
    path = tmp_path / "s.zarr"
    create_store(path, template, 1)
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
    create_store(path, template, 1)
    block = template.plan.get_block(0)
    write_block(path, block, {"pm2p5": np.full((24, 3, 4), np.nan, dtype=np.float32)})
    assert (path / "pm2p5" / "0.0.0").exists() and (path / "crs" / "0").exists()
    forget()


def test_leftovers_of_a_killed_writer_are_deleted_and_chunks_are_kept(template, tmp_path):
    path = tmp_path / "s.zarr"
    create_store(path, template, 1)
    before = sorted(p.name for p in path.rglob("*"))
    (path / "pm2p5" / "0.0.1a2b.partial").write_bytes(b"half")
    (path / "x.partial").write_bytes(b"half")
    assert discard_partial_files(path) == 2
    assert sorted(p.name for p in path.rglob("*")) == before


def test_the_store_opens_with_zarr_alone(template, tmp_path):
    create_store(tmp_path / "s.zarr", template, 0)
    group = zarr.open_group(tmp_path / "s.zarr", mode="r")
    np.testing.assert_array_equal(group["lat"][:], small_grid().lat)
    assert group.attrs["Conventions"] == "CF-1.11, ACDD-1.3"
