"""Outputs come to their names: whole, once, and the old one is there until the new one is."""

from __future__ import annotations

import os

import pytest

from aqreanalysis.common import publish
from aqreanalysis.common.publish import publish_folder, sync_file_system


@pytest.fixture
def folders(tmp_path):
    store, out = tmp_path / "store.zarr", tmp_path / "x.zarr"
    for folder, text in ((store, "new"), (out, "old")):
        folder.mkdir()
        (folder / "file").write_text(text)
    return store, out, tmp_path / "old"


@pytest.mark.parametrize("swaps", [True, False])
def test_a_store_takes_the_place_of_an_old_one(swaps, folders, monkeypatch):
    store, out, trash = folders
    if not swaps:  # a file system that cannot swap names
        monkeypatch.setattr(publish, "_swap", lambda *_: False)
    publish_folder(store, out, trash, store.stat().st_ino)
    assert (out / "file").read_text() == "new"
    assert not trash.exists() and not store.exists()


def test_the_old_store_has_its_name_until_the_new_one_has_it(folders):
    # Seen by whoever looks the name up at any moment: a swap is one step, so the name is never missing.
    store, out, _ = folders
    handle = os.open(out, os.O_RDONLY)
    assert publish._swap(store, out)
    assert (out / "file").read_text() == "new" and (store / "file").read_text() == "old"
    assert os.path.samestat(os.fstat(handle), store.stat())
    os.close(handle)


def test_a_swap_that_was_killed_half_way_is_not_undone(folders):
    store, out, trash = folders
    identity = store.stat().st_ino
    assert publish._swap(store, out)  # and then the process is killed
    publish_folder(store, out, trash, identity)
    assert (out / "file").read_text() == "new"
    assert not trash.exists() and not store.exists()


def test_two_renames_that_were_killed_between_them_are_completed(folders):
    store, out, trash = folders
    identity = store.stat().st_ino
    out.rename(trash)  # a file system that cannot swap; and then the process is killed
    publish_folder(store, out, trash, identity)
    assert (out / "file").read_text() == "new"
    assert not trash.exists() and not store.exists()


def test_a_swap_that_fails_for_another_reason_is_an_error(folders):
    store, out, _ = folders
    with pytest.raises(FileNotFoundError):
        publish._swap(store / "nowhere", out)


def test_syncing_a_folder_that_is_gone_is_an_error_of_the_system(tmp_path):
    sync_file_system(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_file_system(tmp_path / "gone")
