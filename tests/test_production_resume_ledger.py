"""The ledger survives a cut last line; the lock is one process' alone and goes with it."""

from __future__ import annotations

import json

import pytest

from aqreanalysis.errors import OutputError
from aqreanalysis.production.resume import ledger as module
from aqreanalysis.production.resume.ledger import Ledger, Lock

KEY = b"12345678"


def test_what_was_recorded_is_read_back(tmp_path):
    ledger = Ledger(tmp_path / "l")
    ledger.begin({"fingerprint": {"a": 1}, "created": "now"})
    for number in (3, 1, 2):
        ledger.record(number, KEY)
    ledger.note_ready()
    ledger.close()
    again = Ledger(tmp_path / "l")
    assert again.header == {"fingerprint": {"a": 1}, "created": "now"}
    assert again.done == {1, 2, 3} and again.ready


def test_after_a_reboot_only_what_was_synced_counts(tmp_path, monkeypatch):
    path = tmp_path / "l"
    ledger = Ledger(path)
    ledger.begin({"fingerprint": {}})
    ledger.record(1, KEY)
    monkeypatch.setattr(module, "SYNC_SECONDS", -1.0)
    ledger.record(2, KEY)
    monkeypatch.setattr(module, "SYNC_SECONDS", 1e9)
    ledger.record(3, KEY)
    ledger.close()
    assert Ledger(path).done == {1, 2, 3}
    monkeypatch.setattr(module, "boot_number", lambda: "the next boot")
    after = Ledger(path)
    assert after.done == {1, 2}
    after.record(4, KEY)
    after.close()
    # What was lost in the reboot does not come back with the lines of the new boot.
    assert Ledger(path).done == {1, 2, 4}


def test_a_process_that_goes_on_in_the_same_boot_trusts_the_lines_before_it(tmp_path):
    path = tmp_path / "l"
    for number in (1, 2, 3):
        ledger = Ledger(path)
        if ledger.header is None:
            ledger.begin({"fingerprint": {}})
        ledger.record(number, KEY)
        ledger.close()
    assert Ledger(path).done == {1, 2, 3}


@pytest.mark.parametrize("cut", range(1, 13))
def test_a_last_line_cut_by_a_crash_is_dropped_and_the_next_one_is_whole(cut, tmp_path):
    path = tmp_path / "l"
    ledger = Ledger(path)
    ledger.begin({"fingerprint": {}})
    ledger.record(1, KEY)
    ledger.record(2, KEY)
    ledger.close()
    path.write_bytes(path.read_bytes()[:-cut])
    cut_short = Ledger(path)
    assert cut_short.done == {1}
    cut_short.record(5, KEY)
    cut_short.close()
    assert Ledger(path).done == {1, 5}


def test_whoever_only_reads_leaves_a_line_that_another_process_is_writing(tmp_path):
    path = tmp_path / "l"
    ledger = Ledger(path)
    ledger.begin({"fingerprint": {}})
    ledger.record(1, KEY)
    ledger.close()
    in_between = path.read_bytes() + b'{"block": 2, "ke'
    path.write_bytes(in_between)
    assert Ledger(path).done == {1}
    assert path.read_bytes() == in_between


def test_a_ledger_without_a_whole_first_line_is_none(tmp_path):
    (tmp_path / "l").write_text('{"fingerprint": {"a"')
    assert Ledger(tmp_path / "l").header is None


def test_dropping_forgets_everything(tmp_path):
    ledger = Ledger(tmp_path / "l")
    ledger.begin({"fingerprint": {}})
    ledger.record(1, KEY)
    ledger.drop()
    assert ledger.header is None and ledger.done == set() and not (tmp_path / "l").exists()


def test_a_second_lock_is_refused_until_the_first_is_released(tmp_path):
    folder, out = tmp_path / "x.part", tmp_path / "x.nc"
    first = Lock(folder, out)
    with pytest.raises(OutputError, match=r"x\.nc is being written by process \d+ on"):
        Lock(folder, out)
    first.release()
    Lock(folder, out).release()


def test_a_lock_on_a_folder_that_was_removed_meanwhile_is_taken_anew(tmp_path):
    folder, out = tmp_path / "x.part", tmp_path / "x.nc"
    first = Lock(folder, out)
    (folder / "lock").unlink()  # as the holder does when it has finished
    second = Lock(folder, out)
    first.release()
    with pytest.raises(OutputError):
        Lock(folder, out)
    second.release()


def test_what_is_ready_survives_a_reboot_without_waiting_for_the_chunks(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path / "l")
    ledger.begin({"fingerprint": {}})
    ledger.record(1, KEY, {"pm2p5": (7, 1 << 31)})

    def refuse(folder):
        raise AssertionError("the whole file system was waited for")

    monkeypatch.setattr(module, "sync_file_system", refuse)
    ledger.note_ready()
    ledger.close()
    noted = json.loads((tmp_path / "l").read_text().splitlines()[-2])
    assert noted.pop("line") and noted == {"block": 1, "key": KEY.hex(), "chunks": {"pm2p5": "0000000780000000"}}
    monkeypatch.setattr(module, "boot_number", lambda: "the next boot")
    after = Ledger(tmp_path / "l")
    assert after.ready and not after.done


def test_a_block_that_was_made_from_something_else_is_not_done(tmp_path):
    ledger = Ledger(tmp_path / "l")
    ledger.begin({"fingerprint": {}})
    for number in (0, 1, 2):
        ledger.record(number, KEY)
    ledger.close()
    after = Ledger(tmp_path / "l")
    assert after.done == {0, 1, 2}
    after.keep({0: KEY, 1: b"another.", 2: KEY})
    assert after.done == {0, 2}
