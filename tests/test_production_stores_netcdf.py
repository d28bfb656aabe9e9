"""Chunks as HDF5 stores them, and the file that they are copied into, which gets its name only when it is whole."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from isal import isal_zlib
from production_case import block_values, make_template

from aqreanalysis.errors import OutputError
from aqreanalysis.production.stores import netcdf
from aqreanalysis.production.stores.netcdf import (
    FAST_LEVELS,
    ChunkEncoding,
    ChunkFolder,
    compress,
    create_chunks,
    rename_file,
    write_netcdf,
)

SHAPES = st.tuples(*[st.integers(1, 6)] * 3)
LEVELS = st.sampled_from([0, 1, 3, 4, 9])


@pytest.fixture
def filled(tmp_path):
    template = make_template()
    folder = tmp_path / "store.chunks"
    create_chunks(folder, template, 1)
    for number in range(template.plan.blocks):
        block = template.plan.get_block(number)
        values = block_values(template, block)
        values["pm2p5"][0, 0, 0] = np.nan
        ChunkFolder(folder).write(block, values)
    return template, folder


def silent(done: int, total: int, note: str) -> None:
    assert done <= total and note


def test_the_file_holds_every_block_with_missing_values_as_minus_9999(filled, tmp_path):
    template, folder = filled
    write_netcdf(folder, template, tmp_path / "x.nc", silent)
    with netCDF4.Dataset(tmp_path / "x.nc") as file:
        file.set_auto_maskandscale(False)
        for number in range(template.plan.blocks):
            block = template.plan.get_block(number)
            wanted = block_values(template, block)
            wanted["pm2p5"][0, 0, 0] = -9999
            for name, values in wanted.items():
                region = block.region[3 - values.ndim :]
                np.testing.assert_array_equal(file[name][region], values, err_msg=name)
        assert file["pm2p5"].chunking() == [24, 3, 4]
        assert file["pm2p5"].filters()["zlib"] and file["pm2p5"].filters()["shuffle"]
        assert file.data_model == "NETCDF4" and file.dimensions["time"].isunlimited()


def test_two_files_of_one_folder_have_the_same_bytes(filled, tmp_path):
    template, folder = filled
    for name in ("a", "b"):
        write_netcdf(folder, template, tmp_path / name, silent)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_progress_raises_ends_the_writing_and_the_name_is_not_taken(filled, tmp_path):
    template, folder = filled

    class Enough(Exception):
        pass

    def stop(done: int, total: int, note: str) -> None:
        if done == 3:
            raise Enough

    with pytest.raises(Enough):
        write_netcdf(folder, template, tmp_path / "part", stop)
    write_netcdf(folder, template, tmp_path / "part", silent)
    (tmp_path / "x.nc").write_text("old")
    rename_file(tmp_path / "part", tmp_path / "x.nc")
    assert not (tmp_path / "part").exists() and (tmp_path / "x.nc").read_bytes()[1:4] == b"HDF"


def test_chunks_of_another_form_than_the_files_are_never_written(filled, tmp_path, monkeypatch):
    template, folder = filled
    real = netcdf._write_structure

    def other(path, template, forms):
        real(path, template, {name: replace(form, level=2) for name, form in forms.items()})

    monkeypatch.setattr(netcdf, "_write_structure", other)
    with pytest.raises(AssertionError, match="its chunks are"):
        write_netcdf(folder, template, tmp_path / "x.nc", silent)


def test_a_file_without_compression_holds_the_same_values(tmp_path):
    template = make_template()
    create_chunks(tmp_path / "plain.chunks", template, 0)
    for number in range(template.plan.blocks):
        block = template.plan.get_block(number)
        ChunkFolder(tmp_path / "plain.chunks").write(block, block_values(template, block))
    write_netcdf(tmp_path / "plain.chunks", template, tmp_path / "plain.nc", silent)
    with netCDF4.Dataset(tmp_path / "plain.nc") as file:
        assert not file["pm2p5"].filters()["zlib"] and not file["pm2p5"].filters()["shuffle"]
        block = template.plan.get_block(3)
        np.testing.assert_array_equal(file["pm2p5"][block.region], block_values(template, block)["pm2p5"])


@settings(deadline=None, max_examples=40)
@given(data=st.data(), shape=SHAPES, level=LEVELS, dtype=st.sampled_from(["<f4", "<i4", "<i2", "<i1", "<f8"]))
def test_hdf5_reads_back_what_was_encoded(data, shape, level, dtype, tmp_path_factory):
    values = data.draw(arrays.arrays(np.dtype(dtype), shape))
    form = ChunkEncoding(dtype, shape, -99, level)
    path = tmp_path_factory.mktemp("h5") / "x.nc"
    with netCDF4.Dataset(path, "w") as file:
        for name, size in zip("tyx", shape, strict=True):
            file.createDimension(name, size)
        options = {"compression": "zlib" if level else None, "complevel": level, "shuffle": level > 0}
        file.createVariable("v", dtype, ("t", "y", "x"), chunksizes=shape, fill_value=-99, **options)
    with h5py.File(path, "r+") as file:
        file["v"].id.write_direct_chunk((0, 0, 0), form.encode(values))
    wanted = np.where(np.isnan(values), values.dtype.type(-99), values) if values.dtype.kind == "f" else values
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        np.testing.assert_array_equal(file["v"][:], wanted)
    np.testing.assert_array_equal(form.decode(form.encode(values)), wanted)


def test_the_end_of_an_axis_is_filled_up_to_the_whole_chunk():
    form = ChunkEncoding("<f4", (2, 3), -9999.0, 1)
    whole = form.decode(form.encode(np.array([[1.0, np.nan]], np.float32)))
    np.testing.assert_array_equal(whole, [[1, -9999, -9999], [-9999, -9999, -9999]])
    np.testing.assert_array_equal(
        ChunkEncoding("<i1", (3,), None, 1).decode(ChunkEncoding("<i1", (3,), None, 1).encode(np.ones(2))), [1, 1, 0]
    )


def test_every_level_is_in_zlibs_format_and_the_higher_ones_are_zlibs_own():
    data = np.sin(np.arange(20_000) / 100).astype("<f4").tobytes()
    for level in range(1, 10):
        assert zlib.decompress(compress(data, level)) == data
    assert compress(data, FAST_LEVELS + 1) == zlib.compress(data, FAST_LEVELS + 1)
    # Its lower levels do not always repeat themselves.
    assert {compress(data, level) for level in range(1, FAST_LEVELS + 1)} == {isal_zlib.compress(data, 3)}


def test_a_folder_reads_back_its_forms_and_every_chunk(tmp_path):
    template = make_template()
    create_chunks(tmp_path / "x.chunks", template, 1)
    folder = ChunkFolder(tmp_path / "x.chunks")
    assert folder.forms["pm2p5"] == ChunkEncoding("<f4", (24, 3, 4), -9999.0, 1)
    assert folder.forms["quality_flag"].fill is None
    last = template.plan.get_block(template.plan.blocks - 1)
    for block in (template.plan.get_block(0), last):
        values = block_values(template, block)
        written = folder.write(block, values)
        assert written.raw_bytes == sum(v.nbytes for v in values.values())
        assert folder.write(block, values) == written  # again, as after a crash
        stored = {name: (zlib.crc32(folder.read(name, block)),) for name in values}
        assert {name: layer.checksums for name, layer in written.layers.items()} == stored
        assert {name: folder.checksums(name, block) for name in values} == stored
        for name, wanted in values.items():
            found = folder.forms[name].decode(folder.read(name, block))
            np.testing.assert_array_equal(found[tuple(slice(n) for n in wanted.shape)], wanted)
    assert sorted(p.name for p in (tmp_path / "x.chunks" / "pm2p5").iterdir()) == ["0.0.0", "1.2.2"]


def test_a_chunk_that_cannot_be_written_whole_takes_no_name(tmp_path, monkeypatch):
    template = make_template()
    create_chunks(tmp_path / "x.chunks", template, 1)
    folder, block = ChunkFolder(tmp_path / "x.chunks"), template.plan.get_block(0)

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(Path, "write_bytes", full)
        folder.write(block, block_values(template, block))
    assert not folder.file("pm2p5", block).exists()


@pytest.mark.parametrize("place", [0, 20, -3])
def test_a_damaged_list_of_the_chunks_forms_is_refused(place: int, tmp_path: Path) -> None:
    create_chunks(tmp_path / "x.chunks", make_template(), 1)
    file = tmp_path / "x.chunks" / "forms.json"
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)
    with pytest.raises(OutputError, match=r"forms\.json is damaged.*--overwrite"):
        ChunkFolder(tmp_path / "x.chunks")
