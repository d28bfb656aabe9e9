"""The last step: the file or the store gets its name only when it is whole."""

from __future__ import annotations

import netCDF4
import numpy as np
import pytest
from production_case import block_values, make_template

from aqreanalysis.production.finalise import finalise_zarr, rename_file, write_netcdf
from aqreanalysis.production.store import create_store, forget, write_block


@pytest.fixture
def filled(tmp_path):
    template = make_template()
    store = tmp_path / "store.zarr"
    create_store(store, template, 1)
    for number in range(template.plan.blocks):
        block = template.plan.get_block(number)
        values = block_values(template, block)
        values["pm2p5"][0, 0, 0] = np.nan
        write_block(store, block, values)
    yield template, store
    forget()


def silent(done: int, total: int, note: str) -> None:
    assert done <= total and note


def test_the_file_holds_every_block_with_missing_values_as_minus_9999(filled, tmp_path):
    template, store = filled
    write_netcdf(store, template, tmp_path / "x.nc", 1, silent)
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


def test_two_files_of_one_store_have_the_same_bytes(filled, tmp_path):
    template, store = filled
    for name in ("a", "b"):
        write_netcdf(store, template, tmp_path / name, 1, silent)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_progress_raises_ends_the_writing_and_the_name_is_not_taken(filled, tmp_path):
    template, store = filled

    class Enough(Exception):
        pass

    def stop(done: int, total: int, note: str) -> None:
        if done == 3:
            raise Enough

    with pytest.raises(Enough):
        write_netcdf(store, template, tmp_path / "part", 1, stop)
    write_netcdf(store, template, tmp_path / "part", 1, silent)
    (tmp_path / "x.nc").write_text("old")
    rename_file(tmp_path / "part", tmp_path / "x.nc")
    assert not (tmp_path / "part").exists() and (tmp_path / "x.nc").read_bytes()[1:4] == b"HDF"


def test_a_store_takes_the_place_of_an_old_one(filled, tmp_path):
    _, store = filled
    out, trash = tmp_path / "x.zarr", tmp_path / "old"
    out.mkdir()
    (out / "old file").write_text("old")
    finalise_zarr(store, out, trash)
    assert (out / "pm2p5" / "0.0.0").exists() and not (out / "old file").exists()
    assert not trash.exists() and not store.exists()
