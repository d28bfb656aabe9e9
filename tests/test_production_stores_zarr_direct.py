"""Chunks written directly are, byte for byte, those that zarr writes."""

from __future__ import annotations

from dataclasses import replace

import numcodecs
import numpy as np
import pytest
import zarr
from production_case import block_values, make_template
from zarr.storage import LocalStore

from aqreanalysis.production.stores.zarr import ZarrLayout, ZarrStore, _array
from aqreanalysis.production.stores.zarr_direct import ChunkFiles


def bytes_of(store):
    return {str(f.relative_to(store)): f.read_bytes() for f in store.rglob("*") if f.is_file()}


@pytest.mark.parametrize("level", [0, 1, 9])
def test_all_layers_of_all_blocks_have_the_bytes_of_zarr(level, tmp_path):
    template = make_template(mask=True)
    stores = [ZarrStore((), tmp_path / name, ZarrLayout(level=level)) for name in ("here.zarr", "zarr.zarr")]
    for store in stores:
        store.create(template)
    group = zarr.open_group(stores[1].path, mode="r+")
    for number in range(template.plan.blocks):
        block = template.plan.get_block(number)
        values = block_values(template, block)
        assert stores[0].write(block, values).raw_bytes == sum(v.nbytes for v in values.values())
        for name, layer in values.items():
            _array(group, name)[block.region[3 - layer.ndim :]] = layer
    here, there = (bytes_of(store.path) for store in stores)
    assert sorted(here) == sorted(there) and len(here) > template.plan.blocks
    assert here == there


def test_what_is_no_single_whole_chunk_is_left_to_zarr(tmp_path):
    array = zarr.create_array(tmp_path / "a.zarr", shape=(5, 6), chunks=(2, 3), dtype="i2", zarr_format=2)
    files = ChunkFiles.of(array, LocalStore(tmp_path / "a.zarr"))
    for region in ((slice(0, 2), slice(0, 6)), (slice(1, 3), slice(0, 3)), (slice(4, 5), slice(0, 2))):
        assert not files.put(region, np.zeros([s.stop - s.start for s in region]))
    assert files.put((slice(4, 5), slice(3, 6)), np.array([[1, 2, 3]]))
    assert array[4].tolist() == [0, 0, 0, 1, 2, 3]


@pytest.mark.parametrize("form", [ZarrLayout(3), ZarrLayout(3, True)], ids=["format 3", "shards"])
def test_stores_of_format_3_are_left_to_zarr(form, tmp_path):
    ZarrStore((), tmp_path / "s.zarr", form).create(make_template())
    assert ChunkFiles.of(zarr.open_group(tmp_path / "s.zarr")["pm2p5"], LocalStore(tmp_path / "s.zarr")) is None


def test_a_chunk_that_cannot_be_written_says_why(tmp_path):
    array = zarr.create_array(tmp_path / "a.zarr", shape=(4,), chunks=(2,), dtype="i2", zarr_format=2)
    codec = numcodecs.Blosc("zstd", clevel=1, shuffle=numcodecs.Blosc.SHUFFLE)
    files = replace(
        ChunkFiles.of(array, LocalStore(tmp_path / "a.zarr")), codec=codec, folder=str(tmp_path / "missing")
    )
    with pytest.raises(FileNotFoundError, match="missing"):
        files.put((slice(0, 2),), np.array([1, 2]))
    files = replace(files, folder=str(tmp_path / "a.zarr"))
    assert files.put((slice(0, 2),), np.array([1, 2]))
    assert (tmp_path / "a.zarr" / "0").read_bytes() == codec.encode(np.array([1, 2], "i2"))
