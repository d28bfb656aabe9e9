"""Outputs appear whole or not at all, and nothing is replaced unasked."""

from __future__ import annotations

import types
from pathlib import Path

import pytest
from killed import die, dies_after_rename_of, killed

from aqreanalysis.common import publish
from aqreanalysis.errors import OutputError
from aqreanalysis.export.files import whole_file, whole_folder


def test_a_file_gets_its_name_only_when_it_is_whole(tmp_path):
    out = tmp_path / "new" / "a.csv"
    with pytest.raises(ZeroDivisionError), whole_file(out, (".csv",), False) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert list(out.parent.iterdir()) == []
    with whole_file(out, (".csv",), False) as temporary:
        temporary.write_text("whole")
        assert not out.exists() and temporary.suffix == ".csv"
    assert out.read_text() == "whole" and [p.name for p in out.parent.iterdir()] == ["a.csv"]


def test_a_file_that_exists_is_kept_unless_told_and_until_the_new_one_is_whole(tmp_path):
    out = tmp_path / "a.csv"
    out.write_text("old")
    with pytest.raises(OutputError, match="--overwrite"), whole_file(out, (".csv",), False):
        pass
    with pytest.raises(ZeroDivisionError), whole_file(out, (".csv",), True) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert out.read_text() == "old"
    with whole_file(out, (".csv",), True) as temporary:
        temporary.write_text("new")
    assert out.read_text() == "new"


def test_a_wrong_ending_and_a_folder_are_refused(tmp_path):
    with (
        pytest.raises(OutputError, match=r"must end in \.csv or \.parquet"),
        whole_file("a.txt", (".csv", ".parquet"), False),
    ):
        pass
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(OutputError, match="is a folder"), whole_file(tmp_path / "a.csv", (".csv",), True):
        pass


def test_a_folder_is_replaced_as_a_whole_and_never_if_it_holds_something_else(tmp_path):
    out = tmp_path / "cogs"
    for name in ("a", "b"):
        with whole_folder(out, (".tif",), True) as folder:
            (folder / f"{name}.tif").write_text(name)
    assert [p.name for p in out.iterdir()] == ["b.tif"]
    with pytest.raises(OutputError, match="holds 1 files"), whole_folder(out, (".tif",), False):
        pass
    with pytest.raises(ZeroDivisionError), whole_folder(out, (".tif",), True) as folder:
        (folder / "c.tif").write_text("half")
        raise ZeroDivisionError
    assert [p.name for p in out.iterdir()] == ["b.tif"] and [p.name for p in tmp_path.iterdir()] == ["cogs"]
    (out / "thesis.docx").write_text("years of work")
    with pytest.raises(OutputError, match=r"thesis\.docx"), whole_folder(out, (".tif",), True):
        pass
    assert (out / "thesis.docx").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"), whole_folder(tmp_path / "file", (".tif",), True):
        pass


def test_a_disk_that_is_full_is_one_line_whatever_the_writer_says_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: types.SimpleNamespace(free=0))
    for writing in (whole_file(tmp_path / "a.csv", (".csv",), False), whole_folder(tmp_path / "b", (".tif",), False)):
        with (
            pytest.raises(OutputError, match=r"no space left for the output .*No space left on device") as caught,
            writing,
        ):
            raise RuntimeError("CPLE_AppDefined: write failed")
        assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def _write_maps(out, text):
    with whole_folder(out, (".tif",), True) as folder:
        (folder / "a.tif").write_text(text)


def test_a_folder_that_a_killed_run_had_put_aside_gets_its_name_back(tmp_path, monkeypatch):
    # Where a file system cannot swap two names there is a moment between two renames; the kill comes right there.
    monkeypatch.setattr(publish, "_swap", lambda *_: False)
    out = tmp_path / "maps"
    _write_maps(out, "old")
    monkeypatch.setattr(Path, "rename", dies_after_rename_of("maps"))
    killed(lambda: _write_maps(out, "new"))
    monkeypatch.undo()
    assert not out.exists() and len(list(tmp_path.glob(".maps.*.replaced"))) == 1
    with pytest.raises(ZeroDivisionError), whole_folder(out, (".tif",), True):
        raise ZeroDivisionError
    assert (out / "a.tif").read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["maps"]
    _write_maps(out, "new")
    assert (out / "a.tif").read_text() == "new" and [p.name for p in tmp_path.iterdir()] == ["maps"]


def test_what_a_run_that_was_killed_after_the_swap_left_behind_goes_with_the_next(tmp_path, monkeypatch):
    out = tmp_path / "maps"
    _write_maps(out, "old")
    swap = publish._swap
    monkeypatch.setattr(publish, "_swap", lambda *names: swap(*names) and die())
    killed(lambda: _write_maps(out, "new"))
    monkeypatch.undo()
    assert (out / "a.tif").read_text() == "new" and len(list(tmp_path.iterdir())) == 3
    _write_maps(out, "newer")
    assert (out / "a.tif").read_text() == "newer" and [p.name for p in tmp_path.iterdir()] == ["maps"]


def test_two_that_write_the_same_output_the_second_is_refused(tmp_path):
    out = tmp_path / "maps"
    with whole_folder(out, (".tif",), True) as folder:
        (folder / "a.tif").write_text("first")
        with pytest.raises(OutputError, match=r"maps is being written by process \d+ on"):
            _write_maps(out, "second")
    assert (out / "a.tif").read_text() == "first"
    with whole_file(tmp_path / "a.csv", (".csv",), True) as temporary:
        temporary.write_text("first")
        with pytest.raises(OutputError, match="is being written"), whole_file(tmp_path / "a.csv", (".csv",), True):
            pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "maps"]
