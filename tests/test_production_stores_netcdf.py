"""The last step: the file or the store gets its name only when it is whole."""

from __future__ import annotations

from dataclasses import replace

import netCDF4
import numpy as np
import pytest
from production_case import block_values, make_template

from aqreanalysis.production.stores import netcdf
from aqreanalysis.production.stores.chunks import ChunkFolder, create_chunks
from aqreanalysis.production.stores.netcdf import rename_file, write_netcdf


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
        assert file.data_model == "NETCDF4" and not file.dimensions["time"].isunlimited()


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
