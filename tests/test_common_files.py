from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from aqreanalysis.common.files import disk_errors, plain, refused_by_disk, replacing, write_json
from aqreanalysis.errors import OutputError


def test_json_has_null_for_what_is_not_finite_and_no_half_file(tmp_path: Path) -> None:
    content = plain({"a": np.float32(np.nan), "b": [np.int64(3), float("inf")], "c": (1.5, None)})
    assert content == {"a": None, "b": [3, None], "c": [1.5, None]}
    path = write_json(content, tmp_path / "x.json")
    assert json.loads(path.read_text()) == content
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        write_json({}, tmp_path / "absent" / "x.json")


def test_what_is_written_well_takes_the_name_and_what_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    with replacing(path) as part:
        assert part.suffix == ".nc" and part.parent == tmp_path and not path.exists()
        part.write_text("one")
    assert path.read_text() == "one"
    with pytest.raises(RuntimeError), replacing(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "one" and list(tmp_path.iterdir()) == [path]


def test_want_of_room_is_told_from_other_failures(tmp_path, monkeypatch):
    assert refused_by_disk(OSError(errno.ENOSPC, "No space"), tmp_path) == errno.ENOSPC
    assert refused_by_disk(OSError(errno.EACCES, "denied"), tmp_path) is None
    told = OSError("file write failed: time = x, errno = 27, error message = 'File too large'")
    assert refused_by_disk(told, tmp_path / "not" / "there") == errno.EFBIG
    assert refused_by_disk(RuntimeError("NetCDF: HDF error"), tmp_path) is None
    monkeypatch.setattr("shutil.disk_usage", lambda folder: types.SimpleNamespace(free=0))
    assert refused_by_disk(RuntimeError("NetCDF: HDF error"), tmp_path) == errno.ENOSPC


def test_the_limit_of_files_is_blamed_only_where_a_file_stands_at_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda which: (6_000, 6_000))
    out = tmp_path / "x.nc"
    out.write_bytes(b"0" * 5_999)
    assert refused_by_disk(RuntimeError("NetCDF: HDF error"), out) is None  # it stands below the limit
    out.write_bytes(b"0" * 6_000)
    for written in (out, tmp_path):
        assert refused_by_disk(RuntimeError("NetCDF: HDF error"), written) == errno.EFBIG
    assert refused_by_disk(KeyError("pm25"), out) is None
    with (
        pytest.raises(OutputError, match=r"no file grow beyond 6000 bytes: raise that \(ulimit -f\)"),
        disk_errors(out, out),
    ):
        raise RuntimeError("NetCDF: HDF error")


def test_what_a_killed_process_of_this_machine_left_is_removed_and_no_other(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    here = socket.gethostname()
    names = [f".a.{here}-{dead.pid}.part.nc", f".a.{here}-{os.getppid()}.part.nc", f".a.elsewhere-{dead.pid}.part.nc"]
    for name in names:
        (tmp_path / name).write_text("half")
    with replacing(tmp_path / "a.nc") as part:
        part.write_text("whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*names[1:], "a.nc"])
